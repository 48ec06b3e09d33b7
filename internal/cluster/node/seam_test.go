package node_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/node"
)

// The substrate knows nothing of mail: another service stands on it as well. Increments go on at
// every node while nodes are killed and come back, one after the other: every one that was
// acknowledged is counted, and none twice, though calls are made again.
func TestSeam_CountersCountOnce(t *testing.T) {
	node.InBubble(t, func(t *testing.T) {
		var mu sync.Mutex
		services := map[cluster.NodeID]*Counters{}
		machines := node.BootMachines(t, 3, func(n *node.Node) {
			mu.Lock()
			defer mu.Unlock()
			services[n.ID()] = NewCounters(n)
		})
		at := func(i int) *Counters {
			mu.Lock()
			defer mu.Unlock()
			return services[cluster.NodeID(0x10*(i+1))]
		}
		ctx, stop := context.WithCancel(context.Background())
		var clients sync.WaitGroup
		var acked, tried [4]int64
		for i := range acked {
			clients.Go(func() { acked[i], tried[i] = count(ctx, t, at, i) })
		}
		for i := range node.Rounds(3) {
			machines.Bounce(i)
		}
		stop()
		clients.Wait()
		for i := range acked {
			name := fmt.Sprintf("counter-%d", i)
			got, err := at(i%3).Value(context.Background(), name)
			if err != nil || got < acked[i] || got > tried[i] {
				t.Errorf("%s = %d, %v; want %d acknowledged to %d tried", name, got, err, acked[i], tried[i])
			}
			if acked[i] < 20 {
				t.Errorf("%s: only %d increments in all that time", name, acked[i])
			}
		}
		if _, err := at(0).Value(context.Background(), "never used"); !cluster.IsKind(err, cluster.KindNotFound) {
			t.Errorf("a counter that was never used: %v, want kind not found", err)
		}
	})
}

// count increments one counter at one node after the other until ctx ends.
func count(ctx context.Context, t *testing.T, at func(int) *Counters, client int) (acked, tried int64) {
	name := fmt.Sprintf("counter-%d", client)
	for ctx.Err() == nil {
		tried++
		for round := 0; ctx.Err() == nil; round++ { // the same change, until it is acknowledged
			one, cancel := context.WithTimeout(ctx, 5*time.Second)
			got, err := at((client+round)%3).Add(one, name, 1, fmt.Sprint(client), uint64(tried))
			cancel()
			if err == nil {
				if acked = tried; got != tried {
					t.Errorf("%s: change %d gives %d", name, tried, got)
				}
				break
			}
			if k := cluster.KindOf(err); k != cluster.KindUnavailable && k != cluster.KindFull {
				t.Errorf("V1: %s: Add = %v, of kind %v", name, err, k)
			}
			node.Pass(20 * time.Millisecond)
		}
		node.Pass(10 * time.Millisecond)
	}
	return acked, tried
}
