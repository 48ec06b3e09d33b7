package upkeep_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/upkeep"
)

// fill stores notes on pairs of machines, and a card and two sets of three owners on the first two.
func (w *world) fill(owners, notes int) {
	w.Helper()
	n := len(w.machines)
	for i := range owners * notes {
		a, b := w.machines[i%n].id, w.machines[(i+1)%n].id
		w.put(typeNote, fmt.Sprintf("owner-%d", i%owners), fmt.Sprintf("note-%04d", i), 2, a, b)
	}
	for i := range min(owners, 3) {
		for id, of := range map[string]cluster.ObjectType{"card": typeCard, "set-1": typeSet, "set-2": typeSet} {
			w.put(of, fmt.Sprintf("owner-%d", i), id, 2, w.machines[0].id, w.machines[1].id)
		}
	}
}

// R6: a node dies for longer than repair-after: the survivors bring every object back to two live
// copies. It returns: what has become surplus is dropped, and nothing is moved back.
func TestR6_RepairAfterANodeDied(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3, upkeep.Config{RepairAfter: 10 * time.Second, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		w.fill(20, 15)
		dead := w.machines[1]
		dead.kill()
		w.settle(w.live()...)
		took := w.await("two copies of everything", 50*time.Second, func() error { return w.check(2) })
		if took < 8*time.Second {
			t.Errorf("repaired after %v: too early, the node might have come back", took)
		}
		t.Logf("all copies are back %v after the view without the node", took)
		done := int64(0)
		for _, m := range w.live() {
			s := m.up.Status()
			done += s.Repair.Done
		}
		if done < 200 {
			t.Errorf("%d objects repaired, want at least the 200 that were on the dead node", done)
		}
		w.await("nothing pending", 2*time.Minute, func() error {
			for _, m := range w.live() {
				if s := m.up.Status(); s.Repair.Pending != 0 || !s.Repair.Since.IsZero() {
					return fmt.Errorf("node %v: %+v", m.id, s.Repair)
				}
			}
			return nil
		})
		dead.start()
		w.settle(w.machines...)
		w.await("the returned node has dropped what it had", time.Minute, func() error { return errors.Join(w.check(2), w.quiet()) })
		if n := len(dead.held()); n != 0 {
			t.Errorf("the returned node still holds %d objects", n)
		}
	})
}

// R6: a store that cannot say which buckets are empty is surveyed whole.
func TestR6_BucketsCannotBeListed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 1, upkeep.Config{Copies: map[cluster.ObjectType]int{typeNote: 2}})
		w.machines[0].bad.unlisted.Store(true)
		w.put(typeNote, "owner", "note", 2, w.machines[0].id)
		w.add()
		w.settle(w.machines...)
		w.await("two copies", time.Minute, func() error { return w.check(2) })
	})
}

// R6: objects that were made while there was one node only get their second copy when there is one more.
func TestR6_MoreNodes(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 1, upkeep.Config{Copies: map[cluster.ObjectType]int{typeNote: 2}})
		for i := range 30 {
			w.put(typeNote, fmt.Sprintf("owner-%d", i%5), fmt.Sprintf("note-%d", i), 2, w.machines[0].id)
		}
		w.put(typeCard, "owner-1", "card", 2, w.machines[0].id)
		w.add()
		w.settle(w.machines...)
		w.await("two copies", 3*time.Minute, func() error { return w.check(2) })
	})
}

// R6: an object that was written with too few copies, though there were nodes enough and the view did not
// change afterwards, gets the others within two passes.
func TestR6_WrittenWithTooFewCopies(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3, upkeep.Config{Copies: map[cluster.ObjectType]int{typeNote: 2}})
		w.fill(10, 6)
		w.settle(w.machines...)
		<-time.After(200 * time.Second) // some passes at rest
		for i := range 5 {
			w.put(typeNote, fmt.Sprintf("owner-%d", i), fmt.Sprintf("alone-%d", i), 2, w.machines[0].id)
		}
		took := w.await("two copies", 150*time.Second, func() error { return w.check(2) })
		t.Logf("after %v", took)
	})
}

// A node that drains is emptied, says so, and nothing is under-replicated at any moment.
func TestR6_Drain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3, upkeep.Config{Copies: map[cluster.ObjectType]int{typeNote: 2}})
		w.fill(10, 12)
		ctx := context.Background()
		leaving := w.machines[0]
		if err := w.machines[1].up.DrainAt(ctx, leaving.id, true); err != nil {
			t.Fatal(err)
		}
		// It outlives the process.
		leaving.off()
		w.settle(w.live()...)
		leaving.start()
		w.settle(w.machines...)
		if s := leaving.up.Status(); !s.Drain.Draining {
			t.Fatalf("it does not drain any more: %+v", s.Drain)
		} else if wait := time.Until(s.Drain.From); wait <= 0 || wait > time.Minute {
			t.Errorf("it was started just now, and says that it may leave in %v", wait)
		}
		w.await("drained", 5*time.Minute, func() error {
			select {
			case <-leaving.drained:
				return nil
			default:
				return fmt.Errorf("%+v", leaving.up.Status().Drain)
			}
		})
		if n := len(leaving.held()); n != 0 {
			t.Errorf("a drained node holds %d objects", n)
		}
		leaving.off()
		w.settle(w.live()...)
		if err := w.check(2); err != nil {
			t.Error(err)
		}
	})
}

// R6: a node that cannot read all that it holds does not take itself to be empty, and says so.
func TestR6_DrainBesideAnUnreadableBucket(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2, upkeep.Config{})
		m := w.machines[1]
		m.bad.unlisted.Store(true) // all are looked at
		m.bad.unread.Store(1)
		if err := m.up.Drain(context.Background(), true); err != nil {
			t.Fatal(err)
		}
		pass(t, 5*time.Minute)
		if d := m.up.Status().Drain; d.Objects != 0 || d.Unread == 0 || d.Done {
			t.Errorf("drain %+v, want none left that it could read, and some that it could not", d)
		}
		m.bad.unread.Store(0)
		w.await("drained", 5*time.Minute, func() error {
			if d := m.up.Status().Drain; !d.Done || d.Unread != 0 {
				return fmt.Errorf("%+v", d)
			}
			return nil
		})
	})
}

// A drain that was cancelled ends; the node takes objects again.
func TestDrainCancelled(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2, upkeep.Config{})
		ctx := context.Background()
		m := w.machines[1]
		if err := m.up.Drain(ctx, true); err != nil {
			t.Fatal(err)
		}
		u, body := newObject(typeNote, "owner", "one", "x", 1, m.id)
		if err := m.node.Update(ctx, u, body); !cluster.IsKind(err, cluster.KindFull) {
			t.Errorf("Update at a node that drains = %v, want full", err)
		}
		if err := w.machines[0].up.DrainAt(ctx, m.id, false); err != nil {
			t.Fatal(err)
		}
		w.put(typeNote, "owner", "two", 1, m.id)
		if s := m.up.Status(); s.Drain.Draining || s.Drain.Done {
			t.Errorf("drain %+v", s.Drain)
		}
	})
}

// D5: contents that are damaged on one disk are fetched from another copy, whether reading, scrubbing or
// verify met them; what no other node has is reported and left alone.
func TestD5_DamageIsHealed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2, upkeep.Config{ScrubEvery: 2 * time.Minute, CompareEvery: 24 * time.Hour, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		ctx := context.Background()
		a, b := w.machines[0], w.machines[1]
		read := w.put(typeNote, "owner-1", "read", 2, a.id, b.id)
		scrubbed := w.put(typeNote, "owner-2", "scrubbed", 2, a.id, b.id)
		alone := w.put(typeNote, "owner-3", "alone", 1, b.id)
		for _, id := range []cluster.ObjectID{read, scrubbed, alone} {
			b.bad.damage(id)
		}
		if _, _, err := a.node.Open(ctx, b.id, read); !cluster.IsKind(err, cluster.KindCorrupt) {
			t.Fatalf("Open = %v, want corrupt", err)
		}
		w.await("healed after it was read", 10*time.Second, func() error {
			if b.bad.isBad(read) {
				return errors.New("not yet")
			}
			return nil
		})
		w.await("healed by the scrub", 2*time.Hour, func() error {
			if s := b.up.Status().Scrub; b.bad.isBad(scrubbed) || s.Lost != 1 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		s := b.up.Status().Scrub
		if s.Healed != 2 || s.Lost != 1 || len(s.Examples) != 1 || !b.bad.isBad(alone) {
			t.Errorf("scrub %+v, want 2 healed and 1 lost", s)
		}
		v, err := a.up.Verify(ctx, upkeep.VerifyOptions{Contents: true})
		if err != nil || v.OK || v.Damaged != 1 || v.Objects != 3 {
			t.Errorf("Verify = %+v, %v; want one damaged", v, err)
		}
	})
}

// D5: the scrub comes to all contents though the process never lives as long as one round takes.
func TestD5_ScrubGoesOnAfterARestart(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		every := 20 * time.Minute
		w := boot(t, 2, upkeep.Config{ScrubEvery: every, CompareEvery: 24 * time.Hour, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		a, b := w.machines[0], w.machines[1]
		bad := map[cluster.ObjectID]bool{}
		for i := range 40 {
			bad[w.put(typeNote, fmt.Sprintf("owner-%d", i), "note", 2, a.id, b.id)] = true
		}
		for range 3 {
			for id := range bad {
				b.bad.damage(id)
			}
			pass(t, every/2)
			for id := range bad {
				if !b.bad.isBad(id) {
					delete(bad, id)
				}
			}
			b.off()
			w.settle(a)
			b.start()
			w.settle(a, b)
		}
		if len(bad) > 0 {
			t.Errorf("%d of 40 objects were never scrubbed", len(bad))
		}
	})
}

// R7: replicas that differ, though no record says so, are found and mended: the newest version wins,
// nothing is deleted because it is absent elsewhere, and what merges is joined.
func TestR7_DivergenceIsMended(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3, upkeep.Config{CompareEvery: 10 * time.Minute, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		ctx := context.Background()
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		w.fill(5, 6)
		pass(t, time.Minute)
		// Behind the nodes' backs: one copy is gone, one card is older, one note has moved on one node only.
		lost, old, moved := note(0, 0), cluster.ObjectID{Type: typeCard, Owner: "owner-1", ID: "card"}, note(1, 1)
		forget(t, b, lost)
		newer, body := newObject(typeCard, old.Owner, old.ID, "newer contents", 2, a.id, b.id)
		newer.Object.Timestamp = cluster.Timestamp{Time: time.Now().Add(-30 * time.Second).UnixNano(), Node: a.id}
		apply(t, a, newer, body)
		shifted, body := newObject(typeNote, moved.Owner, moved.ID, contentsOf(moved.ID), 2, a.id, c.id)
		shifted.Object.Timestamp = newer.Object.Timestamp
		apply(t, c, shifted, body)
		set := cluster.ObjectID{Type: typeSet, Owner: "owner-2", ID: "set-1"}
		letters, body := newObject(typeSet, set.Owner, set.ID, "XYZ", 2, a.id, b.id)
		letters.Object.Timestamp = newer.Object.Timestamp
		forget(t, a, set) // else they would be joined here
		apply(t, a, letters, body)
		if err := w.check(2); err == nil {
			t.Fatal("nothing differs")
		}
		v, err := b.up.Verify(ctx, upkeep.VerifyOptions{})
		if err != nil || v.OK || v.Divergences < 2 {
			t.Fatalf("Verify = %+v, %v; want divergences", v, err)
		}
		w.await("mended", 30*time.Minute, func() error { return w.check(2) })
		if o := a.held()[old]; o.Sum != newer.Object.Sum {
			t.Errorf("the older card won: %+v", o)
		}
		joined, err := testTypes()[2].Merge([]byte("XYZ"), []byte(contentsOf(set.ID)))
		if o := b.held()[set]; err != nil || o.Sum != sha256.Sum256(joined) || a.held()[set].Sum != o.Sum {
			t.Errorf("the two sets were not joined: %+v, %v", o, err)
		}
		pass(t, time.Minute)
		if v, err = c.up.Verify(ctx, upkeep.VerifyOptions{Contents: true}); err != nil || !v.OK || v.Members != 3 || v.Objects != 39 || v.Compared != 39 {
			t.Errorf("Verify after it = %+v, %v; want OK, 39 objects, each compared once", v, err)
		}
	})
}

// R7: a tombstone that is over, and that one node has collected before the other, is no divergence: it
// would be sent back, and collected and sent back again.
func TestR7_TombstonesThatAreOverMayDiffer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2, upkeep.Config{})
		a, b := w.machines[0], w.machines[1]
		for id, age := range map[string]time.Duration{"over": store.GraceDefault + time.Second, "young": store.GraceDefault / 2} {
			apply(t, a, cluster.Update{Object: cluster.Object{
				ID: cluster.ObjectID{Type: typeCard, Owner: "owner", ID: id}, Deleted: true,
				Timestamp: cluster.Timestamp{Time: time.Now().Add(-age).UnixNano(), Node: a.id},
				Replicas:  cluster.NewReplicaSet(a.id, b.id),
			}}, nil)
		}
		v, err := b.up.Verify(context.Background(), upkeep.VerifyOptions{})
		if err != nil || v.Divergences != 1 {
			t.Errorf("Verify = %+v, %v; want one divergence", v, err)
		}
	})
}

// note is the id of one of fill's notes.
func note(owner, k int) cluster.ObjectID {
	return cluster.ObjectID{Type: typeNote, Owner: fmt.Sprintf("owner-%d", owner), ID: fmt.Sprintf("note-%04d", owner+5*k)}
}

// pass lets fake time pass.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
}

// apply changes one machine's disk alone, and ends the update's record.
func apply(t *testing.T, m *machine, u cluster.Update, body cluster.Body) {
	t.Helper()
	ctx := context.Background()
	if _, err := m.store.Apply(ctx, u, body); err != nil {
		t.Fatal(err)
	}
	var over []cluster.Retirement
	if err := m.store.Records(func(r cluster.Record) error {
		if r.ID == u.Object.ID {
			over = append(over, cluster.Retirement{ID: r.ID, Timestamp: r.Timestamp, Targets: r.Targets})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := m.store.Retire(ctx, over); err != nil {
		t.Fatal(err)
	}
}

// forget removes one machine's copy, and lets the memory of that fade.
func forget(t *testing.T, m *machine, id cluster.ObjectID) {
	t.Helper()
	ctx := context.Background()
	o := m.held()[id]
	gone := cluster.Update{Object: cluster.Object{ID: id, Deleted: true, Timestamp: o.Timestamp}, Previous: cluster.ReplicaSet{m.id}}
	gone.Object.Timestamp.Time++
	apply(t, m, gone, nil)
	if _, err := m.store.Collect(ctx, time.Now().Add(2*cluster.LateWindow), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.held()[id]; ok {
		t.Fatalf("%v is still there", id)
	}
}

// R6: what has too few copies though its set is not smaller than usual is found by comparing.
func TestR6_ComparingFindsTooFewCopies(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3, upkeep.Config{CompareEvery: 10 * time.Minute, Copies: map[cluster.ObjectType]int{typeNote: 1}})
		w.put(typeNote, "owner", "three", 3, w.machines[0].id)
		w.await("three copies", 15*time.Minute, func() error { return w.check(3) })
	})
}

// Right after a node's death a comparing is tried again until the others are among themselves, and is then
// no failure; and the nodes know what lacks a copy before repair begins.
func TestVerifyRightAfterADeath(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3, upkeep.Config{})
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		for i := range 4 {
			w.put(typeNote, "owner", fmt.Sprint(i), 2, b.id, c.id)
		}
		c.kill()
		v, err := a.up.Verify(t.Context(), upkeep.VerifyOptions{})
		if err != nil || v.Members != 2 {
			t.Errorf("Verify = %+v, %v; want two members compared", v, err)
		}
		w.await("missing copies known", time.Minute, func() error {
			first, second := a.up.Status().Missing, b.up.Status().Missing
			if first.Objects+second.Objects != 4 || second.At.IsZero() {
				return fmt.Errorf("missing %+v, %+v", first, second)
			}
			return nil
		})
		w.await("none missing", 10*time.Minute, func() error {
			first, second := a.up.Status().Missing, b.up.Status().Missing
			if first.Objects+second.Objects > 0 || first.Old || second.Old {
				return fmt.Errorf("missing %+v, %+v", first, second)
			}
			return nil
		})
	})
}

// When the absent node is back, no repair is announced any more, though the figure is of the last look.
func TestNoRepairIsAnnouncedWhenAllAreBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3, upkeep.Config{})
		b, c := w.machines[1], w.machines[2]
		w.put(typeNote, "owner", "note", 2, b.id, c.id)
		c.kill()
		w.await("missing copy known", time.Minute, func() error {
			if m := b.up.Status().Missing; m.Objects != 1 || m.At.IsZero() {
				return fmt.Errorf("missing %+v", m)
			}
			return nil
		})
		c.start()
		w.await("nobody absent", time.Minute, func() error {
			if n := len(b.node.Absent()); n > 0 {
				return fmt.Errorf("%d absent", n)
			}
			return nil
		})
		if m := b.up.Status().Missing; !m.At.IsZero() || m.Objects > 0 && !m.Old {
			t.Errorf("missing %+v; want no repair announced, and the figure called old", m)
		}
	})
}
