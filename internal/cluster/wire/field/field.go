// Package field writes and reads the fields of protobuf messages, straight from and to values.
//
// The schema of the messages between nodes is wire/wirepb/cluster.proto. The rooms that use it
// convert their own value structs with the functions here: no second tree of generated structs is
// built for each message, and a reader checks each limit at the moment it meets the field, BEFORE
// it allocates. Tests hold the result against the code generated from the schema.
//
// Writing is by appending: every function takes the buffer and gives it back longer. A scalar that
// is zero and an empty string are not written, as proto3 has it. Reading is a loop:
//
//	for r := field.Read(b); r.Next(); {
//		switch r.Num() {
//		case 1:
//			v.Owner = r.String(cluster.OwnerLengthMax)
//		}
//	}
//
// A field whose number the switch does not know is skipped: that is how a node understands the
// messages of the next version. The first fault ends the loop and stays in Err.
package field

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// Number is a field number of a message.
type Number = protowire.Number

// Uint appends a uint64 or uint32 field.
func Uint(b []byte, n Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

// Bool appends a bool field.
func Bool(b []byte, n Number, v bool) []byte { return Uint(b, n, protowire.EncodeBool(v)) }

// Fixed appends a fixed64 field: for values that are mostly large, as node ids.
func Fixed(b []byte, n Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, v)
}

// String appends a string field.
func String(b []byte, n Number, s string) []byte {
	if s == "" {
		return b
	}
	return StringElement(b, n, s)
}

// StringElement appends an element of a repeated string field, empty or not.
func StringElement(b []byte, n Number, s string) []byte {
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// Bytes appends a bytes field.
func Bytes(b []byte, n Number, p []byte) []byte {
	if len(p) == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.BytesType)
	return protowire.AppendBytes(b, p)
}

// Message appends a message field; if write adds nothing, the field is left out.
func Message(b []byte, n Number, write func(b []byte) []byte) []byte {
	start := len(b)
	b, body := open(b, n)
	if b = write(b); len(b) == body {
		return b[:start]
	}
	return closeAt(b, body)
}

// Element appends an element of a repeated message field, empty or not.
func Element(b []byte, n Number, write func(b []byte) []byte) []byte {
	b, body := open(b, n)
	return closeAt(write(b), body)
}

// PackedUints appends a packed repeated uint32 or uint64 field: n numbers, given by at.
func PackedUints(b []byte, num Number, n int, at func(i int) uint64) []byte {
	if n == 0 {
		return b
	}
	b, body := open(b, num)
	for i := range n {
		b = protowire.AppendVarint(b, at(i))
	}
	return closeAt(b, body)
}

// PackedFixed appends a packed repeated fixed64 field.
func PackedFixed[T ~uint64](b []byte, n Number, list []T) []byte {
	if len(list) == 0 {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(8*len(list)))
	for _, v := range list {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// open begins a length-delimited field whose length is not known yet: one byte is kept free for
// the length, which is enough for most.
func open(b []byte, n Number) (_ []byte, body int) {
	b = protowire.AppendTag(b, n, protowire.BytesType)
	b = append(b, 0)
	return b, len(b)
}

// closeAt writes the length of a field that open began, moving its body if one byte is too short.
func closeAt(b []byte, body int) []byte {
	size := len(b) - body
	if size < 0x80 {
		b[body-1] = byte(size)
		return b
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(size))
	b = append(b, length[1:n]...) // any n-1 bytes: the room that the body moves into
	copy(b[body-1+n:], b[body:body+size])
	copy(b[body-1:], length[:n])
	return b
}
