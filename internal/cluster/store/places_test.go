package store

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
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

// M5: as many updates wait as may, and all writers' places are taken: the next is refused, and a value is stored nevertheless. A node
// that is overloaded keeps what it promises, and its probes of the disk are answered.
func TestM5_ValuesAreStoredUnderOverload(t *testing.T) {
	s := openMem(t)
	gone := make(chan struct{})
	var wg sync.WaitGroup
	wait := func(id string) error {
		u, _ := put("message", "a@b", id, 1, make([]byte, 10), self)
		_, err := s.Apply(context.Background(), u, &silentBody{10, gone})
		return err
	}
	for i := range waitersMax {
		wg.Go(func() {
			if wait(fmt.Sprint(i)) == nil {
				t.Error("contents that never came are stored")
			}
		})
	}
	for s.count.pending.Load() < waitersMax || len(s.places) < writersMax {
		runtime.Gosched()
	}
	wantKind(t, "one update more", wait("more"), cluster.KindLimit)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for i := range 2 * valuesMax {
		if err := s.PutMeta(ctx, "membership", fmt.Append(nil, "promise ", i)); err != nil {
			t.Errorf("PutMeta() %d = %v", i, err)
		}
	}
	close(gone)
	wg.Wait()
	if v, p := s.count.values.Load(), s.count.pending.Load(); v != 0 || p != 0 || len(s.values) != 0 || len(s.places) != 0 {
		t.Errorf("in the end %d values and %d updates wait, and %d and %d places are taken; want none", v, p, len(s.values), len(s.places))
	}
}
