package node

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// counters are what the node counts; Metrics gives them out.
type counters struct {
	lookups, retries, fenced, skewed        atomic.Int64
	pushes, pushFailures, scanned, dropped  atomic.Int64
	registerLate, owedBuckets, owedHoldings atomic.Int64
	full                                    atomic.Bool
	known                                   atomic.Pointer[[]cluster.Known]
	struck                                  atomic.Pointer[cluster.ReplicaSet]
	absent                                  atomic.Pointer[map[cluster.NodeID]time.Time]
	records                                 atomic.Int64
	offers, offered, wants, caughtUp        atomic.Int64
	retires, superseded, late, doubtsLost   atomic.Int64
	reconciled, unconfirmed                 atomic.Int64
	owed                                    atomic.Pointer[map[cluster.NodeID]int]
	outages, owing                          atomic.Int64     // owing: nanoseconds
	events                                  [64]atomic.Int64 // by membership.EventKind
}

func (c *counters) event(k membership.EventKind) {
	if int(k) < len(c.events) {
		c.events[k].Add(1)
	}
}

// levelOf says how loud an event of membership is.
func levelOf(k membership.EventKind) slog.Level {
	switch k {
	case membership.EventFound, membership.EventLeft:
		return slog.LevelInfo
	case membership.EventAlone, membership.EventLost, membership.EventSilent, membership.EventPaused, membership.EventInvalid,
		membership.EventRemoved:
		return slog.LevelWarn
	case membership.EventRegressed, membership.EventDuplicate, membership.EventStruck, membership.EventRolledBack, membership.EventTwin,
		membership.EventExpelled:
		return slog.LevelError
	}
	return slog.LevelDebug
}

// Metrics is a snapshot of the node's counters and gauges.
type Metrics struct {
	Lookups, Retries, Fenced, Skewed     int64
	Pushes, PushFailures, BucketsScanned int64
	MessagesDropped, RegistrationsLate   int64
	OwedBuckets, OwedHoldings            int64
	Members, Known                       int
	BucketsManaged, BucketsIncomplete    int
	OwnersManaged, References, SoftBytes int64
	EpochCounter                         uint64

	Records                     int   // update records that propagate
	Offers, OfferedItems, Wants int64 // of this node's log to other targets
	CatchUpBytes                int64 // sent with them, contents included
	Retires                     int64 // retirements heard of
	Superseded, LateCalls       int64 // updates that met a newer one; calls refused as too late
	Reconciled                  int64 // cached objects of which nodes held different versions
	Unconfirmed                 int64 // times that a copy was not removed, since nobody who keeps one said that it was whole
	DoubtsLost                  int64 // records that the log will know after the next start only

	Outages int64         // times that this node's disk hung and it left the cluster for that
	Out     bool          // it takes no part now (gauge)
	Owing   time.Duration // for how long the disk has owed its oldest answer, as of a moment ago (gauge)

	Events map[string]int64 // membership events by name
}

// Metrics gives the counters since New and the gauges of this moment.
func (n *Node) Metrics() Metrics {
	s := &n.stats
	v := n.View()
	counts := n.counts()
	m := Metrics{
		Lookups: s.lookups.Load(), Retries: s.retries.Load(), Fenced: s.fenced.Load(), Skewed: s.skewed.Load(),
		Pushes: s.pushes.Load(), PushFailures: s.pushFailures.Load(), BucketsScanned: s.scanned.Load(),
		MessagesDropped: s.dropped.Load(), RegistrationsLate: s.registerLate.Load(),
		OwedBuckets: s.owedBuckets.Load(), OwedHoldings: s.owedHoldings.Load(),
		Members: len(v.Members), Known: len(n.Known()),
		BucketsManaged: counts.Buckets, BucketsIncomplete: counts.Incomplete,
		OwnersManaged: counts.Owners, References: counts.References, SoftBytes: counts.Bytes,
		EpochCounter: v.Epoch.Counter,
		Records:      n.Records(),
		Offers:       s.offers.Load(), OfferedItems: s.offered.Load(), Wants: s.wants.Load(),
		CatchUpBytes: s.caughtUp.Load(), Retires: s.retires.Load(),
		Superseded: s.superseded.Load(), LateCalls: s.late.Load(), DoubtsLost: s.doubtsLost.Load(),
		Reconciled: s.reconciled.Load(), Unconfirmed: s.unconfirmed.Load(),
		Outages: s.outages.Load(), Out: n.isOut(), Owing: time.Duration(s.owing.Load()),
		Events: map[string]int64{},
	}
	for k := range s.events {
		if c := s.events[k].Load(); c > 0 {
			m.Events[membership.EventKind(k).String()] = c
		}
	}
	return m
}

// Known lists every node ever met and not removed, this one included.
func (n *Node) Known() []cluster.Known {
	if k := n.stats.known.Load(); k != nil {
		return *k
	}
	return nil
}

// Absent gives the known nodes that are not members, and since when they are not. Time in which this
// node did not run itself is left out. The map is shared and must not be changed.
func (n *Node) Absent() map[cluster.NodeID]time.Time {
	if a := n.stats.absent.Load(); a != nil {
		return *a
	}
	return nil
}

// Records counts the updates whose record this node has: those that some target may not have heard of.
func (n *Node) Records() int { return int(n.stats.records.Load()) }

// Owed says how many of them wait for which node, as of a moment ago. The map is shared and must
// not be changed.
func (n *Node) Owed() map[cluster.NodeID]int {
	if o := n.stats.owed.Load(); o != nil {
		return *o
	}
	return nil
}

// KnownNodes counts the nodes ever met and not removed, this one included.
func (n *Node) KnownNodes() int { return len(n.Known()) }

// Ready is nil when the node serves clients: every bucket it manages has been told in full.
func (n *Node) Ready() error {
	switch {
	case n.failed.Load():
		return cluster.Errorf(cluster.KindUnavailable, "node", "failed: it must be started again")
	case n.stopping.Load():
		return stopping("node")
	}
	if err := n.takesPart("node", cluster.KindUnavailable); err != nil {
		return err
	}
	if len(n.View().Members) == 0 {
		return cluster.Errorf(cluster.KindUnavailable, "node", "no view is installed yet")
	}
	if c := n.counts(); c.Incomplete > 0 {
		return cluster.Errorf(cluster.KindUnavailable, "node", "%d of %d buckets are not complete yet", c.Incomplete, c.Buckets)
	}
	return nil
}

// MemberStatus is one member as it sees itself, or Err if it did not answer.
type MemberStatus struct {
	Member cluster.Member
	call.StatusAnswer
	Err error
}

// StatusTimeout bounds the wait for each member's answer to Members.
const StatusTimeout = 2 * time.Second

// Members asks every member of the view how it is. Any node gives the same answer.
func (n *Node) Members(ctx context.Context) (*cluster.View, []MemberStatus) {
	v := n.View()
	all := make([]MemberStatus, len(v.Members))
	inParallel(len(all), func(i int) { all[i] = n.memberStatus(ctx, v.Members[i]) })
	return v, all
}

func (n *Node) memberStatus(ctx context.Context, m cluster.Member) MemberStatus {
	if m.ID == n.cfg.Self.ID {
		return MemberStatus{Member: m, StatusAnswer: n.selfStatus(), Err: n.takesPart("status", cluster.KindUnavailable)}
	}
	ctx, cancel := context.WithTimeout(ctx, StatusTimeout)
	defer cancel()
	resp, err := n.call(ctx, m, &transport.Request{Method: call.MethodStatus})
	if err != nil {
		return MemberStatus{Member: m, Err: err}
	}
	s := MemberStatus{Member: m}
	if err := s.Unmarshal(resp.Payload); err != nil {
		s.Err = malformed(call.MethodStatus, m.ID, err)
		return s
	}
	n.machines.learn(m.ID, s.Machine)
	return s
}

func (n *Node) selfStatus() call.StatusAnswer {
	counts := n.counts()
	return call.StatusAnswer{
		Version:    n.cfg.Version,
		Epoch:      n.View().Epoch,
		Load:       n.load(),
		Buckets:    counts.Buckets,
		Incomplete: counts.Incomplete,
		Pending:    int(n.stats.owedBuckets.Load() + n.stats.owedHoldings.Load()),
		Counted:    n.countHere(n.cfg.Counted),
		Machine:    n.cfg.Machine,
	}
}

// countHere counts the cached objects of a type that this node manages, of no single moment: the lock
// is given up from time to time.
func (n *Node) countHere(t cluster.ObjectType) (count int64) {
	if t == "" {
		return 0
	}
	for next := cluster.Bucket(0); next < cluster.BucketCount; {
		var some int64
		n.soft.mu.Lock()
		some, next = n.soft.manager.Count(t, next)
		n.soft.mu.Unlock()
		count += some
	}
	return count
}
