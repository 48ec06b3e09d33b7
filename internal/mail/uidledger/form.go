package uidledger

import (
	"encoding/binary"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/octets"
)

// formVersion is the version of all forms of this package.
const formVersion = 1

// parser reads the forms.
type parser struct{ octets.Reader }

func newParser(op string, b []byte, kind byte, largest int) *parser {
	p := &parser{octets.New(op, b)}
	if len(b) > largest {
		p.Fail("%d octets, at most %d allowed", len(b), largest)
		return p
	}
	if k, v := p.U8(), p.U8(); p.Err() == nil && (k != kind || v != formVersion) {
		p.Fail("kind %q, version %d: this program reads %q, version %d", k, v, kind, formVersion)
	}
	return p
}

func (p *parser) stamp() cluster.Timestamp {
	return cluster.Timestamp{Time: int64(p.U64()), Node: cluster.NodeID(p.U64())}
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
	n := p.Uvarint()
	if n > RangesMax || n > uint64(p.Left())/2 {
		p.Fail("%d ranges", n)
		return nil
	}
	before := uint64(0)
	for i := range n {
		gap, length := p.Uvarint(), p.Uvarint()
		if gap > largest-before || length > largest-before-gap || gap == 0 || i > 0 && gap == 1 {
			p.Fail("a range of numbers is out of order or too large")
		}
		if p.Err() != nil {
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
	s.Next = p.Uvarint()
	s.Skipped = p.ranges(c.largest())
	if n := len(s.Skipped); s.Next > c.largest()+1 || n > 0 && s.Skipped[n-1].Last >= s.Next {
		p.Fail("numbers up to %d skipped, before anything was shown", s.Next)
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
	s.Version, s.UIDValidity = p.U64(), p.U32()
	for c := range s.Floor {
		s.Floor[c] = p.U64()
		if s.Floor[c] > Counter(c).largest() {
			p.Fail("a floor of %d", s.Floor[c])
		}
	}
	for c := range s.Lease {
		s.Lease[c] = p.U32()
		if s.Lease[c] > LeaseMax || (s.Lease[c] == 0) != (s.Version == 0) {
			p.Fail("leases of %d", s.Lease[c])
		}
	}
	n := int(p.U8())
	if n > LanesMax || (n == 0) != (s.Version == 0) {
		p.Fail("a set of %d replicas, version %d", n, s.Version)
	}
	lanes := 0
	for i := range n {
		m := Member{cluster.NodeID(p.U64()), p.U8()}
		if p.Err() == nil && (m.Node == 0 || m.Lane >= LanesMax || lanes&(1<<m.Lane) != 0 || i > 0 && m.Node <= s.Members[i-1].Node) {
			p.Fail("replica %v in lane %d: out of order, or a lane twice", m.Node, m.Lane)
		}
		if p.Err() != nil {
			return Set{}
		}
		lanes |= 1 << m.Lane
		s.Members = append(s.Members, m)
	}
	return s
}
