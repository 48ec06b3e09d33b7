package sim

import (
	"errors"
	"fmt"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
)

// profileCopies is how many copies a profile has.
const profileCopies = 3

// changeRounds is how many sets of nodes are tried for one change.
const changeRounds = 3

type changeOp uint8

const (
	changeAdd changeOp = iota + 1
	changeReplace
	changeRemove
)

func (c changeOp) String() string { return [...]string{"none", "created", "changed", "deleted"}[c] }

// profileChange asks the owner's manager for a change of the profile.
type profileChange struct {
	op       changeOp
	password string
}

// change makes, changes or deletes a user: the manager of the name does it, one change at a time.
func (c *clients) change(n *node, u *user, op changeOp) {
	if u.busy && c.rng.IntN(3) > 0 {
		return
	}
	u.busy = true
	c.w.after(4*lookupLimit, func() { u.busy = false }) // the operation is over or lost by then
	c.number++
	r := &request{method: methodChange, owner: u.name, profileChange: profileChange{op, fmt.Sprintf("secret%d", c.number)}}
	n.call(n.view().Manager(c.w.id.BucketOf(u.name)), r, func(a *answer) {
		if a.err != nil {
			return
		}
		u.busy = false
		o := a.objects[0]
		c.w.record("user "+u.name+" "+op.String(), n)
		u.version = later(u.version, o.Timestamp)
		if op == changeRemove {
			return
		}
		if exists := u.version.Compare(u.doubt) > 0; exists && !u.exists {
			u.created, u.exists = c.w.now, true
		}
	})
}

// profileWrite is told of every profile that is sent to the disks, whatever becomes of it.
func (c *clients) profileWrite(n *node, x *cluster.Update, contents string) {
	u := c.byName[x.Object.ID.Owner]
	if x.Object.Deleted {
		u.doubt = later(u.doubt, x.Object.Timestamp)
		u.exists = false
	}
	u.writes[x.Object.Timestamp] = contents
}

func later(a, b cluster.Timestamp) cluster.Timestamp {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

// serveChange makes a change at the manager, as the directory does.
func (n *node) serveChange(r *request, then func(*answer)) {
	refuse := func(text string) {
		then(&answer{err: cluster.Errorf(cluster.KindUnavailable, "change", "%s", text)})
	}
	if n.locks[r.owner] {
		refuse("another change is under way")
		return
	}
	n.locks[r.owner] = true
	unlock := func(a *answer) {
		delete(n.locks, r.owner)
		then(a)
	}
	n.serveLookup(r.owner, func(e cluster.Entry, err error) {
		refuse := func(text string) {
			unlock(&answer{err: cluster.Errorf(cluster.KindUnavailable, "change", "%s", text)})
		}
		if err != nil {
			refuse("not the manager")
			return
		}
		old, exists := e.Find(typeProfile, profileID)
		least := 1
		switch {
		case r.op == changeAdd:
			if exists || e.Knowledge != cluster.Conclusive {
				refuse("exists, or may exist")
				return
			}
			least = min(2, len(n.core.Known()))
		case !exists:
			refuse("does not exist")
			return
		}
		if n.clock.Observe(old.Object.Timestamp, n.wall()) != nil {
			refuse("a clock is wrong")
			return
		}
		s := &profileStore{n: n, r: r, old: old.Object.Replicas, least: least, end: unlock}
		s.store()
	})
}

// profileStore is one change on its way to the disks.
type profileStore struct {
	n       *node
	r       *request
	old     cluster.ReplicaSet
	least   int
	exclude []cluster.NodeID
	rounds  int
	end     func(*answer)
}

// store makes the change durable on all of a new replica set: those of the old one that are
// members, and others up to the copies wanted.
func (s *profileStore) store() {
	n := s.n
	view := n.view()
	var kept []cluster.NodeID
	for _, id := range s.old {
		if view.Contains(id) {
			kept = append(kept, id)
		}
	}
	set := cluster.NewReplicaSet(kept...)
	if want := min(profileCopies, len(view.Members)) - len(kept); want > 0 {
		q := balance.Request{Members: view.IDs(), Beside: kept, Exclude: s.exclude, Copies: want, Spread: want}
		set = set.Union(cluster.NewReplicaSet(balance.Choose(q, n.loads, n.w.time(), n.rng)...))
	}
	if s.rounds++; len(set) < s.least || s.rounds > changeRounds {
		s.end(&answer{err: cluster.Errorf(cluster.KindUnavailable, "change", "not enough nodes")})
		return
	}
	u := cluster.Update{
		Object: cluster.Object{
			ID: cluster.ObjectID{Type: typeProfile, Owner: s.r.owner, ID: profileID}, Replicas: set, Copies: profileCopies,
			Deleted: s.r.op == changeRemove,
		},
		Previous: s.old,
	}
	contents := s.r.password
	if u.Object.Deleted {
		contents = ""
	} else {
		u.Object.Size, u.Object.Sum = int64(len(contents)), sumOf(contents)
	}
	n.updateAll([]cluster.Update{u}, contents, true, func(us []cluster.Update, errs []error) {
		durable := set
		var short *cluster.Shortfall
		if errors.As(errs[0], &short) {
			durable = short.Durable
		} else if errs[0] != nil {
			durable = nil
		}
		if len(durable) < s.least {
			s.old = s.old.Union(set)
			s.exclude = append(s.exclude, set.Without(cluster.NewReplicaSet(kept...))...)
			s.store()
			return
		}
		o := us[0].Object
		n.w.oracle.promised("D4", n, o.ID, o.Timestamp, durable)
		n.w.stats.Changes++
		s.end(&answer{objects: []cluster.Object{o}})
	})
}
