package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/iowatch"
	"porcupine/internal/cluster/store/internal/layout"
)

// reopenGap is how far sequence numbers jump when a store is opened: past all that may have been
// given out by commits that a crash undid, even if the wall clock went back meanwhile.
const reopenGap = time.Minute

// Open opens the store in cfg.Dir, and makes it if the directory is empty or absent. It refuses
// with an error that says what to do: a directory that is open already (KindExists), one of
// another cluster or node (KindDenied), another format version, or what is not a store
// (KindInvalid).
func Open(cfg Config) (*Store, error) {
	name := "open store " + cfg.Dir
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, name, "%w", err)
	}
	s := newStore(cfg)
	if err := s.open(); err != nil {
		return nil, within(name, err)
	}
	s.serving.Store(true)
	go newCommitter(s).run()
	return s, nil
}

func newStore(cfg Config) *Store {
	s := &Store{
		cfg:     cfg,
		types:   make(map[cluster.ObjectType]cluster.TypeSpec, len(cfg.Types)),
		gate:    gate{idle: make(chan struct{})},
		dead:    make(chan struct{}),
		places:  make(chan struct{}, writersMax),
		chunked: make(chan struct{}, chunkWritersMax),
		values:  make(chan struct{}, valuesMax),
		queue:   make(chan *op, writersMax+valuesMax),
		stopped: make(chan struct{}),
		pool:    newRecycled(),

		collecting: make(chan struct{}, 1),
	}
	for _, t := range cfg.Types {
		s.types[t.Name] = t
	}
	s.fs = iowatch.New(cfg.FS, cfg.Dir, cfg.Now, s.logFailed)
	s.space.s = s
	return s
}

func (s *Store) open() (err error) {
	if err := s.cfg.FS.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	s.space.renew() // BEFORE anyone asks: only one of those who ask at once makes the reading
	s.lock, err = pebble.LockDirectory(s.cfg.Dir, s.fs)
	if err != nil {
		return cluster.Errorf(cluster.KindExists, "lock", "the store is in use: stop the other process that has it open, or give this one a directory of its own: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	s.db, err = pebble.Open(s.cfg.Dir, s.engineOptions())
	if err != nil && s.isUnfinished() {
		s.cfg.Logger.Warn("store: a crash interrupted the making of the directory; making it again", "dir", s.cfg.Dir, "err", err)
		if err = s.removeUnfinished(); err == nil {
			s.db, err = pebble.Open(s.cfg.Dir, s.engineOptions())
		}
	}
	if err != nil {
		return fmt.Errorf("the storage engine cannot read the directory (if it is damaged, move it away: the node then starts empty, under a new identity): %w", engineError(err))
	}
	if err := s.recover(); err != nil {
		return errors.Join(err, s.db.Close())
	}
	return nil
}

// isUnfinished reports whether the directory holds what a crash left of its making: the engine's
// files, but no table and no byte of a log. Nothing was ever acknowledged then, since the first
// commit of a store, its format record, is in a log or a table.
func (s *Store) isUnfinished() bool {
	names, err := s.cfg.FS.List(s.cfg.Dir)
	if err != nil {
		return false
	}
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, ".log"):
			info, err := s.cfg.FS.Stat(s.cfg.FS.PathJoin(s.cfg.Dir, name))
			if err != nil || info.Size() != 0 {
				return false
			}
		case !isEngineFile(name):
			return false
		}
	}
	return true
}

// isEngineFile reports whether the engine makes files of that name before it holds any data.
func isEngineFile(name string) bool {
	for _, prefix := range [...]string{"MANIFEST-", "OPTIONS-", "marker.", "temporary.", "CURRENT", "LOCK"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (s *Store) removeUnfinished() error {
	names, err := s.cfg.FS.List(s.cfg.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "LOCK" {
			continue // held
		}
		if err := s.cfg.FS.Remove(s.cfg.FS.PathJoin(s.cfg.Dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// recover reads what the last process left: whose store it is, how far it came, and large
// contents whose last commit never happened.
func (s *Store) recover() error {
	var state layout.State
	if _, err := s.get(s.db, layout.StateKey(), func(v []byte) (err error) {
		state, err = layout.ParseState(v)
		return err
	}); err != nil {
		return cluster.Errorf(cluster.KindCorrupt, "state record", "%w", err)
	}
	b := s.db.NewBatch()
	if err := s.recoverFormat(b); err != nil {
		return errors.Join(err, b.Close())
	}
	last, err := s.removeIntents(b)
	if err != nil {
		return errors.Join(err, b.Close())
	}
	s.state.Store(&totals{State: state})
	s.found = state.Seq
	s.numbers.Store(max(int64(state.Seq)+int64(reopenGap), int64(last)))
	if b.Empty() {
		return b.Close()
	}
	if err := s.write(b, pebble.Sync); err != nil {
		return err
	}
	return b.Close()
}

// recoverFormat checks the format record against the configuration, or makes it.
func (s *Store) recoverFormat(b *pebble.Batch) error {
	found, err := s.get(s.db, layout.FormatKey(), func(v []byte) (err error) {
		s.format, err = layout.ParseFormat(v)
		return err
	})
	var version *layout.VersionError
	switch {
	case errors.As(err, &version):
		return cluster.Errorf(cluster.KindInvalid, "format record", "%w: start the program version that wrote it", err)
	case err != nil:
		return cluster.Errorf(cluster.KindCorrupt, "format record", "%w", err)
	case found:
		err = s.matchFormat()
	default:
		err = s.makeFormat()
	}
	if err != nil {
		return err
	}
	old := found && s.format.Version != layout.FormatVersion
	if old {
		s.cfg.Logger.Info("store: the directory is upgraded; older versions of the program cannot read it any more",
			"dir", s.cfg.Dir, "from", s.format.Version, "to", layout.FormatVersion)
	}
	s.format.Version = layout.FormatVersion
	if added := s.addTypes(); !added && found && !old {
		return nil
	}
	return b.Set(layout.FormatKey(), layout.AppendFormat(nil, &s.format), nil)
}

func (s *Store) matchFormat() error {
	if s.format.Cluster != s.cfg.ClusterID {
		return cluster.Errorf(cluster.KindDenied, "format record", "the directory belongs to cluster %x, this node to cluster %x: give it another directory",
			s.format.Cluster, s.cfg.ClusterID)
	}
	if s.cfg.Node != cluster.NoNode && s.format.Node != s.cfg.Node {
		return cluster.Errorf(cluster.KindDenied, "format record", "the directory belongs to node %s, this is node %s: each node needs a directory of its own",
			s.format.Node, s.cfg.Node)
	}
	for _, t := range s.format.Types {
		if now, ok := s.types[t.Name]; ok && (now.Cached != t.Cached || now.Inline != t.Inline) {
			return cluster.Errorf(cluster.KindInvalid, "format record", "type %q was stored with cached=%t, inline=%t and is declared with cached=%t, inline=%t: start the program version that wrote it",
				t.Name, t.Cached, t.Inline, now.Cached, now.Inline)
		}
	}
	return nil
}

// makeFormat gives a new directory its identity, unless there is something else in it.
func (s *Store) makeFormat() error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return engineError(err)
	}
	used := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return engineError(err)
	}
	if used {
		return cluster.Errorf(cluster.KindInvalid, "format record", "the directory holds a database of another program: give the node an empty directory")
	}
	s.format = layout.Format{Cluster: s.cfg.ClusterID, Node: s.cfg.Node}
	for s.format.Node == cluster.NoNode {
		var id [8]byte
		if _, err := rand.Read(id[:]); err != nil {
			return fmt.Errorf("draw a node id: %w", err)
		}
		s.format.Node = cluster.NodeID(binary.BigEndian.Uint64(id[:]))
	}
	return nil
}

// addTypes records types that were not declared before. Types that are no longer declared stay
// recorded: their objects are still there.
func (s *Store) addTypes() (added bool) {
	for _, t := range s.cfg.Types {
		i, found := slices.BinarySearchFunc(s.format.Types, t.Name, func(have cluster.TypeSpec, name cluster.ObjectType) int {
			return cmp.Compare(have.Name, name)
		})
		if !found {
			s.format.Types = slices.Insert(s.format.Types, i, t)
			added = true
		}
	}
	return added
}

// removeIntents removes the chunks of contents that a crash interrupted, and gives the largest
// number they had.
func (s *Store) removeIntents(b *pebble.Batch) (last uint64, err error) {
	lower, upper := layout.Bounds(layout.PrefixIntent)
	it, err := s.db.NewIterWithContext(context.Background(), &pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return 0, engineError(err)
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		_, last, err = layout.ParseNumberKey(it.Key())
		if err == nil {
			err = discardChunks(b, last)
		}
	}
	return last, errors.Join(err, engineError(it.Error()), engineError(it.Close()))
}

// discardChunks has a batch remove contents in chunks that no object refers to, and their intent.
func discardChunks(b *pebble.Batch, number uint64) error {
	lower, upper := layout.ChunkBounds(number)
	if err := b.DeleteRange(lower, upper, nil); err != nil {
		return err
	}
	return b.SingleDelete(layout.AppendIntentKey(nil, number), nil)
}
