package uidledger

import (
	"cmp"
	"encoding/binary"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// The form of a chunk, after the octets 'C' 1, integers big-endian:
//
//	UIDVALIDITY u32, number u32; forgotten slots, a bit each, u64, and the largest modification sequence forgotten, u64
//	names u16, each: length u8 (not 0), octets; ascending, each used by a register
//	slots u8, each: index u8, state u8 (0 live, 1 retired, 2 expunged, 3 torn), message id 16 octets, stay: time u64,
//	    node u64; modification sequence u64; ascending by index
//	    (of an expunged message whose object nobody could delete then, the stay is the time of the expunge, and its node has all bits set)
//	registers u16, each: slot u8, name u16, on u8 (0 or 1), stamp: time u64, node u64; modification sequence u64;
//	    ascending by slot and name, of slots that are live or retired
//
// A time is nanoseconds since 1970, as u64 of the two's complement.

// marshal writes the chunk in its one form.
func (c *chunk) marshal(n *names) []byte {
	used := make([]uint16, 0, 8)
	for _, r := range c.registers {
		if !slices.Contains(used, r.flag) {
			used = append(used, r.flag)
		}
	}
	slices.SortFunc(used, func(a, b uint16) int { return cmp.Compare(n.list[a], n.list[b]) })
	b := make([]byte, 0, 40+16*len(used)+42*len(c.slots)+28*len(c.registers))
	b = append(b, 'C', formVersion)
	b = binary.BigEndian.AppendUint32(b, c.uidValidity)
	b = binary.BigEndian.AppendUint32(b, c.number)
	b = binary.BigEndian.AppendUint64(b, c.void)
	b = binary.BigEndian.AppendUint64(b, c.forgotten)
	b = binary.BigEndian.AppendUint16(b, uint16(len(used)))
	for _, f := range used {
		b = append(append(b, byte(len(n.list[f]))), n.list[f]...)
	}
	b = append(b, byte(len(c.slots)))
	for i := range c.slots {
		s := &c.slots[i]
		b = append(append(b, s.index, byte(s.state)), s.id[:]...)
		b = binary.BigEndian.AppendUint64(appendStamp(b, s.stay), s.tag)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.registers)))
	for i := 0; i < len(c.registers); {
		of := c.flagsOf(c.registers[i].slot)
		i += len(of)
		for rank, f := range used { // in the order of the names, which is not that of the numbers
			for k := range of {
				if of[k].flag == f {
					b = appendRegister(b, &of[k], rank)
				}
			}
		}
	}
	return b
}

func appendRegister(b []byte, r *register, rank int) []byte {
	on := byte(0)
	if r.on {
		on = 1
	}
	b = append(binary.BigEndian.AppendUint16(append(b, r.slot), uint16(rank)), on)
	return binary.BigEndian.AppendUint64(appendStamp(b, r.stamp), r.tag)
}

// parseChunk reads what marshal writes, and no other form. Errors are of KindInvalid. Nothing it returns refers to b.
func parseChunk(b []byte, n *names) (*chunk, error) {
	p := newParser("read a chunk of a UID ledger", b, 'C', ChunkSizeMax)
	c := &chunk{uidValidity: p.U32(), number: p.U32(), void: p.U64(), forgotten: p.U64()}
	if c.number > UIDMax/ChunkSlots || c.forgotten > ModSeqMax || (c.void == 0) != (c.forgotten == 0) || c.number == 0 && c.void&1 != 0 {
		p.Fail("number %d", c.number)
	}
	flags := p.names(n)
	p.slots(c)
	p.registers(c, n, flags)
	if err := p.End(); err != nil {
		return nil, err
	}
	return c, nil
}

func (p *parser) names(n *names) []uint16 {
	count := int(p.U16())
	if count > NamesMax || n.full() {
		p.Fail("%d names of flags", count)
		return nil
	}
	var buf [8]uint16
	flags := buf[:0:8]
	for i := range count {
		length := int(p.U8())
		name := p.Take(length)
		if length == 0 || i > 0 && string(name) <= string(n.list[flags[i-1]]) {
			p.Fail("names of flags are empty or out of order")
		}
		if p.Err() != nil {
			return nil
		}
		num, ok := n.nums[mail.Flag(name)]
		if !ok {
			num = n.number(mail.Flag(name))
		}
		flags = append(flags, num)
	}
	return slices.Clone(flags)
}

func (p *parser) slots(c *chunk) {
	count := int(p.U8())
	if count > ChunkSlots {
		p.Fail("%d slots", count)
		return
	}
	if count > 0 && p.Err() == nil {
		c.slots = make([]slot, count)
	}
	for i := range c.slots {
		s := &c.slots[i]
		s.index, s.state = p.U8(), state(p.U8())
		copy(s.id[:], p.Take(len(s.id)))
		s.stay, s.tag = p.stamp(), p.U64()
		if s.index >= ChunkSlots || s.state >= states || s.tag > ModSeqMax || s.state == torn && s.tag != 0 || i > 0 && s.index <= c.slots[i-1].index || c.uid(s.index) == 0 || c.void&(1<<(s.index%ChunkSlots)) != 0 {
			p.Fail("slot %d, state %d: unknown, or out of order", s.index, s.state)
		}
		if p.Err() != nil {
			return
		}
	}
}

func (p *parser) registers(c *chunk, n *names, flags []uint16) {
	count := int(p.U16())
	if count > 0 && p.Err() == nil && count <= p.Left()/28 {
		c.registers = make([]register, 0, count)
	}
	used, lastRank := 0, 0
	seen := make([]bool, len(flags))
	for i := range count {
		r := register{slot: p.U8()}
		rank, on := int(p.U16()), p.U8()
		r.stamp, r.tag = p.stamp(), p.U64()
		if p.Err() != nil {
			return
		}
		at, ok := c.find(r.slot)
		if !ok || c.slots[at].state >= expunged || rank >= len(flags) || on > 1 || r.tag > ModSeqMax ||
			i > 0 && (r.slot < c.registers[i-1].slot || r.slot == c.registers[i-1].slot && rank <= lastRank) {
			p.Fail("flag %d of slot %d: unknown, or out of order", rank, r.slot)
			return
		}
		if !seen[rank] {
			seen[rank] = true
			used++
		}
		r.flag, r.on, lastRank = flags[rank], on == 1, rank
		c.registers = append(c.registers, r)
	}
	if used != len(flags) {
		p.Fail("%d names of flags, %d used", len(flags), used)
	}
	byNumber := func(a, b register) int { return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.flag, b.flag)) }
	if !slices.IsSortedFunc(c.registers, byNumber) {
		slices.SortFunc(c.registers, byNumber)
	}
}

// ParseChunk checks contents and tells the number of a chunk and its UIDVALIDITY.
func ParseChunk(b []byte) (number uint32, uidValidity uint32, err error) {
	c, err := parseChunk(b, newNames())
	if err != nil {
		return 0, 0, err
	}
	return c.number, c.uidValidity, nil
}

func mergeChunks(a, b []byte) ([]byte, error) {
	n := newNames()
	c, err := parseChunk(a, n)
	if err != nil {
		return nil, err
	}
	d, err := parseChunk(b, n)
	if err != nil {
		return nil, err
	}
	if c.number != d.number {
		return nil, cluster.Errorf(cluster.KindInvalid, "join chunks of a UID ledger", "numbers %d and %d", c.number, d.number)
	}
	return joinChunks(c, d).marshal(n), nil
}

// ChunkValidity is the UIDVALIDITY that the contents of a chunk are of; 0 if they are none.
func ChunkValidity(b []byte) uint32 {
	if len(b) < 6 || b[0] != 'C' || b[1] != formVersion {
		return 0
	}
	return binary.BigEndian.Uint32(b[2:])
}
