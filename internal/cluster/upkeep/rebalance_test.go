package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/upkeep"
)

// In its window, a node whose disk is much fuller gives objects to the emptiest one, an owner whose objects
// lie on too many nodes is gathered, and orphans are deleted, all without losing a copy.
func TestRebalance(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		// The bubble's clock begins at midnight, in UTC.
		window := upkeep.Window{Start: 10 * time.Minute, Length: time.Hour}
		var asked atomic.Int64
		w := boot(t, 3, upkeep.Config{
			Rebalance: window, Spread: 2, Copies: map[cluster.ObjectType]int{typeNote: 1},
			Orphans: func(_ context.Context, owner string, objects []cluster.Object) ([]cluster.Object, error) {
				asked.Add(1)
				switch owner {
				case "nobody":
					return objects, nil
				case "unknown":
					return nil, cluster.Errorf(cluster.KindUnavailable, "orphans", "the owner is not known here")
				}
				return nil, nil
			},
		})
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		for i := range 12 {
			w.put(typeNote, "wide", fmt.Sprintf("note-%02d", i), 1, []cluster.NodeID{a.id, a.id, b.id, b.id, c.id, a.id}[i%6])
		}
		w.put(typeNote, "nobody", "orphan", 1, b.id)
		kept := w.put(typeNote, "unknown", "note", 1, b.id)
		pass(t, 8*time.Minute)
		if n := spreadOf(w, "wide"); n != 3 || asked.Load() > 0 {
			t.Fatalf("before the window: spread %d, asked for orphans %d times", n, asked.Load())
		}
		w.await("rebalanced", 30*time.Minute, func() error {
			if n := spreadOf(w, "wide"); n != 2 {
				return fmt.Errorf("spread %d", n)
			}
			if held := b.held(); len(held) != 5 || held[kept].ID != kept {
				return fmt.Errorf("node b holds %v", held)
			}
			return w.check(1)
		})
		if m := b.up.Metrics(); m.Orphans != 1 || c.up.Metrics().Rebalance.Done != 2 {
			t.Errorf("metrics %+v, %+v", m, c.up.Metrics())
		}
	})
}

// Disks are evened out by size, not further than half way to where it would begin again.
func TestRebalanceDisks(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2, upkeep.Config{Rebalance: upkeep.Window{Length: 24 * time.Hour}, RebalanceRate: 1000})
		full, empty := w.machines[0], w.machines[1]
		full.fs.free.Store(1 << 34)
		for i := range 20 {
			w.put(typeNote, fmt.Sprintf("owner-%d", i), "note", 1, full.id)
		}
		w.await("moved", 30*time.Minute, func() error {
			if n := len(empty.held()); n < 20 {
				return fmt.Errorf("%d objects have moved", n)
			}
			return w.check(1)
		})
	})
}

// spreadOf counts the machines that hold notes of an owner.
func spreadOf(w *world, owner string) (n int) {
	for _, m := range w.live() {
		for id := range m.held() {
			if id.Owner == owner {
				n++
				break
			}
		}
	}
	return n
}

// V1: Verify says so when it could not ask everybody, and is not fooled by what is under way.
func TestV1_VerifyNeedsAllMembers(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2, upkeep.Config{})
		ctx := context.Background()
		a, b := w.machines[0], w.machines[1]
		for i := range 10 {
			w.put(typeNote, "owner", fmt.Sprint(i), 2, a.id, b.id)
		}
		v, err := a.up.Verify(ctx, upkeep.VerifyOptions{Wait: time.Second})
		if err != nil || v.OK || v.Complete || v.Young != 10 || v.Compared != 0 {
			t.Errorf("Verify of fresh objects that does not wait = %+v, %v; want that 10 were not compared", v, err)
		}
		v, err = a.up.Verify(ctx, upkeep.VerifyOptions{})
		if err != nil || !v.OK || v.Objects != 10 || v.Compared != 10 || v.Young != 0 {
			t.Errorf("Verify of fresh objects = %+v, %v; want OK, all compared", v, err)
		}
		began := time.Now()
		if v, err = a.up.Verify(ctx, upkeep.VerifyOptions{Wait: time.Second}); err != nil || !v.OK || v.Compared != 10 || time.Since(began) > time.Second {
			t.Errorf("Verify of old objects = %+v, %v after %v; want OK, all compared, at once", v, err, time.Since(began))
		}
		w.net.Cut(a.id, b.id)
		if _, err := a.up.Verify(ctx, upkeep.VerifyOptions{Wait: time.Second}); err == nil {
			t.Error("Verify without an answer of a member succeeded")
		}
	})
}

// V1: what comes while Verify waits is told of and is no fault; what was there at its beginning is compared.
func TestV1_VerifyOfABusyCluster(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2, upkeep.Config{})
		a, b := w.machines[0], w.machines[1]
		w.put(typeNote, "owner", "first", 2, a.id, b.id)
		done := make(chan upkeep.Verification, 1)
		go func() {
			v, err := a.up.Verify(t.Context(), upkeep.VerifyOptions{})
			if err != nil {
				t.Errorf("Verify = %v", err)
			}
			done <- v
		}()
		pass(t, upkeep.QuietAfter-time.Second)
		w.put(typeNote, "owner", "second", 2, a.id, b.id)
		if v := <-done; !v.OK || !v.Complete || v.Compared != 1 || v.Young != 1 {
			t.Errorf("Verify = %+v; want the first compared, the second told of", v)
		}
	})
}

// An Upkeep without what it needs is refused; a drain cannot be told to a node that is not there.
func TestWrongUse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 1, upkeep.Config{})
		m := w.machines[0]
		if _, err := upkeep.New(m.node, m.store, upkeep.Config{}); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("New without types = %v", err)
		}
		if err := m.up.DrainAt(context.Background(), 0x99, true); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("DrainAt a stranger = %v", err)
		}
		if s := m.up.Status(); s.Drain.Draining || strings.Contains(w.logged.String(), "drain") {
			t.Errorf("status %+v", s)
		}
		if _, err := m.up.StatusOf(context.Background(), 0x99); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("StatusOf a stranger = %v", err)
		}
	})
}
