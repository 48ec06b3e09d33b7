package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
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
		case <-time.After(time.Duration(1+rng.IntN(10)) * time.Millisecond):
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

// A node is killed. V1: what lies on it never counts as proven absent, S2: what lies on the others
// is never missing from a complete entry, S1: afterwards the soft state is what the disks say. The
// users whose manager it was are served again within 3 s; it comes back with all it had.
func TestV1S1S2_KillOneOfThree(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		o := w.watch(a, b)
		defer o.end()
		for i := range 60 {
			on := w.machines[i%3]
			o.put(w.machines[(i+1)%3], typeNote, fmt.Sprintf("note-%d", i), on.id)
			o.put(on, typeCard, fmt.Sprintf("card-%d", i), on.id, w.machines[(i+1)%3].id)
		}
		orphan := c.managed(1)[0]
		o.put(a, typeCard, orphan, a.id, b.id)
		killed := time.Now()
		c.kill()
		if e := a.lookup(orphan); len(e.Cached) != 1 { // tried again over the change of view
			t.Errorf("the first answer after the kill is %+v, want the card", e)
		}
		if took := time.Since(killed); took > 3*time.Second {
			t.Errorf("failover took %v, want at most 3s", took)
		}
		w.settle(a, b)
		if took := time.Since(killed); took > 3*time.Second {
			t.Errorf("all buckets were complete after %v, want at most 3s", took)
		}
		w.checkS1(a, b)
		// One node is absent and it was not the only one to hold anything: proof is possible.
		if e := a.lookup("nobody"); e.Knowledge != cluster.Conclusive {
			t.Errorf("with one of three absent Knowledge = %v, want conclusive", e.Knowledge)
		}
		c.start()
		w.settle(a, b, c)
		w.checkS1(a, b, c)
	})
}

// V1: nothing is proven while an absent node holds the only copy of a card.
func TestV1_SoleNodeAbsent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.machines[0]
		a.start()
		w.settle(a)
		a.put(typeCard, "early", "x", "made when there was one node", a.id)
		b, c := w.add(), w.add()
		b.start()
		c.start()
		w.settle(a, b, c)
		if e := b.lookup("nobody"); e.Knowledge != cluster.Conclusive {
			t.Errorf("with all nodes present Knowledge = %v, want conclusive", e.Knowledge)
		}
		o := w.watch(b, c)
		defer o.end()
		a.kill()
		o.proveNothing(true)
		w.settle(b, c)
		time.Sleep(5 * time.Second)
		if e := b.lookup("nobody"); e.Knowledge != cluster.Complete {
			t.Errorf("with a sole node absent Knowledge = %v, want complete", e.Knowledge)
		}
		o.proveNothing(false)
		a.start()
		w.settle(a, b, c)
		// The card is given a second node. Then its first may be absent.
		old := a.lookup("early").Cached[0].Object
		u, body := newObject(typeCard, "early", "x", "now there are two copies", a.id, b.id)
		u.Previous = old.Replicas
		if err := c.node.Update(context.Background(), u, body); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the flag is looked at from time to time
		a.kill()
		w.settle(b, c)
		if e := c.lookup("nobody"); e.Knowledge != cluster.Conclusive {
			t.Errorf("with a node absent that is sole no more Knowledge = %v, want conclusive", e.Knowledge)
		}
	})
}

// V1: nothing is proven while two nodes are absent, whatever the rest says; and again as soon as
// one of them is back, or an administrator has given one up.
func TestV1_TwoOfFiveAbsent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 5)
		rest := w.machines[:3]
		d, e := w.machines[3], w.machines[4]
		o := w.watch(rest...)
		defer o.end()
		o.put(rest[0], typeCard, "away", d.id, e.id)
		d.kill()
		w.settle(append(slices.Clone(rest), e)...)
		gone := e.id
		e.kill()
		w.settle(rest...)
		o.proveNothing(true)
		time.Sleep(5 * time.Second)
		for _, m := range rest {
			if got := m.lookup("away"); got.Knowledge != cluster.Complete {
				t.Errorf("node %v: Knowledge = %v with two nodes absent, want complete", m.id, got.Knowledge)
			}
		}
		o.proveNothing(false)
		if err := rest[1].node.Forget(context.Background(), rest[2].id); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("Forget of a member = %v, want kind invalid", err)
		}
		if err := rest[1].node.Forget(context.Background(), 0xdead); !cluster.IsKind(err, cluster.KindNotFound) {
			t.Errorf("Forget of an unknown node = %v, want kind not found", err)
		}
		o.mu.Lock()
		delete(o.known, "away") // the administrator takes that on himself
		o.mu.Unlock()
		if err := rest[1].node.Forget(context.Background(), gone); err != nil {
			t.Errorf("Forget = %v", err)
		}
		w.await("proof on every node", settleMax, func() error {
			for _, m := range rest {
				if got := m.lookup("nobody"); got.Knowledge != cluster.Conclusive {
					return fmt.Errorf("node %v says %v", m.id, got.Knowledge)
				}
			}
			return nil
		})
		d.start()
		w.settle(append(slices.Clone(rest), d)...)
		w.checkS1(append(slices.Clone(rest), d)...)
	})
}

// V1: a node that was told of others and has met none does not know what there is. One that was
// told of none is the whole cluster.
func TestV1_NodeThatHasMetNobody(t *testing.T) {
	tests := []struct {
		name  string
		peers func(m *machine) []string
		want  cluster.Knowledge
	}{
		{"no peers", func(*machine) []string { return nil }, cluster.Conclusive},
		{"itself", func(m *machine) []string { return []string{m.addr()} }, cluster.Conclusive},
		{"others", func(m *machine) []string { return []string{m.addr(), "machine-20"} }, cluster.Complete},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, 1)
				m := w.machines[0]
				m.peers = tt.peers(m)
				m.start()
				w.settle(m)
				if e := m.lookup("nobody"); e.Knowledge != tt.want {
					t.Errorf("Knowledge = %v, want %v", e.Knowledge, tt.want)
				}
			})
		})
	}
}

// V1: a manager that was stopped and voted out does not know it. It may not say for good that
// something does not exist: the others have it by now.
func TestV1_Zombie(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		z, b, c := w.machines[0], w.machines[1], w.machines[2]
		owner := z.managed(1)[0]
		if e := z.lookup(owner); e.Knowledge != cluster.Conclusive {
			t.Fatalf("before: Knowledge = %v, want conclusive", e.Knowledge)
		}
		wake := z.freeze()
		w.settle(b, c)
		b.put(typeCard, owner, "x", "made while z was away", b.id, c.id)
		w.net.HealAll()
		// The process goes on, and before its loop has had a turn, somebody asks.
		for range 10 {
			if e, ok := z.node.LocalEntry(context.Background(), owner); !ok || e.Knowledge == cluster.Conclusive {
				t.Errorf("the zombie's LocalEntry = %+v, %v; want it not conclusive", e, ok)
			}
			if e := z.lookup(owner); e.Knowledge == cluster.Conclusive && !exists(&e) {
				t.Errorf("the zombie's Lookup = %+v, want it not conclusive", e)
			}
		}
		wake()
		w.settle(z, b, c)
		if e := z.lookup(owner); len(e.Cached) != 1 {
			t.Errorf("afterwards Lookup = %+v, want the card", e)
		}
	})
}

// freeze stops a machine's loop and all that goes in and out; the function given lets the loop go
// on.
func (m *machine) freeze() (wake func()) {
	for _, other := range m.w.machines {
		if other != m {
			m.w.net.Partition([]cluster.NodeID{m.id}, []cluster.NodeID{other.id})
		}
	}
	frozen, wait := make(chan struct{}), make(chan struct{})
	m.node.answer(func(*loop) { close(frozen); <-wait })
	<-frozen
	return sync.OnceFunc(func() { close(wait) })
}

// M2: a node that restarts faster than anybody notices does not pass for the process that was
// there: its epoch is above all it ever had, its stay is a new one, and it tells again all it
// holds.
func TestM2_FastRestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		c := w.machines[2]
		o := w.watch(w.machines[:2]...)
		defer o.end()
		for i := range 30 {
			o.put(c, typeNote, fmt.Sprintf("note-%d", i), c.id)
			o.put(c, typeCard, fmt.Sprintf("card-%d", i), c.id, w.machines[i%2].id)
		}
		before := c.node.View()
		c.kill()
		c.start()
		if first := c.node.View(); !before.Epoch.Less(first.Epoch) {
			t.Errorf("the restarted node begins in epoch %v, which is not after %v", first.Epoch, before.Epoch)
		}
		w.settle(w.machines...)
		after := c.node.View()
		was, _ := before.Member(c.id)
		if is, _ := after.Member(c.id); !was.Since.Less(is.Since) || !before.Epoch.Less(after.Epoch) {
			t.Errorf("the restarted node is a member since %v in %v, before since %v in %v", is.Since, after.Epoch, was.Since, before.Epoch)
		}
		for b, a := range after.Map {
			if a.Manager == c.id && a.Epoch != after.Epoch && !before.Epoch.Less(a.Epoch) {
				t.Fatalf("bucket %d still has the epoch %v: its manager has lost its memory since", b, a.Epoch)
			}
		}
		w.checkS1(w.machines...)
	})
}

// M6, D1: both sides of a partition go on; after it has healed, what was written on either side is
// there, from every node.
func TestM6D1_PartitionTwoOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		o := w.watch(w.machines...)
		defer o.end()
		for i := range 30 {
			o.put(a, typeCard, fmt.Sprintf("card-%d", i), w.machines[i%3].id, w.machines[(i+1)%3].id)
		}
		w.net.Partition(ids(a, b), ids(c))
		w.settle(a, b)
		w.settle(c)
		if v := c.node.View(); len(v.Members) != 1 {
			t.Errorf("the small side has %d members, want 1", len(v.Members))
		}
		for i := range 10 {
			o.put(a, typeNote, fmt.Sprintf("large-side-%d", i), b.id)
			o.put(c, typeNote, fmt.Sprintf("small-side-%d", i), c.id)
		}
		if e := c.lookup("nobody"); e.Knowledge != cluster.Complete {
			t.Errorf("the small side says %v, want complete", e.Knowledge)
		}
		if e := a.lookup("nobody"); e.Knowledge != cluster.Conclusive {
			t.Errorf("the large side says %v, want conclusive", e.Knowledge)
		}
		// An update that needs a node of the other side fails in a way that may pass.
		if err := a.tryPut(typeNote, "cut", "x", "contents", c.id); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("an update on a node of the other side = %v, want kind unavailable", err)
		}
		w.net.HealAll()
		w.settle(w.machines...)
		w.checkS1(w.machines...)
	})
}

// M5: a link that works in one direction only costs its node its place, once, and not one epoch
// after the other.
func TestM5_OneWayLink(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		before := a.node.View().Epoch.Counter
		for _, other := range ids(a, b) { // c hears and cannot speak
			w.net.Cut(c.id, other)
		}
		w.settle(a, b)
		time.Sleep(20 * time.Second)
		w.settle(a, b)
		if epochs := a.node.View().Epoch.Counter - before; epochs > 4 {
			t.Errorf("a one-way link cost %d epochs, want a few", epochs)
		}
		w.net.HealAll()
		w.settle(a, b, c)
	})
}

// D3: all machines lose power at once and come back in any order: what was acknowledged is there,
// and no node's epoch has gone back (M2).
func TestD3M2_PowerLoss(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		rng := rand.New(rand.NewPCG(3, 3))
		type stored struct {
			id cluster.ObjectID
			on cluster.NodeID
		}
		var acked []stored
		for round := range 3 {
			for i := range 20 {
				owner := fmt.Sprintf("owner-%d-%d", round, i)
				on := w.machines[rng.IntN(3)]
				w.machines[rng.IntN(3)].put(typeNote, owner, "x", "contents of "+owner, on.id)
				acked = append(acked, stored{cluster.ObjectID{Type: typeNote, Owner: owner, ID: "x"}, on.id})
				w.machines[rng.IntN(3)].put(typeCard, owner, "", "card of "+owner, on.id, w.machines[(slices.Index(w.machines, on)+1)%3].id)
			}
			epoch := w.machines[0].node.View().Epoch
			for _, m := range w.machines {
				m.losePower()
			}
			for _, i := range rng.Perm(3) {
				w.machines[i].start()
				if got := w.machines[i].node.View().Epoch; got.Counter <= epoch.Counter {
					t.Errorf("M2: node %v begins in %v, after %v", w.machines[i].id, got, epoch)
				}
				time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
			}
			w.settle(w.machines...)
			w.checkS1(w.machines...)
			for _, s := range acked {
				m := w.machines[rng.IntN(3)]
				if got, err := m.read(s.on, s.id); err != nil || got != "contents of "+s.id.Owner {
					t.Errorf("D3: %v of %v is %q, %v after power loss %d", s.id, s.on, got, err, round)
				}
				if e := m.lookup(s.id.Owner); !slices.Contains(holders(e, typeNote), s.on) || len(e.Cached) != 1 {
					t.Errorf("D3: entry of %s is %+v after power loss %d", s.id.Owner, e, round)
				}
			}
		}
	})
}

// A node that leaves tells the others: nobody has to miss its pings first, and what it managed is
// answered for at once.
func TestStop_OthersGoOnAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		owner := c.managed(1)[0]
		a.put(typeNote, owner, "x", "contents", a.id)
		begun := time.Now()
		if err := c.stop(); err != nil {
			t.Errorf("Stop() = %v", err)
		}
		if v := a.node.View(); v.Contains(0x30) {
			t.Error("Stop has returned, and the node is still a member")
		}
		if e := a.lookup(owner); len(e.Fragments) != 1 && e.Knowledge != cluster.Partial {
			t.Errorf("after Stop Lookup = %+v, want the note, or partial knowledge", e)
		}
		w.settle(a, b)
		if took := time.Since(begun); took > 500*time.Millisecond {
			t.Errorf("the others had complete knowledge %v after the stop began, want at most 500ms", took)
		}
	})
}

// Nobody answers a node that wants to leave: it ends all the same, and says so.
func TestStop_NobodyAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		w.net.Partition(ids(a), ids(b))
		begun := time.Now()
		err := a.stop()
		if took := time.Since(begun); took > LeaveTimeout {
			t.Errorf("Stop took %v, want at most %v", took, LeaveTimeout)
		}
		if err != nil && !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Stop() = %v, want nothing worse than kind unavailable", err)
		}
	})
}

// Stop is good at any time, more than once, and from several places.
func TestStop_AnyTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 1)
		n := w.machines[0].node
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := n.Stop(context.Background()); err != nil {
					t.Errorf("Stop() = %v", err)
				}
			})
		}
		all.Wait()
		if err := n.Start(); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("Start after Stop = %v, want kind invalid", err)
		}
		ctx := context.Background()
		if _, err := n.Lookup(ctx, "x"); !cluster.IsKind(err, cluster.KindUnavailable) {
			// The manager still knows; it just cannot confirm.
			if e, _ := n.Lookup(ctx, "x"); e.Knowledge == cluster.Conclusive {
				t.Errorf("Lookup after Stop = %+v, %v", e, err)
			}
		}
		if err := n.Forget(ctx, 5); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Forget after Stop = %v, want kind unavailable", err)
		}
	})
}

// The membership state is durable before anything depends on it: a node whose disk fails takes no
// part any more, says so once, and refuses everything (D10).
func TestD10_MembershipStateNotDurable(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		c := w.machines[2]
		c.hooks.putMeta = func(name string) error {
			if name == persistName {
				return errors.New("disk failed")
			}
			return nil
		}
		before := c.node.View()
		w.machines[1].kill() // a change, for which every member has to promise something
		w.await("the failure", settleMax, func() error {
			if w.onFatal.Load() == 0 {
				return errors.New("OnFatal was not called")
			}
			return nil
		})
		w.settle(w.machines[0])
		time.Sleep(5 * time.Second)
		if n := w.onFatal.Load(); n != 1 {
			t.Errorf("OnFatal was called %d times, want once", n)
		}
		if v := c.node.View(); v.Epoch != before.Epoch {
			t.Errorf("the node went on to epoch %v, which is not durable", v.Epoch)
		}
		if err := c.node.Ready(); err == nil {
			t.Error("Ready() = nil after the failure")
		}
		if err := c.tryPut(typeNote, "o", "x", "contents", c.id); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Update after the failure = %v, want kind unavailable", err)
		}
		if err := c.stop(); err != nil {
			t.Errorf("Stop after the failure = %v", err)
		}
		c.hooks.putMeta = nil
		w.machines[1].start()
		c.start()
		w.settle(w.machines...)

		c.kill()
		c.hooks.putMeta = func(string) error { return errors.New("disk failed") }
		if err := c.tryStart(); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Start on a failed disk = %v, want kind unavailable", err)
		}
		if n := w.onFatal.Load(); n != 1 {
			t.Errorf("OnFatal was called by a Start that failed")
		}
	})
}
