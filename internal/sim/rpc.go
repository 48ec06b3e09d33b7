package sim

import (
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
)

// method names a call between nodes.
type method uint8

const (
	methodPush    method = iota + 1
	methodLookup         // what do you know of owner, whose manager you are
	methodConfirm        // are you in this epoch still
	methodStore          // store a message
	methodProfile        // store a profile or its tombstone
	methodList           // list the messages of owner
	methodDelete         // delete messages of owner
)

// callTimeout is how long a caller waits.
const callTimeout = 2 * time.Second

// request is a call. Requests and answers are immutable once sent: they may arrive twice.
type request struct {
	id      uint64
	method  method
	epoch   cluster.Epoch
	owner   string
	push    *softstate.Push
	ids     []string // of messages
	profile cluster.CachedObject
}

// answer is an answer to a call.
type answer struct {
	id    uint64
	err   error
	entry cluster.Entry
	ids   []string
	load  cluster.Load
}

// call is a call under way at its caller.
type call struct {
	to   *node
	then func(*answer)
}

// call sends a request, in the epoch of the caller's view, and calls then once: with the answer,
// or with KindUnavailable after callTimeout. It is not called if the caller dies first.
func (n *node) call(to cluster.NodeID, r *request, then func(*answer)) {
	w := n.w
	w.calls++
	r.id, r.epoch = w.calls, n.core.View().Epoch
	target := w.byID[to]
	n.calls[r.id] = call{target, then}
	p := w.net.packet()
	p.from, p.to, p.request = n, target, r
	w.send(p)
	id := r.id
	n.after(callTimeout, func() {
		c, ok := n.calls[id]
		if !ok {
			return
		}
		delete(n.calls, id)
		n.obey(n.core.Suspect(w.time(), c.to.id))
		if n.core != nil {
			c.then(&answer{err: cluster.Errorf(cluster.KindUnavailable, "call", "no answer")})
		}
	})
}

// answered hands an answer to the call it belongs to.
func (n *node) answered(from *node, a *answer) {
	c, ok := n.calls[a.id]
	if !ok {
		return
	}
	delete(n.calls, a.id)
	n.loads.Observe(from.id, a.load, n.w.time())
	c.then(a)
}

// reply sends the answer to a request.
func (n *node) reply(to *node, id uint64, a *answer) {
	a.id = id
	a.load = cluster.Load{Pending: n.pending, Commit: commitTime + n.slow}
	p := n.w.net.packet()
	p.from, p.to, p.answer = n, to, a
	n.w.send(p)
}

// fence refuses a request of another epoch (M4).
func (n *node) fence(r *request) error {
	switch c := r.epoch.Compare(n.core.View().Epoch); {
	case c < 0:
		return cluster.Errorf(cluster.KindStale, "serve", "stale epoch")
	case c > 0:
		return cluster.Errorf(cluster.KindBehind, "serve", "behind")
	}
	return nil
}

// serve executes a request.
func (n *node) serve(from *node, r *request) {
	if r.method == methodPush { // has its own fence, in the core
		err := n.manager.Receive(r.push, n.w.time())
		n.w.check.acceptedPush(n, r.push, err)
		n.reply(from, r.id, &answer{err: err})
		return
	}
	if err := n.fence(r); err != nil {
		n.reply(from, r.id, &answer{err: err})
		return
	}
	switch r.method {
	case methodConfirm:
		n.reply(from, r.id, &answer{})
	case methodLookup:
		n.serveLookup(from, r)
	case methodStore:
		n.commit(r.owner, func() bool { return n.disk.putMessage(r.owner, r.ids[0]) }, func(err error) {
			n.reply(from, r.id, &answer{err: err})
		})
	case methodProfile:
		n.serveProfile(from, r)
	case methodList:
		var ids []string
		if s, ok := n.disk.owners[r.owner]; ok {
			ids = append(ids, s.messages...)
		}
		n.reply(from, r.id, &answer{ids: ids})
	case methodDelete:
		n.commit(r.owner, func() bool { return n.disk.deleteMessages(r.owner, r.ids) }, func(err error) {
			n.reply(from, r.id, &answer{err: err})
		})
	}
}

// serveProfile stores a profile. It is refused if what the disk has is newer.
func (n *node) serveProfile(from *node, r *request) {
	if err := n.clock.Observe(r.profile.Object.Timestamp, n.wall()); err != nil {
		n.reply(from, r.id, &answer{err: err})
		return
	}
	applied := false
	n.commit(r.owner, func() bool {
		applied = n.disk.putProfile(r.profile)
		return applied
	}, func(err error) {
		if err == nil && !applied {
			err = cluster.Errorf(cluster.KindExists, "store profile", "there is a newer one")
		}
		n.reply(from, r.id, &answer{err: err})
	})
}

// serveLookup answers from soft state. "There is no profile" is confirmed by every member
// before it is given as final.
func (n *node) serveLookup(from *node, r *request) {
	e, err := n.manager.Lookup(r.owner)
	if err != nil {
		n.reply(from, r.id, &answer{err: err})
		return
	}
	n.w.check.lookup(n, r.owner, &e)
	if _, ok := e.Find(typeProfile, profileID); ok || e.Knowledge != cluster.Conclusive {
		n.reply(from, r.id, &answer{entry: e})
		return
	}
	waiting, failed := 0, false
	finish := func() {
		if waiting > 0 {
			return
		}
		if failed {
			e.Knowledge = cluster.Complete
		}
		n.reply(from, r.id, &answer{entry: e})
	}
	for _, m := range n.core.View().Members {
		if m.ID == n.id {
			continue
		}
		waiting++
		n.call(m.ID, &request{method: methodConfirm}, func(a *answer) {
			waiting--
			failed = failed || a.err != nil
			finish()
		})
	}
	finish()
}
