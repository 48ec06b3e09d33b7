package feed

import "sync/atomic"

// counters are what the feed counts; Stats gives them out.
type counters struct {
	refused, expired, told, batches, lostPending, lostSending atomic.Int64
	received, repeated, lostQueue, gaps                       atomic.Int64
	renewals, renewFailures, resubscribed                     atomic.Int64
}

// Stats are counters since New, and gauges.
type Stats struct {
	Held          int   // subscriptions of others, and of this node, at this node
	Pending       int   // changes that wait to be sent
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
func (f *Feed) Stats() Stats {
	c := &f.count
	s := Stats{
		Refused: c.refused.Load(), Expired: c.expired.Load(), Told: c.told.Load(), Batches: c.batches.Load(),
		LostPending: c.lostPending.Load(), LostSending: c.lostSending.Load(),
		Received: c.received.Load(), Repeated: c.repeated.Load(), LostQueue: c.lostQueue.Load(), Gaps: c.gaps.Load(),
		Renewals: c.renewals.Load(), RenewFailures: c.renewFailures.Load(), Resubscribed: c.resubscribed.Load(),
	}
	f.holder.mu.RLock()
	s.Held, s.Pending = len(f.holder.all), f.holder.pending
	f.holder.mu.RUnlock()
	f.mine.mu.Lock()
	s.Subscriptions = len(f.mine.all)
	f.mine.mu.Unlock()
	return s
}
