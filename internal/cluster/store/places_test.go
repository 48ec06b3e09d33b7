package store

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster/store/internal/layout"
)

// silentBody is contents that come from a peer that has stopped.
type silentBody struct {
	size int64
	gone chan struct{}
}

func (b *silentBody) Size() int64 { return b.size }
func (b *silentBody) ReadAt([]byte, int64) (int, error) {
	<-b.gone
	return 0, fmt.Errorf("the peer is gone")
}

// TestLargeContentsLeavePlaces: callers that wait to write large contents, because those before them wait for a peer, leave places
// for who writes something small: the disk is idle.
func TestLargeContentsLeavePlaces(t *testing.T) {
	s := openMem(t)
	gone := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writersMax {
		wg.Go(func() {
			u, _ := put("message", "a@b", fmt.Sprint(i), 1, make([]byte, 2*layout.ChunkSize), self)
			if _, err := s.Apply(context.Background(), u, &silentBody{2 * layout.ChunkSize, gone}); err == nil {
				t.Error("contents that never came are stored")
			}
		})
	}
	for s.count.pending.Load() < writersMax {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.PutMeta(ctx, "membership", []byte("a promise")); err != nil {
		t.Errorf("PutMeta() = %v", err)
	}
	close(gone)
	wg.Wait()
}
