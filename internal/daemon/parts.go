package daemon

import (
	"context"
	"sync"

	"porcupine/internal/cluster"
)

// parts are the parts of imports that are being stored on this node, by user.
type parts struct {
	mu      sync.Mutex
	running map[string]*underWay
}

// underWay counts the parts of one user's imports.
type underWay struct {
	count int
	over  chan struct{} // closed when there are none left
}

func newParts() *parts { return &parts{running: make(map[string]*underWay)} }

// begin notes that a part comes in, until end is called.
func (p *parts) begin(address string) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.running[address]
	if u == nil {
		u = &underWay{over: make(chan struct{})}
		p.running[address] = u
	}
	u.count++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if u.count--; u.count == 0 {
			delete(p.running, address)
			close(u.over)
		}
	}
}

// wait waits until none of the parts that come in now is left.
func (p *parts) wait(ctx context.Context, address string) error {
	p.mu.Lock()
	u := p.running[address]
	p.mu.Unlock()
	if u == nil {
		return nil
	}
	select {
	case <-u.over:
		return nil
	case <-ctx.Done():
		return cluster.Errorf(cluster.KindUnavailable, "import", "another import for %s is under way: %w", address, context.Cause(ctx))
	}
}
