package store

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/iowatch"
	"porcupine/internal/cluster/store/internal/layout"
)

// Store is the hard state of one node. Its methods may be called from any goroutine.
type Store struct {
	cfg    Config
	db     *pebble.DB
	lock   *pebble.Lock
	fs     *iowatch.FS
	format layout.Format
	types  map[cluster.ObjectType]cluster.TypeSpec // declared by the configuration

	gate    gate
	serving atomic.Bool           // between Open and Close
	failed  atomic.Pointer[error] // why the store is dead; nil while it is not
	dead    chan struct{}         // closed when failed is set
	numbers atomic.Int64          // last sequence or contents number given
	state   atomic.Pointer[totals]
	found   uint64        // FoundSeq
	durable atomic.Uint64 // DurableSeq
	space   space
	damaged damaged
	count   counters
	pool    *recycled

	places  chan struct{} // a writer's place: writersMax of them
	chunked chan struct{} // a large writer's place: chunkWritersMax of them
	values  chan struct{} // a meta value's place: valuesMax of them
	queue   chan *op      // to the committer; never full, since places bound it

	collecting    chan struct{} // the place of the one Collect under way
	tombstoneNext []byte        // where the next one looks for tombstones; the collecting one's

	stopped chan struct{} // closed when the committer has ended
}

// Node gives the identity recorded in the directory.
func (s *Store) Node() cluster.NodeID { return s.format.Node }

// LastTime gives the largest Timestamp.Time of any update this store ever applied, across
// restarts: a clock that continues after it never repeats the timestamp of a stored update. It
// knows nothing of timestamps that were given and not stored here; a node reserves those ahead
// with PutMeta.
func (s *Store) LastTime() int64 { return s.state.Load().Time }

// FoundSeq gives the sequence number of the last commit that was found in the directory when it was
// opened; 0 in a new one.
func (s *Store) FoundSeq() uint64 { return s.found }

// DurableSeq gives the sequence number of the last commit of this process that was made durable, 0 if
// there is none yet. Whatever happens to the process or the machine, the next one finds at least that
// (FoundSeq): commits that wait for the fsync of another, like retirements, are not told of.
func (s *Store) DurableSeq() uint64 { return s.durable.Load() }

// Close waits for the calls under way and closes the files. Later calls fail with
// KindUnavailable. A store that has failed gives up its files only when the process ends.
func (s *Store) Close() error {
	if !s.gate.close() {
		return nil
	}
	select {
	case <-s.gate.idle:
		close(s.queue)
		select {
		case <-s.stopped:
		case <-s.dead:
		}
	case <-s.dead:
	}
	if err := s.failure("close store"); err != nil {
		// The engine's state is unknown; it may even hang. What is durable is on disk already.
		return err
	}
	s.serving.Store(false)
	err := s.db.Close()
	if err2 := s.lock.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return cluster.Errorf(cluster.KindInternal, "close store "+s.cfg.Dir, "%w", err)
	}
	return nil
}

// enter begins a call; unless it gives an error, the call must end with s.gate.exit().
func (s *Store) enter(name string) error {
	if err := s.failure(name); err != nil {
		return err
	}
	if !s.gate.enter() {
		return cluster.Errorf(cluster.KindUnavailable, name, "the store is closed")
	}
	return nil
}

// failure gives the error of every call on a dead store, nil while it lives.
func (s *Store) failure(name string) error {
	if err := s.failed.Load(); err != nil {
		return cluster.Errorf(cluster.KindUnavailable, name, "the store failed and must be opened again by a new process: %w", *err)
	}
	return nil
}

// fail declares the store dead. What is durable is unknown from now on (D10).
func (s *Store) fail(cause error) {
	if !s.failed.CompareAndSwap(nil, &cause) {
		return
	}
	close(s.dead)
	s.cfg.Logger.Error("store failed: nothing more is acknowledged, the process must end", "dir", s.cfg.Dir, "err", cause)
	s.cfg.OnFatal(cause)
}

// logFailed takes an error of the log before the engine gets it. The engine would panic with its
// locks held, wherever it happens to be, and take the process down with a trace that explains
// nothing. So the goroutine, which is the engine's or the committer's and never a caller's, goes
// no further: OnFatal ends the process, or, where it does not, every caller is told that the
// store is dead. While a store is opened or closed, errors take the ordinary way.
func (s *Store) logFailed(err error) {
	if s.serving.Load() {
		s.fail(fmt.Errorf("write the log: %w", err))
		select {}
	}
}

// write gives a batch to the engine. Only the committer, and Open before there is one, may call
// it: after a failure it may never return. The engine reports some failures through its logger's
// Fatalf and then returns as if nothing had happened: success is only what leaves the store alive.
func (s *Store) write(b *pebble.Batch, o *pebble.WriteOptions) (err error) {
	const name = "write to the log"
	defer func() {
		if r := recover(); r != nil {
			s.fail(fmt.Errorf("storage engine: %v\n%s", r, debug.Stack()))
		}
		if err == nil {
			err = s.failure(name)
		}
	}()
	if err := s.failure(name); err != nil {
		return err
	}
	if err := s.db.Apply(b, o); err != nil {
		s.fail(err)
	}
	return nil
}

// nextNumber gives the next sequence or contents number: the wall clock in nanoseconds, or one
// more than the last if the clock stands still or goes back.
func (s *Store) nextNumber() uint64 {
	now := s.cfg.Now().UnixNano()
	for {
		last := s.numbers.Load()
		next := max(now, last+1)
		if s.numbers.CompareAndSwap(last, next) {
			return uint64(next)
		}
	}
}

// get reads one value and hands it to use, which may not keep it. It reports whether the key
// exists. Damage that the engine finds is KindCorrupt.
func (s *Store) get(r pebble.Reader, key []byte, use func(value []byte) error) (bool, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, engineError(err)
	}
	err = use(value)
	if err2 := closer.Close(); err == nil && err2 != nil {
		err = engineError(err2)
	}
	return true, err
}

// engineError gives an error of the storage engine its kind.
func engineError(err error) error {
	if err == nil {
		return nil
	}
	if pebble.IsCorruptionError(err) {
		return cluster.Errorf(cluster.KindCorrupt, "read from disk", "%w", err)
	}
	return cluster.Errorf(cluster.KindInternal, "read from disk", "%w", err)
}

func corrupt(format string, args ...any) error {
	return cluster.Errorf(cluster.KindCorrupt, "read from disk", format, args...)
}

// within names the operation that an error stopped and keeps the error's kind.
func within(name string, err error) error {
	if err == nil {
		return nil
	}
	return &cluster.Error{Kind: cluster.KindOf(err), Op: name, Err: err}
}

// since gives the time from start to now on the configured clock, never negative.
func (s *Store) since(start time.Time) time.Duration { return max(0, s.cfg.Now().Sub(start)) }

// gate counts the calls under way and shuts once.
type gate struct {
	mu     sync.Mutex
	inside int
	shut   bool
	idle   chan struct{} // closed when shut and nobody is inside
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.inside++
	return true
}

func (g *gate) exit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.shut && g.inside == 0 {
		close(g.idle)
	}
}

// close shuts the gate; false if it was shut already.
func (g *gate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.shut = true
	if g.inside == 0 {
		close(g.idle)
	}
	return true
}
