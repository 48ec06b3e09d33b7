package softstate

import (
	"cmp"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Limits of a reporter.
const (
	// RegistrationsMax bounds the single holdings owed at once: see Full.
	RegistrationsMax = 16384
	// PushTimeout is how long a push may go unanswered.
	PushTimeout = 5 * time.Second

	lanesMax = 8 // managers served at once, so that a rejoin does not scan the whole disk at once
	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
)

// Reporter is one node's debts to the managers: which buckets and which single holdings each of
// them has still to hear of (Porcupine §4.3, step 2). One owner, no lock.
//
// Invariant: a bucket that the manager of the current assignment has not acknowledged since the
// assignment, or since this node's own stay began, is owed. Only an acknowledgement or a newer
// assignment clears it: a view installed while a push was under way does not.
//
// Invariant: what a scan begun before a commit may have missed is owed as a single holding.
type Reporter struct {
	self cluster.NodeID
	id   cluster.ID
	view *cluster.View

	debts  [cluster.BucketCount]debt
	owed   int                         // buckets whose debt is not none
	single map[string]*cluster.Holding // by owner: changed, not acknowledged
	heard  map[string]uint64           // of those, the Seq last acknowledged, if any was

	lanes  map[cluster.NodeID]*lane // one for each manager that is owed something
	line   []*lane                  // lanes with buckets to scan, waiting for their turn
	active int                      // lanes that count against lanesMax
	timed  map[*lane]bool           // lanes with a deadline
	flying map[uint64]*lane         // by the number of the push under way
	asked  map[uint64]*lane         // by the number of the scan under way
	ids    uint64                   // numbers pushes
	scans  uint64                   // numbers scans
}

// debt is what is owed of one bucket.
type debt uint8

const (
	none   debt = iota
	unread      // owed; no scan has begun: the scan to come will see every commit so far
	read        // owed; a scan has begun: later commits must be registered one by one
)

// NewReporter makes the reporter of a node that has installed no view yet. The cluster id hashes
// owners to buckets.
func NewReporter(self cluster.NodeID, id cluster.ID) *Reporter {
	r := &Reporter{
		self:   self,
		id:     id,
		single: make(map[string]*cluster.Holding),
		heard:  make(map[string]uint64),
	}
	r.clear()
	return r
}

// clear forgets the lanes and what is under way in them.
func (r *Reporter) clear() {
	r.lanes = make(map[cluster.NodeID]*lane)
	r.timed = make(map[*lane]bool)
	r.flying = make(map[uint64]*lane)
	r.asked = make(map[uint64]*lane)
	r.line, r.active = nil, 0
}

// Install makes v the current view. It adds to the debts every bucket assigned since the last
// installed view, and all buckets if this node's own Since is newer than that. What was under
// way in the old view is forgotten, not what was owed.
func (r *Reporter) Install(v *cluster.View, now time.Time) Output {
	var last cluster.Epoch
	if r.view != nil {
		last = r.view.Epoch
	}
	me, _ := v.Member(r.self)
	all := last.Less(me.Since)
	r.view = v
	r.owed = 0
	r.clear()
	var lanes []*lane // in order of their first bucket or owner
	for i := range v.Map {
		b := cluster.Bucket(i)
		if all || last.Less(v.Map[b].Epoch) {
			r.debts[b] = unread
		}
		if r.debts[b] != none {
			r.owed++
			l := r.lane(v.Manager(b))
			if l.idle() {
				lanes = append(lanes, l)
			}
			l.buckets = append(l.buckets, b)
		}
	}
	return r.dispatch(now, r.readdress(lanes)...)
}

// readdress gives the single holdings to the managers of the current view. Those of unread
// buckets are dropped: the scan to come includes them. It adds the lanes it makes to those given.
func (r *Reporter) readdress(lanes []*lane) []*lane {
	owners := make([]string, 0, len(r.single))
	for owner := range r.single {
		owners = append(owners, owner)
	}
	slices.Sort(owners)
	for _, owner := range owners {
		b := r.id.BucketOf(owner)
		if r.debts[b] == unread {
			delete(r.single, owner)
			delete(r.heard, owner)
			continue
		}
		l := r.lane(r.view.Manager(b))
		if l.idle() {
			lanes = append(lanes, l)
		}
		l.owners = append(l.owners, owner)
	}
	return lanes
}

// Register adds the debt of one changed holding. Call it AFTER the commit that changed it, with
// the holding as the store has it then: it goes to the manager of the view current now, and of
// each view installed until one acknowledges it.
func (r *Reporter) Register(h cluster.Holding, now time.Time) Output {
	b := r.id.BucketOf(h.Owner)
	if r.view == nil || r.debts[b] == unread {
		return Output{} // Install, or the scan to come, sees the commit
	}
	if old, ok := r.single[h.Owner]; ok {
		if old.Seq < h.Seq {
			*old = h
		}
		return Output{} // already waiting, or under way: settle looks at Seq
	}
	r.single[h.Owner] = &h
	l := r.lane(r.view.Manager(b))
	l.owners = append(l.owners, h.Owner)
	return r.dispatch(now, l)
}

// Scanned answers a Scan. It may hold fewer buckets than were asked for, a prefix of at least
// one, when they come to more than PushHoldingsMax holdings: the rest is asked for again. An
// answer to a scan of an older view is ignored.
func (r *Reporter) Scanned(attempt uint64, got []Scanned, now time.Time) Output {
	l := r.asked[attempt]
	if l == nil {
		return Output{}
	}
	delete(r.asked, attempt)
	asked := l.scan
	l.scan, l.scanning = nil, false
	n := 0
	for n < len(got) && n < len(asked) && got[n].Bucket == asked[n] {
		n++
	}
	l.buckets = append(slices.Clone(asked[n:]), l.buckets...)
	l.sending = slices.Clone(asked[:n])
	l.queue = cut(got[:n])
	if n == 0 {
		l.bucketFlight.fail(now) // not what was asked for: never spin on it
	}
	return r.dispatch(now, l)
}

// ScanFailed says that the hard state could not be read. The scan is asked for again later.
func (r *Reporter) ScanFailed(attempt uint64, now time.Time) {
	if l := r.asked[attempt]; l != nil {
		delete(r.asked, attempt)
		l.abandon()
		l.bucketFlight.fail(now)
		r.rank(l, now)
	}
}

// Answered reports the end of a push: nil if the manager took it, else why not. Every push that
// is not answered within PushTimeout counts as failed. Unknown ids are ignored.
func (r *Reporter) Answered(id uint64, err error, now time.Time) Output {
	l := r.flying[id]
	if l == nil {
		return Output{}
	}
	delete(r.flying, id)
	if id == l.bucketFlight.id {
		if err != nil {
			l.abandon()
			l.bucketFlight.fail(now)
		} else {
			r.settleBuckets(l)
			l.bucketFlight.land()
		}
	} else {
		if err != nil {
			l.recall()
			l.singleFlight.fail(now)
		} else {
			r.settleSingles(l)
			l.singleFlight.land()
		}
	}
	return r.dispatch(now, l)
}

// settleBuckets clears the debts that the acknowledged push ended with a marker.
func (r *Reporter) settleBuckets(l *lane) {
	for _, b := range l.queue[0].Complete {
		r.debts[b] = none
		r.owed--
	}
	l.sending = l.sending[len(l.queue[0].Complete):]
	l.queue = l.queue[1:]
}

// settleSingles clears the debts of the holdings sent, unless they have changed since.
func (r *Reporter) settleSingles(l *lane) {
	for _, s := range l.sent {
		if h := r.single[s.owner]; h != nil && h.Seq > s.seq {
			l.owners = append(l.owners, s.owner)
			r.heard[s.owner] = s.seq
		} else {
			delete(r.single, s.owner)
			delete(r.heard, s.owner)
		}
	}
	l.sent = nil
}

// Tick retries what is due.
func (r *Reporter) Tick(now time.Time) Output {
	var due []*lane
	for l := range r.timed {
		if !now.Before(l.deadline()) {
			due = append(due, l)
		}
	}
	slices.SortFunc(due, func(a, b *lane) int { return cmp.Compare(a.to, b.to) })
	for _, l := range due {
		if l.bucketFlight.late(now) {
			delete(r.flying, l.bucketFlight.id)
			l.abandon()
			l.bucketFlight.fail(now)
		}
		if l.singleFlight.late(now) {
			delete(r.flying, l.singleFlight.id)
			l.recall()
			l.singleFlight.fail(now)
		}
	}
	return r.dispatch(now, due...)
}

// Deadline says when Tick is wanted next; zero: not before the next event.
func (r *Reporter) Deadline() time.Time {
	var at time.Time
	for l := range r.timed {
		at = earlier(at, l.deadline())
	}
	return at
}

// Owes reports whether the manager of the owner's bucket may not have heard yet of the owner's
// holding as last registered. A delivery that made a new fragment waits for it to become false,
// within its time limit, before it says 250 (D9).
func (r *Reporter) Owes(owner string) bool {
	_, ok := r.single[owner]
	return ok || r.debts[r.id.BucketOf(owner)] != none
}

// Heard reports whether the manager of the owner's bucket has heard of the owner's holding of that
// Seq, or a newer one. A commit waits for its own holding, not for those of later commits: an
// owner that changes all the time would keep it waiting for ever.
func (r *Reporter) Heard(owner string, seq uint64) bool {
	if r.debts[r.id.BucketOf(owner)] != none {
		return false
	}
	_, owed := r.single[owner]
	return !owed || r.heard[owner] >= seq
}

// OwedBuckets counts the buckets that are not acknowledged.
func (r *Reporter) OwedBuckets() int { return r.owed }

// OwedHoldings counts the single holdings that are not acknowledged.
func (r *Reporter) OwedHoldings() int { return len(r.single) }

// Full says that RegistrationsMax single holdings are owed: the node must refuse commits that
// would add more (KindUnavailable) until the managers have caught up.
func (r *Reporter) Full() bool { return len(r.single) >= RegistrationsMax }
