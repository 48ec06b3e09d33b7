package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
