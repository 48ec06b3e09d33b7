package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/index/talk"
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
	LedgerWait   time.Duration // for one write or one grant at the ledger replicas, or a page of what is read there; default 5 s
	BuildWait    time.Duration // for the building of one index, also when who asked has gone meanwhile: the next one finds it; default 5 min
	TurnWait     time.Duration // for a user's turn; default 20 s
	IdleAfter    time.Duration // an index that nobody asks is dropped after it; default 5 min
	WatchFor     time.Duration // a watch ends after it unless it is renewed; default 5 min
	LookEvery    time.Duration // how often watched users are looked at for new fragments; default 2 s
	MemoryMax    int64         // bytes of all indexes, about: the longest idle ones are dropped first; default 256 MiB
	UsersMax     int           // users that are known at one time, by an index or a watch; default 100,000
	// LineMax is how many questions of one user wait for their turn; a long one counts as several (lineUnit). After a failover all of
	// the user's sessions ask at once. Default 512: half of what one connection of another node carries (transport.StreamsMax).
	LineMax     int
	MessagesMax int // of one user; default 1,000,000
	RangesMax   int // of a set of UIDs in one answer; default, and at most, talk.RangesMax
	// EndsKept is how many expunged messages of a folder are remembered, for clients that come back (RFC 7162 §3.2.6): one that
	// was away for longer is told of all that it knows and is gone. When twice as many are there the oldest are forgotten;
	// default 4,096.
	EndsKept int
	// RemoveAfter is for how long the ledger of a folder that is no more is kept, since anything of it was written last;
	// default 90 days, as long as the tree of folders remembers a deletion.
	RemoveAfter time.Duration
	NoticesMax  int          // waiting to be told to one node; more are told as one call fewer; default 16,384
	Logger      *slog.Logger // nil: nothing is logged
}

func (c Config) check() error {
	switch {
	case c.ClusterID == (cluster.ID{}):
		return errors.New("index: the cluster id is missing")
	case c.Floor == nil:
		return errors.New("index: Floor is missing")
	case c.RangesMax < 0 || c.RangesMax > talk.RangesMax:
		return fmt.Errorf("index: an answer holds at most %d ranges of UIDs: %d are too many", talk.RangesMax, c.RangesMax)
	}
	return nil
}

func (c Config) withDefaults() Config {
	cluster.Default(&c.CompleteWait, 10*time.Second)
	cluster.Default(&c.LedgerWait, 5*time.Second)
	cluster.Default(&c.BuildWait, 5*time.Minute)
	cluster.Default(&c.TurnWait, 20*time.Second)
	cluster.Default(&c.IdleAfter, 5*time.Minute)
	cluster.Default(&c.WatchFor, 5*time.Minute)
	cluster.Default(&c.LookEvery, 2*time.Second)
	cluster.Default(&c.UsersMax, 100_000)
	cluster.Default(&c.LineMax, 512)
	cluster.Default(&c.MessagesMax, 1_000_000)
	cluster.Default(&c.RangesMax, talk.RangesMax)
	cluster.Default(&c.NoticesMax, 16_384)
	cluster.Default(&c.EndsKept, 4_096)
	cluster.Default(&c.RemoveAfter, 90*24*time.Hour)
	cluster.Default(&c.MemoryMax, 256<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
