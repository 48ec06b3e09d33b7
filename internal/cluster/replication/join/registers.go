package join

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"porcupine/internal/cluster"
)

// Limits of both kinds of contents.
const (
	NameMax  = 255                   // bytes of a name
	ValueMax = 1 << 10               // bytes of a register's value
	SizeMax  = cluster.CachedSizeMax // bytes of the whole
)

// Register is one thing of which the last writer wins.
type Register struct {
	Name string
	Time cluster.Timestamp // of the write; ties go to the larger value
	// Value may be empty: a register that was cleared. It stays, else an older value would return.
	Value []byte
}

// Registers are ascending by name, none twice.
type Registers []Register

// Get gives a register.
func (r Registers) Get(name string) (Register, bool) {
	i, ok := slices.BinarySearchFunc(r, name, func(e Register, name string) int { return strings.Compare(e.Name, name) })
	if !ok {
		return Register{}, false
	}
	return r[i], true
}

// Join gives, of each register of either, the last write. It changes neither.
func (r Registers) Join(s Registers) Registers {
	return merge(r, s, func(e Register) string { return e.Name }, func(a, b Register) Register {
		if cmp.Or(b.Time.Compare(a.Time), bytes.Compare(b.Value, a.Value)) > 0 {
			return b
		}
		return a
	})
}

// Marshal writes the registers. The limits of names and values are the caller's to keep.
func (r Registers) Marshal() []byte {
	b := []byte{'R', 1}
	b = binary.BigEndian.AppendUint32(b, uint32(len(r)))
	for _, e := range r {
		b = appendName(b, e.Name)
		b = binary.BigEndian.AppendUint64(b, uint64(e.Time.Time))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Time.Node))
		b = binary.BigEndian.AppendUint16(b, uint16(len(e.Value)))
		b = append(b, e.Value...)
	}
	return b
}

// ParseRegisters reads what Marshal writes. Errors are of KindInvalid, or KindLimit for what is
// too large. Nothing it returns refers to b.
func ParseRegisters(b []byte) (Registers, error) {
	p := parse("read registers", b, 'R')
	const least = 1 + 1 + 8 + 8 + 2
	r := make(Registers, 0, p.count(least))
	for range cap(r) {
		e := Register{Name: p.name()}
		e.Time.Time, e.Time.Node = int64(p.U64()), cluster.NodeID(p.U64())
		n := int(p.U16())
		if n > ValueMax {
			p.Fail("register %q has %d bytes, at most %d allowed", e.Name, n, ValueMax)
		}
		if v := p.Take(n); len(v) > 0 {
			e.Value = bytes.Clone(v)
		}
		if len(r) > 0 && r[len(r)-1].Name >= e.Name {
			p.Fail("register %q is out of order", e.Name)
		}
		if p.Err() != nil {
			return nil, p.Err()
		}
		r = append(r, e)
	}
	return r, p.End()
}

// MergeRegisters joins two Registers as bytes: a cluster.TypeSpec.Merge.
func MergeRegisters(a, b []byte) ([]byte, error) {
	return mergeBytes(a, b, ParseRegisters, func(r, s Registers) []byte { return r.Join(s).Marshal() })
}
