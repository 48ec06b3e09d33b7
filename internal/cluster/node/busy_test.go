package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/call"
)

// busyTimes makes a hook that says a number of times that too many wait for the disk already.
func busyTimes(n int64) (hook func() error, said *atomic.Int64) {
	said = &atomic.Int64{}
	return func() error {
		if said.Add(1) <= n {
			return cluster.Errorf(cluster.KindLimit, "store", "too many are waiting already")
		}
		return nil
	}, said
}

// R4: what is in doubt is settled although the disk has no time for the question at first, and although the
// node would not take the update in if it came now.
func TestR4_DoubtOutlivesABusyDiskAndADrain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		hide := func(*cluster.Update) error {
			a.node.SetDraining(true)
			return cluster.Errorf(cluster.KindUnavailable, "apply", "the caller has gone")
		}
		a.hooks.applied.Store(&hide)
		busy, said := busyTimes(2)
		a.hooks.accept.Store(&busy)
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
				return fmt.Errorf("it has %q, and the disk was asked %d times", got, said.Load())
			}
			return nil
		})
		w.awaitQuiet(a, b)
	})
}

// R4: a record that is over leaves the disk although that has no time at first. It would be taken for one
// that propagates, by upkeep too, until the node starts again.
func TestR4_RetirementOutlivesABusyDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		busy, _ := busyTimes(2)
		a.hooks.retire.Store(&busy)
		b.put(typeNote, "o", "x", "contents", a.id, b.id)
		w.awaitQuiet(a, b)
		w.await("the record's leaving the disk", drainMax, func() error {
			if k := a.diskRecords(); k != 0 {
				return fmt.Errorf("%d records", k)
			}
			return nil
		})
	})
}

// M5, decision 0013: more updates wait for a disk that is slow, and answers, than may, and another node dies meanwhile. What this node
// promises is stored nevertheless: overload passes, and ends no process.
func TestM5_OverloadedNodeLivesOverAChangeOfView(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, c := w.machines[0], w.machines[2]
		a.disk.valve.slowDown(300 * time.Millisecond) // up to 0.4 s are borne
		ctx, cancel := context.WithCancel(context.Background())
		var senders sync.WaitGroup
		var refused atomic.Int64
		for i := range 4300 {
			senders.Go(func() { // who tries again when he is told to
				for k := 0; ctx.Err() == nil; k++ {
					if err := a.tryPut(typeNote, "o", fmt.Sprint(i, " ", k), "contents", a.id); err != nil {
						refused.Add(1)
						pass(time.Second)
					}
				}
			})
		}
		defer func() {
			cancel()
			senders.Wait()
			a.disk.valve.slowDown(0)
		}()
		w.await("an overload", 10*time.Second, func() error {
			if refused.Load() == 0 {
				return errors.New("nothing was refused")
			}
			return nil
		})
		c.kill()
		w.await("a view without the dead node", time.Minute, func() error {
			if n := w.onFatal.Load(); n > 0 {
				t.Fatalf("%d nodes ended for good", n)
			}
			return isSettled(w.machines[:2])
		})
	})
}
