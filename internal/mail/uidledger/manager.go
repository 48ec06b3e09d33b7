package uidledger

import (
	"math/bits"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// nodesMax bounds the replicas that a manager keeps account of at once: those of a set, and newcomers.
const nodesMax = 16

// Config is what a manager begins with.
type Config struct {
	Self   cluster.NodeID // the node of this manager: its ballots have it
	Folder mail.FolderID
	First  Set // see FirstSet
	// Life tells this manager from all others that there ever are, by chance; 0: its marks do not say whose they are.
	Life uint64
	// Unused is what is left of the leases of an earlier manager, which gives nothing of it any more (Manager.Unused).
	Unused Unused
}

// Unused are numbers of leases that nobody was given. They belong to whoever asked for the leases, and once another
// manager has given larger ones they are skipped: so one that ends hands them on to the next, where there is one.
type Unused struct {
	UIDValidity uint32 // under another one they are nothing
	Spans       [counters]Ranges
}

// Manager works on one folder's ledger. It has what it read from the replicas and what it changed since, joined (the
// work), and the part of it that may be shown (the view).
type Manager struct {
	config Config
	set    Set
	head   *Head
	names  *names
	cells  map[uint32]*cell
	order  []*cell // ascending by number
	ids    index
	stale  map[uint32]bool // chunks of an older UIDVALIDITY that somebody has

	nodes     [nodesMax]cluster.NodeID // each has a bit
	reach     uint16                   // those that were read, and did not fail since (L6)
	headLevel uint16                   // those that have the head as it is
	announced uint16                   // those that have a head of this UIDVALIDITY

	// Of each counter: numbers that may be given; those given since claim; the largest known; and claim: all below
	// it that are not skipped are in the work, or were replaced there.
	spans [counters]Ranges
	given [counters]Ranges
	top   [counters]uint64
	claim [counters]uint64
	took  [counters]uint64 // how many numbers the last dense lease had
	mixed bool             // something was read since the head was computed: not all above claim were given here
	// former is what was skipped before this manager first said more than that: see View.Continues.
	former [counters]Shown

	wishes    []wish
	pending   pending
	fixes     []fix
	unsettled bool // something was read since the fixes were found
	batch     uint64
	dirty     []*cell // work that is not shown
	forget    uint64  // expunges up to it may be forgotten
	low       uint64  // the fixes give new modification sequences to all below
	rebased   uint64  // that was done
	torn      bool

	flight  flight
	writing []*cell
	asking  asking
	vote    vote
	want    proposal
	waiting error
	running bool

	rangesGood, rangesFull, chunksOnce int // RangesGood, RangesFull and ChunksOnce; tests make them smaller

	view View
}

// cell is one chunk: as it is worked on, and as it is shown.
type cell struct {
	number uint32
	work   *chunk
	shown  *chunk // nil: nothing of it
	level  uint16 // nodes that have the work as it is
	batch  uint64 // the last batch that changed it
	tag    uint64 // the modification sequence of the changes of that batch
	newest uint64 // the largest modification sequence in shown
	live   int    // live slots in shown
	flags  int    // registers in shown
	known  uint64 // a bit for each slot that is or was a message's in shown
	dirty  bool   // it is in Manager.dirty
}

// flight is what the caller is doing.
type flight uint8

const (
	idle flight = iota
	askingNumbers
	askingVotes
	writingChunks
	writingHead
)

// New makes a manager that knows nothing yet.
func New(c Config) *Manager {
	m := &Manager{config: c, set: c.First, names: newNames(), stale: map[uint32]bool{}, rangesGood: RangesGood, rangesFull: RangesFull, chunksOnce: ChunksOnce}
	m.head = &Head{Set: m.set, UIDValidity: m.set.UIDValidity}
	m.begin()
	if u := &c.Unused; u.UIDValidity == m.set.UIDValidity {
		for counter, spans := range u.Spans {
			m.spans[counter] = slices.Clone(spans)
		}
	}
	return m
}

// Unused is what is left of this manager's leases. It may be handed on when this manager gives no more numbers.
func (m *Manager) Unused() Unused {
	u := Unused{UIDValidity: m.set.UIDValidity}
	for c, spans := range m.spans {
		u.Spans[c] = slices.Clone(spans)
	}
	return u
}

// begin makes an empty ledger.
func (m *Manager) begin() {
	m.cells, m.order, m.ids = map[uint32]*cell{}, nil, index{latest: map[mail.MessageID]uint32{}, all: map[mail.MessageID][]uint32{}}
	m.spans, m.given, m.top, m.claim = [counters]Ranges{}, [counters]Ranges{}, [counters]uint64{}, [counters]uint64{}
	m.announced, m.former, m.took = 0, [counters]Shown{}, [counters]uint64{}
	m.fixes, m.dirty, m.torn, m.forget, m.low, m.rebased = nil, nil, false, 0, 0, 0
	m.view.reset(m)
}

// IsEmpty reports that nothing is left.
func (u *Unused) IsEmpty() bool { return len(u.Spans[UIDs])+len(u.Spans[ModSeqs]) == 0 }

// Set is the newest set of replicas that is known: where the ledger's objects shall lie.
func (m *Manager) Set() Set { return m.set }

// View is what may be shown. It changes with the Written that completes a step, and with nothing else.
func (m *Manager) View() *View { return &m.view }

// Reached are the nodes that are written to.
func (m *Manager) Reached() cluster.ReplicaSet { return m.nodesOf(m.reach) }

func (m *Manager) nodesOf(mask uint16) cluster.ReplicaSet {
	var nodes []cluster.NodeID
	for ; mask != 0; mask &= mask - 1 {
		nodes = append(nodes, m.nodes[bits.TrailingZeros16(mask)])
	}
	return cluster.NewReplicaSet(nodes...)
}

// bit gives a node's bit; 0 if it has none and none is free.
func (m *Manager) bit(node cluster.NodeID, make bool) uint16 {
	if i := slices.Index(m.nodes[:], node); i >= 0 {
		return 1 << i
	}
	if !make {
		return 0
	}
	for i, n := range m.nodes {
		if n == cluster.NoNode {
			m.nodes[i] = node
			return 1 << i
		}
	}
	return 0
}

// Lost says that a node cannot be reached any more: nothing is written to it until it is read again.
func (m *Manager) Lost(node cluster.NodeID) {
	b := m.bit(node, false)
	if b == 0 {
		return
	}
	m.reach &^= b
	m.headLevel &^= b
	m.announced &^= b
	for _, c := range m.order {
		c.level &^= b
	}
	m.nodes[bits.TrailingZeros16(b)] = cluster.NoNode
}

// cell gives the cell of a chunk, a new one if need be.
func (m *Manager) cell(number uint32) *cell {
	c := m.cells[number]
	if c == nil {
		c = &cell{number: number}
		m.cells[number] = c
		i, _ := slices.BinarySearchFunc(m.order, number, func(c *cell, n uint32) int { return int(int64(c.number) - int64(n)) })
		m.order = slices.Insert(m.order, i, c)
	}
	return c
}

// change makes a cell's chunk ready to be changed in this batch. All changes of a chunk in one batch have one
// modification sequence, which no other chunk has: who has any of them has all.
func (m *Manager) change(c *cell) (*chunk, uint64) {
	if c.batch != m.batch {
		if c.work == nil {
			c.work = &chunk{uidValidity: m.set.UIDValidity, number: c.number}
		} else {
			c.work = c.work.clone()
		}
		c.batch, c.tag, c.level = m.batch, m.draw(ModSeqs), 0
		m.markDirty(c)
	}
	return c.work, c.tag
}

func (m *Manager) markDirty(c *cell) {
	if !c.dirty {
		c.dirty = true
		m.dirty = append(m.dirty, c)
	}
}

// find gives the slot of a UID in the work.
func (m *Manager) find(uid uint32) (*cell, int, bool) {
	c := m.cells[uid/ChunkSlots]
	if c == nil {
		return nil, 0, false
	}
	i, ok := c.work.find(uint8(uid % ChunkSlots))
	return c, i, ok
}

// index says which UIDs a message has or had.
type index struct {
	latest map[mail.MessageID]uint32
	all    map[mail.MessageID][]uint32 // of those that have or had several
}

func (x *index) add(id mail.MessageID, uid uint32) {
	old, ok := x.latest[id]
	switch {
	case !ok:
		x.latest[id] = uid
		return
	case x.all[id] == nil && old != uid:
		x.all[id] = []uint32{old, uid}
	case x.all[id] != nil && !slices.Contains(x.all[id], uid):
		x.all[id] = append(x.all[id], uid)
	}
	x.latest[id] = max(old, uid)
}

func (x *index) remove(id mail.MessageID, uid uint32) {
	if rest := x.all[id]; rest != nil {
		rest = slices.DeleteFunc(slices.Clone(rest), func(u uint32) bool { return u == uid })
		x.latest[id] = slices.Max(rest)
		if x.all[id] = rest; len(rest) == 1 {
			delete(x.all, id)
		}
		return
	}
	delete(x.latest, id)
}

// uids gives all UIDs of a message; buf avoids an allocation.
func (x *index) uids(id mail.MessageID, buf *[1]uint32) []uint32 {
	if all := x.all[id]; all != nil {
		return all
	}
	if u, ok := x.latest[id]; ok {
		buf[0] = u
		return buf[:]
	}
	return nil
}
