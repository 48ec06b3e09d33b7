package membership_test

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/usermap"
)

// world is a small simulated network of cores: one event heap, one clock, one random stream for
// the network and one for each node. Every event is checked against the invariants.
type world struct {
	now     time.Time
	start   time.Time
	rng     *rand.Rand
	nodes   map[cluster.NodeID]*node
	byAddr  map[string]*node
	queue   events
	seq     int
	cut     map[[2]cluster.NodeID]bool                         // directed links that lose everything
	drop    func(to cluster.NodeID, m membership.Message) bool // nil: nothing
	loss    float64
	dup     float64
	delay   time.Duration
	jitter  time.Duration
	trace   func(format string, args ...any)
	views   map[cluster.Epoch]*cluster.View // M1
	sent    map[membership.Kind]int
	hash    uint64
	broken  []string // violated invariants
	watchOn bool     // trace messages too
	grace   time.Duration
	reply   time.Duration                            // ReplyTimeout; 0: the default
	copies  map[cluster.NodeID]membership.Persistent // of data directories
	stand   func(n *node) bool                       // may this node be refused? nil: none may
	settled time.Duration
}

type node struct {
	id       cluster.NodeID
	label    string
	refused  membership.Refusal
	addr     string
	core     *membership.Core
	disk     membership.Persistent
	next     time.Time
	life     int // counts processes: what an earlier one left in the queue is void
	running  bool
	paused   bool
	backlog  []func()
	view     *cluster.View
	last     cluster.Epoch // M2, across restarts
	seq      uint64        // how far the disk has come
	installs int
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return cmp.Or(q[i].at.Compare(q[j].at), cmp.Compare(q[i].seq, q[j].seq)) < 0
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func newWorld(seed uint64) *world {
	start := time.Unix(1e9, 0)
	return &world{
		now: start, start: start, rng: rand.New(rand.NewPCG(seed, 1)), nodes: map[cluster.NodeID]*node{}, byAddr: map[string]*node{},
		cut: map[[2]cluster.NodeID]bool{}, delay: time.Millisecond, jitter: time.Millisecond,
		copies: map[cluster.NodeID]membership.Persistent{}, trace: func(string, ...any) {}, views: map[cluster.Epoch]*cluster.View{}, sent: map[membership.Kind]int{},
	}
}

func addrOf(id cluster.NodeID) string { return fmt.Sprintf("n%d.test:90", id) }

func (w *world) at(t time.Time, do func()) {
	w.seq++
	heap.Push(&w.queue, event{t, w.seq, do})
}

// boot starts a node, for the first time or again with what its disk has.
func (w *world) boot(id cluster.NodeID, peers ...cluster.NodeID) {
	n := w.nodes[id]
	if n == nil {
		n = &node{id: id, addr: addrOf(id), label: name(id)}
		w.nodes[id], w.byAddr[n.addr] = n, n
	}
	w.launch(n, peers...)
}

// twin starts a second process on a copy of a node's data directory, at an address of its own.
func (w *world) twin(id cluster.NodeID, peers ...cluster.NodeID) *node {
	addr := fmt.Sprintf("twin%d.test:90", id)
	n := w.byAddr[addr]
	if n == nil {
		n = &node{id: id, addr: addr, label: name(id) + "'"}
		w.byAddr[n.addr] = n
	}
	n.disk, n.last, n.view, n.seq = w.copies[id], cluster.Epoch{}, nil, 0
	w.launch(n, peers...)
	return n
}

// launch runs a process of a node.
func (w *world) launch(n *node, peers ...cluster.NodeID) {
	id := n.id
	cfg := membership.Config{
		Self:   cluster.Endpoint{ID: id, Name: name(id), Addr: n.addr},
		Assign: usermap.Assign,
		Grace:  w.grace, ReplyTimeout: w.reply,
		Found: n.seq,
	}
	n.seq += 1000 // numbers jump when a store is opened
	n.life++
	core, out, err := membership.New(cfg, n.disk, w.now, rand.New(rand.NewPCG(w.rng.Uint64(), uint64(id))))
	if err != nil {
		panic(err)
	}
	n.core, n.running, n.paused, n.backlog, n.refused = core, true, false, nil, membership.RefusalNone
	w.obey(n, out)
	for _, p := range peers {
		w.obey(n, core.AddPeer(w.now, addrOf(p)))
	}
}

func (w *world) crash(id cluster.NodeID) { w.kill(w.nodes[id]) }

func (w *world) kill(n *node) {
	n.running = false
	n.life++
}

// call runs a call of a node's core, now or when it resumes.
func (w *world) call(n *node, f func(c *membership.Core) membership.Output) {
	life := n.life
	do := func() {
		if n.running && n.life == life {
			w.obey(n, f(n.core))
		}
	}
	if n.paused {
		n.backlog = append(n.backlog, do)
		return
	}
	do()
}

func (w *world) pause(id cluster.NodeID) { w.nodes[id].paused = true }

func (w *world) resume(id cluster.NodeID) {
	n := w.nodes[id]
	n.paused = false
	backlog := n.backlog
	n.backlog = nil
	for _, do := range backlog {
		do()
	}
}

// obey does what an Output asks for, in its order.
func (w *world) obey(n *node, out membership.Output) {
	if out.Persist != nil {
		n.disk = *out.Persist
		n.commit()
	}
	for _, e := range out.Events {
		w.note(n.id, e.String())
		w.trace("%s: %v", n.label, e)
	}
	if n.refused = out.Refused; n.refused != membership.RefusalNone && (w.stand == nil || !w.stand(n)) {
		w.violated("M7: %s, which is in good standing, is refused as %v: %v", n.label, n.refused, out.Events)
	}
	if out.View != nil {
		w.checkInstall(n, out.View)
		n.view = out.View
		n.installs++
	}
	for _, env := range out.Send {
		w.send(n, env)
	}
	if out.Left {
		w.kill(n)
		return
	}
	n.next = out.Next
	if !out.Next.IsZero() {
		at, life := out.Next, n.life
		w.at(at, func() {
			if n.running && n.life == life && n.next.Equal(at) {
				w.call(n, func(c *membership.Core) membership.Output { return c.Tick(w.now) })
			}
		})
	}
}

func (w *world) send(from *node, env membership.Envelope) {
	w.sent[env.Message.Kind]++
	w.note(from.id, env.Message.Kind.String())
	if w.watchOn {
		w.trace("%s: -> %s %v", from.label, env.To.Addr, env.Message.Kind)
	}
	to := w.byAddr[env.To.Addr]
	copies := 1
	if w.dup > 0 && w.rng.Float64() < w.dup {
		copies = 2
	}
	for range copies {
		lost := w.loss > 0 && w.rng.Float64() < w.loss
		at := w.now.Add(w.delay + time.Duration(w.rng.Int64N(int64(w.jitter)+1)))
		lost = lost || to != nil && w.drop != nil && w.drop(to.id, env.Message)
		if lost || to == nil || w.cut[[2]cluster.NodeID{from.id, to.id}] {
			continue
		}
		w.at(at, func() {
			if to.running && !w.cut[[2]cluster.NodeID{from.id, to.id}] {
				w.call(to, func(c *membership.Core) membership.Output { return c.Step(w.now, env.Message) })
			}
		})
	}
}

// commit makes something durable on a node's disk.
func (n *node) commit() {
	n.seq++
	n.core.SetDurable(n.seq)
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// note adds to the hash of the trace.
func (w *world) note(id cluster.NodeID, what string) {
	const prime = 1099511628211 // FNV-1a, by words
	for _, x := range []uint64{uint64(w.now.Sub(w.start)), uint64(id)} {
		w.hash = (w.hash ^ x) * prime
	}
	for i := range len(what) {
		w.hash = (w.hash ^ uint64(what[i])) * prime
	}
}

func (w *world) violated(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf("%v ", w.now.Sub(w.start))+fmt.Sprintf(format, args...))
}

// checkInstall checks what must hold whenever a node installs a view.
func (w *world) checkInstall(n *node, v *cluster.View) {
	if !n.last.Less(v.Epoch) {
		w.violated("M2: %s installs %v after %v", name(n.id), v.Epoch, n.last)
	}
	n.last = v.Epoch
	if n.disk.Promised.Less(v.Epoch) {
		w.violated("M2: %s installs %v, disk has %v", name(n.id), v.Epoch, n.disk.Promised)
	}
	if n != w.nodes[n.id] && len(v.Members) == 1 {
		return // two processes of one id take the same epochs: all depends on nobody hearing of it
	}
	if old, ok := w.views[v.Epoch]; ok && old != v && !(slices.Equal(old.Members, v.Members) && slices.Equal(old.Map, v.Map)) {
		w.violated("M1: two views of epoch %v", v.Epoch)
	} else if !ok {
		w.views[v.Epoch] = v
		w.checkMap(v)
	}
	self, ok := v.Member(n.id)
	if !ok {
		w.violated("M6: %s installs %v without itself", name(n.id), v.Epoch)
	}
	// What a member's Since and the bucket epochs promise: the soft state is there. The node's
	// process must have lived through it, in the view it had before.
	fresh := n.view == nil || len(v.Members) == 1 && v.Epoch.Coordinator == n.id && self.Since == v.Epoch
	if self.Since == v.Epoch {
		for b, a := range v.Map {
			if a.Manager == n.id && a.Epoch != v.Epoch {
				w.violated("rule 1: bucket %d of %s keeps epoch %v in %v", b, name(n.id), a.Epoch, v.Epoch)
				return
			}
		}
	} else if old, ok := n.view.Member(n.id); fresh || !ok || old.Since != self.Since {
		w.violated("since: %s has since %v in %v", name(n.id), self.Since, v.Epoch)
	} else {
		for b, a := range v.Map {
			if a.Manager == n.id && a.Epoch != v.Epoch && n.view.Map[b] != a {
				w.violated("since: bucket %d of %s in %v: %v, before %v", b, name(n.id), v.Epoch, a, n.view.Map[b])
				return
			}
		}
	}
}

func (w *world) checkMap(v *cluster.View) {
	count := map[cluster.NodeID]int{}
	for _, a := range v.Map {
		count[a.Manager]++
	}
	low := cluster.BucketCount / len(v.Members)
	for _, m := range v.Members {
		if c := count[m.ID]; c != low && (c != low+1 || cluster.BucketCount%len(v.Members) == 0) {
			w.violated("M3: %s has %d buckets of %v", name(m.ID), c, v.Epoch)
		}
		delete(count, m.ID)
	}
	if len(count) != 0 {
		w.violated("M3: strangers manage buckets of %v", v.Epoch)
	}
}

// live lists the running nodes, ascending.
func (w *world) live() []*node {
	var out []*node
	for _, id := range slices.Sorted(maps.Keys(w.nodes)) {
		if n := w.nodes[id]; n.running && !n.paused {
			out = append(out, n)
		}
	}
	return out
}

// components checks M6: the live nodes of each installed view's list are exactly those that
// have it installed. It returns the number of components, 0 if it does not hold.
func (w *world) components() int {
	epochs := map[cluster.Epoch]bool{}
	for _, n := range w.live() {
		epochs[n.view.Epoch] = true
		for _, m := range n.view.Members {
			o := w.nodes[m.ID]
			if !o.running || o.paused || o.view.Epoch != n.view.Epoch {
				return 0
			}
		}
	}
	return len(epochs)
}

// settle runs until all live nodes form want components, and reports how long it took.
func (w *world) settle(want int, limit time.Duration) (time.Duration, bool) {
	begin := w.now
	for w.now.Sub(begin) <= limit {
		if w.components() == want {
			return w.now.Sub(begin), true
		}
		w.run(10 * time.Millisecond)
	}
	return limit, false
}

func (w *world) split(a, b []cluster.NodeID, cut bool) {
	for _, x := range a {
		for _, y := range b {
			w.oneWay(x, y, cut)
			w.oneWay(y, x, cut)
		}
	}
}

func (w *world) oneWay(from, to cluster.NodeID, cut bool) {
	if cut {
		w.cut[[2]cluster.NodeID{from, to}] = true
	} else {
		delete(w.cut, [2]cluster.NodeID{from, to})
	}
}

// name gives a letter for small ids.
func name(id cluster.NodeID) string {
	if id >= 1 && id <= 26 {
		return string(rune('a' + id - 1))
	}
	return fmt.Sprintf("n%d", id)
}

// nodesFrom lists ids from..to.
func nodesFrom(from, to cluster.NodeID) []cluster.NodeID {
	var out []cluster.NodeID
	for id := from; id <= to; id++ {
		out = append(out, id)
	}
	return out
}
