package sim

import (
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/softstate"
)

// method names a call between nodes.
type method uint8

const (
	methodPush    method = iota + 1
	methodLookup         // what do you know of owner, whose manager you are
	methodConfirm        // are you in this epoch still
	methodApply          // apply updates; without contents: an offer, or deletions
	methodRetire         // drop records
	methodList           // list the messages of owner
	methodRead           // give the contents of one message
	methodWhole          // read your copies: do they match their sums
	methodChange         // change the profile of owner, whose manager you are
)

// callTimeout is how long a caller waits; a change at a manager takes several calls.
const (
	callTimeout   = 2 * time.Second
	changeTimeout = 12 * time.Second
)

// lateCallMax is node.LateCallMax.
const lateCallMax = cluster.LateWindow/2 - cluster.ClockSkewMax

// request is a call. Requests and answers are immutable once sent: they may arrive twice.
type request struct {
	id     uint64
	method method
	epoch  cluster.Epoch
	clock  cluster.Timestamp // the caller's, when it was sent
	load   cluster.Load      // likewise
	owner  string
	push   *softstate.Push

	updates     []*cluster.Update
	contents    string
	has         bool // contents came
	retirements []cluster.Retirement

	object cluster.ObjectID
	profileChange
}

// answer is an answer to a call.
type answer struct {
	id      uint64
	err     error
	clock   cluster.Timestamp
	entry   cluster.Entry
	replies []replication.Reply
	// elsewhere are, for each of the updates of methodWhole, those to whom who answers has handed the object on.
	elsewhere []cluster.ReplicaSet
	objects   []cluster.Object
	contents  string
	load      cluster.Load
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
	if n.out {
		n.after(0, func() { then(&answer{err: cluster.Errorf(cluster.KindUnavailable, "call", "this node's disk hangs")}) })
		return
	}
	target := w.byID[to]
	n.post(target, r)
	n.calls[r.id] = call{target, then}
	id := r.id
	timeout := callTimeout
	if r.method == methodChange {
		timeout = changeTimeout
	}
	n.after(timeout, func() {
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

// tell sends a request that has no answer.
func (n *node) tell(to cluster.NodeID, r *request) {
	if !n.out {
		n.post(n.w.byID[to], r)
	}
}

func (n *node) post(target *node, r *request) {
	w := n.w
	w.calls++
	r.id, r.epoch, r.clock, r.load = w.calls, n.core.View().Epoch, n.clock.Read(n.wall()), n.load()
	p := w.net.packet()
	p.from, p.to, p.request = n, target, r
	w.send(p)
}

// answered hands an answer to the call it belongs to.
func (n *node) answered(from *node, a *answer) {
	c, ok := n.calls[a.id]
	if !ok {
		return
	}
	delete(n.calls, a.id)
	n.loads.Observe(from.id, a.load, n.w.time())
	n.seesClock(from, a.clock)
	c.then(a)
}

// seesClock moves the clock past that of another node, unless it is too far ahead: then only
// updates stamped with it are refused.
func (n *node) seesClock(from *node, t cluster.Timestamp) {
	if from == n {
		return
	}
	wall := n.wall()
	n.clocks.Heard(from.id, t, wall)
	if err := n.clock.Observe(t, n.clocks.Believe(wall)); err != nil {
		n.w.stats.Skewed++
	}
}

// reply sends the answer to a request.
func (n *node) reply(to *node, id uint64, a *answer) {
	if n.boundary("before an answer") {
		return
	}
	a.id = id
	a.clock = n.clock.Read(n.wall())
	a.load = n.load()
	p := n.w.net.packet()
	p.from, p.to, p.answer = n, to, a
	n.w.send(p)
}

// load is what travels with every answer.
func (n *node) load() cluster.Load {
	return cluster.Load{
		Pending:  n.pending,
		Commit:   commitTime + n.slow + n.slowDisk,
		DiskFull: n.full,
		DiskFree: diskSize - int64(len(n.disk.objects))*messageSize,
		Draining: n.leaving || n.draining || n.out,
		Objects:  int64(len(n.disk.objects)),
		Sole:     n.disk.isSole(),
		Machine:  n.machine,
	}
}

// fence refuses a request of another epoch (M4), and one that was sent so long ago that what it
// would have met may be forgotten (R5).
func (n *node) fence(r *request) error {
	if age := n.wall().UnixNano() - r.clock.Time; age > int64(lateCallMax) && r.updates != nil {
		n.w.stats.Late++
		return cluster.Errorf(cluster.KindUnavailable, "serve", "sent %v ago", time.Duration(age))
	}
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
	if n.out {
		if r.method != methodRetire {
			n.reply(from, r.id, &answer{err: refusal()})
		}
		return
	}
	n.seesClock(from, r.clock)
	n.loads.Observe(from.id, r.load, n.w.time())
	if r.method == methodPush { // has its own fence, in the core
		err := n.manager.Receive(r.push, n.w.time())
		n.w.check.acceptedPush(n, r.push, err)
		n.reply(from, r.id, &answer{err: err})
		return
	}
	if err := n.fence(r); err != nil {
		if r.method != methodRetire {
			n.reply(from, r.id, &answer{err: err})
		}
		return
	}
	switch r.method {
	case methodConfirm:
		n.reply(from, r.id, &answer{})
	case methodLookup:
		n.serveLookup(r.owner, func(e cluster.Entry, err error) { n.reply(from, r.id, &answer{entry: e, err: err}) })
	case methodApply:
		n.serveApply(from, r)
	case methodRetire:
		n.retired(r.retirements)
	case methodList:
		n.serveList(from, r)
	case methodRead:
		n.serveRead(from, r)
	case methodWhole:
		n.serveWhole(from, r)
	case methodChange:
		n.serveChange(r, func(a *answer) { n.reply(from, r.id, a) })
	}
}

func (n *node) serveApply(from *node, r *request) {
	items := make([]item, len(r.updates))
	for i, u := range r.updates {
		items[i] = item{update: u, contents: r.contents, has: r.has || u.Object.Deleted}
	}
	n.accept(items, func(items []item) {
		replies := make([]replication.Reply, len(items))
		for i := range items {
			replies[i] = items[i].reply
		}
		n.reply(from, r.id, &answer{replies: replies})
	})
}

func (n *node) serveList(from *node, r *request) {
	var list []cluster.Object
	if own, ok := n.disk.owners[r.owner]; ok {
		for _, m := range own.messages {
			list = append(list, m.object)
		}
	}
	n.reply(from, r.id, &answer{objects: list})
}

// serveRead gives contents, if they match their sum (D5).
func (n *node) serveRead(from *node, r *request) {
	switch m := n.disk.objects[r.object]; {
	case m == nil:
		n.reply(from, r.id, &answer{err: cluster.Errorf(cluster.KindNotFound, "read", "not here")})
	case n.unreadable:
		n.reply(from, r.id, &answer{err: cluster.Errorf(cluster.KindCorrupt, "read", "the disk gives an error")})
	case m.damaged:
		n.heal(m)
		n.reply(from, r.id, &answer{err: cluster.Errorf(cluster.KindCorrupt, "read", "contents do not match their sum")})
	default:
		n.reply(from, r.id, &answer{contents: m.contents, objects: []cluster.Object{m.object}})
	}
}

// serveLookup answers from soft state. "There is no profile" is confirmed by every member
// before it is given as final.
func (n *node) serveLookup(owner string, then func(cluster.Entry, error)) {
	e, err := n.manager.Lookup(owner)
	if err != nil {
		then(e, cluster.Errorf(cluster.KindStale, "look up", "%w", err))
		return
	}
	n.w.check.lookup(n, owner, &e)
	if _, ok := e.Find(typeProfile, profileID); ok || e.Knowledge != cluster.Conclusive {
		then(e, nil)
		return
	}
	waiting, failed, epoch := 0, false, n.view().Epoch
	finish := func() {
		if waiting > 0 {
			return
		}
		// Asked again: what was written before the confirmation was told before it.
		again, err := n.manager.Lookup(owner)
		if failed || n.view().Epoch != epoch {
			again.Knowledge = min(again.Knowledge, cluster.Complete)
		}
		then(again, err)
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
