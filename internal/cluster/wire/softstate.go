package wire

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/field"
)

// EntryPartsMax is how many fragments, and how many cached objects, an entry may have: those of
// several nodes' holdings together.
const EntryPartsMax = 4 * cluster.HoldingPartsMax

func appendFragment(b []byte, f *cluster.Fragment) []byte {
	b = field.String(b, 1, string(f.Type))
	b = field.PackedFixed(b, 2, f.Replicas)
	b = field.Uint(b, 3, natural(f.Count))
	return field.Uint(b, 4, natural(f.Bytes))
}

func unmarshalFragment(b []byte) (f cluster.Fragment, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			f.Type = cluster.ObjectType(r.String(cluster.TypeLengthMax))
		case 2:
			f.Replicas = replicas(r)
		case 3:
			f.Count = r.Count()
		case 4:
			f.Bytes = r.Count()
		}
	}
	if f.Type == "" {
		r.Fail("fragment without a type")
	}
	return f, r.Err()
}

// AppendCached writes the fields of a CachedObject.
func AppendCached(b []byte, c *cluster.CachedObject) []byte {
	b = field.Message(b, 1, func(b []byte) []byte { return AppendObject(b, &c.Object) })
	return field.Bytes(b, 2, c.Contents)
}

// UnmarshalCached reads what AppendCached writes.
func UnmarshalCached(b []byte) (c cluster.CachedObject, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			c.Object = field.Decode(r, UnmarshalObject)
		case 2:
			c.Contents = r.Bytes(cluster.CachedSizeMax)
		}
	}
	if c.Object.ID.Owner == "" {
		r.Fail("cached object without an object")
	}
	return c, r.Err()
}

// AppendHolding writes the fields of a Holding.
func AppendHolding(b []byte, h *cluster.Holding) []byte {
	b = field.String(b, 1, h.Owner)
	for i := range h.Fragments {
		b = field.Element(b, 2, func(b []byte) []byte { return appendFragment(b, &h.Fragments[i]) })
	}
	for i := range h.Cached {
		b = field.Element(b, 3, func(b []byte) []byte { return AppendCached(b, &h.Cached[i]) })
	}
	return field.Uint(b, 4, h.Seq)
}

// UnmarshalHolding reads what AppendHolding writes. It has an owner, and all that is in it is that
// owner's.
func UnmarshalHolding(b []byte) (h cluster.Holding, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			h.Owner = r.Raw(cluster.OwnerLengthMax)
		case 2:
			h.Fragments = field.DecodeElement(r, h.Fragments, cluster.HoldingPartsMax, unmarshalFragment)
		case 3:
			h.Cached = field.DecodeElement(r, h.Cached, cluster.HoldingPartsMax, UnmarshalCached)
		case 4:
			h.Seq = r.Uint()
		}
	}
	checkOwner(r, h.Owner, h.Cached)
	return h, r.Err()
}

func checkOwner(r *field.Reader, owner string, cached []cluster.CachedObject) {
	if owner == "" {
		r.Fail("owner is missing")
	}
	for i := range cached {
		if of := cached[i].Object.ID.Owner; of != owner {
			r.Fail("cached object of %q among those of %q", of, owner)
		}
	}
}

// AppendEntry writes the fields of an Entry.
func AppendEntry(b []byte, e *cluster.Entry) []byte {
	b = field.String(b, 1, e.Owner)
	for i := range e.Fragments {
		p := &e.Fragments[i]
		b = field.Element(b, 2, func(b []byte) []byte {
			b = field.Message(b, 1, func(b []byte) []byte { return appendFragment(b, &p.Fragment) })
			return field.PackedFixed(b, 2, p.Holders)
		})
	}
	for i := range e.Cached {
		b = field.Element(b, 3, func(b []byte) []byte { return AppendCached(b, &e.Cached[i]) })
	}
	return field.Uint(b, 4, uint64(e.Knowledge))
}

// UnmarshalEntry reads what AppendEntry writes. It has an owner, and all that is in it is that
// owner's. A degree of knowledge that this version does not know counts as Partial, which proves
// nothing (V1).
func UnmarshalEntry(b []byte) (e cluster.Entry, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			e.Owner = r.Raw(cluster.OwnerLengthMax)
		case 2:
			e.Fragments = field.DecodeElement(r, e.Fragments, EntryPartsMax, unmarshalPlaced)
		case 3:
			e.Cached = field.DecodeElement(r, e.Cached, EntryPartsMax, UnmarshalCached)
		case 4:
			e.Knowledge = Knowledge(r)
		}
	}
	checkOwner(r, e.Owner, e.Cached)
	return e, r.Err()
}

// Knowledge reads a field that holds a degree of knowledge; one that this version does not know
// counts as Partial.
func Knowledge(r *field.Reader) cluster.Knowledge {
	if v := r.Uint(); v <= uint64(cluster.Conclusive) {
		return cluster.Knowledge(v)
	}
	return cluster.Partial
}

func unmarshalPlaced(b []byte) (p cluster.Placed, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			p.Fragment = field.Decode(r, unmarshalFragment)
		case 2:
			p.Holders = nodeSet(r, MembersMax)
		}
	}
	if p.Type == "" {
		r.Fail("placed without a fragment")
	}
	return p, r.Err()
}
