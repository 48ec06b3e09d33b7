package field

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"porcupine/internal/cluster"
)

func ExampleRead() {
	b := Uint(nil, 1, 7)
	b = String(b, 2, "seven")
	b = Uint(b, 99, 1) // of a later version
	for r := Read(b); r.Next(); {
		switch r.Num() {
		case 1:
			fmt.Println(r.Uint())
		case 2:
			fmt.Println(r.String(16))
		}
	}
	// Output:
	// 7
	// seven
}

// TestMessageLengths: a body of any length gets its length in front, moved if need be.
func TestMessageLengths(t *testing.T) {
	for _, n := range []int{1, 125, 127, 128, 129, 16383, 16384, 1 << 21} {
		body := bytes.Repeat([]byte{0xab}, n)
		want := protowire.AppendBytes(protowire.AppendTag([]byte("before"), 3, protowire.BytesType), body)
		got := Message([]byte("before"), 3, func(b []byte) []byte { return append(b, body...) })
		if !bytes.Equal(got, want) {
			t.Errorf("Message of %d bytes begins %x, want %x", n, got[:12], want[:12])
		}
	}
	empty := func(b []byte) []byte { return b }
	if got := Message(nil, 3, empty); len(got) != 0 {
		t.Errorf("empty Message = %x, want nothing", got)
	}
	if got := Element(nil, 3, empty); !bytes.Equal(got, []byte{0x1a, 0}) {
		t.Errorf("empty Element = %x, want 1a00", got)
	}
}

func TestZeroIsLeftOut(t *testing.T) {
	b := Uint(nil, 1, 0)
	b = Bool(b, 3, false)
	b = Fixed(b, 4, 0)
	b = String(b, 5, "")
	b = Bytes(b, 6, nil)
	b = PackedFixed[uint64](b, 7, nil)
	b = PackedUints(b, 8, 0, nil)
	if len(b) != 0 {
		t.Errorf("zero fields are written as %x", b)
	}
}

// TestFaults: the first fault ends the reading, stays, and has its kind.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name string
		b    []byte
		read func(r *Reader)
		kind cluster.Kind
	}{
		{"string too long", String(nil, 1, "four"), func(r *Reader) { _ = r.String(3) }, cluster.KindLimit},
		{"string not UTF-8", String(nil, 1, "\xff"), func(r *Reader) { _ = r.String(3) }, cluster.KindInvalid},
		{"bytes too long", Bytes(nil, 1, []byte("four")), func(r *Reader) { _ = r.Bytes(3) }, cluster.KindLimit},
		{"number too large", Uint(nil, 1, 4), func(r *Reader) { _ = r.UintMax(3) }, cluster.KindInvalid},
		{"count beyond int64", Uint(nil, 1, 1<<63), func(r *Reader) { _ = r.Count() }, cluster.KindInvalid},
		{"string for a number", String(nil, 1, "x"), func(r *Reader) { _ = r.Uint() }, cluster.KindInvalid},
		{"number for a string", Uint(nil, 1, 1), func(r *Reader) { _ = r.String(9) }, cluster.KindInvalid},
		{"number for a message", Uint(nil, 1, 1), func(r *Reader) { r.Message(func([]byte) error { return nil }) }, cluster.KindInvalid},
		{"number for fixed", Uint(nil, 1, 1), func(r *Reader) { _ = r.Fixed() }, cluster.KindInvalid},
		{"list too long", PackedFixed(nil, 1, []uint64{1, 2}), func(r *Reader) { _ = FixedList[uint64](r, 1) }, cluster.KindLimit},
		{"list of broken numbers", Bytes(nil, 1, make([]byte, 9)), func(r *Reader) { _ = FixedList[uint64](r, 9) }, cluster.KindInvalid},
		{"numbers too many", PackedUints(nil, 1, 3, func(int) uint64 { return 1 }), func(r *Reader) { r.PackedUints(2, func(uint64) {}) }, cluster.KindLimit},
		{"numbers cut", Bytes(nil, 1, []byte{0x80}), func(r *Reader) { r.PackedUints(2, func(uint64) {}) }, cluster.KindInvalid},
		{"message's own", Bytes(nil, 1, []byte{1}), func(r *Reader) { r.Message(func([]byte) error { return cluster.Errorf(cluster.KindLimit, "x", "y") }) }, cluster.KindLimit},
		{"no room", Uint(nil, 1, 1), func(r *Reader) { _ = r.Room(3, 3) }, cluster.KindLimit},
		{"group", []byte{0x0b, 0x0c}, func(*Reader) {}, cluster.KindInvalid},
		{"tag cut", []byte{0x80}, func(*Reader) {}, cluster.KindInvalid},
		{"field zero", []byte{0x00, 0x00}, func(*Reader) {}, cluster.KindInvalid},
		{"length beyond the end", []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, func(*Reader) {}, cluster.KindInvalid},
	} {
		r := Read(append(test.b, test.b...))
		rounds := 0
		for r.Next() {
			rounds++
			test.read(r)
		}
		err := r.Err()
		var e *cluster.Error
		if !errors.As(err, &e) || e.Kind != test.kind || rounds > 1 {
			t.Errorf("%s: after %d rounds %v, want one of kind %v after the first", test.name, rounds, err, test.kind)
		}
		r.Fail("later")
		r.Check(errors.New("later"))
		if r.Err() != err { //nolint:errorlint // the same one
			t.Errorf("%s: the first fault was replaced by %v", test.name, r.Err())
		}
	}
}

// FuzzRead: whatever comes, reading ends, and without a panic.
func FuzzRead(f *testing.F) {
	f.Add(String(Uint(nil, 1, 7), 2, "seven"))
	f.Add(PackedFixed(nil, 3, []uint64{1, 2}))
	f.Add(PackedUints(nil, 4, 3, func(i int) uint64 { return uint64(i) << 30 }))
	f.Add([]byte{0x0b, 0x0c})
	f.Fuzz(func(t *testing.T, b []byte) {
		var fields []any
		r := Read(b)
		for r.Next() {
			switch r.Num() {
			case 1:
				fields = append(fields, r.Uint())
			case 2:
				fields = append(fields, r.String(64))
			case 3:
				fields = append(fields, FixedList[uint64](r, 64))
			case 4:
				r.PackedUints(64, func(v uint64) { fields = append(fields, v) })
			case 5:
				r.Message(func(b []byte) error {
					inner := Read(b)
					for inner.Next() {
						fields = append(fields, inner.Bytes(64))
					}
					return inner.Err()
				})
			}
		}
		if len(fields) > len(b) {
			t.Errorf("%d fields from %d bytes", len(fields), len(b))
		}
	})
}
