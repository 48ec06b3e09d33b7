package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
	"porcupine/internal/eval/simdisk"
	"porcupine/internal/eval/testbed"
)

const (
	// paperUnit is the time of one synchronous disk write of a message in the papers' cluster: 1/27.5 s.
	paperUnit = 36 * time.Millisecond
	// scale is by how much slower the simulated disks are than that.
	scale = 6
	// unit is the time of one write here.
	unit = paperUnit * scale
	// clientsPerDisk is the number of outstanding requests for each disk that can be reached.
	clientsPerDisk = 6
	// usersPerNode is how many users there are for each node. The papers had 160,000; what matters is that
	// no user alone has more mail than a disk can take.
	usersPerNode = 20
	// nodesAll is the size of the papers' cluster.
	nodesAll = 30
	// nodesQuick is the size of the cluster in the quick form of most experiments: half of it.
	nodesQuick = 15
)

// The charges of the papers' disks for one message (TOCS §5.2): a write for the message, and half a write for the
// update record at each replica, or none if the log is in NVRAM. The baseline of sendmail and popd writes
// temporary files and locks: 2.7 times as much.
func onDisk() simdisk.Costs   { return simdisk.Costs{Object: 1, Record: 0.5} }
func inNVRAM() simdisk.Costs  { return simdisk.Costs{Object: 1} }
func sendmail() simdisk.Costs { return simdisk.Costs{Object: 2.7} }

// setDisks gives all disks of a testbed these costs and the ordinary speed.
func setDisks(b *testbed.Bed, c simdisk.Costs) {
	for _, n := range b.Nodes {
		n.Disk.Set(unit, c)
	}
}

// spans are how long a load runs before it is measured, and while it is.
type spans struct{ warm, window time.Duration }

func spansOf(env eval.Env) spans {
	if env.Quick {
		return spans{warm: 4 * time.Second, window: 9 * time.Second}
	}
	return spans{warm: 5 * time.Second, window: 12 * time.Second}
}

// trial is one measurement on a testbed: users who have no mail yet, and a policy that says where it goes.
type trial struct {
	policy    balance.Policy // nil: the nodes' own
	copies    int
	buckets   int // of the users, from the first on
	users     int
	reachable int // disks that the load can reach
	clients   int // outstanding requests for each of them; 0: clientsPerDisk
}

// measure carries out a trial and gives the messages a second, in the papers' time.
func measure(ctx context.Context, b *testbed.Bed, t trial, s spans) (float64, error) {
	users, err := b.AddUsers(ctx, t.users, t.copies, t.buckets)
	if err != nil {
		return 0, err
	}
	b.SetPolicy(t.policy)
	return throughput(ctx, b, testbed.Load{Users: users, Clients: cmp.Or(t.clients, clientsPerDisk) * t.reachable}, t.copies, s)
}

// policies are those that the papers compare, by their names there.
func policies(names ...string) []named {
	all := []named{
		{"D1", 1, true, balance.Dynamic{Spread: 1}}, {"D2", 2, true, balance.Dynamic{Spread: 2}}, {"D4", 4, true, balance.Dynamic{Spread: 4}},
		{"R", 0, true, balance.Random{}},
		{"S1", 1, false, balance.Static{Spread: 1}}, {"S2", 2, false, balance.Static{Spread: 2}}, {"S4", 4, false, balance.Static{Spread: 4}},
	}
	var list []named
	for _, n := range names {
		for _, p := range all {
			if p.name == n {
				list = append(list, p)
			}
		}
	}
	return list
}

// named is a policy of the papers.
type named struct {
	name   string
	spread int
	free   bool // any node may be chosen
	balance.Policy
}

// on gives the policy for a testbed, and how many of its disks it can reach for users in a range of buckets.
func (p named) on(b *testbed.Bed, buckets, copies int) (balance.Policy, int) {
	if p.free {
		return p.Policy, len(b.Nodes)
	}
	homes := (buckets*len(b.Nodes) + cluster.BucketCount - 1) / cluster.BucketCount
	return balance.Static{Spread: p.spread, Nodes: b.IDs()}, min(homes+p.spread-1+copies-1, len(b.Nodes))
}

// throughput loads a testbed and gives the messages a second, in the papers' time.
func throughput(ctx context.Context, b *testbed.Bed, l testbed.Load, copies int, s spans) (float64, error) {
	r := b.Start(l)
	defer r.Stop()
	stored, err := r.Window(ctx, s.warm, s.window)
	if err != nil {
		return 0, err
	}
	c := r.Counts()
	if sessions := c.Delivered + c.Failed; c.Failed*failedShare > sessions {
		return 0, fmt.Errorf("%d of %d sessions failed, the last with: %w", c.Failed, sessions, r.LastError())
	}
	return float64(stored) / float64(copies) / s.window.Seconds() * scale, nil
}

// failedShare: when more than one of so many sessions fails, what was measured is something else.
const failedShare = 20

// curve makes the points of a curve.
func curve(xs, ys []float64) []plot.Point {
	points := make([]plot.Point, 0, len(xs))
	for i, x := range xs {
		if !math.IsNaN(ys[i]) {
			points = append(points, plot.Point{X: x, Y: ys[i]})
		}
	}
	return points
}

// sizeOf is the number of nodes of most experiments.
func sizeOf(env eval.Env) int {
	if env.Quick {
		return nodesQuick
	}
	return nodesAll
}

// withBed runs f on a testbed.
func withBed(ctx context.Context, env eval.Env, nodes int, suspect time.Duration, f func(*testbed.Bed) error) error {
	dir, err := os.MkdirTemp(env.Dir, "bed")
	if err != nil {
		return err
	}
	b, err := testbed.Open(ctx, testbed.Config{Nodes: nodes, Dir: dir, Unit: unit, Costs: onDisk(), SuspectAfter: suspect})
	if err != nil {
		return err
	}
	env.Progress("%d nodes are up", nodes)
	return errors.Join(f(b), b.Close())
}

// atOnce runs f for each item, all at the same time, and ends all when one fails.
func atOnce[T any](ctx context.Context, items []T, f func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, item := range items {
		g.Go(func() error { return f(ctx, item) })
	}
	return g.Wait()
}

// longer gives a window twice as long: for what is told as a difference of two rates.
func longer(s spans) spans { return spans{warm: s.warm, window: 2 * s.window} }

// faster gives the time of a unit on a disk that is so many times as fast.
func faster(factor float64) time.Duration { return time.Duration(float64(unit) / factor) }
