package experiment

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
	"porcupine/internal/eval/testbed"
)

// heterogeneity is what a few nodes with fast disks add (TOCS §5.6).
func heterogeneity() eval.Experiment {
	return eval.Experiment{
		Name: "heterogeneity", Title: "what a few fast disks add to the throughput, by policy",
		Source: "TOCS §5.6", Waits: true, Run: runHeterogeneity,
	}
}

// fastFactor is how much faster the node with three disks was than the others (105 messages a second for 23).
const fastFactor = 4.57

// heteroClients is the number of outstanding requests for each disk: twice as many as elsewhere. With fewer, R leaves some
// disks idle by chance, and its rate scatters by more than what S2 gains.
const heteroClients = 12

// heteroUsers is how many users there are for each node: more than elsewhere. A user's mail stays where some of it lies already, so that of few
// users even two choices find the fast disks, one after the other, and D2 gains what D4 gains. The papers' users were so many that most had no
// mail when some came.
const heteroUsers = 60

// heteroPolicies are the policies of the experiment, from the one that gains most.
func heteroPolicies() []string { return []string{"D4", "D2", "S4", "S2", "R"} }

// heteroPublished gives the published increase for 1, 2 and 3 fast nodes of 30, in messages a second.
func heteroPublished(copies int) map[string][]float64 {
	if copies > 1 {
		return map[string][]float64{"D2": {0, 10, 29, 48}, "D4": {0, 26.5, 53, 79}, "R": {0, 2, 3, 3}, "S2": {0, 4, 10, 16}, "S4": {0, 9, 18, 28}}
	}
	return map[string][]float64{"D2": {0, 45, 118, 174}, "D4": {0, 63, 133, 194}, "R": {0, 2, 3, 3}, "S2": {0, 9, 20, 31}, "S4": {0, 30, 53, 71}}
}

// heteroRun is the experiment with so many copies: rates by policy, for each number of fast nodes.
type heteroRun struct {
	copies int
	fast   []int
	mu     sync.Mutex
	rates  map[string]map[int]float64
}

// heteroPart is the work of one testbed.
type heteroPart struct {
	run  *heteroRun
	fast []int
}

func runHeterogeneity(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	runs := []*heteroRun{{copies: 1, fast: []int{0, 1, 2, 3}}, {copies: 2, fast: []int{0, 1, 2, 3}}}
	var parts []heteroPart
	for _, run := range runs {
		parts = append(parts, heteroPart{run, run.fast})
	}
	if env.Quick {
		runs = []*heteroRun{{copies: 1, fast: []int{0, 3}}} // three of half as many nodes: with two, S4 gains more than D2/muchMore on the model
		parts = []heteroPart{{runs[0], []int{0}}, {runs[0], []int{3}}}
	}
	for _, run := range runs {
		run.rates = map[string]map[int]float64{}
	}
	nodes := sizeOf(env)
	err = atOnce(ctx, parts, func(ctx context.Context, p heteroPart) error {
		return withBed(ctx, env, nodes, 0, func(b *testbed.Bed) error { return p.measure(ctx, env, b) })
	})
	if err != nil {
		return r, err
	}
	for _, run := range runs {
		run.tell(&r, nodes)
	}
	if err := tellHeteroModel(ctx, env, &r); err != nil {
		return r, err
	}
	return r, nil
}

func (p heteroPart) measure(ctx context.Context, env eval.Env, b *testbed.Bed) error {
	for _, k := range p.fast {
		setDisks(b, inNVRAM())
		for _, n := range b.Nodes[:k] { // beside each other: see modelNote
			n.Disk.Set(faster(fastFactor), inNVRAM())
		}
		for _, policy := range policies(heteroPolicies()...) {
			t := trial{copies: p.run.copies, buckets: cluster.BucketCount, users: heteroUsers * len(b.Nodes), clients: heteroClients}
			t.policy, t.reachable = policy.on(b, t.buckets, t.copies)
			rate, err := measure(ctx, b, t, longer(spansOf(env)))
			if err != nil {
				return fmt.Errorf("policy %s, %d fast nodes: %w", policy.name, k, err)
			}
			env.Progress("%d copies, policy %s, %d fast nodes: %.1f msg/s", t.copies, policy.name, k, rate)
			p.run.note(policy.name, k, rate)
		}
	}
	return nil
}

func (run *heteroRun) note(policy string, fast int, rate float64) {
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.rates[policy] == nil {
		run.rates[policy] = map[int]float64{}
	}
	run.rates[policy][fast] = rate
}

// increase gives what the fast nodes add.
func (run *heteroRun) increase(policy string, fast int) float64 {
	return run.rates[policy][fast] - run.rates[policy][0]
}

func (run *heteroRun) tell(r *eval.Result, nodes int) {
	suffix, copies := "", "one copy"
	if run.copies > 1 {
		suffix, copies = "-copies", "two copies, log in NVRAM"
	}
	t := eval.Table{Title: fmt.Sprintf("increase of messages received by %d nodes, %s", nodes, copies), Corner: "fast nodes", Unit: "msg/s", Columns: heteroPolicies()}
	chart := &plot.Chart{Title: "What fast disks add, " + copies, Note: fmt.Sprintf("of %d nodes so many have a disk that is 4.57 times as fast", nodes),
		X: plot.Axis{Label: "fast nodes"}, Y: plot.Axis{Label: "increase of messages received", Unit: "1/s"}}
	for _, k := range run.fast {
		chart.X.Ticks = append(chart.X.Ticks, float64(k))
	}
	for _, k := range run.fast[1:] {
		row := eval.Row{Label: strconv.Itoa(k)}
		for _, policy := range heteroPolicies() {
			cell := eval.Measured(run.increase(policy, k))
			if nodes == nodesAll {
				cell = eval.Both(heteroPublished(run.copies)[policy][k], run.increase(policy, k))
			}
			row.Cells = append(row.Cells, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	for _, policy := range heteroPolicies() {
		var ys []float64
		for _, k := range run.fast {
			ys = append(ys, run.increase(policy, k))
		}
		if nodes == nodesAll {
			chart.Series = append(chart.Series, plot.Series{Name: policy, Whose: plot.Published, Points: curve(chart.X.Ticks, heteroPublished(run.copies)[policy])})
		}
		chart.Series = append(chart.Series, plot.Series{Name: policy, Whose: plot.Measured, Points: curve(chart.X.Ticks, ys)})
	}
	base := eval.Row{Label: "without, msg/s"}
	for _, policy := range heteroPolicies() {
		base.Cells = append(base.Cells, eval.Measured(run.rates[policy][0]))
	}
	t.Rows = append([]eval.Row{base}, t.Rows...)
	r.Tables = append(r.Tables, t)
	r.Figures = append(r.Figures, eval.Figure{Name: "heterogeneity" + suffix, Drawing: chart})
	if run.copies == 1 {
		r.Checks = append(r.Checks, run.isOrdered())
	}
}

// muchMore is the least ratio of what ">>" says.
const muchMore = 1.5

// isOrdered checks the papers' order of the policies, with the most fast nodes.
func (run *heteroRun) isOrdered() eval.Check {
	most := slices.Max(run.fast)
	got := map[string]float64{}
	text := ""
	for _, policy := range heteroPolicies() {
		got[policy] = run.increase(policy, most)
		text += fmt.Sprintf("%s %+.1f, ", policy, got[policy])
	}
	return eval.Checked(heteroOrder(got), fmt.Sprintf("D4 > D2 >> S4 > S2 >> R in what %d fast disks add, one copy", most), "%sbase D2 %.1f", text, run.rates["D2"][0])
}

// heteroOrder reports whether the increases are in the papers' order.
func heteroOrder(of map[string]float64) bool {
	return of["D4"] > of["D2"] && of["D2"] > muchMore*of["S4"] && of["S4"] > of["S2"] && of["S2"] > muchMore*of["R"]
}
