package softstate

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Two updates of one cached object can have targets that have nothing in common: on two sides of
// a partition, by initiators of which neither knew of the other's, a profile of one name is made, or
// made again. No update record tells the one of the other. Their owner's manager sees both.
const (
	// DivergenceSettle is how long the holders of an object must have differed, with nothing new
	// from them, before it is called a divergence: an update that is on its way takes less.
	DivergenceSettle = 15 * time.Second
	// DivergenceRepeat is when a divergence that is still there is told again.
	DivergenceRepeat = 2 * time.Minute
	// DivergencesMax bounds the divergences told at once.
	DivergencesMax = 64
	// suspectsMax bounds the objects watched at once; when there were more, all owners are looked
	// through again later, sweepOwnersMax at a time.
	suspectsMax = 4096
)

// Divergence says that members hold different versions of one cached object.
type Divergence struct {
	ID      cluster.ObjectID
	Newest  cluster.Timestamp
	Holders cluster.ReplicaSet // of the newest
	Stale   cluster.ReplicaSet // of older ones
}

// suspects are the cached objects of which a member told a version that no other had.
type suspects struct {
	found map[cluster.ObjectID]suspect
	next  int // bucket to look through
	left  int // buckets to look through, because found was full
}

type suspect struct {
	newest cluster.Timestamp
	since  time.Time // zero: not looked at since it was found
}

// note takes an object up, if there is room.
func (s *suspects) note(id cluster.ObjectID) {
	if _, ok := s.found[id]; ok {
		return
	}
	if len(s.found) >= suspectsMax {
		s.left = cluster.BucketCount + 1 // the bucket that is being looked through, too
		return
	}
	if s.found == nil {
		s.found = map[cluster.ObjectID]suspect{}
	}
	s.found[id] = suspect{}
}

// suspect takes up an object of which a member is about to tell a version that no other has.
func (m *Manager) suspect(o *owner, id cluster.ObjectID) {
	if slices.ContainsFunc(o.cached, func(c cachedRef) bool { return c.object.Object.ID == id }) {
		m.suspects.note(id)
	}
}

// Divergences lists the cached objects, in the buckets that every member has told in full, of which
// live members have told different versions for DivergenceSettle: ordered, at most DivergencesMax, each
// again only after DivergenceRepeat. What to do: send the newest version once more, from one of its
// Holders, as an update with all Holders and Stale as targets. An update of the object that still
// propagates does that by itself. Call it every few seconds.
func (m *Manager) Divergences(now time.Time) []Divergence {
	m.lookThrough()
	ids := make([]cluster.ObjectID, 0, len(m.suspects.found))
	for id := range m.suspects.found {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, cluster.ObjectID.Compare)
	var all []Divergence
	for _, id := range ids {
		d, complete := m.versions(id)
		s := m.suspects.found[id]
		switch {
		case len(d.Stale) == 0:
			delete(m.suspects.found, id)
			continue
		case !complete || d.Newest != s.newest || s.since.IsZero():
			s = suspect{newest: d.Newest, since: now}
		case now.Sub(s.since) >= DivergenceSettle && len(all) < DivergencesMax:
			all = append(all, d)
			s.since = now.Add(DivergenceRepeat - DivergenceSettle)
		}
		m.suspects.found[id] = s
	}
	return all
}

// versions tells who holds which version of an object. complete: every member has told its bucket.
func (m *Manager) versions(id cluster.ObjectID) (d Divergence, complete bool) {
	d.ID = id
	b := m.buckets[m.id.BucketOf(id.Owner)]
	if b == nil {
		return d, false
	}
	at, ok := b.search(id.Owner)
	if !ok {
		return d, false
	}
	for _, c := range b.owners[at].cached {
		if c.object.Object.ID != id || !m.stays.live(c.stay) {
			continue
		}
		holder := cluster.ReplicaSet{m.stays.node(c.stay)}
		switch n := c.object.Object.Timestamp.Compare(d.Newest); {
		case n > 0:
			d.Newest, d.Holders, d.Stale = c.object.Object.Timestamp, holder, d.Stale.Union(d.Holders)
		case n == 0:
			d.Holders = d.Holders.Union(holder)
		default:
			d.Stale = d.Stale.Union(holder)
		}
	}
	return d, len(b.missing) == 0
}

// lookThrough looks for suspects among all owners, some at a time, after there were too many.
func (m *Manager) lookThrough() {
	s := &m.suspects
	for seen := 0; s.left > 0 && seen < sweepOwnersMax && len(s.found) < suspectsMax; s.left-- {
		if b := m.buckets[s.next]; b != nil {
			seen += len(b.owners)
			for i := range b.owners {
				m.compare(&b.owners[i])
			}
		}
		s.next = (s.next + 1) % cluster.BucketCount
	}
}

// compare takes up what an owner's holders differ in.
func (m *Manager) compare(o *owner) {
	seen := make(map[cluster.ObjectID]cluster.Timestamp, len(o.cached))
	for _, c := range o.cached {
		t, ok := seen[c.object.Object.ID]
		if ok && t != c.object.Object.Timestamp {
			m.suspects.note(c.object.Object.ID)
		}
		seen[c.object.Object.ID] = c.object.Object.Timestamp
	}
}
