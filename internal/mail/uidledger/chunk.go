package uidledger

import (
	"bytes"
	"cmp"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// state says what has become of the message of a UID. Larger ones beat smaller ones, for ever.
type state uint8

const (
	// live: the message has this UID.
	live state = iota
	// retired: it has another one by now, or lies in another folder.
	retired
	// expunged: it is no more.
	expunged
	// torn: two messages were given the UID. That cannot happen; if it does, the folder gets a new UIDVALIDITY (L12).
	torn
	states
)

// slot is one assignment: a message has, or had, a UID.
type slot struct {
	id    mail.MessageID
	stay  cluster.Timestamp // since when it lies in the folder; see condemned
	tag   uint64            // the modification sequence of the assignment or, later, of its end
	index uint8             // in the chunk
	state state
}

// nobody is in the place of a node in the stay of a slot that is condemned: no node has that id.
const nobody = ^cluster.NodeID(0)

// condemn says that the message was expunged at that time, while no node that has it could be asked to delete it. Its stay
// becomes the time of the expunge. A stay never falls when slots are joined, and a slot gets no other one as long as
// its message lives: so the mark stands, wherever it is read.
func (s *slot) condemn(at cluster.Timestamp) {
	s.stay = cluster.Timestamp{Time: max(at.Time, s.stay.Time+1), Node: nobody}
}

func (s *slot) condemned() bool { return s.state == expunged && s.stay.Node == nobody }

// register is a flag of one slot as last written (L11).
type register struct {
	stamp cluster.Timestamp
	tag   uint64 // the modification sequence of the write
	flag  uint16 // in the names
	slot  uint8
	on    bool
}

// registerBytes is the memory that a register takes.
const registerBytes = 32

// chunk is ChunkSlots UIDs from number*ChunkSlots on. It is not changed once others see it.
type chunk struct {
	uidValidity uint32
	number      uint32
	slots       []slot     // ascending by index
	registers   []register // ascending by slot, then by flag's number
	void        uint64     // a bit for each slot that was forgotten: its UID ended, and is nothing ever after
	forgotten   uint64     // the largest modification sequence of an end that was forgotten; 0 if void is
}

// names are flags as numbers, so that a register is small.
type names struct {
	list     []mail.Flag
	nums     map[mail.Flag]uint16
	keywords int // of the list: those that are not system flags
}

func newNames() *names { return &names{nums: map[mail.Flag]uint16{}} }

// number gives a flag's number, a new one if need be. There are at most 1<<16: see names.full.
func (n *names) number(f mail.Flag) uint16 {
	if i, ok := n.nums[f]; ok {
		return i
	}
	i := uint16(len(n.list))
	n.list = append(n.list, f)
	n.nums[f] = i
	if !f.IsSystem() {
		n.keywords++
	}
	return i
}

func (n *names) full() bool { return len(n.list) > 1<<16-1-NamesMax }

// uid is the UID of a slot.
func (c *chunk) uid(index uint8) uint64 { return uint64(c.number)*ChunkSlots + uint64(index) }

// find gives the place of a slot.
func (c *chunk) find(index uint8) (int, bool) {
	if c == nil {
		return 0, false
	}
	if n := len(c.slots); n > int(index) && c.slots[index].index == index { // a chunk without gaps
		return int(index), true
	}
	return slices.BinarySearchFunc(c.slots, index, func(s slot, i uint8) int { return cmp.Compare(s.index, i) })
}

// flagsOf gives the registers of a slot.
func (c *chunk) flagsOf(index uint8) []register {
	first, _ := slices.BinarySearchFunc(c.registers, index, func(r register, i uint8) int { return cmp.Compare(r.slot, i) })
	n := 0
	for _, r := range c.registers[first:] {
		if r.slot != index {
			break
		}
		n++
	}
	return c.registers[first : first+n]
}

// modseq is the modification sequence of a slot: the largest of its parts.
func (c *chunk) modseq(s *slot) uint64 {
	x := s.tag
	if s.state == live {
		for _, r := range c.flagsOf(s.index) {
			x = max(x, r.tag)
		}
	}
	return x
}

// known is a bit for each slot that is or was a message's.
func (c *chunk) known() uint64 {
	known := c.void
	for i := range c.slots {
		known |= 1 << c.slots[i].index
	}
	return known
}

// clone makes a copy that may be changed.
func (c *chunk) clone() *chunk {
	d := *c
	d.slots = append(make([]slot, 0, min(ChunkSlots, len(c.slots)+8)), c.slots...)
	d.registers = append(make([]register, 0, len(c.registers)+8), c.registers...)
	return &d
}

func (c *chunk) equal(d *chunk) bool {
	return c == d || c != nil && d != nil && c.uidValidity == d.uidValidity && c.number == d.number && c.void == d.void && c.forgotten == d.forgotten && slices.Equal(c.slots, d.slots) && slices.Equal(c.registers, d.registers)
}

// joinChunks gives all that either says; one with a greater UIDVALIDITY replaces the other.
func joinChunks(c, d *chunk) *chunk {
	switch {
	case c.equal(d) || c.uidValidity > d.uidValidity:
		return c
	case c.uidValidity < d.uidValidity:
		return d
	}
	j := &chunk{uidValidity: c.uidValidity, number: c.number, void: c.void | d.void, forgotten: max(c.forgotten, d.forgotten), slots: make([]slot, 0, max(len(c.slots), len(d.slots)))}
	bare := j.void // slots whose flags do not matter any more
	a, b := c.slots, d.slots
	for len(a)+len(b) > 0 {
		var s slot
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].index < b[0].index:
			s, a = a[0], a[1:]
		case len(a) == 0 || b[0].index < a[0].index:
			s, b = b[0], b[1:]
		default:
			s = joinSlots(a[0], b[0])
			a, b = a[1:], b[1:]
		}
		if s.state >= expunged {
			bare |= 1 << s.index
		}
		if j.void&(1<<s.index) == 0 {
			j.slots = append(j.slots, s)
		}
	}
	j.registers = joinRegisters(c.registers, d.registers, bare)
	return j
}

func joinSlots(s, t slot) slot {
	j := slot{id: s.id, stay: s.stay, tag: max(s.tag, t.tag), index: s.index, state: max(s.state, t.state)}
	if t.stay.Compare(s.stay) > 0 {
		j.stay = t.stay
	}
	if s.state != t.state { // the tag of an end is not that of the assignment
		j.tag = s.tag
		if t.state > s.state {
			j.tag = t.tag
		}
	}
	if s.id != t.id {
		j.state = torn
		if bytes.Compare(t.id[:], s.id[:]) < 0 {
			j.id = t.id
		}
	}
	if j.state == torn {
		j.tag = 0 // it says nothing any more: the folder begins anew
	}
	return j
}

func joinRegisters(a, b []register, bare uint64) []register {
	var out []register
	if len(a)+len(b) > 0 {
		out = make([]register, 0, max(len(a), len(b)))
	}
	for len(a)+len(b) > 0 {
		var r register
		order := -1
		switch {
		case len(a) == 0:
			order = 1
		case len(b) > 0:
			order = cmp.Or(cmp.Compare(a[0].slot, b[0].slot), cmp.Compare(a[0].flag, b[0].flag))
		}
		switch {
		case order < 0:
			r, a = a[0], a[1:]
		case order > 0:
			r, b = b[0], b[1:]
		default:
			r = later(a[0], b[0])
			a, b = a[1:], b[1:]
		}
		if bare&(1<<r.slot) == 0 {
			out = append(out, r)
		}
	}
	return out
}

// later gives the last write of two: of one and the same write that with the larger tag.
func later(r, s register) register {
	on := 0
	if r.on != s.on {
		on = -1
		if r.on {
			on = 1
		}
	}
	if cmp.Or(r.stamp.Compare(s.stamp), on, cmp.Compare(r.tag, s.tag)) < 0 {
		return s
	}
	return r
}
