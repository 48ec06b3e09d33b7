package index

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"porcupine/internal/cluster"
)

// reader is what the index asks the substrate to find.
type reader interface {
	ID() cluster.NodeID
	View() *cluster.View
	KnownNodes() int
	Pending(id cluster.NodeID) int
	LocalEntry(ctx context.Context, owner string) (cluster.Entry, bool)
	List(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType) ([]cluster.Object, error)
	Contents(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType, after string) (page []cluster.Copy, more bool, err error)
	Open(ctx context.Context, on cluster.NodeID, id cluster.ObjectID) (cluster.Object, io.ReadCloser, error)
}

// writer is what the index asks the substrate to do.
type writer interface {
	Timestamp(ctx context.Context) (cluster.Timestamp, error)
	Update(ctx context.Context, u cluster.Update, body cluster.Body) error
	UpdateAll(ctx context.Context, us []cluster.Update) []error
	Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error)
	Serve(method string, handler func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error))
}

// substrate is the node that the indexes live on.
type substrate interface {
	reader
	writer
}

// Follow subscribes to the changes of one owner's messages at a node that holds some: on is called with
// the changes from any goroutine, one call at a time, and with gap when some were lost before. It must
// return quickly. stop ends the subscription, and does not wait for a call that runs.
type Follow func(ctx context.Context, holder cluster.NodeID, owner string, on func(gap bool, changes []cluster.Change)) (stop func(), err error)

// Config of Indexes. ClusterID and Floor are required; zero fields are the defaults.
type Config struct {
	ClusterID cluster.ID // what owners are hashed to buckets with
	// Floor gives the timestamp that an object must be newer than to be the user's: what is not was a
	// former user's of that name.
	Floor func(e *cluster.Entry) (cluster.Timestamp, error)
	// Follow is the change feed. nil: there is none, and messages are listed for every question.
	Follow Follow

	CompleteWait time.Duration // for an incomplete bucket, and for holders that do not answer; default 10 s
	LedgerWait   time.Duration // for one write or one grant at the ledger replicas; default 5 s
	TurnWait     time.Duration // for a user's turn; default 20 s
	IdleAfter    time.Duration // an index that nobody asks is dropped after it; default 5 min
	WatchFor     time.Duration // a watch ends after it unless it is renewed; default 5 min
	LookEvery    time.Duration // how often watched users are looked at for new fragments; default 2 s
	MemoryMax    int64         // bytes of all indexes, about: the longest idle ones are dropped first; default 256 MiB
	UsersMax     int           // users that are known at one time, by an index or a watch; default 100,000
	LineMax      int           // questions of one user that wait for their turn; default 64
	MessagesMax  int           // of one user; default 1,000,000
	NoticesMax   int           // waiting to be told to one node; more are told as one call fewer; default 16,384
	Logger       *slog.Logger  // nil: nothing is logged
}

func (c Config) check() error {
	switch {
	case c.ClusterID == (cluster.ID{}):
		return errors.New("index: the cluster id is missing")
	case c.Floor == nil:
		return errors.New("index: Floor is missing")
	}
	return nil
}

func (c Config) withDefaults() Config {
	span := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	count := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	span(&c.CompleteWait, 10*time.Second)
	span(&c.LedgerWait, 5*time.Second)
	span(&c.TurnWait, 20*time.Second)
	span(&c.IdleAfter, 5*time.Minute)
	span(&c.WatchFor, 5*time.Minute)
	span(&c.LookEvery, 2*time.Second)
	count(&c.UsersMax, 100_000)
	count(&c.LineMax, 64)
	count(&c.MessagesMax, 1_000_000)
	count(&c.NoticesMax, 16_384)
	if c.MemoryMax <= 0 {
		c.MemoryMax = 256 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
