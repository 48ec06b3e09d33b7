package join

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Ledger is what only grows.
type Ledger struct {
	Maxima  []Maximum // ascending by name, none twice
	Entries []Entry   // ascending by name, none twice
}

// Maximum is a counter of which the larger value stands.
type Maximum struct {
	Name  string
	Value uint64 // not 0
}

// Entry is something that was written down, once for ever.
type Entry struct {
	Name  string
	Marks uint8 // bits that stay once they are set
}

// Max gives a counter's value; 0 if it is not there.
func (l *Ledger) Max(name string) uint64 {
	i, ok := slices.BinarySearchFunc(l.Maxima, name, func(m Maximum, name string) int { return strings.Compare(m.Name, name) })
	if !ok {
		return 0
	}
	return l.Maxima[i].Value
}

// Entry gives an entry.
func (l *Ledger) Entry(name string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(l.Entries, name, func(e Entry, name string) int { return strings.Compare(e.Name, name) })
	if !ok {
		return Entry{}, false
	}
	return l.Entries[i], true
}

// Join gives all that either has. It changes neither.
func (l *Ledger) Join(m *Ledger) *Ledger {
	return &Ledger{
		Maxima: merge(l.Maxima, m.Maxima, func(e Maximum) string { return e.Name }, func(a, b Maximum) Maximum {
			return Maximum{a.Name, max(a.Value, b.Value)}
		}),
		Entries: merge(l.Entries, m.Entries, func(e Entry) string { return e.Name }, func(a, b Entry) Entry {
			return Entry{a.Name, a.Marks | b.Marks}
		}),
	}
}

// Marshal writes the ledger. The limits of names are the caller's to keep.
func (l *Ledger) Marshal() []byte {
	b := []byte{'L', 1}
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Maxima)))
	for _, m := range l.Maxima {
		b = appendName(b, m.Name)
		b = binary.BigEndian.AppendUint64(b, m.Value)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Entries)))
	for _, e := range l.Entries {
		b = appendName(b, e.Name)
		b = append(b, e.Marks)
	}
	return b
}

// ParseLedger reads what Marshal writes. Errors are of KindInvalid, or KindLimit for what is too
// large. Nothing it returns refers to b.
func ParseLedger(b []byte) (*Ledger, error) {
	p := parse("read a ledger", b, 'L')
	var l Ledger
	before := ""
	for range p.count(1 + 1 + 8) {
		m := Maximum{Name: p.name(), Value: p.U64()}
		if m.Name <= before || m.Value == 0 {
			p.Fail("counter %q of %d is out of order, or nothing", m.Name, m.Value)
		}
		if p.Err() != nil {
			return nil, p.Err()
		}
		before = m.Name
		l.Maxima = append(l.Maxima, m)
	}
	before = ""
	for range p.count(1 + 1 + 1) {
		e := Entry{Name: p.name(), Marks: p.U8()}
		if e.Name <= before {
			p.Fail("entry %q is out of order", e.Name)
		}
		if p.Err() != nil {
			return nil, p.Err()
		}
		before = e.Name
		l.Entries = append(l.Entries, e)
	}
	return &l, p.End()
}

// MergeLedgers joins two Ledgers as bytes: a cluster.TypeSpec.Merge.
func MergeLedgers(a, b []byte) ([]byte, error) {
	return mergeBytes(a, b, ParseLedger, func(l, m *Ledger) []byte { return l.Join(m).Marshal() })
}
