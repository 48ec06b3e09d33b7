package field

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"porcupine/internal/cluster"
)

// Reader goes through the fields of one message.
type Reader struct {
	rest  []byte
	num   Number
	typ   protowire.Type
	value uint64 // of a varint or fixed64 field
	bytes []byte // of a length-delimited field; part of the message, not a copy
	err   error
}

// Read starts at the first field of a message. The reader keeps b.
func Read(b []byte) *Reader { return &Reader{rest: b} }

// Next goes to the next field; false at the end and after a fault.
func (r *Reader) Next() bool {
	if r.err != nil || len(r.rest) == 0 {
		return false
	}
	num, typ, n := protowire.ConsumeTag(r.rest)
	if n < 0 {
		return r.broken(n)
	}
	r.num, r.typ, r.rest = num, typ, r.rest[n:]
	switch typ {
	case protowire.VarintType:
		r.value, n = protowire.ConsumeVarint(r.rest)
	case protowire.Fixed64Type:
		r.value, n = protowire.ConsumeFixed64(r.rest)
	case protowire.BytesType:
		r.bytes, n = protowire.ConsumeBytes(r.rest)
	case protowire.Fixed32Type: // not used by any field of ours; a later version may
		_, n = protowire.ConsumeFixed32(r.rest)
	default:
		r.Fail("field %d has wire type %d, which no version uses", num, typ)
		return false
	}
	if n < 0 {
		return r.broken(n)
	}
	r.rest = r.rest[n:]
	return true
}

func (r *Reader) broken(n int) bool {
	r.Fail("broken off or malformed: %v", protowire.ParseError(n))
	return false
}

// Num is the number of the current field.
func (r *Reader) Num() Number { return r.num }

// Err is the first fault met, of KindInvalid or, where a limit was exceeded, KindLimit.
func (r *Reader) Err() error { return r.err }

// Fail records a fault of the caller's own finding, unless there is one already, and ends the loop.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = cluster.Errorf(cluster.KindInvalid, "decode message", format, args...)
	}
}

// Check records err as the fault, unless it is nil or there is one already.
func (r *Reader) Check(err error) {
	if r.err == nil && err != nil {
		r.err = err
	}
}

func (r *Reader) limit(what string, got, most int) {
	if r.err == nil {
		r.err = cluster.Errorf(cluster.KindLimit, "decode message", "field %d: %d %s, at most %d allowed", r.num, got, what, most)
	}
}

func (r *Reader) is(t protowire.Type) bool {
	if r.typ != t {
		r.Fail("field %d has wire type %d, want %d", r.num, r.typ, t)
	}
	return r.err == nil
}

// Uint is the value of a uint64 field.
func (r *Reader) Uint() uint64 {
	if !r.is(protowire.VarintType) {
		return 0
	}
	return r.value
}

// UintMax is the value of an unsigned field that may be at most most.
func (r *Reader) UintMax(most uint64) uint64 {
	v := r.Uint()
	if v > most {
		r.Fail("field %d is %d, at most %d allowed", r.num, v, most)
		return 0
	}
	return v
}

// Count is the value of an int64 field that counts something: it is never negative.
func (r *Reader) Count() int64 { return int64(r.UintMax(math.MaxInt64)) }

// Bool is the value of a bool field.
func (r *Reader) Bool() bool { return protowire.DecodeBool(r.Uint()) }

// Fixed is the value of a fixed64 field.
func (r *Reader) Fixed() uint64 {
	if !r.is(protowire.Fixed64Type) {
		return 0
	}
	return r.value
}

// String is a string field of at most most bytes of UTF-8.
func (r *Reader) String(most int) string {
	v := r.View(most)
	if !utf8.Valid(v) {
		r.Fail("field %d is not UTF-8", r.num)
		return ""
	}
	return string(v)
}

// Raw is a bytes field of at most most bytes, as a string: for names that may hold any byte.
func (r *Reader) Raw(most int) string { return string(r.View(most)) }

// Bytes is a copy of a bytes field of at most most bytes.
func (r *Reader) Bytes(most int) []byte {
	v := r.View(most)
	if len(v) == 0 {
		return nil
	}
	return append(make([]byte, 0, len(v)), v...)
}

// View is a bytes field of at most most bytes, as part of the message: not a copy.
func (r *Reader) View(most int) []byte {
	if !r.is(protowire.BytesType) {
		return nil
	}
	if len(r.bytes) > most {
		r.limit("bytes", len(r.bytes), most)
		return nil
	}
	if len(r.bytes) == 0 {
		return nil // as a field that is left out
	}
	return r.bytes
}

// Message reads a message field with f; the error of f becomes the fault.
func (r *Reader) Message(f func(b []byte) error) {
	if r.is(protowire.BytesType) {
		r.Check(f(r.bytes))
	}
}

// Decode reads the current field, a message, with read. Its error becomes the fault.
func Decode[T any](r *Reader, read func([]byte) (T, error)) (v T) {
	r.Message(func(b []byte) (err error) {
		v, err = read(b)
		return err
	})
	return v
}

// DecodeElement reads the current field, an element of a list that may have most of them, with read, and gives the list with it;
// with a fault, the list as it was.
func DecodeElement[T any](r *Reader, list []T, most int, read func([]byte) (T, error)) []T {
	if !r.Room(len(list), most) {
		return list
	}
	v := Decode(r, read)
	if r.Err() != nil {
		return list
	}
	return append(list, v)
}

// Room reports whether a list that has n elements may get one more; if not, that is the fault.
func (r *Reader) Room(n, most int) bool {
	if n >= most {
		r.limit("elements", n+1, most)
	}
	return r.err == nil
}

// PackedUints reads a packed repeated unsigned field of at most most numbers, calling f with each.
func (r *Reader) PackedUints(most int, f func(v uint64)) {
	if !r.is(protowire.BytesType) {
		return
	}
	rest := r.bytes
	for i := 0; len(rest) > 0; i++ {
		v, n := protowire.ConsumeVarint(rest)
		if n < 0 {
			r.broken(n)
			return
		}
		if !r.Room(i, most) {
			return
		}
		if f(v); r.err != nil {
			return
		}
		rest = rest[n:]
	}
}

// SizeMax is no limit at all: for a field whose elements are limited instead.
const SizeMax = math.MaxInt

// FixedList reads a packed repeated fixed64 field of at most most numbers.
func FixedList[T ~uint64](r *Reader, most int) []T {
	if !r.is(protowire.BytesType) {
		return nil
	}
	if len(r.bytes)%8 != 0 {
		r.Fail("field %d: %d bytes are no list of 8-byte numbers", r.num, len(r.bytes))
		return nil
	}
	if n := len(r.bytes) / 8; n > most {
		r.limit("elements", n, most)
		return nil
	}
	if len(r.bytes) == 0 {
		return nil
	}
	list := make([]T, 0, len(r.bytes)/8)
	for rest := r.bytes; len(rest) > 0; rest = rest[8:] {
		v, _ := protowire.ConsumeFixed64(rest)
		list = append(list, T(v))
	}
	return list
}
