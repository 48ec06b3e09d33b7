package layout

import (
	"encoding/binary"

	"porcupine/internal/cluster"
)

// Derived is the value of a key under PrefixDerive.
type Derived struct {
	Version uint32 // cluster.TypeSpec.DeriveVersion by which it was computed
	Failed  bool   // nothing could be derived from the contents; Data is empty
	Data    []byte
}

// AppendDerived appends the value of a key under PrefixDerive.
func AppendDerived(dst, key []byte, d *Derived) []byte {
	start := len(dst)
	failed := byte(0)
	if d.Failed {
		failed = 1
	}
	dst = append(binary.BigEndian.AppendUint32(append(dst, valueVersion), d.Version), failed)
	return appendCRC(append(dst, d.Data...), key, start)
}

// ParseDerived reads what AppendDerived wrote; Data points into it.
func ParseDerived(key, value []byte) (d Derived, err error) {
	body, err := openCRC(key, value)
	if err != nil {
		return d, err
	}
	in := reader{b: body}
	in.version()
	d.Version = in.u32()
	failed := in.u8()
	d.Failed = failed == 1
	d.Data = in.b
	switch {
	case failed > 1 || d.Failed && len(d.Data) > 0:
		in.fail("failed is %d, with %d bytes", failed, len(d.Data))
	case len(d.Data) > cluster.DerivedSizeMax:
		in.fail("%d bytes: at most %d", len(d.Data), cluster.DerivedSizeMax)
	}
	return d, in.err
}
