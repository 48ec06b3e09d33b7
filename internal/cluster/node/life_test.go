package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
)

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
	notUnderRace(t)
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

// A node that was made and never started has nothing to leave.
func TestStop_BeforeStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 1)
		m := w.machines[0]
		w.register = func(n *Node) {
			if _, err := n.Lookup(context.Background(), "x"); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("Lookup before Start = %v, want kind unavailable", err)
			}
			if err := n.Stop(context.Background()); err != nil {
				t.Errorf("Stop before Start = %v", err)
			}
		}
		if err := m.tryStart(); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("Start after Stop = %v, want kind invalid", err)
		}
	})
}

// The membership state is durable before anything depends on it: a node whose disk fails takes no
// part any more, says so once, and refuses everything (D10).
func TestD10_MembershipStateNotDurable(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		c := w.machines[2]
		c.failWrites(func(name string) error {
			if name == persistName {
				return errors.New("disk failed")
			}
			return nil
		})
		before := c.node.View()
		w.machines[1].kill() // a change, for which every member has to promise something
		w.await("the failure", settleMax, func() error {
			if w.onFatal.Load() == 0 {
				return errors.New("OnFatal was not called")
			}
			return nil
		})
		w.settle(w.machines[0])
		pass(5 * time.Second)
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
		c.failWrites(nil)
		w.machines[1].start()
		c.start()
		w.settle(w.machines...)

		c.kill()
		c.failWrites(func(string) error { return errors.New("disk failed") })
		if err := c.tryStart(); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Start on a failed disk = %v, want kind unavailable", err)
		}
		if n := w.onFatal.Load(); n != 1 {
			t.Errorf("OnFatal was called by a Start that failed")
		}
	})
}

// rollBack gives a machine, which is off, the disk that it had at some time.
func (m *machine) rollBack(to *vfs.MemFS) { m.disk = newDisk(to) }

// A disk that is put back to what it was while the node ran is refused when commits that were durable
// are gone, though the node was not started in between; one that lost what was not synced is not.
func TestR6_RolledBackWhileItRan(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, c := w.machines[0], w.machines[2]
		old := c.disk.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		began := c.node.View().Epoch
		for i := range 5 {
			a.put(typeNote, "owner", fmt.Sprint(i), "contents", a.id, c.id)
		}
		pass(time.Second)
		if e := c.node.View().Epoch; e != began {
			t.Fatalf("the view has changed from %v to %v", began, e)
		}
		for i := range 3 {
			c.losePower()
			c.start()
			w.settle(w.machines...)
			a.put(typeNote, "owner", fmt.Sprintf("after %d", i), "contents", a.id, c.id)
			pass(time.Second)
		}
		if n := c.hooks.struck.Load(); n != 0 {
			t.Fatalf("a crash was taken for a rolled-back disk %d times", n)
		}
		again := c.disk.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		a.put(typeNote, "owner", "late", "contents", a.id, c.id)
		pass(time.Second)
		for i, disk := range []*vfs.MemFS{again, old} {
			c.kill()
			c.rollBack(disk)
			c.start()
			w.await("the refusal", settleMax, func() error {
				if n := c.hooks.struck.Load(); n != int64(i+1) {
					return fmt.Errorf("refused %d times, want %d", n, i+1)
				}
				return nil
			})
			w.settle(w.machines[:2]...)
		}
	})
}
