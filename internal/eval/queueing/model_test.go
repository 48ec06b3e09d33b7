package queueing

import (
	"testing"
	"time"

	"porcupine/internal/cluster/balance"
)

func small(p balance.Policy) Config {
	return Config{Nodes: 10, Users: 5000, Service: 36 * time.Millisecond, Policy: p, Refresh: 100 * time.Millisecond,
		Outstanding: 8, Warm: 2 * time.Second, Window: 10 * time.Second, Seed: 1}
}

func run(t *testing.T, c Config) Outcome {
	t.Helper()
	o, err := Run(c)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// With enough messages under way and fresh news all disks are busy; nothing is faster than they are.
func TestSaturation(t *testing.T) {
	const most = 10 / 0.036
	c := small(balance.Dynamic{Spread: 2})
	if o := run(t, c); o.Throughput < 0.98*most || o.Throughput > 1.01*most || o.Wait < 7*c.Service || o.Wait > 9*c.Service {
		t.Errorf("D2 = %+v, want about %.0f, and eight services each", o, most)
	}
	// One message under way for each node, 36 ms each at best.
	c = small(balance.Random{})
	c.Outstanding = 1
	if o := run(t, c); o.Throughput > 0.8*most {
		t.Errorf("R with few messages = %+v, want queues before some disks and none before others", o)
	}
}

// Old news taken for fresh make everybody run to the same nodes.
func TestOldNewsCost(t *testing.T) {
	c := small(balance.Dynamic{Spread: 4})
	fresh := run(t, c)
	c.Refresh, c.Ageless = 5*time.Second, true
	if old := run(t, c); old.Throughput > 0.95*fresh.Throughput {
		t.Errorf("D4 with news of 5 s taken for fresh = %+v, with news of 0.1 s %+v", old, fresh)
	}
}

func TestSameSeedSameOutcome(t *testing.T) {
	c := small(balance.Dynamic{Spread: 2})
	if a, b := run(t, c), run(t, c); a != b {
		t.Errorf("two runs of one seed: %+v and %+v", a, b)
	}
}

func TestNothingToModel(t *testing.T) {
	if _, err := Run(Config{}); err == nil {
		t.Error("a model of nothing was run")
	}
}

// A fast disk adds what it can do more, if any user's mail may go there.
func TestFastDisk(t *testing.T) {
	c := small(balance.Dynamic{Spread: 4})
	plain := run(t, c)
	c.Speed = []float64{5, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	for _, c.Unweighted = range []bool{false, true} {
		if o := run(t, c); o.Throughput < 1.3*plain.Throughput || o.Throughput > 1.41*plain.Throughput {
			t.Errorf("one disk of ten five times as fast, load is the queue alone %v: %+v, without %+v", c.Unweighted, o, plain)
		}
	}
	c.Speed = c.Speed[:9]
	if _, err := Run(c); err == nil {
		t.Error("a model with nine speeds for ten disks was run")
	}
}
