package feed

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// Limits of the feed at one node.
const (
	SubscriptionsMax = 1 << 17 // of others at this node; more are refused with KindLimit. Also of this node at others
	TypesMax         = 8       // of one subscription
	PendingMax       = 1024    // changes of one subscription that wait to be sent; more are lost
	PendingAllMax    = 1 << 16 // of all subscriptions together
	BatchMax         = 256     // changes in one call
	BatchBytesMax    = 256 << 10
	QueueMax         = 4096 // changes of one subscription that wait for the callback; more are lost
	RenewMax         = 1000 // subscriptions in one call of renewal
	recentMax        = 16   // objects of one subscription that are remembered, so that the order of their changes is kept
)

// Times of the feed.
const (
	FlushDelay  = 20 * time.Millisecond // from the first change to the call that tells it
	Lease       = 30 * time.Second      // without a renewal a holder forgets the subscription
	RenewPeriod = 10 * time.Second
	RetryPause  = time.Second     // before a node that did not answer is called again
	CallTimeout = 5 * time.Second // of one call
)

// node is what the feed needs of the node that it runs on: *node.Node.
type node interface {
	View() *cluster.View
	Changed() <-chan struct{}
	Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error)
	Serve(method string, f func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error))
}

// Event is what a subscriber is told.
type Event struct {
	// Gap says that changes were lost before those of this event: list again.
	Gap bool
	// Changes are in the order in which they were committed there, but for those of one moment. They are the callback's.
	Changes []cluster.Change
	// Cursor is how far the subscription has come.
	Cursor Cursor
}

// Cursor is a place in the changes that one subscription is told. Cursors of one life can be compared by
// Seq; another life is after a gap.
type Cursor struct {
	Life uint64 // of the subscription in the holder's table
	Seq  uint64 // of the last change
}

// Feed is both sides of the change feed at one node. Its methods may be called from any goroutine.
type Feed struct {
	node   node
	log    *slog.Logger
	ctx    context.Context // until Close
	end    context.CancelFunc
	holder holder
	mine   mine
	count  counters

	mu    sync.Mutex
	ended bool
	work  sync.WaitGroup
}

// New makes a feed and registers its methods with the node, BEFORE the node starts. The node must be
// told to call Wants and Changed. The feed runs until Close.
func New(n node, log *slog.Logger) *Feed {
	f := &Feed{node: n, log: log}
	f.ctx, f.end = context.WithCancel(context.Background())
	f.holder.init()
	f.mine.init()
	n.Serve(methodSubscribe, f.handleSubscribe)
	n.Serve(methodRenew, f.handleRenew)
	n.Serve(methodChanges, f.handleChanges)
	f.async(f.run)
	return f
}

// Close ends all subscriptions of this node and waits for what runs, callbacks included.
func (f *Feed) Close() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.end()
	f.work.Wait()
}

// async runs g in a goroutine that Close waits for; false if the feed has ended.
func (f *Feed) async(g func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	f.work.Go(g)
	return true
}

// run does what is due, as a holder and as a subscriber, until Close.
func (f *Feed) run() {
	tick := time.NewTicker(RetryPause)
	defer tick.Stop()
	for {
		changed := f.node.Changed() // BEFORE the view is looked at
		f.expire(time.Now())
		f.renewDue(time.Now())
		select {
		case <-f.ctx.Done():
			return
		case <-tick.C:
		case <-changed:
			f.mine.hurry() // a holder may have been started again
		}
	}
}

// call is a call to another node, or this one, in bounded time.
func (f *Feed) call(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	return f.node.Tell(ctx, to, method, payload)
}

// wait lets time pass; false if the feed has ended.
func (f *Feed) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}
