package experiment

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
	"porcupine/internal/eval/simdisk"
	"porcupine/internal/eval/testbed"
)

// scalability is throughput against the number of nodes (TOCS §5.2).
func scalability() eval.Experiment {
	return eval.Experiment{
		Name: "scalability", Title: "throughput against the number of nodes, without and with replication, beside a static partition",
		Source: "TOCS §5.2", Waits: true, Run: runScalability,
	}
}

// setup is one curve of an experiment.
type setup struct {
	name      string
	copies    int
	costs     simdisk.Costs
	static    bool // a statically partitioned cluster
	published map[int]float64
}

// setups are the four configurations of the papers, with what they published for each number of nodes.
func setups() []setup {
	return []setup{
		{"one copy", 1, onDisk(), false, map[int]float64{2: 56.11, 4: 108.04, 8: 224.43, 16: 425.65, 30: 790.98}},
		{"two copies", 2, onDisk(), false, map[int]float64{2: 19.73, 4: 41.39, 8: 80.35, 16: 148.77, 30: 273.82}},
		{"two copies, log in NVRAM", 2, inNVRAM(), false, map[int]float64{2: 26.27, 4: 55.59, 8: 110.23, 16: 207.34, 30: 385.24}},
		{"static partition", 1, sendmail(), true, map[int]float64{2: 14.99, 4: 47.56, 8: 89.62, 16: 169.24, 30: 289.93}},
	}
}

// frontEndFor is how many back ends of the static partition share a front end, which counts as a node.
const frontEndFor = 15

// backEnds gives the nodes of a static partition that store mail.
func backEnds(nodes int) int { return nodes - (nodes+frontEndFor)/(frontEndFor+1) }

func runScalability(ctx context.Context, env eval.Env) (eval.Result, error) {
	batches := [][]int{{2, 4, 8, 16}, {nodesAll}} // those of a batch run at the same time
	if env.Quick {
		batches = [][]int{{2, 8, nodesAll}}
	}
	measured := map[int][]float64{} // by the number of nodes: a rate for each setup
	var mu sync.Mutex
	for _, batch := range batches {
		err := atOnce(ctx, batch, func(ctx context.Context, nodes int) error {
			rates, err := scaleTo(ctx, env, nodes)
			mu.Lock()
			defer mu.Unlock()
			measured[nodes] = rates
			return err
		})
		if err != nil {
			return eval.Result{}, err
		}
	}
	return scalabilityResult(slices.Concat(batches...), measured), nil
}

// scaleTo measures all setups on one cluster.
func scaleTo(ctx context.Context, env eval.Env, nodes int) (rates []float64, err error) {
	err = withBed(ctx, env, nodes, 0, func(b *testbed.Bed) error {
		for _, s := range setups() {
			setDisks(b, s.costs)
			t := trial{copies: s.copies, buckets: cluster.BucketCount, users: usersPerNode * nodes, reachable: nodes}
			if s.static {
				t.reachable = backEnds(nodes)
				t.policy = balance.Static{Spread: 1, Nodes: b.IDs()[:t.reachable]}
			}
			rate, err := measure(ctx, b, t, spansOf(env))
			if err != nil {
				return fmt.Errorf("%d nodes, %s: %w", nodes, s.name, err)
			}
			env.Progress("%d nodes, %s: %.1f msg/s", nodes, s.name, rate)
			rates = append(rates, rate)
		}
		return nil
	})
	return rates, err
}

func scalabilityResult(sizes []int, measured map[int][]float64) eval.Result {
	t := eval.Table{Title: "messages received", Corner: "nodes", Unit: "msg/s"}
	chart := &plot.Chart{Title: "Throughput against the number of nodes", Note: "a disk write of 36 ms for each message and node",
		X: plot.Axis{Label: "nodes"}, Y: plot.Axis{Label: "messages received", Unit: "1/s"}}
	var xs []float64
	for _, n := range sizes {
		xs = append(xs, float64(n))
	}
	chart.X.Ticks = xs
	var r eval.Result
	rates := make([][]float64, len(setups())) // by setup, then size
	for k, s := range setups() {
		t.Columns = append(t.Columns, s.name)
		published := make([]float64, len(sizes))
		for i, n := range sizes {
			rates[k] = append(rates[k], measured[n][k])
			published[i] = s.published[n]
		}
		chart.Series = append(chart.Series,
			plot.Series{Name: s.name, Whose: plot.Published, Points: curve(xs, published)},
			plot.Series{Name: s.name, Whose: plot.Measured, Points: curve(xs, rates[k])})
		if !s.static {
			r.Checks = append(r.Checks, isLinear(s.name, sizes, rates[k]))
		}
	}
	for i, n := range sizes {
		row := eval.Row{Label: strconv.Itoa(n)}
		for k, s := range setups() {
			row.Cells = append(row.Cells, eval.Both(s.published[n], rates[k][i]))
		}
		t.Rows = append(t.Rows, row)
	}
	last := len(sizes) - 1
	ratio := eval.Row{Label: fmt.Sprintf("share at %d", sizes[last])}
	for k, s := range setups() {
		ratio.Cells = append(ratio.Cells, eval.Both(s.published[sizes[last]]/setups()[0].published[sizes[last]], rates[k][last]/rates[0][last]))
	}
	t.Rows = append(t.Rows, ratio)
	r.Tables = []eval.Table{t}
	r.Figures = []eval.Figure{{Name: "scalability", Drawing: chart}}
	r.Notes = []string{"The rates are in the papers' time. The static partition has a front end for each 15 back ends, which counts as a node: with 2 nodes one stores mail."}
	return r
}

// isLinear checks that the throughput of a node does not depend on how many there are.
func isLinear(name string, sizes []int, rates []float64) eval.Check {
	each := make([]float64, len(sizes))
	text := ""
	for i, n := range sizes {
		each[i] = rates[i] / float64(n)
		text += fmt.Sprintf("%.1f at %d, ", each[i], n)
	}
	d := slices.Max(each)/slices.Min(each) - 1
	return eval.Checked(d <= linearWithin && !math.IsNaN(d), name+": linear within 10 % from 2 to 30 nodes",
		"msg/s a node: %sat most %.1f %% apart", text, 100*d)
}

const linearWithin = 0.10
