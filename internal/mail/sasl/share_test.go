package sasl_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/sasl"
)

// peers is a cluster of guards: what one tells arrives at once, unless it is parted.
type peers struct {
	view   *cluster.View
	mu     sync.Mutex
	serve  map[cluster.NodeID]func(context.Context, cluster.NodeID, []byte) ([]byte, error)
	parted bool
}

type peer struct {
	*peers
	id cluster.NodeID
}

func (p peer) ID() cluster.NodeID  { return p.id }
func (p peer) View() *cluster.View { return p.view }

func (p peer) Serve(_ string, f func(context.Context, cluster.NodeID, []byte) ([]byte, error)) {
	p.serve[p.id] = f
}

func (p peer) Tell(ctx context.Context, to cluster.NodeID, _ string, payload []byte) ([]byte, error) {
	p.mu.Lock()
	parted := p.parted
	p.mu.Unlock()
	if parted {
		return nil, cluster.Errorf(cluster.KindUnavailable, "tell", "parted")
	}
	return p.serve[to](ctx, p.id, payload)
}

// newShared makes n guards that tell each other, until the test ends.
func newShared(t *testing.T, n int) (*peers, []*sasl.Guard) {
	p := &peers{view: &cluster.View{}, serve: map[cluster.NodeID]func(context.Context, cluster.NodeID, []byte) ([]byte, error){}}
	var guards []*sasl.Guard
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	for i := range n {
		id := cluster.NodeID(i + 1)
		p.view.Members = append(p.view.Members, cluster.Member{Endpoint: cluster.Endpoint{ID: id}})
		g := newGuard(t, sasl.GuardConfig{Secret: []byte("the cluster's"), WaitMax: time.Hour})
		g.Share(peer{p, id})
		running.Go(func() { g.Tell(ctx, peer{p, id}, slog.New(slog.DiscardHandler)) })
		guards = append(guards, g)
	}
	return p, guards
}

// TestAttack09_SharedRecord: failures at one node count at the others, and so does a success.
func TestAttack09_SharedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g := newShared(t, 2)
		const ip = "192.0.2.1"
		settle := func() { time.Sleep(time.Second) } // what was told has arrived
		if w := try(t, g[0], ip, "a", sasl.Failed); w != 0 {
			t.Errorf("the first attempt waits %v", w)
		}
		settle()
		if w := try(t, g[1], ip, "a", sasl.Failed); w != 2*time.Second {
			t.Errorf("after a failure at the other node a second ago: waits %v, want 2 s", w)
		}
		settle()
		if w := try(t, g[0], ip, "a", sasl.Succeeded); w != 4*time.Second {
			t.Errorf("after two failures at two nodes: waits %v, want 4 s", w)
		}
		settle()
		for i := range g {
			if w := try(t, g[i], ip, "a", sasl.Undecided); w != 0 {
				t.Errorf("node %d: after the success waits %v", i, w)
			}
		}
		p.mu.Lock()
		p.parted = true
		p.mu.Unlock()
		try(t, g[0], ip, "a", sasl.Failed)
		settle()
		if w := try(t, g[1], ip, "a", sasl.Undecided); w != 0 {
			t.Errorf("parted, a failure at the other node costs %v", w)
		}
	})
}

// TestAttack09_ManyNodesAreNoHelp: an attacker who guesses at all nodes at once has about as many guesses as at one.
func TestAttack09_ManyNodesAreNoHelp(t *testing.T) {
	guesses := func(t *testing.T, nodes int) (n int) {
		synctest.Test(t, func(t *testing.T) {
			_, g := newShared(t, nodes)
			var all sync.WaitGroup
			var mu sync.Mutex
			end := time.Now().Add(10 * time.Minute)
			for i := range g {
				all.Go(func() {
					for k := 0; time.Now().Before(end); k++ {
						try(t, g[i], "192.0.2.1", fmt.Sprintf("user %d %d", i, k), sasl.Failed)
						mu.Lock()
						n++
						mu.Unlock()
					}
				})
			}
			all.Wait()
		})
		return n
	}
	one, five := guesses(t, 1), guesses(t, 5)
	t.Logf("guesses in 10 minutes: %d at one node, %d at five", one, five)
	if five > 2*one {
		t.Errorf("%d guesses at five nodes, %d at one: want at most twice as many", five, one)
	}
}
