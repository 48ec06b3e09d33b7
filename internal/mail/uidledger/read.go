package uidledger

import (
	"fmt"
	"math/bits"
	"slices"

	"porcupine/internal/cluster"
)

// Snapshot is ledger objects as one replica has them.
type Snapshot struct {
	Node cluster.NodeID
	// Full says that these are all ledger objects of the folder there, read after any earlier failure to reach the
	// node, the head BEFORE the chunks (what a head says of the chunks is true of later ones). From then on the
	// manager writes to it. Without Full it is news of some objects: a change feed's, for example.
	Full   bool
	Head   []byte            // nil: there is none, or (without Full) it is no news
	Chunks map[uint32][]byte // by number
}

// Read takes in what a replica has. Errors are of KindCorrupt (the object is damaged: another replica has it), or of
// KindUnavailable: a chunk is of a newer UIDVALIDITY than any head that was read. Then nothing was taken in from the
// chunks, and the node is not written to.
func (m *Manager) Read(s Snapshot) error {
	op := fmt.Sprintf("read the UID ledger of folder %v at node %v", m.config.Folder, s.Node)
	head := &Head{}
	if s.Head != nil {
		h, err := ParseHead(s.Head)
		if err != nil {
			return &cluster.Error{Kind: cluster.KindCorrupt, Op: op, Err: err}
		}
		head = h
	}
	chunks := make([]*chunk, 0, len(s.Chunks))
	for number, b := range s.Chunks {
		c, err := parseChunk(b, m.names)
		if err != nil || c.number != number {
			return &cluster.Error{Kind: cluster.KindCorrupt, Op: fmt.Sprintf("%s: chunk %d", op, number), Err: err}
		}
		chunks = append(chunks, c)
	}
	slices.SortFunc(chunks, func(a, b *chunk) int { return int(int64(a.number) - int64(b.number)) })
	if head.Set.Newer(&m.set) {
		m.adopt(head.Set)
	}
	for _, c := range chunks {
		if c.uidValidity > m.set.UIDValidity {
			m.Lost(s.Node)
			return cluster.Errorf(cluster.KindUnavailable, op, "chunk %d has UIDVALIDITY %d, the head %d: the head is on its way", c.number, c.uidValidity, m.set.UIDValidity)
		}
	}
	if s.Full {
		m.Lost(s.Node)
	}
	m.readHead(s, head)
	b := m.bit(s.Node, s.Full)
	for _, c := range chunks {
		m.readChunk(b, c)
	}
	if s.Full {
		m.reach |= b
		if head.UIDValidity == m.set.UIDValidity {
			m.claim[ModSeqs] = max(m.claim[ModSeqs], head.level(s.Node))
		}
	}
	return nil
}

func (m *Manager) readHead(s Snapshot, head *Head) {
	if s.Head == nil {
		return
	}
	b := m.bit(s.Node, s.Full)
	joined := m.head.Join(head)
	joined.Set = m.set
	if !joined.equal(m.head) {
		m.head = joined
		m.headLevel = 0
		m.unsettled, m.mixed = true, true
	}
	m.headLevel &^= b
	if head.UIDValidity == m.set.UIDValidity {
		m.announced |= b
	}
	if head.equal(m.head) {
		m.headLevel |= b
	}
}

func (m *Manager) readChunk(b uint16, read *chunk) {
	if read.uidValidity < m.set.UIDValidity {
		m.stale[read.number] = true
		return
	}
	c := m.cell(read.number)
	before := c.work
	if before == nil {
		c.work = read
	} else if c.work = joinChunks(before, read); c.work.equal(before) {
		c.work = before
	}
	c.level &^= b
	if c.work != before {
		c.level = 0
		m.unsettled, m.mixed = true, true
		m.learn(c, before)
		m.markDirty(c)
	}
	if read.equal(c.work) {
		c.level |= b
	}
}

// learn keeps the index and the largest numbers.
func (m *Manager) learn(c *cell, before *chunk) {
	if c.work.void != 0 {
		m.top[UIDs] = max(m.top[UIDs], c.work.uid(uint8(bits.Len64(c.work.void)-1)))
		for i := 0; before != nil && i < len(before.slots); i++ {
			if s := &before.slots[i]; c.work.void&(1<<s.index) != 0 {
				m.ids.remove(s.id, uint32(before.uid(s.index)))
			}
		}
	}
	for i := range c.work.slots {
		s := &c.work.slots[i]
		m.top[ModSeqs] = max(m.top[ModSeqs], s.tag)
		m.torn = m.torn || s.state == torn
		if _, had := before.find(s.index); !had {
			uid := c.work.uid(s.index)
			m.ids.add(s.id, uint32(uid))
			m.top[UIDs] = max(m.top[UIDs], uid)
		}
	}
	for i := range c.work.registers {
		m.top[ModSeqs] = max(m.top[ModSeqs], c.work.registers[i].tag)
	}
}

// Torn reports that a UID was found to denote two messages. It cannot happen; if it did, the folder needs a new
// UIDVALIDITY (Renew, L12), and somebody should know.
func (m *Manager) Torn() bool { return m.torn }
