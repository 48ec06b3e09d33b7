package replication

import "porcupine/internal/cluster"

// State is what one node has under an object's id.
type State struct {
	Object *cluster.Object // the copy or tombstone; nil: none
	Record *cluster.Record // nil: none
}

// Verdict says how an update stands to what a node has.
type Verdict uint8

const (
	// Newer: it is applied.
	Newer Verdict = 1 + iota
	// Same: it is the update that the node has.
	Same
	// Older: the node has a newer one, which wins.
	Older
)

// Decision is what one update does to one node's State.
type Decision struct {
	Verdict Verdict
	// Put and Remove say what to do with the copy: replace it by the update's object, or remove
	// it. Neither: leave it. Remove is set only if there is a copy.
	Put, Remove bool
	// Record is the record that the node has afterwards; nil: none. It must be durable before the
	// node answers, together with the copy, if it is not the State's own (Changed).
	Record  *cluster.Record
	Changed bool
}

// Decide applies the rules to an update that arrives at node self. now is the wall time in
// nanoseconds. It neither keeps nor changes what it is given.
func Decide(self cluster.NodeID, have State, u *cluster.Update, now int64) Decision {
	return Decision{}
}

// Reply is a target's answer to one update that it was sent or offered.
type Reply struct {
	Verdict Verdict
	// Have is the timestamp of what the target has now: the update's own, or that of a newer one.
	Have cluster.Timestamp
	// Want: the update was offered without contents, and the target needs them. Nothing was applied.
	Want bool
	// Err: the target could not apply it (full, damaged). Nothing was applied. KindInvalid is final
	// for this node's program, yet the record stays: another version may take it.
	Err error
}
