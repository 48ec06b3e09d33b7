package upkeep

import (
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
)

// Status is what a node's upkeep is doing. Counters are since the process began. It travels as JSON:
// names are only ever added.
type Status struct {
	Repair    Progress `json:"repair"`
	Rebalance Progress `json:"rebalance"`
	Missing   Missing  `json:"missing"`
	Drain     Drain    `json:"drain"`
	Compare   Compare  `json:"compare"`
	Scrub     Scrub    `json:"scrub"`
	// Records counts the updates that some target may not have heard of; Owed those of them that wait
	// for a member, and not only for absent nodes.
	Records int `json:"records"`
	Owed    int `json:"owed"`
	// Together counts the objects that have two copies on one machine though another one could take one, as of the last
	// look at the headers; each is counted at one of its holders.
	Together int64 `json:"together"`
}

// Progress of a task that moves objects.
type Progress struct {
	Pending int64     `json:"pending"` // objects that may need a move, as far as known
	Done    int64     `json:"done"`    // objects moved
	Failed  int64     `json:"failed"`  // moves that failed; they are tried again
	Bytes   int64     `json:"bytes"`   // contents sent
	Since   time.Time `json:"since"`   // when the task began to have something to do; zero: it has nothing
}

// Missing is how many objects lack copies, as of the last look at the headers, which follows each change
// of the view. Headers name absent nodes that have not been replaced; of messages they do not say that more
// copies were wanted from the start.
type Missing struct {
	Objects int64     `json:"objects"` // with fewer live copies than wanted; each is counted at one of its holders
	Old     bool      `json:"old"`     // the view has changed since that look
	At      time.Time `json:"at"`      // when an absent node will have been away for RepairAfter; zero: none is waited for
}

// Drain is how far a node is with moving off what it has.
type Drain struct {
	Draining bool  `json:"draining"`
	Objects  int64 `json:"objects"` // left on the node, as of the last pass
	Done     bool  `json:"done"`    // nothing is left; the node leaves
	// Held are those of the objects that cannot be let go now, as of the last pass: too few other live
	// nodes have, or can take, a copy. Waits are the absent nodes that they, or the updates left, wait
	// for; none: it is the nodes that are there that cannot take them.
	Held  int              `json:"held"`
	Waits []cluster.NodeID `json:"waits,omitempty"`
	// From is when the node may leave, once it is empty. Unread is how often the last pass could not read a bucket: unless it is 0
	// the node is not known to be empty.
	From   time.Time `json:"from"`
	Unread int64     `json:"unread,omitempty"`
}

// Compare counts what comparing with other nodes has found.
type Compare struct {
	Rounds      int64     `json:"rounds"`      // all buckets compared with all members
	Compared    int64     `json:"compared"`    // objects, each with each other replica
	Divergences int64     `json:"divergences"` // objects that were not alike and at rest
	Mended      int64     `json:"mended"`      // of them, sent again to all holders
	Round       time.Time `json:"round"`       // end of the last round; zero: none yet
}

// Scrub counts what reading all contents has found.
type Scrub struct {
	Rounds  int64 `json:"rounds"`
	Objects int64 `json:"objects"` // read
	Damaged int64 `json:"damaged"` // contents that did not match their checksum
	Healed  int64 `json:"healed"`  // of them, replaced from another replica
	// Lost are objects whose contents are damaged here and that no other node could give: how many,
	// and a few of them.
	Lost     int      `json:"lost"`
	Examples []string `json:"examples,omitempty"`
	// Waiting are objects whose contents are damaged here, and that a node may have which does not answer: it
	// is asked again.
	Waiting int `json:"waiting"`
}

// counts are the counters behind a Status.
type counts struct {
	repair, rebalance                             progress
	left, short, together, unread                 atomic.Int64
	deadline                                      atomic.Int64 // unix nanoseconds; 0: none
	rounds, compared, divergences, mended         atomic.Int64
	scrubs, scrubbed, damaged, healed, under      atomic.Int64
	collectedRecords, collectedTombs, collectedVT atomic.Int64
	orphans                                       atomic.Int64
	round                                         atomic.Int64 // unix nanoseconds
}

// progress is the Progress of a task that runs.
type progress struct {
	pending, done, failed, bytes atomic.Int64
	since                        atomic.Int64 // unix nanoseconds; 0: nothing to do
}

// busy notes how many objects may need something; the task begins with the first, and ends with none.
func (p *progress) busy(pending int64, now time.Time) {
	p.pending.Store(pending)
	if pending == 0 {
		p.since.Store(0)
	} else {
		p.since.CompareAndSwap(0, now.UnixNano())
	}
}

func (p *progress) snapshot() Progress {
	return Progress{Pending: max(p.pending.Load(), 0), Done: p.done.Load(), Failed: p.failed.Load(), Bytes: p.bytes.Load(), Since: timeOf(p.since.Load())}
}

func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// examplesMax bounds the lost objects that a Status names.
const examplesMax = 10

// Status gives what this node's upkeep is doing.
func (u *Upkeep) Status() Status {
	c := &u.count
	s := Status{
		Repair: c.repair.snapshot(), Rebalance: c.rebalance.snapshot(),
		Compare: Compare{
			Rounds: c.rounds.Load(), Compared: c.compared.Load(), Divergences: c.divergences.Load(), Mended: c.mended.Load(),
			Round: timeOf(c.round.Load()),
		},
		Scrub:   Scrub{Rounds: c.scrubs.Load(), Objects: c.scrubbed.Load(), Damaged: c.damaged.Load(), Healed: c.healed.Load()},
		Missing: Missing{Objects: c.short.Load(), At: timeOf(c.deadline.Load())},
		Records: u.node.Records(), Owed: u.owed(), Together: c.together.Load(),
	}
	if len(u.node.Absent()) == 0 {
		s.Missing.At = time.Time{} // it is back
	}
	waits := u.waits()
	u.mu.Lock()
	defer u.mu.Unlock()
	s.Missing.Old = u.surveyed != u.node.View().Epoch
	s.Drain = Drain{Draining: u.draining.Load(), Objects: c.left.Load(), Done: u.drained.done, Held: u.drained.held.Objects}
	if s.Drain.Draining {
		s.Drain.From, s.Drain.Unread = u.began.Add(emptyRest), c.unread.Load()
		s.Drain.Waits = u.drained.held.Absent
		if s.Drain.Objects == 0 {
			s.Drain.Waits = waits
		}
	}
	s.Scrub.Lost, s.Scrub.Waiting = len(u.lost), len(u.waiting)
	for _, text := range textsOf(u.lost) {
		if len(s.Scrub.Examples) == examplesMax {
			break
		}
		s.Scrub.Examples = append(s.Scrub.Examples, text)
	}
	return s
}

// owed counts the records that wait for a member other than this node.
func (u *Upkeep) owed() (n int) {
	v := u.node.View()
	for id, k := range u.node.Owed() {
		if id != u.node.ID() && v.Contains(id) {
			n += k
		}
	}
	return n
}

// waits lists the absent nodes that have not heard of some update.
func (u *Upkeep) waits() (absent cluster.ReplicaSet) {
	v := u.node.View()
	for id, k := range u.node.Owed() { // a set: the order does not matter
		if k > 0 && id != u.node.ID() && !v.Contains(id) {
			absent = absent.Union(cluster.ReplicaSet{id})
		}
	}
	return absent
}

// Metrics are counters and gauges for monitoring beyond a Status.
type Metrics struct {
	Status
	UnderReplicated                        int64 // objects with fewer live replicas than wanted, of the last round of compare
	RetiredRecords, Tombstones, VaultedOld int64 // collected
	Orphans                                int64 // deleted: they belonged to nobody
}

// Metrics gives them as of now.
func (u *Upkeep) Metrics() Metrics {
	c := &u.count
	return Metrics{
		Status: u.Status(), UnderReplicated: c.under.Load(), RetiredRecords: c.collectedRecords.Load(),
		Tombstones: c.collectedTombs.Load(), VaultedOld: c.collectedVT.Load(), Orphans: c.orphans.Load(),
	}
}

// nameOf writes an object's id for people.
func nameOf(id cluster.ObjectID) string {
	return string(id.Type) + " " + quote(id.ID) + " of " + quote(id.Owner)
}
