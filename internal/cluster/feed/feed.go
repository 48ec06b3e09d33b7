package feed

import (
	"context"
	"log/slog"
	"time"

	"porcupine/internal/cluster"
)

// Limits of the feed at one node.
const (
	SubscriptionsMax = 1 << 16 // of others at this node; more are refused with KindLimit
	TypesMax         = 8       // of one subscription
	PendingMax       = 1024    // changes of one subscription that wait to be sent; more are lost
	PendingAllMax    = 1 << 16 // of all subscriptions together
	BatchMax         = 256     // changes in one call
	BatchBytesMax    = 256 << 10
	QueueMax         = 4096 // changes of one subscription that wait for the callback; more are lost
	RenewMax         = 1000 // subscriptions in one call of renewal
)

// Times of the feed.
const (
	FlushDelay  = 20 * time.Millisecond // from the first change to the call that tells it
	Lease       = 30 * time.Second      // without a renewal a holder forgets the subscription
	RenewPeriod = 10 * time.Second
	RetryPause  = time.Second     // before a holder that did not answer is asked again, and a loss is told again
	CallTimeout = 5 * time.Second // of one call
)

// Node is what the feed needs of the node that it runs on: *node.Node.
type Node interface {
	ID() cluster.NodeID
	View() *cluster.View
	Changed() <-chan struct{}
	Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error)
	Serve(method string, f func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error))
}

// Config is what a feed is made of.
type Config struct {
	Node   Node
	Logger *slog.Logger
}

// Event is what a subscriber is told.
type Event struct {
	// Gap says that changes were lost before those of this event: list again.
	Gap bool
	// Changes are in the order in which the holder was told of them. They are the callback's.
	Changes []cluster.Change
	// Cursor is the number of the last of them: the subscription is complete from the listing that
	// follows the last gap up to here.
	Cursor Cursor
}

// Cursor is a place in the changes that one subscription is told. Cursors of one life of a
// subscription at its holder can be compared by Seq; another Life is after a gap.
type Cursor struct {
	Life uint64 // of the subscription in the holder's table
	Seq  uint64 // of the last change
}
