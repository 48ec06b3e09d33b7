package cluster

import "time"

// Record is an update record (thesis ch. 5; Porcupine §4.4): it exists at each node that has applied
// an update, from then until all its targets have. It is durable with the update itself, so that
// any target can take over the propagation when the initiator dies. A node keeps at most one record
// for an object: that of the newest update it knows.
//
// The contents are not in it: they are the node's copy.
type Record struct {
	ID        ObjectID
	Timestamp Timestamp  // of the update
	Deleted   bool       // Object.Deleted
	Replicas  ReplicaSet // the new replica set; empty: a deletion without trace
	Targets   ReplicaSet // all that must apply it, this node and Replicas included; it only grows
	// Retired is when the record was retired, in nanoseconds since 1970; 0 while it propagates.
	// Only where no copy is left (this node is not in Replicas) is it kept after that, for
	// LateWindow at least: it is all that a copy of an older update, late, would meet (R5).
	Retired int64
}

// LateWindow is how long a node remembers, at least, that it was told to remove an object. A call that was sent earlier
// than LateWindow ago, less ClockSkewMax, is refused.
const LateWindow = 5 * time.Minute

// Retirement says that all targets named have applied an update: each may drop its record of it,
// unless the record has been replaced or has other targets too.
type Retirement struct {
	ID        ObjectID
	Timestamp Timestamp
	Targets   ReplicaSet
}

// Retires reports whether the record is over by r.
func (r Retirement) Retires(rec *Record) bool {
	return rec.Timestamp == r.Timestamp && r.Targets.ContainsAll(rec.Targets)
}

// Shortfall is the error of an update that is durable on some nodes of its replica set but not, as
// far as is known, on all of them. It will be: the record of those that have it says so. Whether
// that is enough is for the caller to decide. It unwraps to the first failure.
type Shortfall struct {
	Durable ReplicaSet // have it on disk; not empty
	Missing ReplicaSet // of the replica set; may have it
	Err     error      // of one of Missing
}

func (e *Shortfall) Error() string {
	return "stored on " + e.Durable.String() + ", not on " + e.Missing.String() + ": " + e.Err.Error()
}

func (e *Shortfall) Unwrap() error { return e.Err }
