package replication

import (
	"time"

	"porcupine/internal/cluster"
)

// Limits and times.
const (
	// RecordsMax bounds the records in a Log. A node that is the reason for more than that is to be
	// written off (R8): see Log.Overdue.
	RecordsMax = 1 << 20
	// OfferMax is the most records in one Offer.
	OfferMax = 256
	// TakeOverAfter is how long the targets leave a record to its initiator before the first of them
	// offers it to the others; the next one does so after twice that time, and so on.
	TakeOverAfter = 3 * time.Second
	// RetryMin and RetryMax bound the pause after an offer that failed.
	RetryMin = 500 * time.Millisecond
	RetryMax = 30 * time.Second
)

// Log holds the records of one node that are not retired, in memory; on disk they are the
// store's. One owner, no lock.
type Log struct { /* ... */
}

// Output is what the shell must do.
type Output struct {
	Offers  []Offer
	Retires []Retire
}

// Offer asks a target whether it has these updates. The shell reads each record's object from the
// store, sends the headers without contents, then, to a target that wants them, the contents, and
// reports the end with Log.Answered. What the store no longer has at that timestamp is left out:
// a newer update took its place.
type Offer struct {
	Number uint64
	To     cluster.NodeID
	Items  []cluster.Record
}

// Retire tells a node, this one included, to drop records. It needs no answer and no fsync.
type Retire struct {
	To    cluster.NodeID
	Items []cluster.Retirement
}

// Answer is what a target said of one item of an Offer.
type Answer struct {
	ID    cluster.ObjectID
	Reply Reply
}

// NewLog makes the log of one node's life. struck are the nodes that were removed for good: they
// count as having acknowledged everything.
func NewLog(self cluster.NodeID, struck []cluster.NodeID) *Log { return &Log{} }

// Load takes in a record found on disk at start. Retired ones are ignored.
func (l *Log) Load(r cluster.Record, now time.Time) {}

// Install takes in the members of a new view: what is owed to nodes that came is offered to
// them soon, without waiting for TakeOverAfter.
func (l *Log) Install(members []cluster.NodeID, now time.Time) Output { return Output{} }

// Added takes in a record that is now durable at this node, new or with more targets. It replaces
// an older one of the same object.
func (l *Log) Added(r cluster.Record, now time.Time) Output { return Output{} }

// Retired takes in what another node, or this one as initiator, has found complete. Output.Retires
// says what of it this node drops from its disk.
func (l *Log) Retired(items []cluster.Retirement, now time.Time) Output { return Output{} }

// Answered takes in the end of an offer: an answer for each item that was sent, or an error if none
// came.
func (l *Log) Answered(number uint64, answers []Answer, err error, now time.Time) Output {
	return Output{}
}

// Strike takes a node that was removed for good out of all targets.
func (l *Log) Strike(node cluster.NodeID, now time.Time) Output { return Output{} }

// Tick does what is due; Deadline says when that is, zero for never.
func (l *Log) Tick(now time.Time) Output { return Output{} }
func (l *Log) Deadline() time.Time       { return time.Time{} }

// Len is the number of records; Owed, for each node, the number that wait for it; Has whether one of
// the object waits.
func (l *Log) Len() int                     { return 0 }
func (l *Log) Owed() map[cluster.NodeID]int { return nil }
func (l *Log) Has(id cluster.ObjectID) bool { return false }

// Overdue gives the absent node that most records wait for, when there are more than RecordsMax.
func (l *Log) Overdue() (cluster.NodeID, bool) { return 0, false }
