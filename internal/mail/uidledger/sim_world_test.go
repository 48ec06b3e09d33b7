package uidledger

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// simBad is a broken invariant: it ends the run.
type simBad struct{ invariant, what string }

// world is one run of the simulation: one folder, its replicas, several managers and clients, from one seed.
type world struct {
	rng   *rand.Rand
	seed  uint64
	naive bool // max+1 on every side in place of leases
	trace func(string)

	now    int64
	number int64 // of the last event
	events events
	stamps int64

	nodes    []*simNode
	up       [simNodes][simNodes]bool // what a node sends another arrives
	managers []*simManager
	clients  []*simClient
	first    Set
	faulty   bool // the break phase
	fresh    int64
	lives    uint64

	rangesGood int
	chunksOnce int
	ended      bool // no set can be decided any more
	forgetful  bool // all began anew
	burst      int  // messages that come at once, at most

	counts simCounts
	check  simCheck
}

const simNodes = 14 // nodes that one run can have, lost ones included

type event struct {
	at, number int64
	do         func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].number < e[j].number
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func (w *world) after(delay int64, do func()) {
	w.number++
	heap.Push(&w.events, event{w.now + delay, w.number, do})
}

// note keeps an event for the report of a failure.
func (w *world) note(format string, args ...any) {
	if w.trace != nil {
		w.trace(fmt.Sprintf("%6d "+format, append([]any{w.now}, args...)...))
		return
	}
}

func (w *world) fail(invariant, format string, args ...any) {
	panic(simBad{invariant, fmt.Sprintf(format, args...)})
}

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *world) stamp(node int) cluster.Timestamp {
	w.stamps++
	return cluster.Timestamp{Time: w.stamps, Node: cluster.NodeID(node + 1)}
}

// nextLife tells one manager's life from all others.
func (w *world) nextLife() uint64 {
	w.lives++
	return w.lives
}

// simNode is one node: a disk with ledger objects and messages.
type simNode struct {
	i      int
	lost   bool // for good
	head   []byte
	chunks map[uint32][]byte
	grant  []byte
	moved  []byte // what it had granted, where nobody can be asked for it: it was drained
	mail   map[mail.MessageID]simMail
}

// simMail is what a node knows of a message: the newest of all.
type simMail struct {
	stay    cluster.Timestamp
	in      bool // in the folder, since stay; else in another
	deleted bool
}

func (n *simNode) id() cluster.NodeID { return cluster.NodeID(n.i + 1) }

func (n *simNode) put(id mail.MessageID, m simMail) {
	old, ok := n.mail[id]
	if ok && m.stay.Compare(old.stay) < 0 {
		m.stay, m.in = old.stay, old.in
	}
	m.deleted = m.deleted || old.deleted
	n.mail[id] = m
}

// write joins an object to what is there.
func (w *world) write(n *simNode, kind byte, number uint32, contents []byte) {
	have := n.head
	if kind == 'c' {
		have = n.chunks[number]
	}
	if len(have) > 0 && string(have) != string(contents) {
		joined, err := Merge(have, contents)
		if err != nil {
			w.fail("R1", "%v", err)
		}
		contents = joined
	}
	if kind == 'c' {
		n.chunks[number] = contents
	} else {
		n.head = contents
	}
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 7)), seed: seed, faulty: true}
	w.check = newSimCheck(w)
	w.burst = 1 + w.rng.IntN(12)
	if w.rangesGood = RangesGood; w.chance(50) {
		w.rangesGood = 4 + w.rng.IntN(8)
	}
	if w.chunksOnce = ChunksOnce; w.chance(50) {
		w.chunksOnce = 2 + w.rng.IntN(10)
	}
	replicas := 3
	if w.chance(30) {
		replicas = 1 + w.rng.IntN(5)
	}
	for range max(4, replicas+w.rng.IntN(2)) {
		w.addNode()
	}
	var ids []cluster.NodeID
	for i := range replicas {
		ids = append(ids, w.nodes[i].id())
	}
	w.first = FirstSet(cluster.NewReplicaSet(ids...), uint32(1+w.rng.IntN(3)))
	if w.chance(80) {
		w.first.Lease = [counters]uint32{uint32(1 << w.rng.IntN(5)), uint32(4 << w.rng.IntN(6))}
	}
	for i := range 2 + w.rng.IntN(3) {
		w.managers = append(w.managers, &simManager{w: w, i: i, node: w.nodes[w.rng.IntN(len(w.nodes))]})
	}
	for kind := range clientKinds {
		for range 1 + w.rng.IntN(2) {
			w.clients = append(w.clients, newSimClient(w, kind))
		}
	}
	return w
}

func (w *world) addNode() *simNode {
	n := &simNode{i: len(w.nodes), chunks: map[uint32][]byte{}, mail: map[mail.MessageID]simMail{}}
	w.nodes = append(w.nodes, n)
	w.connect(n.i, true)
	return n
}

func (w *world) connect(i int, on bool) {
	for j := range w.nodes {
		w.up[i][j], w.up[j][i] = on || i == j, on || i == j
	}
}

// both reports whether two nodes can talk.
func (w *world) both(a, b int) bool {
	return w.up[a][b] && w.up[b][a] && !w.nodes[a].lost && !w.nodes[b].lost
}

func (w *world) live() (nodes []*simNode) {
	for _, n := range w.nodes {
		if !n.lost {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// gossip brings one random object of a node to another, as the replication of objects does, in no order.
func (w *world) gossip(a, b *simNode) {
	if !w.up[a.i][b.i] || a.lost || b.lost || a == b {
		return
	}
	switch k := w.rng.IntN(4); {
	case k == 0 && a.head != nil:
		w.write(b, 'h', 0, a.head)
	case k == 1:
		for id, m := range a.mail { // a map's order is no matter: all of it goes over
			b.put(id, m)
		}
	case len(a.chunks) > 0:
		numbers := sortedKeys(a.chunks)
		n := numbers[w.rng.IntN(len(numbers))]
		w.write(b, 'c', n, a.chunks[n])
	}
}

func sortedKeys[V any](m map[uint32]V) []uint32 {
	keys := make([]uint32, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// spread brings all that any node has to all.
func (w *world) spread() {
	live := w.live()
	for range 2 {
		for i := 1; i < 2*len(live); i++ {
			w.copyAll(live[(i-1)%len(live)], live[i%len(live)])
		}
	}
}

func (w *world) copyAll(a, b *simNode) {
	if a.head != nil {
		w.write(b, 'h', 0, a.head)
	}
	for _, n := range sortedKeys(a.chunks) {
		w.write(b, 'c', n, a.chunks[n])
	}
	for id, m := range a.mail {
		b.put(id, m)
	}
}

func (w *world) deliver() {
	w.fresh++
	var id mail.MessageID
	for i := range 8 {
		id[i] = byte(w.fresh >> (8 * (7 - i)))
	}
	id[8] = byte(w.fresh * 37)
	live := w.live()
	a := live[w.rng.IntN(len(live))]
	stay := w.stamp(a.i)
	a.put(id, simMail{stay: stay, in: true})
	if b := live[w.rng.IntN(len(live))]; w.up[a.i][b.i] {
		b.put(id, simMail{stay: stay, in: true})
	}
	w.note("message %d comes to node %d", w.fresh, a.i)
}

// cut breaks the network somehow.
func (w *world) cut() {
	for i := range w.nodes {
		w.connect(i, true)
	}
	switch w.rng.IntN(5) {
	case 0:
		w.note("the network is whole")
		return
	case 1: // one node is away
		w.connect(w.rng.IntN(len(w.nodes)), false)
	case 2, 3: // two sides
		side := w.rng.Uint64()
		for i := range w.nodes {
			for j := range w.nodes {
				w.up[i][j] = i == j || side>>i&1 == side>>j&1
			}
		}
	case 4: // some directions
		for i := range w.nodes {
			for j := range w.nodes {
				w.up[i][j] = i == j || w.chance(70)
			}
		}
	}
	w.counts.partitions++
	w.note("the network changes")
}

// lose destroys a node, after what lay on it was copied on; what it granted is known to nobody.
func (w *world) lose() {
	if len(w.nodes) >= simNodes {
		return
	}
	for _, n := range w.nodes {
		if n.lost && w.member(n) {
			return // one at a time
		}
	}
	live := w.live()
	n := live[w.rng.IntN(len(live))]
	for _, m := range w.managers {
		if m.node == n || m.m != nil && m.m.want.nodes != nil {
			return
		}
	}
	if newest := w.newest(); w.member(n) && len(newest.Members) < 3 {
		return
	}
	to := live[w.rng.IntN(len(live))]
	if to == n {
		return
	}
	w.copyAll(n, to)
	n.lost = true
	w.counts.losses++
	w.addNode()
	w.note("node %d is destroyed, its data is on node %d", n.i, to.i)
}

// newest is the newest set that any node was told of.
func (w *world) newest() Set {
	newest := w.first
	for _, m := range w.managers {
		if m.m != nil && m.m.set.Version > newest.Version {
			newest = m.m.set
		}
	}
	for _, x := range w.nodes {
		if h, err := ParseHead(x.head); err == nil && h.Set.Version > newest.Version {
			newest = h.Set
		}
		for _, grant := range [][]byte{x.grant, x.moved} {
			if g, err := ParseGrant(grant); err == nil && g.Set.Version > newest.Version {
				newest = g.Set
			}
		}
	}
	return newest
}

// member reports whether a node is in the newest set.
func (w *world) member(n *simNode) bool {
	newest := w.newest()
	_, ok := newest.lane(n.id())
	return ok
}

// stuck reports that a majority of the ledger replicas was destroyed: no further set can be decided. With a manager, of those that
// this one knows after it has read all: that they had decided other ones may be known to nobody who is left but a manager who stands still.
func (w *world) stuck(s *simManager) bool {
	newest := w.newest()
	if w.isGone(&newest) {
		w.ended = true
	} else if s != nil {
		set := s.m.Set()
		w.ended = w.ended || w.isGone(&set)
	}
	return w.ended
}

// isGone reports whether a majority of a set was destroyed.
func (w *world) isGone(set *Set) bool {
	alive := 0
	for _, m := range set.Members {
		if !w.nodes[m.Node-1].lost {
			alive++
		}
	}
	return alive < set.majority()
}
