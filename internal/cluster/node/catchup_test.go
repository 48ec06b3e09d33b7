package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

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

// A node starts although one of its update records is damaged: all that it holds would be away otherwise.
func TestStartPastADamagedRecord(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		b.kill()
		w.settle(a)
		wantShortfall(t, a.tryPut(typeNote, "o", "x", "contents", a.id, b.id), a, b)
		a.kill()
		rot := func() error { return cluster.Errorf(cluster.KindCorrupt, "read update records", "bits have flipped") }
		a.hooks.records.Store(&rot)
		a.start()
		b.start()
		w.settle(a, b)
		w.awaitQuiet(a, b)
		if got := b.has(noteID("o", "x")); got != "contents" {
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
				return fmt.Errorf("told %d times, ready: %w", c.hooks.struck.Load(), c.node.Ready())
			}
			return nil
		})
		if err := c.tryPut(typeNote, "o", "y", "contents", c.id); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("an update by way of a struck node: %v, want kind unavailable", err)
		}
		w.settle(a, b)
	})
}

// R8: a node that too many records wait for is struck, but not by a view that has just begun: who is
// still missing from it may be on the way back.
func TestR8_OverdueNodeIsStruckByAStandingView(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.records = 10
		for _, m := range w.machines {
			m.start()
		}
		w.settle(w.machines...)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		c.kill()
		w.settle(a, b)
		for i := range 2 * w.records {
			wantShortfall(t, a.tryPut(typeNote, "o", fmt.Sprint(i), "contents", a.id, c.id), a, c)
		}
		pass(OverdueAfter / 2)
		if s := a.node.Struck(); len(s) > 0 {
			t.Fatalf("%v struck by a view that has just begun", s)
		}
		w.await("the overdue node to be struck", 2*OverdueAfter, func() error {
			if s := a.node.Struck(); !s.Equal(cluster.ReplicaSet{c.id}) {
				return fmt.Errorf("struck: %v", s)
			}
			return nil
		})
		w.awaitQuiet(a, b)
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

// What is large travels as a stream, what is small in groups; one that cannot be read keeps no other.
func TestCatchUp_LargeSmallAndDamaged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		b.kill()
		w.settle(a)
		contents := map[string]string{"large": strings.Repeat("l", transport.InlineBodyMax+1), "damaged": "rotten", "empty": ""}
		for i := range 10 {
			contents[fmt.Sprint("half-", i)] = strings.Repeat(fmt.Sprint(i), transport.InlineBodyMax/2)
			contents[fmt.Sprint("small-", i)] = fmt.Sprint("contents ", i)
		}
		for id, c := range contents {
			wantShortfall(t, a.tryPut(typeNote, "o", id, c, a.id, b.id), a, b)
		}
		rot := func(id cluster.ObjectID) error {
			if id.ID == "damaged" {
				return cluster.Errorf(cluster.KindCorrupt, "open", "bits have flipped")
			}
			return nil
		}
		a.hooks.open.Store(&rot)
		b.start()
		w.settle(a, b)
		w.await("all but the damaged one", drainMax, func() error {
			if k := a.node.Records(); k != 1 {
				return fmt.Errorf("%d records", k)
			}
			return nil
		})
		for id, want := range contents {
			got := b.has(noteID("o", id))
			if id == "damaged" {
				want = ""
			}
			if got != want {
				t.Errorf("%s: %d bytes came, want %d", id, len(got), len(want))
			}
		}
		if a.hooks.damaged.Load() == 0 {
			t.Error("the damage was not reported")
		}
		a.hooks.open.Store(nil) // healed
		w.awaitQuiet(a, b)
		if got := b.has(noteID("o", "damaged")); got != "rotten" {
			t.Errorf("the healed one came as %q", got)
		}
	})
}

// R4: a node that hangs, and is a member still, does not keep the others from what they missed.
func TestR4_CatchUpPassesAHungNode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		b.kill()
		c.kill()
		w.settle(a)
		large := strings.Repeat("l", transport.InlineBodyMax+1)
		for i := range 3 * CatchUpsInFlight {
			wantShortfall(t, a.tryPut(typeNote, "o", fmt.Sprint("b-", i), large, a.id, b.id), a, b)
		}
		wantShortfall(t, a.tryPut(typeNote, "o", "c", large, a.id, c.id), a, c)
		var hung atomic.Int64
		a.failCalls(func(method string, to cluster.NodeID) error {
			if method != call.MethodApply || to != b.id {
				return nil
			}
			hung.Add(1)
			pass(TargetTimeout)
			return departed(method, to) // or any other silence
		})
		b.start()
		w.settle(a, b)
		w.await("the calls that hang", drainMax, func() error {
			if hung.Load() == 0 {
				return errors.New("none")
			}
			return nil
		})
		c.start()
		w.settle(a, b, c)
		w.await("the other node's copy", TargetTimeout/2, func() error {
			if got := c.has(noteID("o", "c")); got != large {
				return fmt.Errorf("%d bytes, while %d calls to the other have hung", len(got), hung.Load())
			}
			return nil
		})
		if k := hung.Load(); k > CatchUpsPerPeer {
			t.Errorf("%d calls to a node that hangs, want at most %d", k, CatchUpsPerPeer)
		}
		a.failCalls(nil)
		w.awaitQuiet(a, b, c)
	})
}
