package store

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
)

// Config says where a store lies and what it may hold. The zero value of a field that has a
// default stands for that default.
type Config struct {
	FS        vfs.FS             // default vfs.Default; all files are opened through it
	Dir       string             // made if absent; no other files belong in it
	ClusterID cluster.ID         // recorded in a new directory, must match in an old one
	Node      cluster.NodeID     // likewise; zero: the recorded one, or a random one in a new directory
	Types     []cluster.TypeSpec // the object types; a type once Cached stays Cached
	Logger    *slog.Logger       // default: nothing is logged
	MinFree   int64              // bytes of disk below which new objects are refused; default MinFreeDefault
	CacheSize int64              // bytes of block cache; default CacheSizeDefault
	// OnFatal is called once, when the disk failed in a way that leaves what is durable unknown
	// (a write or fsync of the log failed). Nothing is acknowledged after that. The process must
	// end and start again; it must not try to go on. OnFatal may not call the store.
	OnFatal func(error)
	// Now reads the wall clock; default time.Now.
	Now func() time.Time
}

// Result says what an update did.
type Result struct {
	// Applied is false if the update changed nothing: the store had a newer or equal update of
	// the object, or nothing to remove.
	Applied bool
	// Announce says that the owner's Holding changed in a way the manager must know: a fragment
	// came or went, or a cached object changed. Send Holding(owner).
	Announce bool
	// Seq is the sequence number of the commit (see cluster.Holding.Seq).
	Seq uint64
}

// Store is the hard state of one node. Its methods may be called from any goroutine.
type Store struct{}

// Open opens the store in cfg.Dir, and makes it if the directory is empty or absent. It refuses
// with an error that says what to do: a directory that another process has open (KindExists),
// one of another cluster or node (KindDenied), another format version or what is not a store
// (KindInvalid).
func Open(cfg Config) (*Store, error) {
	return nil, cluster.Errorf(cluster.KindInternal, "open store", "being built")
}

// Close waits for the commits under way and closes the files. Later calls of any method fail
// with KindUnavailable.
func (s *Store) Close() error { return nil }

// Node gives the identity recorded in the directory.
func (s *Store) Node() cluster.NodeID { return 0 }

// LastTime gives the largest Timestamp.Time of any update this store ever applied, across
// restarts: a clock that continues after it never repeats the timestamp of a stored update.
func (s *Store) LastTime() int64 { return 0 }

// Meta gives the durable value of that name, KindNotFound if there is none. The slice is the
// caller's.
func (s *Store) Meta(name string) ([]byte, error) { return nil, nil }

// PutMeta makes a small named value durable before it returns: at most MetaNameMax bytes of
// name and MetaSizeMax bytes of value. It works on a full disk too.
func (s *Store) PutMeta(ctx context.Context, name string, value []byte) error { return nil }

// Apply makes an update durable (fsync) before it returns.
func (s *Store) Apply(ctx context.Context, u cluster.Update, body cluster.Body) (Result, error) {
	return Result{}, nil
}

// ApplyAll applies updates without contents (deletions) in one commit; results are in their order.
func (s *Store) ApplyAll(ctx context.Context, updates []cluster.Update) ([]Result, error) {
	return nil, nil
}

// Get gives an object, a tombstone too; KindNotFound if this node does not hold it.
func (s *Store) Get(id cluster.ObjectID) (cluster.Object, error) { return cluster.Object{}, nil }

// OpenBody gives an object and its contents, verified: no byte that fails its checksum is ever
// read from it (KindCorrupt instead). KindNotFound for a tombstone. The caller closes it.
func (s *Store) OpenBody(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	return cluster.Object{}, nil, nil
}

// List gives the owner's objects of a type, ordered by id, tombstones included.
func (s *Store) List(owner string, t cluster.ObjectType) ([]cluster.Object, error) { return nil, nil }

// Holding gives all that this node holds for an owner.
func (s *Store) Holding(owner string) (cluster.Holding, error) { return cluster.Holding{}, nil }

// ScanBucket calls fn with the holding of every owner in the bucket, in order of owner, all as
// of one moment, and gives the sequence number of that moment. It reads headers and cached
// objects only: the work is proportional to the owners in the bucket, not to their messages.
func (s *Store) ScanBucket(b cluster.Bucket, fn func(cluster.Holding) error) (uint64, error) {
	return 0, nil
}

// Load gives the store's part of the node's load measure: Pending, Commit, DiskFull, DiskFree,
// Objects and Sole. It never waits.
func (s *Store) Load() cluster.Load { return cluster.Load{} }

// Verify reads everything and reports each fault; the error says that it could not go on.
func (s *Store) Verify(ctx context.Context, report func(Problem)) error { return nil }

// Problem is a fault that Verify found.
type Problem struct {
	Kind   cluster.Kind // KindCorrupt for contents that fail their checksum, KindInternal for a broken rule
	Object string       // the record or object concerned, in readable form
	Text   string       // what is wrong
}

// Dump writes every record in readable form, one JSON object a line, without contents.
func (s *Store) Dump(ctx context.Context, w io.Writer) error { return nil }

// Metrics gives the counters since Open.
func (s *Store) Metrics() Metrics { return Metrics{} }

// Metrics counts what the store did since it was opened.
type Metrics struct {
	Commits  int64 // durable commits of the group committer
	Updates  int64 // updates in them; Updates/Commits is the mean group
	Applied  int64 // updates that changed something
	Bytes    int64 // of contents written
	LogSyncs int64 // fsyncs of the write-ahead log
	Syncs    int64 // fsyncs of all files, the log included
}

// Limits and defaults.
const (
	MinFreeDefault   = 1 << 30
	CacheSizeDefault = 64 << 20
	MetaNameMax      = 64
	MetaSizeMax      = 4 << 20
)
