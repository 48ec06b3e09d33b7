package uidledger

import (
	"math/bits"
	"slices"
)

// publish brings the head up to the work: what is about to be shown, and what is not in it (L4, L7, L10).
func (m *Manager) publish() {
	changed := false
	for c := range m.head.Shown {
		changed = m.publishCounter(Counter(c)) || changed
	}
	m.mixed = false
	if first := ModSeqs.first(); m.rebased > first {
		s := &m.head.Shown[ModSeqs]
		m.keepFormer(ModSeqs)
		s.Skipped = s.Skipped.union(Ranges{{first, m.rebased - 1}})
		m.rebased, changed = 0, true
	}
	changed = m.compact() || changed
	if !m.head.Set.equal(&m.set) {
		m.head.Set, changed = m.set, true
	}
	changed = changed || m.head.LevelsVersion != m.set.Version
	if !changed {
		return
	}
	m.headLevel = 0
	// All chunks are durable on all nodes that are reached: that is why publish comes AFTER them.
	var levels []Level
	for _, node := range m.Reached() {
		if _, member := m.set.lane(node); member && m.head.Shown[ModSeqs].Next > 0 {
			levels = append(levels, Level{node, m.head.Shown[ModSeqs].Next - 1})
		}
	}
	if m.head.LevelsVersion == m.set.Version {
		levels = joinLevels(m.head.Levels, levels)
	}
	m.head.LevelsVersion, m.head.Levels = m.set.Version, levels
}

// publishCounter adds what the work does not have of the numbers below the next one. It reports whether the head says
// more than before.
func (m *Manager) publishCounter(c Counter) bool {
	shown := &m.head.Shown[c]
	if m.top[c] == 0 && shown.Next == 0 {
		return false
	}
	next := max(shown.Next, m.top[c]+1)
	missing := m.known(c).gaps(max(m.claim[c]+1, c.first()), next-1)
	m.claim[c], m.given[c] = max(m.claim[c], next-1), nil
	before := len(shown.Skipped)
	was := shown.Skipped
	shown.Skipped = shown.Skipped.union(missing)
	grown := next > shown.Next || len(shown.Skipped) != before || !slices.Equal(was, shown.Skipped)
	shown.Next = next
	return grown
}

// known is which numbers above claim the work has. What was given here and replaced meanwhile counts: the work has
// what replaced it.
func (m *Manager) known(c Counter) Ranges {
	if !m.mixed {
		return m.given[c]
	}
	var numbers []uint64
	add := func(x uint64) {
		if x > m.claim[c] {
			numbers = append(numbers, x)
		}
	}
	for _, cell := range m.order {
		if cell.work == nil || c == UIDs && cell.work.uid(ChunkSlots-1) <= m.claim[c] {
			continue
		}
		for void := cell.work.void; void != 0 && c == UIDs; void &= void - 1 {
			add(cell.work.uid(uint8(bits.TrailingZeros64(void))))
		}
		for i := range cell.work.slots {
			if c == UIDs {
				add(cell.work.uid(cell.work.slots[i].index))
			} else {
				add(cell.work.slots[i].tag)
			}
		}
		if c == ModSeqs {
			for i := range cell.work.registers {
				add(cell.work.registers[i].tag)
			}
		}
	}
	return ranges(numbers).union(m.given[c])
}

// compact joins ranges of skipped UIDs between which nothing lives: nobody can be harmed by what is said of those.
func (m *Manager) compact() bool {
	shown := &m.head.Shown[UIDs]
	if len(shown.Skipped) <= m.rangesGood {
		return false
	}
	var out Ranges
	for _, r := range shown.Skipped {
		if n := len(out); n > 0 && m.nothingLives(out[n-1].Last+1, r.First-1) {
			out[n-1].Last = r.Last
			continue
		}
		out = append(out, r)
	}
	if len(out) == len(shown.Skipped) {
		return false
	}
	m.keepFormer(UIDs)
	shown.Skipped = out
	return true
}

// keepFormer keeps what is skipped, before more is said to be. Only the first time: what this manager shows after that is known by its
// Life.
func (m *Manager) keepFormer(c Counter) {
	if m.former[c].Next == 0 {
		m.former[c] = m.head.Shown[c]
	}
}

func (m *Manager) nothingLives(first, last uint64) bool {
	for n := first / ChunkSlots; n <= last/ChunkSlots; n++ {
		c := m.cells[uint32(n)]
		if c == nil || c.work == nil {
			continue
		}
		for i := range c.work.slots {
			if u := c.work.uid(c.work.slots[i].index); u >= first && u <= last && c.work.slots[i].state == live {
				return false
			}
		}
	}
	return true
}
