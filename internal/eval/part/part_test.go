package part

import (
	"math"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/eval"
)

// TestSpace carries out the one experiment whose quick form takes a second or two. The others are tested in their parts.
func TestSpace(t *testing.T) {
	r, err := space(t.Context(), eval.Env{Quick: true, Dir: t.TempDir(), Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Errorf("a claim does not hold: %+v", r.Checks)
	}
	for _, f := range r.Figures {
		if _, err := f.Drawing.SVG(); err != nil {
			t.Error(err)
		}
	}
}

// The figures of a reconstruction can be drawn, and its claims tell good shapes from bad ones.
func TestClaimsOfReconstruction(t *testing.T) {
	row := func(of func(i int) scene, cost func(s scene) float64) (list []rebuilt) {
		for i := range 3 {
			s := of(i)
			list = append(list, rebuilt{scene: s, cost: time.Duration(cost(s) * 1e6)})
		}
		return list
	}
	users := func(i int) scene { return scene{8, 1000 << i, 512} }
	buckets := func(i int) scene { return scene{8, 1000, 128 << i} }
	nodes := func(i int) scene { return scene{4 << i, 1000, 512} }
	good := func(s scene) float64 { return float64(s.users)/100 + float64(s.buckets)/1000 }
	bad := func(s scene) float64 { return float64(s.users*s.users*s.nodes) * float64(s.buckets*s.buckets) }
	for _, c := range []struct {
		cost func(scene) float64
		want bool
	}{{good, true}, {bad, false}} {
		u, b, n := row(users, c.cost), row(buckets, c.cost), row(nodes, c.cost)
		for _, check := range rebuildChecks(u, b, n) {
			if check.OK != c.want {
				t.Errorf("%s: %v (%s), want %v", check.Claim, check.OK, check.Figures, c.want)
			}
		}
		for _, f := range rebuildFigures(1000, u, b, n) {
			if _, err := f.Drawing.SVG(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A death moves the buckets of the dead alone, each is read once by each who lives, and all its users are known again.
func TestReconstruct(t *testing.T) {
	s := scene{nodes: 4, users: 600, buckets: 100}
	f, err := fill(t.Context(), t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.begin(s); err != nil {
		t.Fatal(err)
	}
	for number := 2; number < 5; number++ {
		cost, done, err := f.reconstruct(s, number)
		if err != nil {
			t.Fatal(err)
		}
		if cost < 0 {
			t.Errorf("cost %v", cost)
		}
		if want := 3 * s.buckets; done.scanned != want {
			t.Errorf("%d buckets read, want %d", done.scanned, want)
		}
		if want := 2 * s.users; done.holdings != want {
			t.Errorf("%d holdings told, want %d", done.holdings, want)
		}
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
}

func TestScan(t *testing.T) {
	cost, all, err := scanBuckets(t.Context(), eval.Env{Dir: t.TempDir()}, 3, 50)
	if err != nil || cost < 0 || all != 150 {
		t.Errorf("scanBuckets = %v, %d users, %v, want 150", cost, all, err)
	}
}

// What a manager takes itself for is what the heap has grown by, but for what tables and allocators round up.
func TestMemory(t *testing.T) {
	const users = 20_000
	heap, estimate, err := fillManager(users, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	if heap < estimate || heap > 2*estimate || estimate < 100*users {
		t.Errorf("%d users: the heap has grown by %d bytes, the manager estimates %d", users, heap, estimate)
	}
}

func TestUserNamesFallIntoTheirBuckets(t *testing.T) {
	count := map[cluster.Bucket]int{}
	for _, name := range userNames(30, firstBuckets(10)) {
		count[clusterID().BucketOf(name)]++
	}
	for b := range cluster.Bucket(10) {
		if count[b] != 3 {
			t.Errorf("bucket %d has %d users, want 3", b, count[b])
		}
	}
}

func TestStraightness(t *testing.T) {
	xs := []float64{1, 2, 3, 4}
	for _, c := range []struct {
		ys       []float64
		from, to float64
	}{
		{[]float64{3, 5, 7, 9}, 1, 1},
		{[]float64{1, 4, 9, 16}, 0.9, 0.99},
		{[]float64{1, -1, 1, -1}, 0, 0.3},
	} {
		if r2 := straightness(xs, c.ys); r2 < c.from-1e-9 || r2 > c.to+1e-9 || math.IsNaN(r2) {
			t.Errorf("straightness(%v) = %v, want %v to %v", c.ys, r2, c.from, c.to)
		}
	}
}
