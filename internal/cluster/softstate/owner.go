package softstate

import (
	"slices"
	"strings"
	"time"

	"porcupine/internal/cluster"
)

// owner is all that the members hold for one owner. It is laid out for memory: an owner with
// one fragment takes 96 bytes beside its name (the paper: 76 a user and 44 a fragment).
type owner struct {
	name   string
	refs   []ref
	cached []cachedRef
}

// ref is one fragment at one member. A member without fragments has one ref to nowhere, which
// carries its Seq. The refs of one member stand together and have one Seq.
type ref struct {
	seq   uint64
	bytes int64
	count uint32 // objects; the largest uint32 stands for more
	stay  stayID
	place placeID
}

// cachedRef is one cached object at one member. Members with the same version share it.
type cachedRef struct {
	stay   stayID
	object *cluster.CachedObject
}

// sizes counts what the owners take.
type sizes struct{ owners, references, refs, names, cachedRefs, contents int64 }

const (
	ownerSize     = 64
	refSize       = 32
	cachedRefSize = 16
	objectSize    = 232 // of a CachedObject without its contents
)

func (s *sizes) bytes() int64 {
	return s.owners*ownerSize + s.names + s.refs*refSize + s.cachedRefs*cachedRefSize + s.contents
}

func (b *bucket) search(name string) (int, bool) {
	return slices.BinarySearchFunc(b.owners, name, func(o owner, name string) int { return strings.Compare(o.name, name) })
}

// put takes a holding in, unless the one it has of that member is as new.
func (m *Manager) put(b *bucket, h *cluster.Holding, stay stayID, now time.Time) {
	i, ok := b.search(h.Owner)
	if !ok {
		b.owners = slices.Insert(b.owners, i, owner{name: h.Owner})
		m.sizes.owners++
		m.sizes.names += int64(len(h.Owner))
	}
	o := &b.owners[i]
	for _, r := range o.refs {
		if r.stay == stay && r.seq >= h.Seq {
			return
		}
	}
	m.remove(o, func(s stayID) bool { return s == stay })
	m.add(o, h, stay)
	if h.IsEmpty() {
		m.empty.note(emptyHolding{owner: h.Owner, stay: stay, seq: h.Seq}, now)
	}
}

// add appends a member's holding; it has no other in o.
func (m *Manager) add(o *owner, h *cluster.Holding, stay stayID) {
	m.stays.retain(stay)
	m.sizes.references++
	if len(h.Fragments) == 0 {
		o.refs = append(o.refs, ref{seq: h.Seq, stay: stay, place: nowhere})
		m.sizes.refs++
	}
	for _, f := range h.Fragments {
		o.refs = append(o.refs, ref{
			seq:   h.Seq,
			bytes: f.Bytes,
			count: uint32(min(max(f.Count, 0), 1<<32-1)),
			stay:  stay,
			place: m.places.retain(f.Type, f.Replicas),
		})
		m.sizes.refs++
	}
	for i := range h.Cached {
		c := o.shared(&h.Cached[i])
		if c == nil {
			m.suspect(o, h.Cached[i].Object.ID)
			c = &cluster.CachedObject{}
			*c = h.Cached[i]
			m.sizes.contents += objectSize + int64(len(c.Contents))
		}
		o.cached = append(o.cached, cachedRef{stay, c})
		m.sizes.cachedRefs++
	}
}

// shared finds the same version of a cached object at another member.
func (o *owner) shared(c *cluster.CachedObject) *cluster.CachedObject {
	for _, have := range o.cached {
		h := &have.object.Object
		if h.Timestamp == c.Object.Timestamp && h.ID == c.Object.ID && h.Sum == c.Object.Sum {
			return have.object
		}
	}
	return nil
}

// remove drops the references of the stays that match.
func (m *Manager) remove(o *owner, match func(stayID) bool) {
	var last stayID
	any := false
	o.refs = slices.DeleteFunc(o.refs, func(r ref) bool {
		if !match(r.stay) {
			return false
		}
		if !any || r.stay != last { // the refs of one stay stand together
			m.stays.release(r.stay, 1)
			m.sizes.references--
		}
		any, last = true, r.stay
		m.places.release(r.place)
		m.sizes.refs--
		return true
	})
	if !any {
		return
	}
	gone := make([]*cluster.CachedObject, 0, 4)
	o.cached = slices.DeleteFunc(o.cached, func(c cachedRef) bool {
		if !match(c.stay) {
			return false
		}
		gone = append(gone, c.object)
		m.sizes.cachedRefs--
		return true
	})
	for i, c := range gone {
		if o.shared(c) == nil && !slices.Contains(gone[:i], c) {
			m.sizes.contents -= objectSize + int64(len(c.Contents))
		}
	}
}

// prune takes an owner without references out of its bucket.
func (m *Manager) prune(b *bucket, i int) {
	if len(b.owners[i].refs) > 0 {
		return
	}
	m.sizes.owners--
	m.sizes.names -= int64(len(b.owners[i].name))
	b.owners = slices.Delete(b.owners, i, i+1)
}

// drop gives up all that the bucket refers to.
func (m *Manager) drop(b *bucket) {
	for i := range b.owners {
		m.remove(&b.owners[i], func(stayID) bool { return true })
		m.sizes.owners--
		m.sizes.names -= int64(len(b.owners[i].name))
	}
	b.owners = nil
}
