package uidledger

import (
	"bytes"
	"cmp"
	"slices"

	"porcupine/internal/mail"
)

// fix is one change that the joined state needs: it follows from what was read.
type fix struct {
	kind  fixKind
	uid   uint32
	uidTo uint32 // of fixFlag: where the flag is written
	flag  uint16
}

type fixKind uint8

const (
	// fixRetire: the UID is not safe, or the message has a better one.
	fixRetire fixKind = iota + 1
	// fixAnew: it is retired as not safe, and the message needs another one.
	fixAnew
	// fixExpunge: the message was expunged under another UID.
	fixExpunge
	// fixFlag: a flag was written later under another UID of the message.
	fixFlag
	// fixTag: the modification sequence is not safe: somebody was shown a greater one without this change.
	fixTag
	// fixForget: ends in a chunk are forgotten. uid is its number.
	fixForget
)

// settle finds what the joined state needs. It changes nothing: numbers have to be there first.
func (m *Manager) settle() {
	m.fixes = m.fixes[:0]
	m.unsettled = false
	uids, tags := &m.head.Shown[UIDs], &m.head.Shown[ModSeqs]
	low := m.fragmented()
	m.low = low
	for _, c := range m.order {
		if c.work == nil {
			continue
		}
		if m.forgettable(c) {
			m.fixes = append(m.fixes, fix{kind: fixForget, uid: c.number})
		}
		next := c.work.registers
		for i := range c.work.slots {
			s := &c.work.slots[i]
			unsafe := s.state != torn && (s.tag < low || !tags.safe(s.tag))
			for ; len(next) > 0 && next[0].slot == s.index; next = next[1:] {
				unsafe = unsafe || s.state == live && (next[0].tag < low || !tags.safe(next[0].tag))
			}
			uid := uint32(c.work.uid(s.index))
			switch {
			case s.state == live && !uids.safe(uint64(uid)):
				m.fixes = append(m.fixes, fix{kind: fixAnew, uid: uid}) // L5
			case unsafe:
				m.fixes = append(m.fixes, fix{kind: fixTag, uid: uid}) // L10
			}
		}
	}
	several := make([]mail.MessageID, 0, len(m.ids.all))
	for id := range m.ids.all {
		several = append(several, id)
	}
	slices.SortFunc(several, func(a, b mail.MessageID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range several {
		m.settleMessage(m.ids.all[id])
	}
}

// settleMessage looks at all UIDs of one message: at most one may live, and has all its flags.
func (m *Manager) settleMessage(uids []uint32) {
	slices.Sort(uids)
	keep, kept, gone := uint32(0), (*slot)(nil), false
	for _, uid := range uids {
		c, i, _ := m.find(uid)
		s := &c.work.slots[i]
		gone = gone || s.state == expunged
		if s.state == live && m.head.Shown[UIDs].safe(uint64(uid)) &&
			(kept == nil || cmp.Or(s.stay.Compare(kept.stay), cmp.Compare(uid, keep)) > 0) { // L5: the newest stay, the largest UID
			keep, kept = uid, s
		}
	}
	for _, uid := range uids {
		c, i, _ := m.find(uid)
		switch s := &c.work.slots[i]; {
		case gone && s.state < expunged:
			m.fixes = append(m.fixes, fix{kind: fixExpunge, uid: uid})
		case s.state == live && uid != keep && kept != nil:
			m.fixes = append(m.fixes, fix{kind: fixRetire, uid: uid})
		}
		if kept == nil || gone || uid == keep {
			continue
		}
		for _, r := range c.work.flagsOf(uint8(uid % ChunkSlots)) {
			if have, ok := m.register(keep, r.flag); !ok || have.stamp.Compare(r.stamp) < 0 {
				m.fixes = append(m.fixes, fix{kind: fixFlag, uid: uid, uidTo: keep, flag: r.flag})
			}
		}
	}
}

// register gives a flag of a UID in the work.
func (m *Manager) register(uid uint32, flag uint16) (register, bool) {
	c, _, ok := m.find(uid)
	if !ok {
		return register{}, false
	}
	of := c.work.flagsOf(uint8(uid % ChunkSlots))
	i, ok := slices.BinarySearchFunc(of, flag, func(r register, f uint16) int { return cmp.Compare(r.flag, f) })
	if !ok {
		return register{}, false
	}
	return of[i], true
}

// fragmented gives the modification sequence below which all changes get new ones, so that what was skipped becomes
// one range there: 0 if the head's list is short.
func (m *Manager) fragmented() uint64 {
	skipped := m.head.Shown[ModSeqs].Skipped
	if len(skipped) <= m.rangesGood {
		return 0
	}
	return skipped[len(skipped)-max(m.rangesGood/4, 1)].First
}

// mend applies the fixes.
func (m *Manager) mend() {
	for _, f := range m.fixes {
		if f.kind == fixForget {
			continue // last
		}
		c, i, ok := m.find(f.uid)
		if !ok {
			continue
		}
		switch s := &c.work.slots[i]; f.kind {
		case fixRetire:
			m.end(f.uid, retired)
		case fixAnew:
			if s.state == live {
				a := Arrival{ID: s.id, Stay: s.stay}
				m.end(f.uid, retired)
				m.arrive(&a)
			}
		case fixExpunge:
			m.end(f.uid, expunged)
			// The mark goes with it: the chunk that has it now may be the one that is never written.
			m.condemn(s.id, m.condemnedAt(s.id))
		case fixFlag:
			if r, ok := m.register(f.uid, f.flag); ok {
				m.write(f.uidTo, r)
			}
		case fixTag:
			m.retag(f.uid)
		}
	}
	for _, f := range m.fixes {
		if f.kind == fixForget {
			m.forgetIn(m.cells[f.uid])
		}
	}
	m.fixes = m.fixes[:0]
	m.rebased, m.low = max(m.rebased, m.low), 0
}

// retag gives a new modification sequence to all of a slot.
func (m *Manager) retag(uid uint32) {
	c, i, _ := m.find(uid)
	work, tag := m.change(c)
	work.slots[i].tag = tag
	for k := range work.registers {
		if work.registers[k].slot == uint8(uid%ChunkSlots) {
			work.registers[k].tag = tag
		}
	}
}
