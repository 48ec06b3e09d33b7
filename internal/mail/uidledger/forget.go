package uidledger

import (
	"slices"

	"porcupine/internal/mail"
)

// Forget drops what is known of expunged messages, up to a modification sequence: of each a bit is left, which says that its
// UID is nothing any more. A client that was away for longer is told of them without it (View.VanishedSince).
//
// It is safe when all replicas that there are were read and none of the messages is left on any disk: then nobody but a
// manager that has stood still can still think of one. What such a manager writes joins with the bit, and the bit stands. What
// was retired is kept: its flags belong to the message's next UID, which that manager may have to give. What was
// condemned is kept: the mark is all that deletes it.
func (m *Manager) Forget(upTo mail.ModSeq) {
	if uint64(upTo) > m.forget {
		m.forget = uint64(upTo)
		m.unsettled = true
	}
}

// Old gives the modification sequence up to which Forget leaves about the newest so many of the expunged messages, and how
// many there are.
func (m *Manager) Old(keep int) (upTo mail.ModSeq, count int) {
	var tags []uint64
	for _, c := range m.order {
		if c.work == nil {
			continue
		}
		for i := range c.work.slots {
			if s := &c.work.slots[i]; s.state == expunged && !s.condemned() {
				tags = append(tags, s.tag)
			}
		}
	}
	if len(tags) <= keep {
		return 0, len(tags)
	}
	slices.Sort(tags)
	return mail.ModSeq(tags[len(tags)-keep-1]), len(tags)
}

// forgettable reports whether something in a chunk ended by the modification sequence that is to be forgotten.
func (m *Manager) forgettable(c *cell) bool {
	return m.forget > 0 && slices.ContainsFunc(c.work.slots, m.forgotten)
}

func (m *Manager) forgotten(s slot) bool {
	return s.state == expunged && !s.condemned() && s.tag <= m.forget
}

// forgetIn drops what ended long ago from a chunk. Not the chunk: another manager may have given numbers in it that
// nobody here has heard of.
func (m *Manager) forgetIn(c *cell) {
	work, _ := m.change(c)
	for i := range work.slots {
		if s := &work.slots[i]; m.forgotten(*s) {
			work.void |= 1 << s.index
			work.forgotten = max(work.forgotten, s.tag)
			m.ids.remove(s.id, uint32(work.uid(s.index)))
		}
	}
	work.slots = slices.DeleteFunc(work.slots, m.forgotten)
	work.registers = slices.DeleteFunc(work.registers, func(r register) bool { return work.void&(1<<r.slot) != 0 })
}
