package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"

	"porcupine/internal/cluster/store/internal/layout"
)

// Settings of the storage engine, chosen for mail: values of a few KiB, written once, read a few
// times, deleted soon.
const (
	// memTablesMax stops writes when so many memtables wait to be flushed.
	memTablesMax = 3
	// blockSize suits both bodies, which exceed it and get a block each, and records.
	blockSize = 8 << 10
	// tableSize is the size of the tables of a flush; deeper levels double it.
	tableSize = 16 << 20
	// levelBaseSize is the size of the first sorted level. Larger than a memtable, so that one
	// flush does not already push data further down.
	levelBaseSize = 256 << 20
	// smoothBytes has the kernel write back large files as they grow. For the log it matters
	// only while large contents are written un-synced.
	smoothBytes = 1 << 20
	// bloomBits a key: most reads of the committer ask for objects that are new.
	bloomBits = 10
	// compactionsMax bounds the parallel compactions; two CPUs must be enough for a node.
	compactionsMax = 2
)

// engineOptions tunes Pebble for the store.
func (s *Store) engineOptions() *pebble.Options {
	o := &pebble.Options{
		FS:   s.fs,
		Lock: s.lock,
		// The engine takes its memtables out of the cache's size.
		CacheSize:                   s.cfg.CacheSize + memTablesMax*s.cfg.MemTableSize,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                uint64(s.cfg.MemTableSize),
		MemTableStopWritesThreshold: memTablesMax,
		LBaseMaxBytes:               levelBaseSize,
		FlushSplitBytes:             tableSize,
		BytesPerSync:                smoothBytes,
		WALBytesPerSync:             smoothBytes,
		CompactionConcurrencyRange:  func() (int, int) { return 1, compactionsMax },
		Logger:                      engineLogger{s},
		EventListener: &pebble.EventListener{
			// Damage is the business of whoever reads it: they get KindCorrupt. The engine's own
			// default would end the process, and a message that is damaged on one node may be
			// whole on another.
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				s.count.corrupt.Add(1)
				s.cfg.Logger.Error("store: damaged data", "path", info.Path, "err", info.Details)
			},
			BackgroundError: func(err error) {
				s.count.background.Add(1)
				s.cfg.Logger.Warn("store: background work failed and will be tried again", "err", err)
			},
			// A broken promise about single deletions: a bug of ours.
			PossibleAPIMisuse: func(info pebble.PossibleAPIMisuseInfo) {
				s.count.broken.Add(1)
				s.cfg.Logger.Error("store: broken rule of the layout, please report it", "kind", info.Kind, "key", fmt.Sprintf("%q", info.UserKey))
			},
			WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
				s.count.stalls.Add(1)
				s.cfg.Logger.Warn("store: writes wait for the disk to catch up", "reason", info.Reason)
			},
		},
	}
	// A table of mixed kinds would span the whole range of contents, and every compaction of it
	// would drag all of them along.
	o.Experimental.SpanPolicyFunc = func(start []byte) (pebble.SpanPolicy, []byte, error) {
		return pebble.SpanPolicy{}, layout.ContentsBorder(start), nil
	}
	o.TargetFileSizes[0] = tableSize
	for i := range o.Levels {
		o.Levels[i].BlockSize = blockSize
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	o.ApplyCompressionSettings(compression)
	return o
}

// compression spends CPU only on what has lived long enough to reach the last two levels.
func compression() pebble.DBCompressionSettings {
	c := pebble.UniformDBCompressionSettings(block.NoCompression)
	c.Name = "last levels"
	for i := len(c.Levels) - 2; i < len(c.Levels); i++ {
		c.Levels[i] = block.FastestCompression
	}
	return c
}

// engineLogger takes the engine's messages. Fatalf is how the engine reports that the log or the
// manifest could not be written: it marks the store failed and, unlike what the engine hopes
// for, returns; Store.write takes no result of the engine for success after that.
type engineLogger struct{ s *Store }

func (l engineLogger) Infof(format string, args ...any) {
	if l.s.cfg.Logger.Enabled(context.Background(), slog.LevelDebug) {
		l.s.cfg.Logger.Debug("store: engine", "msg", fmt.Sprintf(format, args...))
	}
}

func (l engineLogger) Errorf(format string, args ...any) {
	l.s.cfg.Logger.Error("store: engine", "msg", fmt.Sprintf(format, args...))
}

func (l engineLogger) Fatalf(format string, args ...any) { l.s.fail(fmt.Errorf(format, args...)) }
