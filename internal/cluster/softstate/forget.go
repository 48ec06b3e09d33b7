package softstate

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// A holding that became empty must be remembered for a while: a push that was made before it,
// and overtaken by it, would bring back what is gone. After emptyKeep no such push can be under
// way, because its sender gave it up after PushTimeout; and a new epoch refuses it at once.
const (
	emptyKeep = 2 * time.Minute
	emptyMax  = 1 << 16 // remembered at once; beyond it the older half is forgotten early
)

// emptyHolding is a reference to nowhere, without cached objects.
type emptyHolding struct {
	owner string
	stay  stayID
	seq   uint64
}

// emptied lists the empty holdings in two generations, each kept for half of emptyKeep at least.
type emptied struct {
	young, old []emptyHolding
	due        time.Time
}

func (e *emptied) note(h emptyHolding, now time.Time) {
	e.young = append(e.young, h)
	if e.due.IsZero() {
		e.due = now.Add(emptyKeep)
	}
	if len(e.young) >= emptyMax/2 {
		e.due = now
	}
}

// expire frees the older generation.
func (m *Manager) expire(now time.Time) {
	if m.empty.due.IsZero() || now.Before(m.empty.due) {
		return
	}
	for _, h := range m.empty.old {
		b := m.buckets[m.id.BucketOf(h.owner)]
		if b == nil {
			continue
		}
		i, ok := b.search(h.owner)
		if !ok {
			continue
		}
		for _, r := range b.owners[i].refs {
			if r.stay == h.stay && r.seq == h.seq && b.owners[i].nothingAt(h.stay) {
				m.remove(&b.owners[i], func(s stayID) bool { return s == h.stay })
				m.prune(b, i)
				break
			}
		}
	}
	m.empty.old, m.empty.young, m.empty.due = m.empty.young, nil, time.Time{}
	if len(m.empty.old) > 0 {
		m.empty.due = now.Add(emptyKeep)
	}
}

// nothingAt reports whether the member's holding is empty.
func (o *owner) nothingAt(s stayID) bool {
	return !slices.ContainsFunc(o.refs, func(r ref) bool { return r.stay == s && r.place != nowhere }) &&
		!slices.ContainsFunc(o.cached, func(c cachedRef) bool { return c.stay == s })
}

// References of ended stays are hidden from every answer at once and freed bucket by bucket, so
// that the loss of a node does not cost a walk over all owners before the view is installed.
const (
	sweepOwnersMax = 10_000
	sweepPause     = 20 * time.Millisecond
)

// sweep is the walk that frees references of ended stays.
type sweep struct {
	next int       // bucket
	left int       // buckets to go
	due  time.Time // zero: nothing to free
}

func (s *sweep) start(now time.Time) { s.left, s.due = cluster.BucketCount, now }

// sweepSome walks on, over sweepOwnersMax owners and the rest of their bucket.
func (m *Manager) sweepSome(now time.Time) {
	if m.sweep.due.IsZero() || now.Before(m.sweep.due) {
		return
	}
	for seen := 0; m.sweep.left > 0 && seen < sweepOwnersMax; m.sweep.left-- {
		if b := m.buckets[m.sweep.next]; b != nil {
			seen += len(b.owners)
			m.sweepBucket(b)
		}
		m.sweep.next = (m.sweep.next + 1) % cluster.BucketCount
	}
	if m.sweep.left == 0 {
		m.sweep.due = time.Time{}
		return
	}
	m.sweep.due = now.Add(sweepPause)
}

func (m *Manager) sweepBucket(b *bucket) {
	ended := func(s stayID) bool { return !m.stays.live(s) }
	kept := b.owners[:0]
	for i := range b.owners {
		o := b.owners[i]
		m.remove(&o, ended)
		if len(o.refs) > 0 {
			kept = append(kept, o)
			continue
		}
		m.sizes.owners--
		m.sizes.names -= int64(len(o.name))
	}
	clear(b.owners[len(kept):])
	b.owners = kept
}
