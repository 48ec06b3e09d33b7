package octets

import (
	"encoding/binary"
	"testing"

	"porcupine/internal/cluster"
)

func TestReader(t *testing.T) {
	b := binary.BigEndian.AppendUint64([]byte{1, 0, 2, 0, 0, 0, 3}, 4)
	b = append(binary.AppendUvarint(b, 300), 'x', 'y')
	r := New("read a test", b)
	if r.U8() != 1 || r.U16() != 2 || r.U32() != 3 || r.U64() != 4 || r.Uvarint() != 300 || r.Left() != 2 || string(r.Take(2)) != "xy" || r.End() != nil {
		t.Errorf("what was written is not read: %v", r.Err())
	}
}

func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		b    []byte
		kind cluster.Kind
		read func(*Reader)
	}{
		"broken off":        {[]byte{1, 2, 3}, cluster.KindInvalid, func(r *Reader) { r.U32() }},
		"too many":          {[]byte{1, 2, 3}, cluster.KindInvalid, func(r *Reader) { r.U16() }},
		"below zero":        {[]byte{1}, cluster.KindInvalid, func(r *Reader) { r.Take(-1) }},
		"not the shortest":  {[]byte{0x80, 0}, cluster.KindInvalid, func(r *Reader) { r.Uvarint() }},
		"an endless number": {[]byte{0xff}, cluster.KindInvalid, func(r *Reader) { r.Uvarint() }},
		"too long":          {[]byte{1, 2, 3}, cluster.KindLimit, func(r *Reader) { r.Limit(2) }},
		"the first counts":  {[]byte{1, 2, 3}, cluster.KindLimit, func(r *Reader) { r.Limit(2); r.Fail("late") }},
	} {
		r := New("read a test", tt.b)
		tt.read(&r)
		if err := r.End(); !cluster.IsKind(err, tt.kind) || r.U8() != 0 || r.U64() != 0 || r.Uvarint() != 0 || r.Left() != 0 {
			t.Errorf("%s: %v, %d left", name, err, r.Left())
		}
	}
}
