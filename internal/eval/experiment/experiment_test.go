package experiment

import (
	"math"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/eval"
	"porcupine/internal/eval/testbed"
)

// bedOf is a testbed of so many nodes, none of which was started.
func bedOf(nodes int) *testbed.Bed {
	b := &testbed.Bed{}
	for range nodes {
		b.Nodes = append(b.Nodes, &testbed.Node{})
	}
	return b
}

// holds fails the test unless the checks are as wanted.
func holds(t *testing.T, got []eval.Check, want ...bool) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d checks, want %d: %+v", len(got), len(want), got)
	}
	for i, c := range got {
		if c.OK != want[i] {
			t.Errorf("%q (%s) = %v, want %v", c.Claim, c.Figures, c.OK, want[i])
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range All() {
		if x.Name == "" || x.Title == "" || x.Source == "" || x.Run == nil || seen[x.Name] {
			t.Errorf("experiment %+v lacks something, or is there twice", x)
		}
		seen[x.Name] = true
	}
}

// The published rates themselves pass the claims: they are claims about the papers' curves.
func TestPaper52_PublishedIsLinear(t *testing.T) {
	sizes := []int{2, 4, 8, 16, 30}
	for _, s := range setups()[:3] {
		var rates []float64
		for _, n := range sizes {
			rates = append(rates, s.published[n])
		}
		// With two copies, what was published bends by up to 18 %: the claim is made of ours.
		if c := isLinear(s.name, sizes, rates); s.copies == 1 && !c.OK {
			t.Errorf("%q (%s) does not hold for what was published", c.Claim, c.Figures)
		}
	}
	holds(t, []eval.Check{
		isLinear("x", []int{2, 30}, []float64{55, 800}), isLinear("x", []int{2, 30}, []float64{55, 740}), isLinear("x", []int{2, 30}, []float64{0, math.NaN()}),
	}, true, false, false)
}

func TestPaper52_StaticPartitionHasFrontEnds(t *testing.T) {
	for nodes, want := range map[int]int{2: 1, 4: 3, 8: 7, 16: 15, 30: 28} {
		if got := backEnds(nodes); got != want {
			t.Errorf("backEnds(%d) = %d, want %d", nodes, got, want)
		}
	}
}

func TestScalabilityResult(t *testing.T) {
	sizes := []int{2, 30}
	r := scalabilityResult(sizes, map[int][]float64{2: {55, 18.3, 27.5, 10}, 30: {820, 270, 408, 250}})
	holds(t, r.Checks, true, true, true)
	if _, err := r.Figures[0].Drawing.SVG(); err != nil {
		t.Error(err)
	}
	if last := r.Tables[0].Rows[2]; len(r.Tables[0].Rows) != 3 || math.Abs(float64(last.Cells[1].Measured)-270.0/820) > 1e-9 {
		t.Errorf("the last row is %+v", last)
	}
}

func TestPaper55_PublishedSkewPassesItsClaims(t *testing.T) {
	for copies := 1; copies <= 2; copies++ {
		run := skewRun{copies: copies, policies: policies("D1", "D2", "D4", "R", "S1", "S2", "S4"), degrees: skews(), rates: skewPublished(copies)}
		var r eval.Result
		run.tell(&r, nodesAll)
		holds(t, r.Checks, true, true, true)
		if _, err := r.Figures[0].Drawing.SVG(); err != nil {
			t.Error(err)
		}
	}
	run := skewRun{copies: 1, policies: policies("D2", "D4", "S1"), degrees: skews(), rates: map[string][]float64{
		"D2": {800, 800, 700, 800}, "D4": {800, 800, 800, 0}, "S1": {800, 400, 200, 100}}}
	var r eval.Result
	run.tell(&r, nodesQuick)
	holds(t, r.Checks, false, false, false)
}

func TestPaper55_ReachOfPolicies(t *testing.T) {
	b := bedOf(30)
	tests := []struct {
		policy          string
		buckets, copies int
		want            int
	}{
		{"D2", 1, 1, 30}, {"R", 1, 1, 30},
		{"S1", cluster.BucketCount, 1, 30}, {"S1", cluster.BucketCount / 2, 1, 15}, {"S1", cluster.BucketCount / 4, 1, 8}, {"S1", 1, 1, 1},
		{"S4", 1, 1, 4}, {"S4", 1, 2, 5}, {"S4", cluster.BucketCount, 2, 30},
	}
	for _, tt := range tests {
		if _, got := policies(tt.policy)[0].on(b, tt.buckets, tt.copies); got != tt.want {
			t.Errorf("%s with users in %d buckets and %d copies reaches %d disks, want %d", tt.policy, tt.buckets, tt.copies, got, tt.want)
		}
	}
}

func TestPaper56_Order(t *testing.T) {
	run := heteroRun{copies: 1, fast: []int{0, 1, 2, 3}, rates: map[string]map[int]float64{}}
	for policy, increase := range heteroPublished(1) {
		for k, v := range increase {
			run.note(policy, k, 700+v)
		}
	}
	var r eval.Result
	run.tell(&r, nodesAll)
	holds(t, r.Checks, true)
	if _, err := r.Figures[0].Drawing.SVG(); err != nil {
		t.Error(err)
	}
	run.note("D2", 3, 700+40) // hardly more than S2
	holds(t, []eval.Check{run.isOrdered()}, false)
}

func TestPaper57_Timeline(t *testing.T) {
	p := phases{before: 10 * time.Second, dead: 20 * time.Second, after: 20 * time.Second, bin: 2 * time.Second}
	w := &watch{p: p, line: timeline{dead: 6}}
	for x := -9.0; x < 40; x += 2 {
		rate := 550.0
		switch {
		case x > 0 && x < 4:
			rate = 380
		case x > 0 && x < 24:
			rate = 440
		}
		w.line.times, w.line.rates = append(w.line.times, x), append(w.line.rates, rate)
	}
	w.sum()
	if l := w.line; l.before != 550 || l.plateau != 440 || l.after != 550 || l.lowest != 380 {
		t.Errorf("sum = %+v", l)
	}
	run := failureRun{copies: 1, p: p, lines: []timeline{w.line}}
	var r eval.Result
	run.tell(&r, nodesAll)
	holds(t, r.Checks, true, true, true)
	if _, err := r.Figures[0].Drawing.SVG(); err != nil {
		t.Error(err)
	}
	run.missing = 1
	r = eval.Result{}
	run.tell(&r, nodesQuick) // of 15 nodes 6 dead leave 0.6
	holds(t, r.Checks, false, true, false)
}

func TestSingleResult(t *testing.T) {
	r := singleResult([]float64{27.5, 9.2, 13.7}, []float64{125, 42, 50})
	holds(t, r.Checks, true, true, false)
	if _, err := r.Figures[0].Drawing.SVG(); err != nil {
		t.Error(err)
	}
}
