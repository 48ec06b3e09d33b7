package layout

import (
	"cmp"
	"encoding/binary"
	"slices"

	"porcupine/internal/cluster"
)

// Header is what one owner's objects amount to on this node: enough to tell the owner's manager
// without reading the objects (Porcupine §4.3).
type Header struct {
	// Cached counts the owner's records under PrefixCached, tombstones included.
	Cached int64
	// Fragments lists the other types, ordered by type, then replica set. Every Count is above 0.
	Fragments []cluster.Fragment
}

// IsEmpty reports whether the owner holds nothing; an empty header is not stored.
func (h *Header) IsEmpty() bool { return h.Cached == 0 && len(h.Fragments) == 0 }

// Parts counts fragments and cached objects (see cluster.HoldingPartsMax).
func (h *Header) Parts() int64 { return h.Cached + int64(len(h.Fragments)) }

// Has reports whether the owner has a fragment of that type on that replica set.
func (h *Header) Has(t cluster.ObjectType, s cluster.ReplicaSet) bool {
	_, ok := h.find(t, s)
	return ok
}

func (h *Header) find(t cluster.ObjectType, s cluster.ReplicaSet) (int, bool) {
	return slices.BinarySearchFunc(h.Fragments, t, func(f cluster.Fragment, t cluster.ObjectType) int {
		if c := cmp.Compare(f.Type, t); c != 0 {
			return c
		}
		return slices.Compare(f.Replicas, s)
	})
}

// Add counts objects of a type and replica set, or discounts them if count is negative. It
// reports whether the fragment appeared or vanished, and whether the header could hold the
// change: removing what was never counted is a broken rule.
func (h *Header) Add(t cluster.ObjectType, s cluster.ReplicaSet, count, bytes int64) (changed, ok bool) {
	i, found := h.find(t, s)
	if !found {
		if count <= 0 {
			return false, false
		}
		h.Fragments = slices.Insert(h.Fragments, i, cluster.Fragment{Type: t, Replicas: s, Count: count, Bytes: bytes})
		return true, true
	}
	f := &h.Fragments[i]
	f.Count += count
	f.Bytes += bytes
	if f.Count < 0 || f.Bytes < 0 {
		return false, false
	}
	if f.Count == 0 {
		h.Fragments = slices.Delete(h.Fragments, i, i+1)
		return true, true
	}
	return false, true
}

// AppendHeader appends the value of a header's key.
func AppendHeader(dst, key []byte, h *Header) []byte {
	start := len(dst)
	dst = append(dst, valueVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Cached))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(h.Fragments)))
	for i := range h.Fragments {
		f := &h.Fragments[i]
		dst = appendName(dst, string(f.Type))
		dst = appendReplicas(dst, f.Replicas)
		dst = binary.BigEndian.AppendUint64(dst, uint64(f.Count))
		dst = binary.BigEndian.AppendUint64(dst, uint64(f.Bytes))
	}
	return appendCRC(dst, key, start)
}

// ParseHeader reads the value of a header's key; nothing points into it.
func ParseHeader(key, value []byte) (Header, error) {
	var h Header
	body, err := openCRC(key, value)
	if err != nil {
		return h, err
	}
	in := reader{b: body}
	in.version()
	h.Cached = in.count("cached objects")
	n := in.u32()
	for range n {
		f := cluster.Fragment{Type: in.objectType(), Replicas: in.replicas(), Count: in.count("count"), Bytes: in.count("bytes")}
		if in.err != nil {
			return h, in.err
		}
		if last := len(h.Fragments) - 1; last >= 0 && compareFragments(h.Fragments[last], f) >= 0 {
			in.fail("fragments are not ascending")
		}
		if f.Count == 0 {
			in.fail("fragment without objects")
		}
		h.Fragments = append(h.Fragments, f)
	}
	return h, in.end()
}

func compareFragments(a, b cluster.Fragment) int {
	if c := cmp.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return slices.Compare(a.Replicas, b.Replicas)
}

func appendName(dst []byte, name string) []byte {
	return append(append(dst, byte(len(name))), name...)
}

func (r *reader) objectType() cluster.ObjectType {
	t := cluster.ObjectType(r.bytes(int(r.u8())))
	if r.err == nil {
		r.err = CheckType(t)
	}
	return t
}
