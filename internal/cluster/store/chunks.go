package store

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// writeChunks writes contents above one chunk, un-synced, and leaves st referring to them.
// BEFORE the first chunk an intent goes to the log, AFTER all of them the committer's batch
// removes it: whatever part of that a crash leaves, Open can tell that nothing refers to the
// chunks. One chunk is in memory at a time.
func (s *Store) writeChunks(ctx context.Context, st *staged, body cluster.Body) error {
	select {
	case s.chunked <- struct{}{}:
		defer func() { <-s.chunked }()
	case <-ctx.Done():
		return cluster.Errorf(cluster.KindUnavailable, "write large contents", "the disk is busy: %w", context.Cause(ctx))
	case <-s.dead:
		return s.failure("write large contents")
	}
	number := s.nextNumber()
	b := s.db.NewBatchWithSize(largeBuffer)
	err := s.writeIntent(b, number, st.key)
	if err == nil {
		err = s.copyChunks(ctx, b, number, &st.object, body)
	}
	if err == nil {
		st.number, st.chunked = number, true
		return b.Close()
	}
	if s.failure("") != nil { // the batch may still be the engine's
		return err
	}
	b.Reset()
	if err2 := discardChunks(b, number); err2 != nil {
		return errors.Join(err, err2)
	}
	return errors.Join(err, s.write(b, pebble.NoSync), b.Close())
}

func (s *Store) writeIntent(b *pebble.Batch, number uint64, objectKey []byte) error {
	key := layout.AppendIntentKey(nil, number)
	if err := b.Set(key, layout.AppendMeta(nil, key, objectKey), nil); err != nil {
		return err
	}
	return s.write(b, pebble.NoSync)
}

// copyChunks writes the chunks and checks that they are what the object says.
func (s *Store) copyChunks(ctx context.Context, b *pebble.Batch, number uint64, o *cluster.Object, body cluster.Body) error {
	sum := sha256.New()
	for i := range layout.Chunks(o.Size) {
		if err := ctx.Err(); err != nil {
			return cluster.Errorf(cluster.KindUnavailable, "write large contents", "%w", context.Cause(ctx))
		}
		if s.space.isFull() {
			return cluster.Errorf(cluster.KindFull, "write large contents", "the disk of %s is nearly full", s.cfg.Dir)
		}
		off := int64(i) * layout.ChunkSize
		size := int(min(o.Size-off, layout.ChunkSize))
		b.Reset()
		d := b.SetDeferred(layout.ChunkKeySize, layout.ChunkHeadSize+size)
		layout.AppendChunkKey(d.Key[:0], number, i)
		if err := readFull(body, d.Value[layout.ChunkHeadSize:], off); err != nil {
			return err
		}
		sum.Write(d.Value[layout.ChunkHeadSize:])
		layout.SealChunk(d.Key, d.Value)
		if err := d.Finish(); err != nil {
			return err
		}
		if err := s.write(b, pebble.NoSync); err != nil {
			return err
		}
		s.space.wrote(int64(size))
	}
	if [32]byte(sum.Sum(nil)) != o.Sum {
		return sumError()
	}
	return nil
}
