package cluster

import (
	"cmp"
	"fmt"
	"time"
)

// Timestamp orders the updates of an object (Porcupine §4.4). It is a hybrid logical clock
// reading: Time follows the wall clock in nanoseconds since 1970 but never repeats or goes back
// on one node, and Node breaks ties, so timestamps are unique in the cluster (R3).
type Timestamp struct {
	Time int64
	Node NodeID
}

// Compare orders timestamps by time, then by node.
func (t Timestamp) Compare(o Timestamp) int {
	if c := cmp.Compare(t.Time, o.Time); c != 0 {
		return c
	}
	return cmp.Compare(t.Node, o.Node)
}

// IsZero reports whether t is the timestamp before all others.
func (t Timestamp) IsZero() bool { return t == Timestamp{} }

// String gives the time in RFC 3339 with nanoseconds, and the node.
func (t Timestamp) String() string {
	return fmt.Sprintf("%s@%s", time.Unix(0, t.Time).UTC().Format(time.RFC3339Nano), t.Node)
}

// ClockSkewMax is how far ahead of the local wall clock a timestamp from elsewhere may be. An
// update from further in the future is refused and reported, never applied.
const ClockSkewMax = 10 * time.Second

// Clock makes a node's timestamps. It reads no clock itself: the wall time comes in. One owner,
// no lock.
type Clock struct {
	node NodeID
	last int64
}

// NewClock starts a clock that continues after last, the largest time it gave or saw before.
func NewClock(node NodeID, last int64) *Clock { return &Clock{node: node, last: last} }

// Now gives the next timestamp: the wall time, or one nanosecond after the last.
func (c *Clock) Now(wall time.Time) Timestamp {
	c.last = max(wall.UnixNano(), c.last+1)
	return Timestamp{Time: c.last, Node: c.node}
}

// Read gives what the clock shows: what travels with a call. It moves nothing, so that a wall clock that is wrong for a
// while leaves no trace in the timestamps; who sees it is past all that this clock has given.
func (c *Clock) Read(wall time.Time) Timestamp {
	return Timestamp{Time: max(wall.UnixNano(), c.last), Node: c.node}
}

// Observe moves the clock past a timestamp seen elsewhere. It refuses one that is more than
// ClockSkewMax ahead of the wall clock with a *SkewError and stays as it was. One that the clock is past already does no
// harm: a wall that was set back must not keep a node from what it has stamped itself.
func (c *Clock) Observe(t Timestamp, wall time.Time) error {
	if ahead := time.Duration(t.Time - wall.UnixNano()); ahead > ClockSkewMax && t.Time > c.last {
		return &SkewError{Timestamp: t, Ahead: ahead}
	}
	c.last = max(c.last, t.Time)
	return nil
}

// Last gives the largest time given or seen.
func (c *Clock) Last() int64 { return c.last }

// SkewError says that a timestamp lies too far in the future: a clock in the cluster is wrong.
type SkewError struct {
	Timestamp Timestamp
	Ahead     time.Duration
}

func (e *SkewError) Error() string {
	return fmt.Sprintf("timestamp of node %s is %v ahead of this node's clock (at most %v allowed): set the clocks of both nodes, for example with NTP",
		e.Timestamp.Node, e.Ahead.Round(time.Millisecond), ClockSkewMax)
}
