package index

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// builders are the goroutines that build indexes. Whoever asks gives up after a while, and the index is built for whoever asks next: else
// a large mailbox on a slow disk would be read from its beginning again and again.
type builders struct {
	life context.Context // of the indexes
	end  context.CancelFunc

	mu    sync.Mutex
	ended bool
	work  sync.WaitGroup
}

func newBuilders() *builders {
	life, end := context.WithCancel(context.Background())
	return &builders{life: life, end: end}
}

// begin runs f in a goroutine that close waits for. It gives false, and does not run f, AFTER close was called.
func (w *builders) begin(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	w.work.Go(f)
	return true
}

// close breaks off what is being built, and waits for it.
func (w *builders) close() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.end()
	w.work.Wait()
}

// built is how the building of an index has ended.
type built struct {
	state *state
	err   error
}

// await has the index built, and waits for it. handed: who asked does not wait any longer, and the builder has the turn until it is done.
func (x *Indexes) await(ctx context.Context, b *box) (s *state, handed bool, err error) {
	op := "build the index of " + string(b.user)
	done, gone := make(chan built), make(chan struct{})
	begun := x.builders.begin(func() {
		r := x.loadWhole(ctx, b)
		select {
		case done <- r:
		case <-gone:
			x.keep(b, r)
		}
	})
	if !begun {
		return nil, false, cluster.Errorf(cluster.KindUnavailable, op, "this node is stopping")
	}
	select {
	case r := <-done:
		b.state = r.state
		if r.err == nil && ctx.Err() != nil { // who asked may be asking again by now: nothing is changed for him
			return nil, false, cluster.Errorf(cluster.KindUnavailable, op, "it has taken long: try again (%w)", context.Cause(ctx))
		}
		return r.state, false, r.err
	case <-ctx.Done():
		close(gone)
		return nil, true, cluster.Errorf(cluster.KindUnavailable, op, "it takes long, and goes on: try again (%w)", context.Cause(ctx))
	}
}

// keep leaves an index to whoever asks next, and gives the turn back.
func (x *Indexes) keep(b *box, r built) {
	defer b.leave()
	if r.err != nil {
		b.placing = nil
		x.cfg.Logger.Warn("an index could not be built, and nobody waits for it any more", "user", b.user, "err", r.err)
		return
	}
	b.state = r.state
	b.settle(r.state)
}

// loadWhole builds the index, in BuildWait at most, however long who asked would wait. A panic over one user's mail must not take the
// node down.
func (x *Indexes) loadWhole(ctx context.Context, b *box) (r built) {
	op := "build the index of " + string(b.user)
	defer func() {
		if v := recover(); v != nil {
			x.cfg.Logger.Error("panic while an index was built", "user", b.user, "panic", v, "stack", string(debug.Stack()))
			r = built{err: cluster.Errorf(cluster.KindInternal, op, "the node failed on it; its log says where")}
		}
	}()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	// No deadline: with one, each call could last until then (cluster/transport.CallTimeoutDefault).
	timer := time.AfterFunc(x.cfg.BuildWait, func() { cancel(fmt.Errorf("it took %v: %w", x.cfg.BuildWait, context.DeadlineExceeded)) })
	defer timer.Stop()
	stop := context.AfterFunc(x.builders.life, func() { cancel(context.Cause(x.builders.life)) })
	defer stop()
	s, err := x.load(ctx, b)
	if err == nil && s.broken {
		err = cluster.Errorf(cluster.KindUnavailable, op, "it could not be written: try again in a moment")
	}
	if err != nil {
		return built{err: err}
	}
	return built{state: s}
}
