package uidledger

import (
	"cmp"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Stay is one UID of a message, shown or not.
type Stay struct {
	ID       mail.MessageID
	Since    cluster.Timestamp // its arrival in this folder
	Live     bool              // it has the UID; if not, it has or had another one, here or in another folder
	Expunged bool              // it is deleted for good
	// Condemned is when it was expunged, if nobody who has it could be asked then: what is found of it and is older is
	// to be deleted (Manager.Condemn). Zero: it was deleted BEFORE it was marked.
	Condemned cluster.Timestamp
}

// Stays yields all UIDs that the ledger knows, ascending: a message is in the folder of its newest stay, so whoever
// begins asks all ledgers of a user.
func (m *Manager) Stays(yield func(Stay)) {
	for _, c := range m.order {
		if c.work == nil {
			continue
		}
		for i := range c.work.slots {
			if s := &c.work.slots[i]; s.state != torn {
				stay := Stay{ID: s.id, Since: s.stay, Live: s.state == live, Expunged: s.state == expunged}
				if s.condemned() {
					stay.Condemned = s.stay
				}
				yield(stay)
			}
		}
	}
}

// RegistersOf gives all flags of a message as last written under any of its UIDs, also those taken away, shown or
// not: to be carried to another folder.
func (m *Manager) RegistersOf(id mail.MessageID) []Register {
	newest := map[uint16]register{}
	var buf [1]uint32
	for _, uid := range m.ids.uids(id, &buf) {
		c, i, ok := m.find(uid)
		if !ok {
			continue
		}
		for _, r := range c.work.flagsOf(c.work.slots[i].index) {
			if have, ok := newest[r.flag]; !ok || have.stamp.Compare(r.stamp) < 0 {
				newest[r.flag] = r
			}
		}
	}
	out := make([]Register, 0, len(newest))
	for _, r := range newest {
		out = append(out, Register{m.names.list[r.flag], r.on, r.stamp})
	}
	slices.SortFunc(out, func(a, b Register) int { return cmp.Compare(a.Flag, b.Flag) })
	return out
}
