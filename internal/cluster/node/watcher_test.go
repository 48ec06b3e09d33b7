package node

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// acked is an acknowledged object: its type, and the nodes it lies on.
type acked struct {
	typ cluster.ObjectType
	on  []cluster.NodeID
}

// isIn reports whether an entry has the object.
func (a *acked) isIn(e *cluster.Entry) bool {
	if a.typ == typeNote {
		return len(e.Fragments) > 0
	}
	return len(e.Cached) > 0
}

// watcher asks all the time about owners that exist and owners that do not, from every machine that
// is on, and knows which answers are wrong.
type watcher struct {
	w    *world
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	known   map[string]acked // by owner
	never   bool             // nothing may be proven not to exist
	proven  int              // conclusive answers about what does not exist
	answers int
}

func (w *world) watch(machines ...*machine) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	o := &watcher{w: w, stop: cancel, known: map[string]acked{}}
	for _, m := range machines {
		o.done.Go(func() { o.run(ctx, m.node, rand.New(rand.NewPCG(1, uint64(m.id)))) })
	}
	return o
}

// put stores an object; the watcher expects it from then on.
func (o *watcher) put(m *machine, typ cluster.ObjectType, owner string, on ...cluster.NodeID) {
	o.w.Helper()
	m.put(typ, owner, "x", "contents", on...)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known[owner] = acked{typ, on}
}

// proveNothing says that from now on nothing may be conclusive, as long as it is true.
func (o *watcher) proveNothing(never bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.never = never
}

func (o *watcher) pick(rng *rand.Rand) (owner string, want *acked, never bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := rng.IntN(2 * (1 + len(o.known))); i < len(o.known) {
		owner = slices.Sorted(maps.Keys(o.known))[i]
		a := o.known[owner]
		return owner, &a, o.never
	}
	return fmt.Sprintf("nobody-%d", rng.IntN(5000)), nil, o.never
}

func (o *watcher) run(ctx context.Context, n *Node, rng *rand.Rand) {
	for ctx.Err() == nil {
		owner, want, never := o.pick(rng)
		e, err := n.Lookup(ctx, owner)
		if err == nil {
			o.judge(n, owner, want, never, &e)
		} else if k := cluster.KindOf(err); k != cluster.KindUnavailable {
			o.w.Errorf("V1: node %v: Lookup(%s) = %v, of kind %v", n.ID(), owner, err, k)
		}
		select {
		case <-time.After(time.Duration(5+rng.IntN(30)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// judge knows four kinds of wrong answers.
func (o *watcher) judge(n *Node, owner string, want *acked, never bool, e *cluster.Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers++
	if want == nil {
		if e.Knowledge == cluster.Conclusive {
			o.proven++
			if never && o.never {
				o.w.Errorf("V1: node %v says that %s is proven not to exist, while nothing can be proven", n.ID(), owner)
			}
		}
		return
	}
	switch {
	case want.isIn(e):
	case e.Knowledge == cluster.Conclusive && want.typ == typeCard:
		o.w.Errorf("V1: node %v says that the card %s on %v is proven not to exist", n.ID(), owner, want.on)
	case e.Knowledge >= cluster.Complete && slices.ContainsFunc(want.on, n.View().Contains):
		// A node that holds it may have come back since the answer: what does the manager say now?
		if again, ok := n.LocalEntry(context.Background(), owner); ok && again.Knowledge >= cluster.Complete &&
			slices.ContainsFunc(want.on, n.View().Contains) && !want.isIn(&again) {
			o.w.Errorf("S2: node %v says %v of %s and does not know that it lies on %v", n.ID(), e.Knowledge, owner, want.on)
		}
	}
}

// end stops asking.
func (o *watcher) end() {
	o.w.Helper()
	o.stop()
	o.done.Wait()
	if o.answers == 0 {
		o.w.Error("the watcher got no answer at all")
	}
}
