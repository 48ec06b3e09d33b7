package softstate

import (
	"cmp"
	"slices"

	"porcupine/internal/cluster"
)

// Lookup tells what is known of an owner. An owner nobody holds anything for is no error: the
// entry is empty, and its Knowledge says what that means. The caller may keep the entry but not
// change what it points to. Error: KindUnavailable if this node does not manage the bucket.
//
// An entry is true of the epoch this node is in. A node that was stopped for a while does not
// know yet that the others went on without it. So BEFORE a Conclusive entry becomes a final "no
// such user", the node asks every other member of its view and gets an answer in the same epoch:
// all of them were still in it after the question was put (V1).
func (m *Manager) Lookup(name string) (cluster.Entry, error) {
	b := m.buckets[m.id.BucketOf(name)]
	if b == nil {
		return cluster.Entry{}, cluster.Errorf(cluster.KindUnavailable, "look up "+name, "node %v does not manage its bucket", m.self)
	}
	e := cluster.Entry{Owner: name, Knowledge: m.knowledge(b)}
	if i, ok := b.search(name); ok {
		e.Fragments = m.placed(&b.owners[i])
		e.Cached = m.newest(&b.owners[i])
		// Where one node is away a deletion proves nothing: what argues for the rest (see assess) is that an object lies on two
		// nodes, and a deletion takes away all copies but those that it does not reach. Such a one may have been changed since,
		// alone, and then it lives (V1).
		if m.absent > 0 && e.Gone() {
			e.Knowledge = min(e.Knowledge, cluster.Complete)
		}
	}
	return e, nil
}

// Count gives the number of cached objects of a type, no tombstones, in the buckets managed here,
// beginning with a bucket. It stops before a bucket once it has looked at ListOwnersMax owners, so
// that others get a turn: next is where to go on, BucketCount at the end.
func (m *Manager) Count(t cluster.ObjectType, from cluster.Bucket) (n int64, next cluster.Bucket) {
	seen := 0
	for next = from; next < cluster.BucketCount && seen < ListOwnersMax; next++ {
		b := m.buckets[next]
		if b == nil {
			continue
		}
		seen += len(b.owners)
		for i := range b.owners {
			for _, c := range m.newest(&b.owners[i]) {
				if c.Object.ID.Type == t && !c.Object.Deleted {
					n++
				}
			}
		}
	}
	return n, next
}

// placed merges the members' fragments into the mail map: one for each type and replica set.
func (m *Manager) placed(o *owner) []cluster.Placed {
	var out []cluster.Placed
	for _, r := range o.refs {
		if r.place == nowhere || !m.stays.live(r.stay) {
			continue
		}
		p := &m.places.all[r.place]
		f := cluster.Fragment{Type: p.typ, Replicas: p.replicas, Count: int64(r.count), Bytes: r.bytes}
		i := slices.IndexFunc(out, func(have cluster.Placed) bool { return have.Type == f.Type && have.Replicas.Equal(f.Replicas) })
		if i < 0 {
			i = len(out)
			out = append(out, cluster.Placed{Fragment: f})
		}
		if f.Count > out[i].Count {
			out[i].Fragment = f
		}
		out[i].Holders = append(out[i].Holders, m.stays.node(r.stay))
	}
	for i := range out {
		slices.Sort(out[i].Holders)
	}
	slices.SortFunc(out, func(a, b cluster.Placed) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), slices.Compare(a.Replicas, b.Replicas))
	})
	return out
}

// newest merges the members' cached objects: the newest version of each, tombstones included.
func (m *Manager) newest(o *owner) []cluster.CachedObject {
	var out []cluster.CachedObject
	for _, c := range o.cached {
		if !m.stays.live(c.stay) {
			continue
		}
		i := slices.IndexFunc(out, func(have cluster.CachedObject) bool { return have.Object.ID == c.object.Object.ID })
		switch {
		case i < 0:
			out = append(out, *c.object)
		case out[i].Object.Timestamp.Compare(c.object.Object.Timestamp) < 0:
			out[i] = *c.object
		}
	}
	slices.SortFunc(out, func(a, b cluster.CachedObject) int { return a.Object.ID.Compare(b.Object.ID) })
	return out
}

// Limits of a page of List.
const (
	ListMax       = 1000   // objects
	ListOwnersMax = 10_000 // owners looked at: most may have no object of the type
)

// ListQuery asks for a page of List.
type ListQuery struct {
	Type  cluster.ObjectType
	After Cursor // zero: from the start; else the Next of the page before
	Max   int    // objects; 0 and more than ListMax stand for ListMax
}

// Cursor is a place in a listing.
type Cursor struct {
	Bucket cluster.Bucket
	Owner  string // the listing goes on after this owner
}

// ListPage is an answer to a ListQuery. A page ends between owners, so it may exceed Max by the
// objects of one owner. It may hold fewer than Max, even none, though there are more: the work on
// one page is bounded too.
type ListPage struct {
	Objects   []cluster.CachedObject
	Next      Cursor
	More      bool              // ask again, After Next
	Knowledge cluster.Knowledge // the least of the buckets walked
}

// List gives cached objects of a type, the newest version of each, no tombstones, of the buckets
// managed here, in order of bucket, owner and id. It says nothing of other nodes' buckets: a
// listing of a whole cluster asks every member.
func (m *Manager) List(q ListQuery) ListPage {
	limit := q.Max
	if limit <= 0 || limit > ListMax {
		limit = ListMax
	}
	page := ListPage{Knowledge: m.proof}
	after, seen := q.After.Owner, 0
	for i := int(q.After.Bucket); i < cluster.BucketCount; i++ {
		b := m.buckets[i]
		if b == nil {
			after = ""
			continue
		}
		page.Knowledge = min(page.Knowledge, m.knowledge(b))
		at, found := b.search(after)
		if found {
			at++
		}
		for ; at < len(b.owners); at++ {
			if len(page.Objects) >= limit || seen == ListOwnersMax {
				page.More = true
				return page
			}
			seen++
			o := &b.owners[at]
			for _, c := range m.newest(o) {
				if c.Object.ID.Type == q.Type && !c.Object.Deleted {
					page.Objects = append(page.Objects, c)
				}
			}
			page.Next = Cursor{Bucket: cluster.Bucket(i), Owner: o.name}
		}
		after = ""
	}
	return page
}
