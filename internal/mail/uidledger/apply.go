package uidledger

import (
	"cmp"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// apply applies the wishes, in their order.
func (m *Manager) apply() {
	for i := range m.wishes {
		switch w := &m.wishes[i]; {
		case w.arrival != nil:
			m.arrive(w.arrival)
		case w.departure != nil:
			m.depart(w.departure)
		case w.flag != nil:
			if c, at, ok := m.find(w.uid); ok && c.work.slots[at].state == live {
				m.write(w.uid, register{stamp: w.flag.Stamp, flag: m.names.number(w.flag.Flag), on: w.flag.On})
			}
		case w.expunge:
			if c, i, ok := m.find(w.uid); ok {
				id := c.work.slots[i].id
				m.depart(&Departure{ID: id, Deleted: true})
				m.condemn(id, w.at)
			}
		}
	}
	clear(m.wishes)
	m.wishes = m.wishes[:0]
}

// arrive takes a message into the pending ones, unless it has a UID.
func (m *Manager) arrive(a *Arrival) {
	if !m.has(a) {
		m.pending.add(*a)
	}
}

// has reports whether a message needs no UID: it has one, with whatever flags it came with, or is expunged.
func (m *Manager) has(a *Arrival) bool {
	var buf [1]uint32
	if a.condemned {
		if len(m.ids.uids(a.ID, &buf)) == 0 {
			return false
		}
		m.depart(&Departure{ID: a.ID, Deleted: true})
		m.condemn(a.ID, a.Stay)
		return true
	}
	for _, uid := range m.ids.uids(a.ID, &buf) {
		c, i, _ := m.find(uid)
		s := &c.work.slots[i]
		switch {
		case s.state >= expunged:
			return true // it never comes back
		case s.state == live && s.stay.Compare(a.Stay) >= 0:
			m.writeAll(uid, a.Flags)
			return true
		}
	}
	return false
}

func (m *Manager) writeAll(uid uint32, flags []Register) {
	for _, f := range m.withRoom(uid, flags) { // a limit of keywords does not keep a message out
		if m.checkFlag(f.Flag, 0) == nil { // nor does the other one
			m.write(uid, register{stamp: f.Stamp, flag: m.names.number(f.Flag), on: f.On})
		}
	}
}

func (m *Manager) depart(d *Departure) {
	to, before := retired, d.Stay
	if d.Deleted {
		to, before = expunged, cluster.Timestamp{}
	}
	m.pending.remove(d.ID, before)
	var buf [1]uint32
	for _, uid := range m.ids.uids(d.ID, &buf) {
		if c, i, ok := m.find(uid); ok && (before.IsZero() || c.work.slots[i].stay.Compare(before) < 0) {
			m.end(uid, to)
		}
	}
}

// condemn marks an expunged message as one that has still to be deleted: all of its UIDs, since a crash may leave any one
// of the chunks written, and no other. Zero: not.
func (m *Manager) condemn(id mail.MessageID, at cluster.Timestamp) {
	if at.IsZero() {
		return
	}
	var buf [1]uint32
	for _, uid := range m.ids.uids(id, &buf) {
		c, i, _ := m.find(uid)
		if s := &c.work.slots[i]; s.state != expunged || s.condemned() { // else it is torn
			continue
		}
		work, tag := m.change(c)
		s := &work.slots[i]
		s.condemn(at)
		s.tag = tag
	}
}

// condemnedAt is the mark that a message has under any of its UIDs, the latest of several. Zero: none.
func (m *Manager) condemnedAt(id mail.MessageID) (at cluster.Timestamp) {
	var buf [1]uint32
	for _, uid := range m.ids.uids(id, &buf) {
		c, i, _ := m.find(uid)
		if s := &c.work.slots[i]; s.condemned() && s.stay.Compare(at) > 0 {
			at = s.stay
		}
	}
	return at
}

// end retires or expunges a UID, unless that or more was done.
func (m *Manager) end(uid uint32, to state) {
	c, i, ok := m.find(uid)
	if !ok || c.work.slots[i].state >= to {
		return
	}
	work, tag := m.change(c)
	s := &work.slots[i]
	s.state, s.tag = to, tag
	if to >= expunged {
		work.registers = slices.DeleteFunc(work.registers, func(r register) bool { return r.slot == s.index })
	}
}

// write writes a register of a UID, if it is later than what is there.
func (m *Manager) write(uid uint32, r register) {
	if have, ok := m.register(uid, r.flag); ok && have.stamp.Compare(r.stamp) >= 0 {
		return
	}
	c, i, ok := m.find(uid)
	if !ok || c.work.slots[i].state >= expunged {
		return
	}
	work, tag := m.change(c)
	r.slot, r.tag = uint8(uid%ChunkSlots), tag
	at, found := slices.BinarySearchFunc(work.registers, r, func(a, b register) int { return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.flag, b.flag)) })
	if found {
		work.registers[at] = r
		return
	}
	work.registers = slices.Insert(work.registers, at, r)
}

// assign gives UIDs to the pending messages, as far as there are numbers. There are modification sequences for all of them (pull).
func (m *Manager) assign() {
	n := 0
	for ; n < len(m.pending.list); n++ {
		a := &m.pending.list[n]
		if at, ok := m.pending.at[a.ID]; !ok || at != n {
			continue
		}
		if m.left(UIDs) == 0 {
			break
		}
		if !m.has(a) { // another manager's UID may have been read meanwhile
			m.assignOne(a)
		}
	}
	m.pending.drop(n)
}

func (m *Manager) assignOne(a *Arrival) {
	var buf [1]uint32
	old := slices.Clone(m.ids.uids(a.ID, &buf))
	uid := uint32(m.draw(UIDs))
	c := m.cell(uid / ChunkSlots)
	work, tag := m.change(c)
	s := slot{id: a.ID, stay: a.Stay, tag: tag, index: uint8(uid % ChunkSlots)}
	if a.condemned {
		s.state = expunged
	}
	at, _ := work.find(s.index)
	work.slots = slices.Insert(work.slots, at, s)
	m.ids.add(a.ID, uid)
	for _, u := range old { // all that was written under another UID, then what it came with
		from, _, _ := m.find(u)
		for _, r := range slices.Clone(from.work.flagsOf(uint8(u % ChunkSlots))) {
			m.write(uid, r)
		}
		m.end(u, retired)
	}
	m.writeAll(uid, a.Flags)
}

// left is how many numbers may be given without asking.
func (m *Manager) left(c Counter) uint64 {
	n := uint64(0)
	for _, r := range m.spans[c] {
		if first := max(r.First, m.lowest(c)); first <= r.Last {
			n += r.Last - first + 1
		}
	}
	return n
}

// lowest is the smallest number that may be given: nobody was told a larger next one (L5).
func (m *Manager) lowest(c Counter) uint64 {
	return max(m.head.Shown[c].Next, c.first())
}

// draw gives the next number; the caller has seen to it that there is one (left).
func (m *Manager) draw(c Counter) uint64 {
	spans := m.spans[c]
	for len(spans) > 0 && spans[0].Last < m.lowest(c) {
		spans = spans[1:]
	}
	if len(spans) == 0 {
		// invariant: Next asks for as many numbers as fixes, wishes and pending messages can use, before any is drawn.
		panic("uidledger: no " + c.String() + " left to draw")
	}
	x := max(spans[0].First, m.lowest(c))
	if spans[0].First = x + 1; x == spans[0].Last {
		spans = spans[1:]
	}
	m.spans[c] = spans
	m.top[c] = max(m.top[c], x)
	m.given[c].add(x, x)
	return x
}
