package wire

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/field"
)

// AppendDerived writes the fields of a Derived: its data, or why there is none.
func AppendDerived(b []byte, d *cluster.Derived) []byte {
	if d.Err != nil {
		return field.Element(b, 2, func(b []byte) []byte { return appendRefusal(b, d.Err) })
	}
	return field.Bytes(b, 1, d.Data)
}

// UnmarshalDerived reads what AppendDerived writes.
func UnmarshalDerived(b []byte) (d cluster.Derived, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			d.Data = r.Bytes(cluster.DerivedSizeMax)
		case 2:
			d.Err = field.Decode(r, func(b []byte) (error, error) { return unmarshalRefusal(b, "read derived data") })
		}
	}
	if d.Err != nil {
		d.Data = nil
	}
	return d, r.Err()
}

// AppendCopyAfter writes the fields of a Copy that follows another in a list: type and owner of its object
// only if they are not those of the one before.
func AppendCopyAfter(b []byte, before cluster.ObjectID, c *cluster.Copy) []byte {
	b = field.Message(b, 1, func(b []byte) []byte { return AppendObjectAfter(b, before, &c.Object) })
	if c.Err != nil {
		return field.Element(b, 3, func(b []byte) []byte { return appendRefusal(b, c.Err) })
	}
	return field.Bytes(b, 2, c.Contents)
}

// UnmarshalCopyAfter reads what AppendCopyAfter writes. The object has a type and an owner.
func UnmarshalCopyAfter(b []byte, before cluster.ObjectID) (c cluster.Copy, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			c.Object = field.Decode(r, func(b []byte) (cluster.Object, error) { return UnmarshalObjectAfter(b, before) })
		case 2:
			c.Contents = r.Bytes(cluster.CachedSizeMax)
		case 3:
			c.Err = field.Decode(r, func(b []byte) (error, error) { return unmarshalRefusal(b, "read contents") })
		}
	}
	if c.Err != nil {
		c.Contents = nil
	}
	if c.Object.ID.Owner == "" {
		if before.Owner == "" {
			r.Fail("copy without an object")
		}
		c.Object.ID.Type, c.Object.ID.Owner = before.Type, before.Owner // of the empty id
	}
	return c, r.Err()
}
