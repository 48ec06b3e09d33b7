package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/call"
)

// drainMax is how long logs may take to become empty after all targets are back (R4).
const drainMax = 60 * time.Second

// awaitQuiet waits until the machines have no update records left (R4).
func (w *world) awaitQuiet(machines ...*machine) {
	w.Helper()
	w.await("empty logs", drainMax, func() error {
		for _, m := range machines {
			if k := m.node.Records(); k != 0 {
				return fmt.Errorf("node %v has %d update records, owed to %v", m.id, k, m.node.Owed())
			}
		}
		return nil
	})
}

// diskRecords counts the records on a machine's disk that propagate.
func (m *machine) diskRecords() (count int) {
	m.w.Helper()
	if err := m.store.Records(func(r cluster.Record) error {
		if r.Retired == 0 {
			count++
		}
		return nil
	}); err != nil {
		m.w.Fatal(err)
	}
	return count
}

// has reads an object from the machine's own disk; "" if it is not there.
func (m *machine) has(id cluster.ObjectID) string {
	m.w.Helper()
	s, err := m.read(m.id, id)
	if err != nil && !cluster.IsKind(err, cluster.KindNotFound) {
		m.w.Fatalf("node %v: read %v: %v", m.id, id, err)
	}
	return s
}

func noteID(owner, id string) cluster.ObjectID {
	return cluster.ObjectID{Type: typeNote, Owner: owner, ID: id}
}

func deletionOf(id cluster.ObjectID, previous ...cluster.NodeID) cluster.Update {
	return cluster.Update{Object: cluster.Object{ID: id, Deleted: true}, Previous: cluster.NewReplicaSet(previous...)}
}

// wantShortfall checks that an update is durable on some nodes and not on others.
func wantShortfall(t *testing.T, err error, durable, missing *machine) {
	t.Helper()
	var s *cluster.Shortfall
	if !errors.As(err, &s) {
		t.Fatalf("update = %v, want a shortfall", err)
	}
	if !s.Durable.Equal(cluster.ReplicaSet{durable.id}) || !s.Missing.Equal(cluster.ReplicaSet{missing.id}) || s.Err == nil {
		t.Fatalf("update = %v: durable on %v, missing on %v; want %v and %v", err, s.Durable, s.Missing, durable.id, missing.id)
	}
}

// D2: nobody is told that an update is on all of its replicas while one of them is dead; R4: the
// record of those that have it brings it there when the replica is back.
func TestD2_ShortfallWhileATargetIsDead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		c.kill()
		begun := time.Now()
		wantShortfall(t, b.tryPut(typeNote, "o", "at once", "contents", a.id, c.id), a, c)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("an update with a dead target took %v", took)
		}
		w.settle(a, b)
		begun = time.Now()
		wantShortfall(t, b.tryPut(typeNote, "o", "later", "contents", a.id, c.id), a, c)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("an update with a target that is not a member took %v", took)
		}
		w.await("records", time.Second, func() error {
			if a.node.Records() != 2 || a.diskRecords() != 2 {
				return fmt.Errorf("%d records, %d on disk, want 2", a.node.Records(), a.diskRecords())
			}
			return nil
		})
		w.await("what is owed", time.Second, func() error {
			if owed := a.node.Owed()[c.id]; owed != 2 {
				return fmt.Errorf("%d updates are owed to the dead node, want 2", owed)
			}
			return nil
		})
		c.start()
		w.settle(a, b, c)
		w.awaitQuiet(a, b, c)
		for _, id := range []string{"at once", "later"} {
			if got := c.has(noteID("o", id)); got != "contents" {
				t.Errorf("the target that was away has %q of %q", got, id)
			}
		}
		w.await("retired records gone from disks", drainMax, func() error {
			if k := a.diskRecords() + c.diskRecords(); k != 0 {
				return fmt.Errorf("%d records on disks", k)
			}
			return nil
		})
		w.checkS1(a, b, c)
	})
}

// R5: what was deleted while a replica was away does not come back with it.
func TestR5_DeletionReachesAReplicaThatWasAway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		for i := range 5 {
			c.put(typeNote, "o", fmt.Sprint(i), "contents", a.id, b.id)
		}
		w.awaitQuiet(a, b, c)
		b.kill()
		w.settle(a, c)
		if err := c.node.Update(context.Background(), deletionOf(noteID("o", "0"), a.id, b.id), nil); err != nil {
			t.Errorf("delete while a replica is away: %v", err)
		}
		var rest []cluster.Update
		for i := 1; i < 5; i++ {
			rest = append(rest, deletionOf(noteID("o", fmt.Sprint(i)), a.id, b.id))
		}
		for i, err := range c.node.UpdateAll(context.Background(), rest) {
			if err != nil {
				t.Errorf("delete %d while a replica is away: %v", i+1, err)
			}
		}
		b.start()
		w.settle(a, b, c)
		w.awaitQuiet(a, b, c)
		for _, m := range w.machines {
			if list, err := m.node.List(context.Background(), m.id, "o", typeNote); err != nil || len(list) != 0 {
				t.Errorf("R5: node %v has %d notes, %v", m.id, len(list), err)
			}
		}
		if e := a.lookup("o"); len(e.Fragments) != 0 {
			t.Errorf("R5: the manager still knows %+v", e.Fragments)
		}
	})
}

// R4: the initiator dies after its targets have applied the update, and before it retires it: they
// find out by themselves.
func TestR4_TargetsTakeOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 4)
		a, b, c, d := w.machines[0], w.machines[1], w.machines[2], w.machines[3]
		d.failCalls(func(method string, _ cluster.NodeID) error {
			if method == call.MethodRetire {
				return cluster.Errorf(cluster.KindUnavailable, method, "the initiator is about to die")
			}
			return nil
		})
		d.put(typeNote, "o", "whole", "contents", a.id, b.id, c.id)
		d.failCalls(func(method string, to cluster.NodeID) error {
			if method == call.MethodApply && to == c.id || method == call.MethodRetire {
				return cluster.Errorf(cluster.KindUnavailable, method, "the initiator is dying")
			}
			return nil
		})
		if err := d.tryPut(typeNote, "o", "half", "contents", a.id, b.id, c.id); err == nil {
			t.Error("an update that did not reach a target succeeded")
		}
		d.kill()
		w.settle(a, b, c)
		w.awaitQuiet(a, b, c)
		for _, m := range []*machine{a, b, c} {
			for _, id := range []string{"whole", "half"} {
				if got := m.has(noteID("o", id)); got != "contents" {
					t.Errorf("node %v has %q of %q", m.id, got, id)
				}
			}
		}
	})
}

// R1, R2: two sides of a partition change one cached object. When it heals the newer one is everywhere.
func TestR2_TwoSidesChangeOneCard(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 4)
		a, b, c, d := w.machines[0], w.machines[1], w.machines[2], w.machines[3]
		a.put(typeCard, "o", "", "first", a.id, c.id)
		w.awaitQuiet(w.machines...)
		w.net.Partition(ids(a, b), ids(c, d))
		w.settle(a, b)
		w.settle(c, d)
		change := func(m *machine, contents string) error {
			u, body := newObject(typeCard, "o", "", contents, a.id, c.id)
			u.Previous = cluster.NewReplicaSet(a.id, c.id)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return m.node.Update(ctx, u, body)
		}
		wantShortfall(t, change(b, "older"), a, c)
		pass(time.Second)
		wantShortfall(t, change(d, "newer"), c, a)
		w.net.HealAll()
		w.settle(w.machines...)
		w.awaitQuiet(w.machines...)
		for _, m := range []*machine{a, c} {
			if got := m.has(cluster.ObjectID{Type: typeCard, Owner: "o"}); got != "newer" {
				t.Errorf("R2: node %v has %q, want the newer one", m.id, got)
			}
		}
		for _, m := range w.machines {
			if e := m.lookup("o"); len(e.Cached) != 1 || string(e.Cached[0].Contents) != "newer" {
				t.Errorf("R2: node %v is told %+v", m.id, e.Cached)
			}
		}
	})
}

// R4: a restart forgets no record.
func TestR4_RecordsOutliveARestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		c.kill()
		w.settle(a, b)
		wantShortfall(t, b.tryPut(typeNote, "o", "x", "contents", a.id, c.id), a, c)
		a.losePower()
		w.settle(b)
		a.start()
		if k := a.node.Records(); k != 1 {
			t.Errorf("%d records after the restart, want 1", k)
		}
		w.settle(a, b)
		c.start()
		w.settle(a, b, c)
		w.awaitQuiet(a, b, c)
		if got := c.has(noteID("o", "x")); got != "contents" {
			t.Errorf("the target that was away has %q", got)
		}
	})
}

// R8: a burst of updates that a node missed reaches it soon after it is back.
func TestR8_BurstDrains(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		const burst = 2000
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		b.kill()
		w.settle(a)
		inParallel(20, func(k int) {
			for i := k; i < burst; i += 20 {
				err := a.tryPut(typeNote, fmt.Sprintf("owner-%d", i%50), fmt.Sprint(i), "contents", a.id, b.id)
				var s *cluster.Shortfall
				if !errors.As(err, &s) {
					t.Errorf("note %d: %v, want a shortfall while a target is away", i, err)
				}
			}
		})
		b.start()
		w.settle(a, b)
		w.awaitQuiet(a, b)
		for i := range burst {
			if got := b.has(noteID(fmt.Sprintf("owner-%d", i%50), fmt.Sprint(i))); got != "contents" {
				t.Fatalf("the node that was away has %q of note %d", got, i)
			}
		}
		m := a.node.Metrics()
		if m.Wants != burst || m.OfferedItems < burst || m.Offers < burst/256 || m.CatchUpBytes < burst*int64(len("contents")) {
			t.Errorf("metrics of the catching up: %+v", m)
		}
	})
}

// A replica that moves is taken from its old node only after the new one has it.
func TestUpdate_MovesAReplica(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		a.put(typeNote, "o", "x", "contents", a.id, b.id)
		u, body := newObject(typeNote, "o", "x", "contents", a.id, c.id)
		u.Previous = cluster.NewReplicaSet(a.id, b.id)
		if err := b.node.Update(context.Background(), u, body); err != nil {
			t.Fatal(err)
		}
		w.awaitQuiet(a, b, c)
		id := noteID("o", "x")
		if a.has(id) != "contents" || c.has(id) != "contents" || b.has(id) != "" {
			t.Errorf("a has %q, b %q, c %q", a.has(id), b.has(id), c.has(id))
		}
		// And one replica less, without contents.
		u.Object.Replicas, u.Previous = cluster.NewReplicaSet(c.id), cluster.NewReplicaSet(a.id, c.id)
		if errs := b.node.UpdateAll(context.Background(), []cluster.Update{u}); errs[0] != nil {
			t.Fatal(errs[0])
		}
		w.awaitQuiet(a, b, c)
		if c.has(id) != "contents" || a.has(id) != "" {
			t.Errorf("a has %q, c %q", a.has(id), c.has(id))
		}
		w.await("the manager's knowledge", time.Minute, func() error {
			if h := holders(a.lookup("o"), typeNote); !slices.Equal(h, ids(c)) {
				return fmt.Errorf("holders %v", h)
			}
			return nil
		})
	})
}

// R5: a call that was under way for longer than deletions are remembered is refused, but not for good.
func TestR5_LateCallIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		s := b.node.Stamp()
		pass(LateCallMax - time.Second)
		if err := a.node.Admit(context.Background(), s, call.MethodApply); err != nil {
			t.Errorf("a call that is not too old: %v", err)
		}
		pass(2 * time.Second)
		for _, method := range []string{call.MethodApply, call.MethodOffer} {
			if err := a.node.Admit(context.Background(), s, method); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("late %s: %v, want kind unavailable", method, err)
			}
		}
		if err := a.node.Admit(context.Background(), s, call.MethodLookup); err != nil {
			t.Errorf("a late call that changes nothing: %v", err)
		}
		if k := a.node.Metrics().LateCalls; k != 2 {
			t.Errorf("%d late calls counted, want 2", k)
		}
	})
}

// R4: a commit whose caller had gone leaves a record all the same, and the log hears of it.
func TestR4_CommitInDoubtIsSettled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		hide := func(*cluster.Update) error {
			return cluster.Errorf(cluster.KindUnavailable, "apply", "the caller has gone")
		}
		a.hooks.applied.Store(&hide)
		b.failCalls(nil)
		a.failCalls(func(method string, _ cluster.NodeID) error {
			if method == call.MethodApply && a.node.Records() == 0 {
				return cluster.Errorf(cluster.KindUnavailable, method, "not sent")
			}
			return nil
		})
		if err := a.tryPut(typeNote, "o", "x", "contents", a.id, b.id); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("put = %v, want kind unavailable", err)
		}
		a.hooks.applied.Store(nil)
		w.await("the other target", drainMax, func() error {
			if got := b.has(noteID("o", "x")); got != "contents" {
				return fmt.Errorf("it has %q", got)
			}
			return nil
		})
		w.awaitQuiet(a, b)
	})
}

// D5: damaged contents are reported, and never served: another replica has them.
func TestD5_DamageIsReported(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		a.put(typeNote, "o", "x", "contents", a.id, b.id)
		rot := func(cluster.ObjectID) error {
			return cluster.Errorf(cluster.KindCorrupt, "open", "bits have flipped")
		}
		b.hooks.open.Store(&rot)
		for _, m := range w.machines {
			if _, err := m.read(b.id, noteID("o", "x")); !cluster.IsKind(err, cluster.KindCorrupt) {
				t.Errorf("node %v reads %v from a damaged copy, want kind corrupt", m.id, err)
			}
		}
		if k := b.hooks.damaged.Load(); k != 2 {
			t.Errorf("%d reports of damage, want 2", k)
		}
		if got, err := b.read(a.id, noteID("o", "x")); got != "contents" {
			t.Errorf("the other replica gives %q, %v", got, err)
		}
	})
}

// A node that is being emptied takes no new objects; what it has can be changed and deleted.
func TestSetDraining(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		a.put(typeCard, "o", "", "first", b.id)
		a.put(typeNote, "o", "x", "contents", b.id)
		b.node.SetDraining(true)
		if err := a.tryPut(typeNote, "o", "y", "contents", b.id); !cluster.IsKind(err, cluster.KindFull) {
			t.Errorf("a new object at a draining node: %v, want kind full", err)
		}
		u, body := newObject(typeCard, "o", "", "second", b.id)
		u.Previous = u.Object.Replicas
		if err := a.node.Update(context.Background(), u, body); err != nil {
			t.Errorf("change what a draining node has: %v", err)
		}
		if err := a.node.Update(context.Background(), deletionOf(noteID("o", "x"), b.id), nil); err != nil {
			t.Errorf("delete at a draining node: %v", err)
		}
		if !a.node.Loads()[b.id].Draining || a.node.Loads()[a.id].Draining {
			t.Errorf("loads: %+v", a.node.Loads())
		}
		if err := b.node.Ready(); err != nil {
			t.Errorf("a draining node serves: %v", err)
		}
		b.node.SetDraining(false)
		a.put(typeNote, "o", "y", "contents", b.id)
	})
}

// Tell reaches the node that it names, whoever manages what.
func TestTell(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.register = func(n *Node) {
			n.Serve("who", func(_ context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
				return fmt.Appendf(nil, "%v to %v: %s", from, n.ID(), payload), nil
			})
		}
		a, b := w.machines[0], w.machines[1]
		a.start()
		b.start()
		w.settle(a, b)
		for _, to := range w.machines {
			want := fmt.Sprintf("%v to %v: hello", a.id, to.id)
			if got, err := a.node.Tell(context.Background(), to.id, "who", []byte("hello")); string(got) != want || err != nil {
				t.Errorf("Tell(%v) = %q, %v; want %q", to.id, got, err, want)
			}
		}
		if _, err := a.node.Tell(context.Background(), 0x99, "who", nil); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Tell of a stranger = %v, want kind unavailable", err)
		}
		if _, err := a.node.Tell(context.Background(), b.id, "who", make([]byte, call.ServiceSizeMax+1)); !cluster.IsKind(err, cluster.KindLimit) {
			t.Errorf("Tell of too much = %v, want kind limit", err)
		}
		if _, err := a.node.Tell(context.Background(), b.id, strings.Repeat("x", 5), nil); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Tell of an unknown method = %v, want kind unavailable", err)
		}
		begun := time.Now()
		b.kill()
		w.settle(a)
		pass(time.Second)
		since, ok := a.node.Absent()[b.id]
		if !ok || since.Before(begun) || since.After(time.Now()) {
			t.Errorf("Absent = %v", a.node.Absent())
		}
		b.start()
		w.settle(a, b)
		if len(a.node.Absent()) != 0 {
			t.Errorf("Absent = %v after it is back", a.node.Absent())
		}
	})
}

// R4: nobody waits for a node that was removed for good, and it is not taken in again as it is.
func TestR4_StruckNodeIsNotWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		c.kill()
		w.settle(a, b)
		wantShortfall(t, b.tryPut(typeNote, "o", "x", "contents", a.id, c.id), a, c)
		if err := b.node.Forget(context.Background(), c.id); err != nil {
			t.Fatal(err)
		}
		w.awaitQuiet(a, b)
		if s := a.node.Struck(); !s.Equal(cluster.ReplicaSet{c.id}) {
			t.Errorf("node %v knows of struck nodes %v, want %v", a.id, s, c.id)
		}
		c.start()
		w.await("the struck node's learning of it", settleMax, func() error {
			if c.hooks.struck.Load() != 1 || c.node.Ready() == nil {
				return fmt.Errorf("told %d times, ready: %v", c.hooks.struck.Load(), c.node.Ready())
			}
			return nil
		})
		if err := c.tryPut(typeNote, "o", "y", "contents", c.id); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("an update by way of a struck node: %v, want kind unavailable", err)
		}
		w.settle(a, b)
	})
}

// R1: two sides of a partition make a card of the same name on nodes that have nothing in common. No
// record tells the one of the other; the owner's manager sees both.
func TestR1_DisjointReplicaSetsConverge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 4)
		a, b, c, d := w.machines[0], w.machines[1], w.machines[2], w.machines[3]
		w.net.Partition(ids(a, b), ids(c, d))
		w.settle(a, b)
		w.settle(c, d)
		a.put(typeCard, "o", "", "older", a.id, b.id)
		pass(time.Second)
		d.put(typeCard, "o", "", "newer", c.id, d.id)
		w.net.HealAll()
		w.settle(w.machines...)
		id := cluster.ObjectID{Type: typeCard, Owner: "o"}
		w.await("one version", time.Minute, func() error {
			if a.has(id) != "" || b.has(id) != "" || c.has(id) != "newer" || d.has(id) != "newer" {
				return fmt.Errorf("the nodes have %q, %q, %q, %q", a.has(id), b.has(id), c.has(id), d.has(id))
			}
			return nil
		})
		w.awaitQuiet(w.machines...)
		for _, m := range w.machines {
			if e := m.lookup("o"); len(e.Cached) != 1 || string(e.Cached[0].Contents) != "newer" {
				t.Errorf("R1: node %v is told %+v", m.id, e.Cached)
			}
		}
		w.checkS1(w.machines...)
	})
}
