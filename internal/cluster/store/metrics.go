package store

import (
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
)

// counters are what the store counts while it runs.
type counters struct {
	pending    atomic.Int64 // updates asked for and not yet answered
	values     atomic.Int64 // meta values, likewise
	commits    atomic.Int64
	updates    atomic.Int64
	applied    atomic.Int64
	bytes      atomic.Int64
	commitTime atomic.Int64 // nanoseconds, all commits
	commitMean atomic.Int64 // nanoseconds, moving average
	commitLast atomic.Int64 // when the last one ended: nanoseconds since 1970
	headerHits atomic.Int64
	headerMiss atomic.Int64
	refused    atomic.Int64 // because the disk was full
	corrupt    atomic.Int64
	background atomic.Int64
	stalls     atomic.Int64
	broken     atomic.Int64
	healed     atomic.Int64
	collected  atomic.Int64

	derived     atomic.Int64
	derivedLate atomic.Int64
	underived   atomic.Int64
}

// commitMeanShare is the weight of one commit in the moving average: 1/8.
const commitMeanShare = 8

// commitRecent is how long the service time of commits says something of the next one. Who was slow for
// a moment and gets nothing new since would be taken for slow for ever.
const commitRecent = 10 * time.Second

// committed counts one commit, which ended now. Only the committer calls it.
func (c *counters) committed(took time.Duration, now time.Time) {
	c.commits.Add(1)
	c.commitTime.Add(int64(took))
	mean := int64(c.recentCommit(now))
	if mean == 0 {
		mean = int64(took)
	}
	c.commitMean.Store(max(1, mean+(int64(took)-mean)/commitMeanShare))
	c.commitLast.Store(now.UnixNano())
}

// recentCommit gives the moving average of the service time; 0: the last commit was too long ago.
func (c *counters) recentCommit(now time.Time) time.Duration {
	if now.UnixNano()-c.commitLast.Load() > int64(commitRecent) {
		return 0
	}
	return time.Duration(c.commitMean.Load())
}

// Metrics counts what the store did since it was opened.
type Metrics struct {
	Pending    int64         // updates asked for and not yet answered (gauge)
	Commits    int64         // durable commits of the group committer
	CommitTime time.Duration // they took, in all
	Updates    int64         // updates and meta values in them; Updates/Commits is the mean group
	Applied    int64         // updates that changed something
	Bytes      int64         // of contents taken in
	LogSyncs   int64         // fsyncs of the write-ahead log
	Syncs      int64         // fsyncs of all files, the log included
	HeaderHits int64         // headers found in memory by the committer
	HeaderMiss int64         // headers read from disk by it
	Refused    int64         // updates refused because the disk was full
	Corrupt    int64         // damaged records and contents met
	Background int64         // failed flushes and compactions, tried again
	Stalls     int64         // times that writes had to wait for flushes or compactions
	Broken     int64         // broken rules of the layout; anything but 0 is a bug
	Failed     bool          // the store is dead (gauge)

	Objects    int64 // held of types that are not cached, tombstones not counted (gauge)
	Contents   int64 // bytes of the contents of all objects, cached ones too (gauge)
	Records    int64 // update records that propagate: the length of the update log (gauge)
	Retired    int64 // update records that are over, and remembered for a while (gauge)
	Vaulted    int64 // deleted objects in the vault (gauge)
	VaultBytes int64 // of their contents, not part of Contents (gauge)
	Healed     int64 // objects whose damaged contents were replaced
	Collected  int64 // records, tombstones and vaulted objects removed since their time was over
	Derived    int64 // objects from whose contents data was derived
	Late       int64 // of them, those that were asked for before there was any
	Underived  int64 // objects from whose contents nothing could be derived
	DiskFree   int64 // bytes (gauge)
	DiskFull   bool  // new objects are refused (gauge)
	DiskUsed   int64 // bytes of the engine's files (gauge)
	LogWritten int64 // bytes written to the log, with the engine's framing
	Flushed    int64 // bytes written to tables by flushes
	Compacted  int64 // bytes written to tables by compactions
	MemTable   int64 // bytes in memtables (gauge)
	CacheHits  int64 // blocks found in the block cache
	CacheMiss  int64 // blocks read from disk
}

// Metrics gives the counters. The engine's own are 0 once the store is closed or dead.
func (s *Store) Metrics() Metrics {
	c, state := &s.count, s.state.Load()
	m := Metrics{
		Pending: c.pending.Load(), Commits: c.commits.Load(), CommitTime: time.Duration(c.commitTime.Load()),
		Updates: c.updates.Load(), Applied: c.applied.Load(), Bytes: c.bytes.Load(),
		LogSyncs: s.fs.LogSyncs.Load(), Syncs: s.fs.Syncs.Load(),
		HeaderHits: c.headerHits.Load(), HeaderMiss: c.headerMiss.Load(),
		Refused: c.refused.Load(), Corrupt: c.corrupt.Load(), Background: c.background.Load(),
		Stalls: c.stalls.Load(), Broken: c.broken.Load(), Failed: s.failed.Load() != nil,
		Objects: state.Objects, Contents: state.Bytes, Records: state.Records, Retired: state.Retired,
		Vaulted: state.Vaulted, VaultBytes: state.VaultBytes, Healed: c.healed.Load(), Collected: c.collected.Load(),
		Derived: c.derived.Load(), Late: c.derivedLate.Load(), Underived: c.underived.Load(),
		DiskFree: s.space.free.Load(), DiskFull: s.space.full.Load(),
	}
	if s.enter("read metrics") != nil {
		return m
	}
	defer s.gate.exit()
	e := s.db.Metrics()
	m.DiskUsed = int64(e.DiskSpaceUsage())
	m.LogWritten = int64(e.WAL.BytesWritten)
	for i := range e.Levels { // the engine's own total counts the log as flushed
		m.Flushed += int64(e.Levels[i].TableBytesFlushed)
		m.Compacted += int64(e.Levels[i].TableBytesCompacted)
	}
	m.MemTable = int64(e.MemTable.Size)
	m.CacheHits, m.CacheMiss = e.BlockCache.Hits, e.BlockCache.Misses
	return m
}

// Hangs gives for how long the oldest of what commits wait for the disk to do has been under way, and
// says what it is, for people; 0 and "" when they wait for nothing. Every disk makes wait for
// milliseconds; one that does for seconds hangs, or nearly so. It never waits itself.
func (s *Store) Hangs() (time.Duration, string) {
	age, what := s.fs.Underway.Oldest()
	return age, what.String()
}

// Load gives the store's part of the node's load measure: Pending, Commit, DiskFull, DiskFree,
// Objects and Sole. It waits for nothing but, once a second, one question to the file system.
func (s *Store) Load() cluster.Load {
	state := s.state.Load()
	full := s.space.isFull()
	return cluster.Load{
		Pending:  int(s.count.pending.Load()),
		Commit:   s.count.recentCommit(s.cfg.Now()),
		DiskFull: full,
		DiskFree: s.space.free.Load(),
		Objects:  state.Objects,
		Sole:     state.Sole > 0 || state.alone > 0,
	}
}
