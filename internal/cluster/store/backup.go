package store

import (
	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
)

// Checkpoint makes a consistent copy of the whole store in dir, which must not exist: hard links
// where the file system can. The store serves meanwhile, and outlives a failure of the copy. All
// that was acknowledged before the call is in the copy, and more perhaps, of each commit all or
// nothing. It opens like any store directory, as the same node: only one of the two may ever serve.
func (s *Store) Checkpoint(dir string) error {
	name := "copy store to " + dir
	if err := s.enter(name); err != nil {
		return err
	}
	defer s.gate.exit()
	// In a goroutine of its own: if the log fails meanwhile, the engine may never return.
	done := make(chan error, 1)
	go func() { done <- s.db.Checkpoint(dir, pebble.WithFlushedWAL()) }()
	select {
	case err := <-done:
		if err != nil {
			return cluster.Errorf(cluster.KindInternal, name, "%w", err)
		}
		return s.failure(name)
	case <-s.dead:
		return s.failure(name)
	}
}
