// Package octets reads values of a fixed layout out of a string of octets, as contents of objects are written: numbers in
// big-endian order or of variable length, one after the other.
//
// A [Reader] remembers its first fault and gives zeros from then on, so that who reads a form says what comes after what, and asks
// once, at the end, whether it was so. Loops look at [Reader.Err], and check how much can be left BEFORE they make room for it.
package octets

import (
	"encoding/binary"

	"porcupine/internal/cluster"
)

// Reader goes through octets, which it neither copies nor changes. One goroutine uses it.
type Reader struct {
	op   string
	rest []byte
	err  error
}

// New makes a Reader. op is the operation in its errors.
func New(op string, b []byte) Reader { return Reader{op: op, rest: b} }

// Fail says what is wrong: KindInvalid. The first fault counts.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = cluster.Errorf(cluster.KindInvalid, r.op, format, args...)
		r.rest = nil
	}
}

// Limit fails with KindLimit if there are more octets than that.
func (r *Reader) Limit(largest int) {
	if r.err == nil && len(r.rest) > largest {
		r.err = cluster.Errorf(cluster.KindLimit, r.op, "%d octets, at most %d allowed", len(r.rest), largest)
		r.rest = nil
	}
}

// Err gives the first fault.
func (r *Reader) Err() error { return r.err }

// Left is how many octets have not been read.
func (r *Reader) Left() int { return len(r.rest) }

// Take gives the next n octets, not a copy; nil if there are not so many.
func (r *Reader) Take(n int) []byte {
	if r.err == nil && (n < 0 || len(r.rest) < n) {
		r.Fail("broken off: %d octets left, %d wanted", len(r.rest), n)
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// U8 reads an octet.
func (r *Reader) U8() uint8 {
	if b := r.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 reads two octets.
func (r *Reader) U16() uint16 {
	if b := r.Take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// U32 reads four octets.
func (r *Reader) U32() uint32 {
	if b := r.Take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// U64 reads eight octets.
func (r *Reader) U64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Uvarint reads a number of variable length in its shortest form, so that each number has one.
func (r *Reader) Uvarint() uint64 {
	x, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 {
		r.Fail("a number is broken off, too large or not in its shortest form")
		return 0
	}
	r.rest = r.rest[n:]
	return x
}

// End says what was wrong, octets too many included.
func (r *Reader) End() error {
	if len(r.rest) > 0 {
		r.Fail("%d octets too many", len(r.rest))
	}
	return r.err
}
