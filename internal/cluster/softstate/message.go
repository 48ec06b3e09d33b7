package softstate

import "porcupine/internal/cluster"

// Limits of one push and of one scan.
const (
	PushHoldingsMax = 256     // holdings in one push
	PushBytesMax    = 1 << 20 // of holdings in one push, by SizeOf; a larger holding goes alone
	PushPartsMax    = 512     // parts in one push: empty buckets still have their markers
	ScanBucketsMax  = 512     // buckets asked of the shell in one Scan
)

// Push is a message from a member to a manager: holdings, and markers that end a bucket. It
// answers with an error or nothing; nothing means that all of it was taken. Both sides treat a
// Push as immutable once made.
type Push struct {
	// From is the member whose holdings these are.
	From cluster.NodeID
	// Epoch is the view in which both sides must be (M4).
	Epoch cluster.Epoch
	// ID is the sender's number for the push, unique for the life of its process. It is for
	// Answered, and need not travel.
	ID uint64
	// Parts are in the order of sending.
	Parts []Part
}

// Part is a run of holdings of one bucket.
type Part struct {
	Bucket cluster.Bucket
	// Attempt numbers the scans of one reporter; parts of one scan of a bucket share it. 0 is a
	// registration: holdings that changed, sent on their own.
	Attempt uint64
	// First is the index of the first holding in its scan of the bucket. A manager that misses
	// an earlier part of the scan refuses the push, so that a marker never overtakes data.
	First int
	// Holdings are at most PushHoldingsMax in all parts of a push.
	Holdings []cluster.Holding
	// Last is the marker: with this part, the bucket has been told in full.
	Last bool
}

// Scan asks the shell to read buckets of its hard state, in this order.
type Scan struct {
	To      cluster.NodeID // the manager that shall hear of them
	Attempt uint64         // for Scanned
	Buckets []cluster.Bucket
}

// Scanned is one bucket as the hard state had it at one moment AFTER the Scan was asked for.
type Scanned struct {
	Bucket   cluster.Bucket
	Holdings []cluster.Holding // ordered by owner; the reporter keeps them until they are acknowledged
}

// Outgoing is a push on its way to a manager, which may be the node itself.
type Outgoing struct {
	To   cluster.NodeID
	Push *Push
}

// Output is what the shell has to do next. Order does not matter.
type Output struct {
	Scans  []Scan
	Pushes []Outgoing
}

// SizeOf estimates a holding's size on the wire, in bytes.
func SizeOf(h *cluster.Holding) int {
	n := len(h.Owner) + 16
	for i := range h.Fragments {
		n += len(h.Fragments[i].Type) + 9*len(h.Fragments[i].Replicas) + 24
	}
	for i := range h.Cached {
		o := &h.Cached[i].Object
		n += len(o.ID.Type) + len(o.ID.Owner) + len(o.ID.ID) + 9*len(o.Replicas) + len(o.Attr) + 80
		n += len(h.Cached[i].Contents)
	}
	return n
}
