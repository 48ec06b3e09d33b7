package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/sim/ledger"
)

// profileID is the id of the one profile of a user.
const profileID = "p"

// Limits of one operation of a client.
const (
	lookupLimit = 8 * time.Second // a proxy waits this long for soft state to be complete
	lookupRetry = 250 * time.Millisecond
	opLimit     = 40 * time.Second // a client that has heard nothing by then gives up
	burstMax    = 6                // operations
	burstTime   = 300 * time.Millisecond
)

type opKind int

const (
	opDeliver opKind = iota
	opRetrieve
	opCreate
	opPassword
	opDelete
	opFlag
	opKinds
)

// clients are the outside world: they talk to any node that has a process, seldom two at a time
// for one user's profile, many for its mail.
type clients struct {
	w        *World
	rng      *rand.Rand
	users    []*user
	byName   map[string]*user
	messages map[cluster.ObjectID]*sent // acknowledged
	removed  map[cluster.ObjectID]bool  // a deletion was tried
	deleted  map[cluster.ObjectID]bool  // a deletion was acknowledged
	written  []written
	ledger   *ledger.Ledger
	number   int
	pause    time.Duration // mean time between two operations
	until    int64         // none begin after this
	closed   bool          // no message is handed in any more: the mailboxes are being listed
}

// user is what the outside world knows of one user: the oracle of V1.
type user struct {
	name    string
	busy    bool  // a change is under way
	created int64 // when the last create succeeded
	version cluster.Timestamp
	exists  bool              // a create succeeded, and no delete has been tried that could beat it
	doubt   cluster.Timestamp // the newest delete tried
	writes  map[cluster.Timestamp]string
	kept    map[cluster.ObjectID]*sent // accepted, and no deletion was tried
}

func (u *user) profile() cluster.ObjectID {
	return cluster.ObjectID{Type: typeProfile, Owner: u.name, ID: profileID}
}

// sent is a message that was accepted: the oracle of D1, D9 and V2.
type sent struct {
	id       cluster.ObjectID
	user     *user
	contents string
	acked    int64
}

func (c *clients) init(w *World) {
	c.w, c.rng = w, w.stream("clients")
	c.messages = make(map[cluster.ObjectID]*sent)
	c.removed = make(map[cluster.ObjectID]bool)
	c.deleted = make(map[cluster.ObjectID]bool)
	c.byName = make(map[string]*user)
	c.ledger = ledger.New()
	c.pause = time.Second
	for i := range 12 {
		u := &user{name: fmt.Sprintf("u%d@example.test", i), writes: make(map[cluster.Timestamp]string)}
		c.users = append(c.users, u)
		c.byName[u.name] = u
		c.w.check.buckets[c.w.id.BucketOf(u.name)] = true
	}
}

// run lets one operation begin every now and then, until the given moment.
func (c *clients) run(until int64) {
	c.until = until
	if c.w.now < until {
		c.operate()
		c.w.after(time.Duration(c.rng.ExpFloat64()*float64(c.pause)), func() { c.run(until) })
	}
}

// burst lets clients talk to a node that has just come up or gone on: they have waited for it, and
// it may be wrong about the world.
func (c *clients) burst(n *node) {
	for range c.rng.IntN(burstMax + 1) {
		c.w.after(time.Duration(c.rng.ExpFloat64()*float64(burstTime)), func() { c.operateAt(n) })
	}
}

// operate begins one operation at some node.
func (c *clients) operate() { c.operateAt(c.w.nodes[c.rng.IntN(len(c.w.nodes))]) }

func (c *clients) operateAt(n *node) {
	u := c.users[c.rng.IntN(len(c.users))]
	if !n.up() || c.w.now >= c.until {
		return
	}
	kind := opDeliver
	switch x := c.rng.IntN(100); {
	case x < 20:
		kind = opRetrieve
	case x < 30:
		kind = opCreate
	case x < 37:
		kind = opPassword
	case x < 40:
		kind = opDelete
	case x < 48:
		kind = opFlag
	}
	c.w.stats.Ops[kind]++
	if kind == opDeliver {
		c.number++
		c.submit(n, u, fmt.Sprintf("m%d", c.number), 1)
		return
	}
	n.after(0, func() { // a stopped process takes it up when it goes on
		switch kind {
		case opRetrieve:
			c.retrieve(n, u, c.rng.IntN(2) == 0, nil)
		case opCreate:
			c.change(n, u, changeAdd)
		case opPassword:
			c.change(n, u, changeReplace)
		case opDelete:
			c.change(n, u, changeRemove)
		case opFlag:
			c.setFlag(n, u)
		}
	})
}

// lookup asks the owner's manager, again and again while the answer does not prove enough, then
// gives what it has, and the view in which it was true. Enough is: the profile, or need.
func (n *node) lookup(owner string, need cluster.Knowledge, then func(cluster.Entry, *cluster.View, error)) {
	until := n.w.now + int64(lookupLimit)
	var ask func()
	ask = func() {
		view := n.view()
		manager := view.Manager(n.w.id.BucketOf(owner))
		n.call(manager, &request{method: methodLookup, owner: owner}, func(a *answer) {
			_, found := a.entry.Find(typeProfile, profileID)
			enough := a.err == nil && (a.entry.Knowledge >= need || found && need == cluster.Conclusive)
			if !enough && n.w.now < until {
				n.after(lookupRetry, ask)
				return
			}
			then(a.entry, view, a.err)
		})
	}
	ask()
}

// unknown ends an operation on a user without a profile: 550 if that is proven, else 451.
func (c *clients) unknown(n *node, u *user, e *cluster.Entry, begun int64) {
	if e.Knowledge == cluster.Conclusive {
		c.w.stats.Refused++
		c.w.check.refused(n, u, begun)
	}
}

// retrieve is POP3: it shows all of the mailbox or nothing, and may delete what it showed. then,
// if it is given, gets what was shown.
func (c *clients) retrieve(n *node, u *user, remove bool, then func([]listed)) {
	begun := c.w.now
	n.lookup(u.name, cluster.Complete, func(e cluster.Entry, view *cluster.View, err error) {
		if err != nil || e.Knowledge < cluster.Complete {
			return // [SYS/TEMP]
		}
		if _, ok := e.Find(typeProfile, profileID); !ok {
			c.unknown(n, u, &e, begun)
			return
		}
		var open []cluster.Placed
		for _, f := range e.Fragments {
			if f.Type == typeMessage {
				open = append(open, f)
			}
		}
		n.listAll(u, open, nil, nil, func(list []listed) {
			c.w.check.shown(n, u, view, list, begun)
			c.read(n, u, list)
			if remove {
				c.remove(n, u, list)
			}
			if then != nil {
				then(list)
			}
		})
	})
}

// listed is one message as a node showed it.
type listed struct {
	object cluster.Object
	on     []cluster.NodeID // that showed it
}

// listAll lists all fragments: a cover of nodes at once, and for what a node that failed was asked
// for, another cover of the rest. It fails, and then is not called, if a fragment has no holder left.
func (n *node) listAll(u *user, open []cluster.Placed, failed []cluster.NodeID, list []listed, then func([]listed)) {
	nodes, ok := cover(open, failed, n.id)
	if !ok {
		return
	}
	if len(nodes) == 0 {
		then(list)
		return
	}
	waiting := len(nodes)
	for _, home := range nodes {
		n.callAgain(home, &request{method: methodList, owner: u.name}, func(a *answer) {
			if a.err != nil {
				failed = append(failed, home)
			} else {
				open = slices.DeleteFunc(open, func(f cluster.Placed) bool { return slices.Contains(f.Holders, home) })
				for _, o := range a.objects {
					list = merge(list, o, home)
				}
			}
			if waiting--; waiting == 0 {
				n.listAll(u, open, failed, list, then)
			}
		})
	}
}

// merge adds what a node showed to the list: a message that lies on several nodes is shown once.
func merge(list []listed, o cluster.Object, home cluster.NodeID) []listed {
	for i := range list {
		if list[i].object.ID == o.ID {
			if list[i].object.Timestamp.Compare(o.Timestamp) < 0 {
				list[i].object = o
			}
			list[i].on = append(list[i].on, home)
			return list
		}
	}
	return append(list, listed{o, []cluster.NodeID{home}})
}

// cover picks few nodes that hold all the fragments between them.
func cover(fragments []cluster.Placed, exclude []cluster.NodeID, self cluster.NodeID) (nodes []cluster.NodeID, ok bool) {
	open := slices.Clone(fragments)
	for len(open) > 0 {
		best, most := cluster.NoNode, 0
		for _, f := range open {
			for _, id := range f.Holders {
				count := 0
				for _, g := range open {
					if slices.Contains(g.Holders, id) {
						count++
					}
				}
				if !slices.Contains(exclude, id) && (count > most || count == most && (id == self || best != self && id < best)) {
					best, most = id, count
				}
			}
		}
		if most == 0 {
			return nil, false
		}
		nodes = append(nodes, best)
		open = slices.DeleteFunc(open, func(f cluster.Placed) bool { return slices.Contains(f.Holders, best) })
	}
	return nodes, true
}

// read reads one of the messages shown, at one node after the other until one has it in order.
func (c *clients) read(n *node, u *user, list []listed) {
	if len(list) == 0 {
		return
	}
	m := list[c.rng.IntN(len(list))]
	homes := slices.Clone(m.on)
	for _, r := range m.object.Replicas {
		if !slices.Contains(homes, r) {
			homes = append(homes, r)
		}
	}
	var try func()
	try = func() {
		if len(homes) == 0 {
			return
		}
		home := homes[0]
		homes = homes[1:]
		n.callAgain(home, &request{method: methodRead, object: m.object.ID}, func(a *answer) {
			if a.err != nil {
				try()
				return
			}
			c.w.stats.Reads++
			if sent := c.messages[m.object.ID]; sumOf(a.contents) != m.object.Sum || sent != nil && sent.contents != a.contents {
				c.w.check.that("D5", fmt.Sprintf("%v gives other contents of %s of %s than were delivered", c.w.byID[home], m.object.ID.ID, u.name))
			}
		})
	}
	try()
}

// remove deletes what was shown, on all that may hold it.
func (c *clients) remove(n *node, u *user, list []listed) {
	var us []cluster.Update
	for _, m := range list {
		if n.clock.Observe(m.object.Timestamp, n.wall()) != nil {
			continue // of a clock that is far ahead: the deletion would lose to it
		}
		c.removed[m.object.ID] = true // from now on it may be gone, acknowledged already or not
		delete(u.kept, m.object.ID)
		c.ledger.Removing(m.object.ID.ID)
		us = append(us, deletion(m.object.ID, m.object.Replicas.Union(cluster.NewReplicaSet(m.on...))))
	}
	if len(us) == 0 {
		return
	}
	n.updateAll(us, "", false, func(us []cluster.Update, errs []error) {
		for i := range us {
			if errs[i] == nil {
				c.w.stats.Removed++
				c.deleted[us[i].Object.ID] = true
				c.w.oracle.keep(us[i].Object.ID, us[i].Object.Timestamp)
			}
		}
	})
}

// deletion is a deletion without trace.
func deletion(id cluster.ObjectID, on cluster.ReplicaSet) cluster.Update {
	return cluster.Update{Object: cluster.Object{ID: id, Deleted: true}, Previous: on}
}
