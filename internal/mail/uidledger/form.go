package uidledger

import (
	"encoding/binary"

	"porcupine/internal/cluster"
)

// formVersion is the version of all forms of this package.
const formVersion = 1

// parser goes through bytes; after the first fault it gives zeros.
type parser struct {
	op   string
	rest []byte
	err  error
}

func newParser(op string, b []byte, kind byte, largest int) *parser {
	p := &parser{op: op, rest: b}
	if len(b) > largest {
		p.fail("%d octets, at most %d allowed", len(b), largest)
		return p
	}
	if k, v := p.u8(), p.u8(); p.err == nil && (k != kind || v != formVersion) {
		p.fail("kind %q, version %d: this program reads %q, version %d", k, v, kind, formVersion)
	}
	return p
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = cluster.Errorf(cluster.KindInvalid, p.op, format, args...)
		p.rest = nil
	}
}

// take gives the next n octets, not a copy; nil if there are not so many.
func (p *parser) take(n int) []byte {
	if p.err == nil && len(p.rest) < n {
		p.fail("broken off: %d octets left, %d wanted", len(p.rest), n)
	}
	if p.err != nil {
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) u8() uint8 {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) u16() uint16 {
	if b := p.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (p *parser) u32() uint32 {
	if b := p.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (p *parser) u64() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// uvarint reads a variable-length number in its shortest form.
func (p *parser) uvarint() uint64 {
	x, n := binary.Uvarint(p.rest)
	if n <= 0 || n > 1 && p.rest[n-1] == 0 {
		p.fail("a number is broken off, too large or not in its shortest form")
		return 0
	}
	p.rest = p.rest[n:]
	return x
}

func (p *parser) stamp() cluster.Timestamp {
	return cluster.Timestamp{Time: int64(p.u64()), Node: cluster.NodeID(p.u64())}
}

// end says what was wrong, octets too many included.
func (p *parser) end() error {
	if len(p.rest) > 0 {
		p.fail("%d octets too many", len(p.rest))
	}
	return p.err
}

func appendStamp(b []byte, t cluster.Timestamp) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(t.Time)), uint64(t.Node))
}

// appendRanges writes how many ranges there are, and of each the distance from the last and the length.
func appendRanges(b []byte, r Ranges) []byte {
	b = binary.AppendUvarint(b, uint64(len(r)))
	before := uint64(0)
	for _, x := range r {
		b = binary.AppendUvarint(b, x.First-before)
		b = binary.AppendUvarint(b, x.Last-x.First)
		before = x.Last
	}
	return b
}

// ranges reads numbers of 1 to largest.
func (p *parser) ranges(largest uint64) (r Ranges) {
	n := p.uvarint()
	if n > RangesMax || n > uint64(len(p.rest))/2 {
		p.fail("%d ranges", n)
		return nil
	}
	before := uint64(0)
	for i := range n {
		gap, length := p.uvarint(), p.uvarint()
		if gap > largest-before || length > largest-before-gap || gap == 0 || i > 0 && gap == 1 {
			p.fail("a range of numbers is out of order or too large")
		}
		if p.err != nil {
			return nil
		}
		if r == nil {
			r = make(Ranges, 0, n)
		}
		r = append(r, Range{before + gap, before + gap + length})
		before += gap + length
	}
	return r
}

func appendShown(b []byte, s *Shown) []byte {
	return appendRanges(binary.AppendUvarint(b, s.Next), s.Skipped)
}

func (p *parser) shown(c Counter) (s Shown) {
	s.Next = p.uvarint()
	s.Skipped = p.ranges(c.largest())
	if n := len(s.Skipped); s.Next > c.largest()+1 || n > 0 && s.Skipped[n-1].Last >= s.Next {
		p.fail("numbers up to %d skipped, before anything was shown", s.Next)
	}
	return s
}

func appendSet(b []byte, s *Set) []byte {
	b = binary.BigEndian.AppendUint64(b, s.Version)
	b = binary.BigEndian.AppendUint32(b, s.UIDValidity)
	for _, f := range s.Floor {
		b = binary.BigEndian.AppendUint64(b, f)
	}
	for _, l := range s.Lease {
		b = binary.BigEndian.AppendUint32(b, l)
	}
	b = append(b, byte(len(s.Members)))
	for _, m := range s.Members {
		b = append(binary.BigEndian.AppendUint64(b, uint64(m.Node)), m.Lane)
	}
	return b
}

func (p *parser) set() (s Set) {
	s.Version, s.UIDValidity = p.u64(), p.u32()
	for c := range s.Floor {
		s.Floor[c] = p.u64()
		if s.Floor[c] > Counter(c).largest() {
			p.fail("a floor of %d", s.Floor[c])
		}
	}
	for c := range s.Lease {
		s.Lease[c] = p.u32()
		if s.Lease[c] > LeaseMax || (s.Lease[c] == 0) != (s.Version == 0) {
			p.fail("leases of %d", s.Lease[c])
		}
	}
	n := int(p.u8())
	if n > LanesMax || (n == 0) != (s.Version == 0) {
		p.fail("a set of %d replicas, version %d", n, s.Version)
	}
	lanes := 0
	for i := range n {
		m := Member{cluster.NodeID(p.u64()), p.u8()}
		if p.err == nil && (m.Node == 0 || m.Lane >= LanesMax || lanes&(1<<m.Lane) != 0 || i > 0 && m.Node <= s.Members[i-1].Node) {
			p.fail("replica %v in lane %d: out of order, or a lane twice", m.Node, m.Lane)
		}
		if p.err != nil {
			return Set{}
		}
		lanes |= 1 << m.Lane
		s.Members = append(s.Members, m)
	}
	return s
}
