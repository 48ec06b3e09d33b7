package softstate

import (
	"time"

	"porcupine/internal/cluster"
)

// Reporter is one node's debts to the managers.
type Reporter struct{}

// NewReporter makes the reporter of a node that has installed no view yet.
func NewReporter(self cluster.NodeID, id cluster.ID) *Reporter { return &Reporter{} }

// Install makes v the current view. It adds to the debts every bucket assigned since the last
// installed view, and all buckets if this node's own Since is newer than that.
func (r *Reporter) Install(v *cluster.View, now time.Time) Output { return Output{} }

// Register adds the debt of one changed holding: call it AFTER the commit that changed it, with
// the holding as the store has it then (Store.Apply said Announce).
func (r *Reporter) Register(h cluster.Holding, now time.Time) Output { return Output{} }

// Scanned answers a Scan. It may hold fewer buckets than were asked for, a prefix of at least
// one, when they come to more than PushHoldingsMax holdings: the rest is asked again.
func (r *Reporter) Scanned(attempt uint64, got []Scanned, now time.Time) Output { return Output{} }

// ScanFailed says that the hard state could not be read; the scan is asked again after a while.
func (r *Reporter) ScanFailed(attempt uint64, now time.Time) {}

// Answered reports the end of a push: nil if the manager took it, else why not. Every push that
// is not answered in PushTimeout counts as failed. Unknown ids are ignored.
func (r *Reporter) Answered(id uint64, err error, now time.Time) Output { return Output{} }

// Tick retries what is due.
func (r *Reporter) Tick(now time.Time) Output { return Output{} }

// Deadline says when Tick is wanted next; zero: not before the next event.
func (r *Reporter) Deadline() time.Time { return time.Time{} }

// Owes reports whether the manager of the owner's bucket may not have heard yet of the owner's
// holding as last registered. A delivery waits for it to become false, within its time limit,
// before it says 250 (D9).
func (r *Reporter) Owes(owner string) bool { return false }

// OwedBuckets counts the buckets, OwedHoldings the single holdings, that are not acknowledged.
func (r *Reporter) OwedBuckets() int { return 0 }

// OwedHoldings: see OwedBuckets.
func (r *Reporter) OwedHoldings() int { return 0 }

// Full says that RegistrationsMax single holdings are owed: the node must refuse commits that
// would add more (KindUnavailable) until the managers have caught up.
func (r *Reporter) Full() bool { return false }

// Limits of a reporter.
const (
	RegistrationsMax = 16384
	PushTimeout      = 5 * time.Second
)

// Manager is what one node knows of the buckets it manages.
type Manager struct{}

// NewManager makes the manager of a node that has installed no view yet.
func NewManager(self cluster.NodeID, id cluster.ID) *Manager { return &Manager{} }

// Install makes v the current view: see Installed for what became of the buckets.
func (m *Manager) Install(v *cluster.View, now time.Time) Installed { return Installed{} }

// Installed tells the work of an Install (S3).
type Installed struct {
	Kept, Fresh, Dropped int // buckets
}

// SetKnown tells the nodes ever met and not removed; they decide what is Conclusive. A node that
// joins must know of the nodes it is joining BEFORE it serves its first lookup. The manager
// keeps the slice; it must not be changed.
func (m *Manager) SetKnown(known []cluster.Known) {}

// Receive takes a push. Errors: KindStale if it is from an older epoch, KindBehind if from a newer
// one (M4), KindInvalid if the bucket is not managed here or the sender is no member, KindUnavailable
// if an earlier part is missing. Part of a refused push may have been taken; that does no harm.
func (m *Manager) Receive(p *Push, now time.Time) error { return nil }

// Lookup tells what is known of an owner. An owner nobody holds anything for is no error: the
// entry is empty, and its Knowledge says what that means. Error: KindUnavailable if this node
// does not manage the bucket. The caller may keep the entry but not change what it points to.
func (m *Manager) Lookup(owner string) (cluster.Entry, error) { return cluster.Entry{}, nil }

// List gives cached objects of a type, the newest version of each, no tombstones, of the
// buckets managed here, in order of bucket, owner and id.
func (m *Manager) List(q ListQuery) (ListPage, error) { return ListPage{}, nil }

// ListQuery asks for a page of List.
type ListQuery struct {
	Type  cluster.ObjectType
	After Cursor // zero: from the start; else the Next of the page before
	Max   int    // objects; at most ListMax, which 0 stands for
}

// Cursor is a place in a listing.
type Cursor struct {
	Bucket cluster.Bucket
	Owner  string // listing goes on after this owner
}

// ListPage is an answer to ListQuery. A page ends between owners, so it may exceed Max by the
// objects of one owner.
type ListPage struct {
	Objects   []cluster.CachedObject
	Next      Cursor
	More      bool
	Knowledge cluster.Knowledge // the least of the buckets walked
}

// ListMax bounds a page of List.
const ListMax = 1000

// Counts gives the size of the soft state.
func (m *Manager) Counts() Counts { return Counts{} }

// Counts is the size of the soft state.
type Counts struct {
	Buckets    int   // managed
	Incomplete int   // of them, not told in full by every member
	Owners     int64 // with at least one reference
	References int64 // (owner, member) pairs
	Bytes      int64 // estimate of the memory they take
}

// Tick forgets what need not be remembered any more; call it when Deadline says so.
func (m *Manager) Tick(now time.Time) {}

// Deadline says when Tick is wanted next; zero: not before the next event.
func (m *Manager) Deadline() time.Time { return time.Time{} }
