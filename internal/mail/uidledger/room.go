package uidledger

import (
	"slices"

	"porcupine/internal/cluster"
)

// checkRoom says whether what is to be written leaves the chunks below RegistersMax. System flags always have room.
func (m *Manager) checkRoom(flaggings []Flagging) error {
	more := map[*cell]int{}
	for i := range flaggings {
		f := &flaggings[i]
		c := m.cells[uint32(f.UID)/ChunkSlots]
		if c == nil || c.work == nil || f.Flag.IsSystem() || m.isWritten(uint32(f.UID), &f.Register) {
			continue
		}
		if more[c]++; len(c.work.registers)+more[c] > RegistersMax {
			return cluster.Errorf(cluster.KindLimit, "set a flag", "message %d and the %d beside it would have more than %d keywords together, those taken away included",
				f.UID, ChunkSlots-1, RegistersMax)
		}
	}
	return nil
}

// isWritten reports whether a flag of a UID has a register, so that writing it takes no more room.
func (m *Manager) isWritten(uid uint32, r *Register) bool {
	n, known := m.names.nums[r.Flag]
	if !known {
		return false
	}
	_, written := m.register(uid, n)
	return written
}

// withRoom gives those of a message's flags that its chunk has room for, as checkRoom says.
func (m *Manager) withRoom(uid uint32, flags []Register) []Register {
	c := m.cells[uid/ChunkSlots]
	left := RegistersMax - len(c.work.registers)
	return slices.DeleteFunc(slices.Clone(flags), func(r Register) bool {
		if r.Flag.IsSystem() || m.isWritten(uid, &r) {
			return false
		}
		left--
		return left < 0
	})
}
