package store

import (
	"context"
	"crypto/sha256"
	"errors"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// writeChunks writes contents above one chunk, un-synced, and leaves st referring to them.
// BEFORE the first chunk an intent goes to the log, AFTER all of them the committer's batch
// removes it: whatever part of that a crash leaves, Open can tell that nothing refers to the
// chunks. One chunk is in memory at a time.
//
// The caller's goroutine reads and hashes, the committer writes. If ctx ends while the committer
// has a chunk, it keeps the places of the update and undoes what was written (st.adopted). The caller has taken a large writer's place
// (takePlaceFor), which is given back here.
func (s *Store) writeChunks(ctx context.Context, st *staged, body cluster.Body) error {
	const name = "write large contents"
	p := &op{name: name, done: make(chan struct{}, 1), chunk: s.db.NewBatchWithSize(largeBuffer), number: s.nextNumber()}
	err := s.writeIntent(ctx, p, st.key)
	if err == nil {
		err = s.copyChunks(ctx, p, &st.object, body)
	}
	if err != nil && p.left.Load() != opAbandoned {
		err = errors.Join(err, s.undoChunks(ctx, p))
	}
	if p.left.Load() == opAbandoned {
		st.adopted = true
		return err
	}
	<-s.chunked
	if s.failed.Load() != nil { // the batch may still be the engine's
		return errors.Join(err, s.failure(name))
	}
	if err == nil {
		st.number, st.chunked = p.number, true
	}
	return errors.Join(err, p.chunk.Close())
}

// sendChunk has the committer write p.chunk.
func (s *Store) sendChunk(ctx context.Context, p *op) error {
	p.left.Store(0)
	s.queue <- p // never blocks: see commit
	select {
	case <-p.done:
		return p.err
	case <-s.dead:
		return s.failure(p.name)
	case <-ctx.Done():
	}
	if p.leave(opAbandoned) {
		return cluster.Errorf(cluster.KindUnavailable, p.name, "%w", context.Cause(ctx))
	}
	<-p.done
	return p.err
}

func (s *Store) writeIntent(ctx context.Context, p *op, objectKey []byte) error {
	key := layout.AppendIntentKey(nil, p.number)
	if err := p.chunk.Set(key, layout.AppendMeta(nil, key, objectKey), nil); err != nil {
		return err
	}
	return s.sendChunk(ctx, p)
}

// undoChunks removes what was written of contents that will not be stored.
func (s *Store) undoChunks(ctx context.Context, p *op) error {
	if err := s.failure(p.name); err != nil {
		return err
	}
	p.undone = true
	p.chunk.Reset()
	if err := discardChunks(p.chunk, p.number); err != nil {
		return err
	}
	return s.sendChunk(ctx, p)
}

// copyChunks writes the chunks and checks that they are what the object says.
func (s *Store) copyChunks(ctx context.Context, p *op, o *cluster.Object, body cluster.Body) error {
	sum := sha256.New()
	for i := range layout.Chunks(o.Size) {
		if s.space.isFull() {
			return cluster.Errorf(cluster.KindFull, p.name, "the disk of %s is nearly full", s.cfg.Dir)
		}
		off := int64(i) * layout.ChunkSize
		size := int(min(o.Size-off, layout.ChunkSize))
		p.chunk.Reset()
		d := p.chunk.SetDeferred(layout.ChunkKeySize, layout.ChunkHeadSize+size)
		layout.AppendChunkKey(d.Key[:0], p.number, i)
		contents := d.Value[layout.ChunkHeadSize:]
		if err := readFull(body, contents, off); err != nil {
			return err
		}
		sum.Write(contents)
		layout.SealChunk(d.Key, d.Value)
		if err := d.Finish(); err != nil {
			return err
		}
		if err := s.sendChunk(ctx, p); err != nil {
			return err
		}
		s.space.wrote(int64(size))
	}
	if [32]byte(sum.Sum(nil)) != o.Sum {
		return sumError()
	}
	return nil
}
