package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

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
		pass(time.Second) // until it is known that no card is where it was put first alone
		killed := time.Now()
		c.kill()
		w.await("the users of the node that was killed are served", settleMax, func() error {
			if e := a.lookup(orphan); len(e.Cached) != 1 { // tried again over the change of view
				return fmt.Errorf("the entry is %+v", e)
			}
			return nil
		})
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
	notUnderRace(t)
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
		pass(5 * time.Second)
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
		pass(time.Second) // the flag is looked at from time to time
		a.kill()
		w.settle(b, c)
		if e := c.lookup("nobody"); e.Knowledge != cluster.Conclusive {
			t.Errorf("with a node absent that is sole no more Knowledge = %v, want conclusive", e.Knowledge)
		}
	})
}

// V1: nothing is proven while two nodes are absent, whatever the rest says; and again when they
// are back. To give one up is not enough: what lay on both, the other alone has now.
func TestV1_TwoOfFiveAbsent(t *testing.T) {
	notUnderRace(t)
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
		pass(5 * time.Second)
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
		if err := rest[1].node.Forget(context.Background(), gone); err != nil {
			t.Errorf("Forget = %v", err)
		}
		pass(5 * time.Second)
		for _, m := range rest { // the other one has the only copy now
			if got := m.lookup("away"); got.Knowledge != cluster.Complete {
				t.Errorf("node %v: Knowledge = %v with one of two holders struck and the other absent, want complete", m.id, got.Knowledge)
			}
		}
		d.start()
		w.settle(append(slices.Clone(rest), d)...)
		w.await("proof on every node", settleMax, func() error {
			for _, m := range rest {
				if got := m.lookup("nobody"); got.Knowledge != cluster.Conclusive {
					return fmt.Errorf("node %v says %v", m.id, got.Knowledge)
				}
			}
			return nil
		})
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
				if known := m.node.Known(); len(known) != 1 || known[0].ID != m.id {
					t.Errorf("Known() = %+v, want this node alone", known)
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
			if e := z.lookup(owner); e.Knowledge == cluster.Conclusive && (len(e.Cached) == 0 || e.Gone()) {
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
	notUnderRace(t)
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
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		o := w.watch(w.machines...)
		defer o.end()
		for i := range 30 {
			o.put(a, typeCard, fmt.Sprintf("card-%d", i), w.machines[i%3].id, w.machines[(i+1)%3].id)
		}
		pass(time.Second) // likewise
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
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		before := a.node.View().Epoch.Counter
		for _, other := range ids(a, b) { // c hears and cannot speak
			w.net.Cut(c.id, other)
		}
		w.settle(a, b)
		pass(20 * time.Second)
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
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		rng := rand.New(rand.NewPCG(3, 3))
		type stored struct {
			id cluster.ObjectID
			on cluster.NodeID
		}
		var acked []stored
		for round := range rounds(3) {
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
				pass(time.Duration(rng.IntN(2000)) * time.Millisecond)
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
