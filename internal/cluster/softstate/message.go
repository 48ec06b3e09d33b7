package softstate

import "porcupine/internal/cluster"

// Limits of one push and of one scan.
const (
	PushHoldingsMax = 256     // holdings in one push
	PushBytesMax    = 1 << 20 // of holdings in one push, by SizeOf; a larger holding goes alone
	PushCompleteMax = 512     // markers in one push: empty buckets have theirs too
	ScanBucketsMax  = 512     // buckets asked of the shell in one Scan
)

// Push is a message from a member to a manager: holdings, and markers that end a bucket. A
// bucket may be spread over several pushes; the one with its marker is sent only AFTER the
// manager acknowledged the others, so no marker overtakes data. A registration is a push
// without markers. The answer is an error or nothing; nothing means that all of it was taken.
// Both sides treat a Push as immutable once made.
type Push struct {
	// ID is the sender's number for the push, for Answered. It need not travel.
	ID uint64
	// From is the member whose holdings these are. On the wire it is the sender of the call.
	From cluster.NodeID
	// Epoch is the view in which both sides must be (M4).
	Epoch cluster.Epoch
	// Holdings are at most PushHoldingsMax.
	Holdings []cluster.Holding
	// Complete lists the buckets that have been told in full with this push: the markers.
	Complete []cluster.Bucket
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
