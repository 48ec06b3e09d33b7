package softstate

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Manager is what one node knows of the owners in the buckets it manages (Porcupine §3, "mail
// map" and "user profile soft state"). One owner, no lock.
//
// Invariant: every reference in it was told by a member of the current view, during the stay in
// which that member is now, to this manager, since the bucket was last assigned.
//
// Invariant: a bucket without missing members has a reference for everything those members
// hold of its owners and do not still owe as a single holding (S2).
type Manager struct {
	self   cluster.NodeID
	id     cluster.ID
	view   *cluster.View
	known  []cluster.Known
	absent int               // known nodes that are not members
	proof  cluster.Knowledge // of a bucket without missing members

	buckets    [cluster.BucketCount]*bucket // nil: managed elsewhere
	managed    int
	incomplete int

	stays    stays
	places   places
	sizes    sizes
	empty    emptied
	sweep    sweep
	suspects suspects
}

// bucket is one bucket managed here.
type bucket struct {
	epoch   cluster.Epoch // of the assignment by which it is
	missing []stayID      // members that have not told it in full
	owners  []owner       // ascending by name
}

// NewManager makes the manager of a node that has installed no view yet. The cluster id hashes
// owners to buckets.
func NewManager(self cluster.NodeID, id cluster.ID) *Manager {
	return &Manager{self: self, id: id, stays: newStays(), places: newPlaces()}
}

// Installed tells the work of an Install, in buckets (S3).
type Installed struct {
	Kept, Fresh, Dropped int
}

// Install makes v the current view. It drops what members knew in an earlier stay, or left with;
// it drops the buckets that are no longer managed here, keeps those whose assignment is
// unchanged, and starts the others empty, with all members missing. The work is proportional to
// the buckets that moved; references of members that left are hidden at once and freed by Tick.
func (m *Manager) Install(v *cluster.View, now time.Time) Installed {
	m.view = v
	ended, begun := m.stays.install(v)
	if len(ended) > 0 {
		m.sweep.start(now)
	}
	all := m.stays.all()
	var done Installed
	for i := range v.Map {
		a, b := v.Map[i], m.buckets[i]
		switch {
		case a.Manager != m.self:
			if b != nil {
				m.drop(b)
				m.buckets[i] = nil
				done.Dropped++
			}
		case b != nil && b.epoch == a.Epoch:
			b.missing = slices.DeleteFunc(b.missing, func(s stayID) bool { return slices.Contains(ended, s) })
			b.missing = append(b.missing, begun...)
			done.Kept++
		default:
			if b != nil {
				m.drop(b)
			}
			m.buckets[i] = &bucket{epoch: a.Epoch, missing: slices.Clone(all)}
			done.Fresh++
		}
	}
	m.recount()
	m.assess()
	return done
}

// recount counts the buckets after an Install.
func (m *Manager) recount() {
	m.managed, m.incomplete = 0, 0
	for _, b := range m.buckets {
		if b == nil {
			continue
		}
		m.managed++
		if len(b.missing) > 0 {
			m.incomplete++
		}
	}
}

// SetKnown tells the nodes ever met and not removed, this one included; they decide what is
// Conclusive, and without them nothing is. A node that joins must know of the nodes it is joining
// BEFORE it serves its first lookup. The manager keeps the slice; it must not be changed.
func (m *Manager) SetKnown(known []cluster.Known) {
	m.known = known
	m.assess()
}

// assess sets what a bucket told in full by every member proves. A cached object that is made
// lies on at least two nodes once two are known, so it can be on absent nodes only if two are
// absent, or one that has the only copy of something from its time alone.
//
// A node that is left alone proves nothing by that argument: the absent one may have met others
// meanwhile, of whom this node cannot know. Two members, of three known, were there when any
// node was taken in that is not absent itself.
func (m *Manager) assess() {
	m.absent = 0
	sole := false
	for _, k := range m.known {
		if !m.view.Contains(k.ID) {
			m.absent++
			sole = sole || k.Sole
		}
	}
	m.proof = cluster.Complete
	if m.view != nil && len(m.known) > 0 && (m.absent == 0 || m.absent == 1 && !sole && len(m.view.Members) >= 2) {
		m.proof = cluster.Conclusive
	}
}

// Receive takes a push. Errors: KindStale if it is from an older epoch, KindBehind if from a newer
// one (M4), KindInvalid if a bucket is not managed here or the sender is no member. Nothing of
// a refused push was taken. The manager keeps what the holdings point to.
func (m *Manager) Receive(p *Push, now time.Time) error {
	if err := m.admit(p); err != nil {
		return err
	}
	stay, ok := m.stays.of(p.From)
	if !ok {
		return cluster.Errorf(cluster.KindInvalid, "take push of "+p.From.String(), "not a member of epoch %v", m.view.Epoch)
	}
	into := make([]*bucket, len(p.Holdings))
	for i := range p.Holdings {
		b := m.id.BucketOf(p.Holdings[i].Owner)
		if into[i] = m.buckets[b]; into[i] == nil {
			return m.misdirected(p, b)
		}
	}
	for _, b := range p.Complete {
		if int(b) >= cluster.BucketCount || m.buckets[b] == nil {
			return m.misdirected(p, b)
		}
	}
	for i := range p.Holdings {
		m.put(into[i], &p.Holdings[i], stay, now)
	}
	for _, b := range p.Complete {
		m.mark(m.buckets[b], stay)
	}
	return nil
}

// admit refuses a push from another epoch (M4).
func (m *Manager) admit(p *Push) error {
	op := "take push of " + p.From.String()
	if m.view == nil {
		return cluster.Errorf(cluster.KindBehind, op, "no view installed yet")
	}
	switch c := p.Epoch.Compare(m.view.Epoch); {
	case c < 0:
		return cluster.Errorf(cluster.KindStale, op, "epoch %v is older than %v", p.Epoch, m.view.Epoch)
	case c > 0:
		return cluster.Errorf(cluster.KindBehind, op, "epoch %v is newer than %v", p.Epoch, m.view.Epoch)
	}
	return nil
}

func (m *Manager) misdirected(p *Push, b cluster.Bucket) error {
	return cluster.Errorf(cluster.KindInvalid, "take push of "+p.From.String(),
		"bucket %d is not managed by node %v in epoch %v", b, m.self, m.view.Epoch)
}

// mark notes that a member has told the bucket in full.
func (m *Manager) mark(b *bucket, stay stayID) {
	i := slices.Index(b.missing, stay)
	if i < 0 {
		return
	}
	b.missing = slices.Delete(b.missing, i, i+1)
	if len(b.missing) == 0 {
		b.missing = nil
		m.incomplete--
	}
}

// knowledge tells what an entry of the bucket proves.
func (m *Manager) knowledge(b *bucket) cluster.Knowledge {
	if len(b.missing) > 0 {
		return cluster.Partial
	}
	return m.proof
}

// Counts is the size of the soft state.
type Counts struct {
	Buckets    int   // managed
	Incomplete int   // of them, not yet told in full by every member
	Owners     int64 // with at least one reference
	References int64 // (owner, member) pairs
	Bytes      int64 // estimate of the memory they take
}

// Counts gives the size of the soft state. References of members that left count until Tick has
// freed them.
func (m *Manager) Counts() Counts {
	return Counts{
		Buckets:    m.managed,
		Incomplete: m.incomplete,
		Owners:     m.sizes.owners,
		References: m.sizes.references,
		Bytes:      m.sizes.bytes(),
	}
}

// Tick frees what need not be remembered any more; call it when Deadline says so.
func (m *Manager) Tick(now time.Time) {
	m.expire(now)
	m.sweepSome(now)
}

// Deadline says when Tick is wanted next; zero: not before the next event.
func (m *Manager) Deadline() time.Time { return earlier(m.empty.due, m.sweep.due) }
