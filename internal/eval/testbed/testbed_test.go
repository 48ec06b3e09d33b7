package testbed

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/eval/simdisk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A cluster's life: it is loaded, its disks limit it, a node dies and comes back with what it had.
func TestBed(t *testing.T) {
	const unit = 20 * time.Millisecond
	b, err := Open(t.Context(), Config{Nodes: 3, Dir: t.TempDir(), Unit: unit, Costs: simdisk.Costs{Object: 1, Record: 0.5},
		SuspectAfter: 4 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}()
	users, err := b.AddUsers(t.Context(), 12, 1, cluster.BucketCount)
	if err != nil {
		t.Fatal(err)
	}
	r := b.Start(Load{Users: users, Clients: 12})
	defer r.Stop()
	stored, err := r.Window(t.Context(), 100*time.Millisecond, time.Second)
	// No more than its disks can do, whatever the machine.
	if most := 3 * int(time.Second/unit); err != nil || stored == 0 || stored > most {
		t.Errorf("Window = %d messages, %v, want 1 to %d; last error %v", stored, err, most, r.LastError())
	}
	// All go to one node when the policy says so.
	b.SetPolicy(balance.Static{Spread: 1, Nodes: b.IDs()[:1]})
	if _, err = r.Window(t.Context(), time.Second, time.Second); err != nil {
		t.Fatal(err)
	}
	for i, n := range b.Nodes {
		if k, _ := n.Disk.Served(time.Time{}, time.Now()); (i == 0) != (k > 0) {
			t.Errorf("node %d stored %d messages, want some at the first alone", i, k)
		}
	}
	b.SetPolicy(nil)
	victim := b.Nodes[2]
	if err := victim.Kill(); err != nil {
		t.Errorf("Kill = %v", err)
	}
	if err := b.Settle(t.Context()); err != nil || len(b.Up()) != 2 {
		t.Fatalf("after a death: %v, %d nodes up", err, len(b.Up()))
	}
	if err := victim.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := r.Counts(); c.Delivered == 0 {
		t.Errorf("Counts = %+v, want some delivered; last error %v", c, r.LastError())
	}
}
