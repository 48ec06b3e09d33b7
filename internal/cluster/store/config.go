package store

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Limits and defaults.
const (
	MinFreeDefault      = 1 << 30
	CacheSizeDefault    = 64 << 20
	MemTableSizeDefault = 64 << 20
	GraceDefault        = 7 * 24 * time.Hour

	MetaNameMax = 64      // bytes of a meta value's name
	MetaSizeMax = 4 << 20 // bytes of a meta value

	// AcceptMax is the most updates in one Accept, and the most retirements in one Retire: one
	// commit, one batch in memory.
	AcceptMax = 10_000
	// ListMax is the most objects that List gives.
	ListMax = 1 << 20

	// writersMax bounds the updates that are staged, queued or being committed, and with them
	// the memory for staged contents (writersMax x a chunk = 16 MiB).
	writersMax = 256
	// waitersMax bounds the callers that wait for a writer's place. Beyond it, KindLimit at once.
	waitersMax = 4096
	// valuesMax bounds the meta values that are queued or being committed. They have places of their own, and their own bound
	// of those who wait for one (waitersMax): what a node promises the others may not fail because much mail comes.
	valuesMax = 16
	// chunkWritersMax bounds the large contents written at the same time.
	chunkWritersMax = 8
	// groupBytesMax ends a group: more would only delay those who wait.
	groupBytesMax = 4 << 20
	// damagedMax bounds the damaged contents that are remembered, so that the engine need not look
	// at them again.
	damagedMax = 4096
	// seeksMax is how many objects are looked up together, in the order in which they lie.
	seeksMax = 128
	// derivesMax bounds what is derived late and staged together.
	derivesMax = 64
	// ownersCachedMax bounds the headers kept in memory by the committer (two generations).
	ownersCachedMax = 1 << 14
)

// Config says where a store lies and what it may hold. The zero value of a field that has a
// default stands for that default.
type Config struct {
	FS        vfs.FS             // default vfs.Default; all files are opened through it
	Dir       string             // made if absent; no other files belong in it
	ClusterID cluster.ID         // recorded in a new directory, must match in an old one
	Node      cluster.NodeID     // likewise; zero: the recorded one, or a random one in a new directory
	Types     []cluster.TypeSpec // the object types; whether a type is Cached or Inline can never change
	Logger    *slog.Logger       // default: nothing is logged
	// MinFree is the space, in bytes, below which new objects are refused. It must cover what
	// the engine needs to go on: a few memtables and a compaction. Default MinFreeDefault.
	MinFree      int64
	CacheSize    int64 // bytes of block cache; default CacheSizeDefault
	MemTableSize int64 // bytes of one memtable; default MemTableSizeDefault
	// OnFatal is called once, when the disk failed in a way that leaves what is durable unknown
	// (a write or fsync of the log failed). Nothing is acknowledged after that. The process must
	// end and start again; it must not try to go on. OnFatal may be called from any goroutine
	// and may not call the store. Default: nothing more than the failing of every call.
	OnFatal func(error)
	// Grace is how long a tombstone is kept: as long as a node may be away and come back with what
	// it had. Default GraceDefault.
	Grace time.Duration
	// VaultFor is how long the contents of a deleted object are kept, if its type says Vault. Zero:
	// they are not kept.
	VaultFor time.Duration
	// Stamp gives the timestamp of an update that joins two others (cluster.TypeSpec.Merge). It must
	// be newer than any that it gave before and than those of all updates that the store was asked to
	// apply. It is called from inside a commit: it may not wait, and not call the store. If it cannot
	// give one now it gives the zero Timestamp, and the update is refused with KindUnavailable. nil, for
	// who only reads: no update is joined, those that would have to be are refused likewise.
	Stamp func() cluster.Timestamp
	// Disk, if it is not nil, delays the answers of calls that store contents, and its times are told as
	// those of commits. For the evaluation alone.
	Disk Disk
	// Now reads the wall clock; default time.Now. It may jump: sequence numbers grow all the same.
	Now func() time.Time
}

// withDefaults checks the configuration and fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnFatal == nil {
		c.OnFatal = func(error) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Stamp == nil {
		c.Stamp = func() cluster.Timestamp { return cluster.Timestamp{} }
	}
	c.MinFree = cmp.Or(c.MinFree, MinFreeDefault)
	c.CacheSize = cmp.Or(c.CacheSize, CacheSizeDefault)
	c.MemTableSize = cmp.Or(c.MemTableSize, MemTableSizeDefault)
	c.Grace = cmp.Or(c.Grace, GraceDefault)
	switch {
	case c.Dir == "":
		return c, fmt.Errorf("no directory is given")
	case c.ClusterID == cluster.ID{}:
		return c, fmt.Errorf("no cluster id is given")
	case c.MinFree < 0 || c.CacheSize < 0 || c.MemTableSize < 0:
		return c, fmt.Errorf("a size is negative: MinFree %d, CacheSize %d, MemTableSize %d", c.MinFree, c.CacheSize, c.MemTableSize)
	case c.Grace < 0 || c.VaultFor < 0:
		return c, fmt.Errorf("a time is negative: Grace %v, VaultFor %v", c.Grace, c.VaultFor)
	}
	c.Types = slices.Clone(c.Types)
	slices.SortFunc(c.Types, func(a, b cluster.TypeSpec) int { return cmp.Compare(a.Name, b.Name) })
	for i, t := range c.Types {
		if err := layout.CheckType(t.Name); err != nil {
			return c, err
		}
		switch {
		case i > 0 && c.Types[i-1].Name == t.Name:
			return c, fmt.Errorf("type %q is declared twice", t.Name)
		case t.Cached && t.Inline:
			return c, fmt.Errorf("type %q is both cached and inline", t.Name)
		case t.HasInline() && t.Vault:
			return c, fmt.Errorf("type %q has its contents in its records: its objects cannot go to the vault", t.Name)
		case t.HasInline() && t.Derive != nil:
			return c, fmt.Errorf("type %q has its contents in its records: nothing is derived from them", t.Name)
		case t.Merge != nil && !t.HasInline():
			return c, fmt.Errorf("type %q is neither cached nor inline: its contents cannot be merged", t.Name)
		case (t.Derive == nil) != (t.DeriveVersion == 0):
			return c, fmt.Errorf("type %q: Derive and DeriveVersion go together", t.Name)
		}
	}
	return c, nil
}
