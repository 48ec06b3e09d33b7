package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
)

// A timestamp that this node gave may be stored on other nodes alone. If the process then ends and
// the wall clock goes back, a new life could give timestamps below it, and its updates would lose
// to older ones without a word (R3). So a stretch of the clock is made durable BEFORE timestamps of
// it are given, and a new life starts after the end of it.

// clockName is the store's name of the end of the stretch. Its value is one byte, the version of
// the format, and eight bytes, big-endian: nanoseconds since 1970.
const (
	clockName    = "clock"
	clockVersion = 1
	clockSize    = 9
)

// ClockReserve is how much of the clock is reserved at a time: one durable write in as long, while
// updates are made. It is how far a restarted node's clock may be ahead of the wall, so it
// must be well below cluster.ClockSkewMax.
const ClockReserve = 3 * time.Second

// clockReserveMin is the least that a durable write reserves.
const clockReserveMin = 100 * time.Millisecond

// joinReserve is how much of the stretch must be left when the store is given an update that it may join
// with another: as long as that may wait for its commit.
const joinReserve = time.Second

// reserve is the stretch that may be given.
type reserve struct {
	until atomic.Int64  // durable: timestamps up to it may be given
	write chan struct{} // one element: the right to extend it
}

func (r *reserve) init(until int64) {
	r.write = make(chan struct{}, 1)
	r.until.Store(until)
}

func loadClock(s Hard) (int64, error) {
	value, err := s.Meta(clockName)
	if cluster.IsKind(err, cluster.KindNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("clock: %w", err)
	}
	if len(value) != clockSize || value[0] != clockVersion {
		return 0, fmt.Errorf("clock: unknown format, this program knows version %d: use the version that wrote it, or a newer one", clockVersion)
	}
	return int64(binary.BigEndian.Uint64(value[1:])), nil
}

// Timestamp gives a timestamp for an update, as Update does when there is none. It is for who makes
// several updates of one object that are one change: those after the first take times just after its
// own, so that whatever others have done to the object in the meantime is newer.
func (n *Node) Timestamp(ctx context.Context) (cluster.Timestamp, error) { return n.timestamp(ctx) }

// timestamp gives the timestamp of a new update. It waits for the disk once in ClockReserve. KindUnavailable: this
// node's clock is ahead of the others' (cluster.Clocks).
func (n *Node) timestamp(ctx context.Context) (cluster.Timestamp, error) {
	for {
		t, err := n.senses.next(n.cfg.Now())
		if err != nil {
			return cluster.Timestamp{}, n.ahead(err)
		}
		if t.Time <= n.clock.until.Load() {
			return t, nil
		}
		if err := n.reserveClock(ctx, t.Time); err != nil {
			return cluster.Timestamp{}, err
		}
	}
}

// ahead is the refusal of a change because of this node's clock.
func (n *Node) ahead(err error) error {
	n.stats.skewed.Add(1)
	return cluster.Errorf(cluster.KindUnavailable, "compare clocks", "%w", err)
}

// reserveClock extends the stretch to ClockReserve past t, unless another has.
func (n *Node) reserveClock(ctx context.Context, t int64) error {
	r := &n.clock
	if t <= r.until.Load() {
		return nil
	}
	ctx, end := n.whileSound(ctx)
	defer end()
	select {
	case r.write <- struct{}{}:
		defer func() { <-r.write }()
	case <-ctx.Done():
		return cluster.Errorf(cluster.KindUnavailable, "reserve timestamps", "%w", context.Cause(ctx))
	}
	if t <= r.until.Load() {
		return nil
	}
	// Measured from the wall: were it measured from t, a chain of quick restarts, each of which
	// begins at the end of the stretch, would drive the clocks of the whole cluster ahead.
	until := max(t+int64(clockReserveMin), n.senses.believe(n.cfg.Now()).Add(ClockReserve).UnixNano())
	value := binary.BigEndian.AppendUint64([]byte{clockVersion}, uint64(until))
	if err := n.cfg.Store.PutMeta(ctx, clockName, value); err != nil {
		return fmt.Errorf("reserve timestamps: %w", err)
	}
	r.until.Store(until)
	return nil
}

// JoinStamp gives the timestamp of an update that this node's own store makes of two others: it is
// store.Config.Stamp. It is later than those of all updates that the node has let through to the store, and
// lies in the stretch. It is asked from inside a commit, and a commit is what extends the stretch: so it
// waits for nothing, and the stretch is extended BEFORE an update that may be joined goes to the
// store (reserveJoin). If it is over all the same, because the disk took so long, or if this node's clock is ahead of the
// others', the timestamp is zero: the store refuses the update, and whoever has the record of it brings it again.
func (n *Node) JoinStamp() cluster.Timestamp {
	t, err := n.senses.next(n.cfg.Now())
	if err != nil || t.Time > n.clock.until.Load() {
		return cluster.Timestamp{}
	}
	return t
}

// reserveJoin extends the stretch for JoinStamp, if updates of a type may be joined. AFTER the update's own
// timestamp was observed.
func (n *Node) reserveJoin(ctx context.Context, t cluster.ObjectType) error {
	if !n.cfg.Store.Merges(t) {
		return nil
	}
	now := n.cfg.Now()
	next, err := n.senses.mayGive(now)
	if err != nil {
		return n.ahead(err)
	}
	return n.reserveClock(ctx, max(next.Time, now.Add(joinReserve).UnixNano()))
}
