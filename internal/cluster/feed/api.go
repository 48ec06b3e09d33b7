package feed

import (
	"context"

	"porcupine/internal/cluster"
)

// Feed is both sides of the change feed at one node. Its methods may be called from any goroutine.
type Feed struct{ cfg Config }

// New makes a feed and registers its methods with the node, BEFORE the node starts. The node must be
// told to call Wants and Changed.
func New(cfg Config) *Feed { return &Feed{cfg: cfg} }

// Close ends all subscriptions of this node and waits for what runs.
func (f *Feed) Close() {}

// Wants reports whether anybody subscribed to an owner's objects of that type here. It never waits.
func (f *Feed) Wants(owner string, t cluster.ObjectType) bool { return false }

// Changed takes a change that has been committed here. It never waits, and keeps nothing of c that
// the caller may change.
func (f *Feed) Changed(c cluster.Change) {}

// Subscribe asks a node, this one included, to tell of one owner's objects of some types from now on,
// until Close. on is called with one event at a time, from any goroutine, perhaps before Subscribe has returned; while it runs others wait in
// the queue. Errors: KindLimit when the holder has too many, KindInvalid for no types or more than
// TypesMax, KindUnavailable when the holder did not answer before ctx ended.
func (f *Feed) Subscribe(ctx context.Context, holder cluster.NodeID, owner string, types []cluster.ObjectType, on func(Event)) (*Subscription, error) {
	return nil, cluster.Errorf(cluster.KindUnavailable, "subscribe to "+owner, "not yet")
}

// Subscription is one owner's changes at one holder, as they come to this node.
type Subscription struct{}

// Cursor is where the subscription began: a listing made after Subscribe is complete up to it at least.
func (s *Subscription) Cursor() Cursor { return Cursor{} }

// Close ends the subscription. It does not wait for a callback that runs; none begins after it. The
// holder is told soon.
func (s *Subscription) Close() {}

// Stats are counters since New, and gauges.
type Stats struct {
	Held          int   // subscriptions of others, and of this node, at this node
	HeldPending   int   // changes that wait to be sent
	Refused       int64 // subscriptions for which there was no room
	Expired       int64 // subscriptions that were not renewed
	Told          int64 // changes sent and taken
	Batches       int64 // calls that told them
	LostPending   int64 // changes for which there was no room
	LostSending   int64 // changes in calls that failed
	Subscriptions int   // of this node
	Received      int64 // changes
	Repeated      int64 // changes that had come before
	LostQueue     int64 // changes that a slow callback had no room for
	Gaps          int64 // events with Gap
	Renewals      int64 // calls
	RenewFailures int64
	Resubscribed  int64 // subscriptions that a holder had forgotten
}

// Stats gives the counters and gauges of this moment.
func (f *Feed) Stats() Stats { return Stats{} }
