package experiment

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"porcupine/internal/cluster"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
	"porcupine/internal/eval/testbed"
)

// skew is throughput when the mail goes to ever fewer users' buckets (TOCS §5.5).
func skew() eval.Experiment {
	return eval.Experiment{
		Name: "skew", Title: "throughput under a skewed load, by policy: dynamic spread, random, static",
		Source: "TOCS §5.5", Waits: true, Run: runSkew,
	}
}

// skewAt is one degree of skew: the part of the buckets, from the first on, that all recipients are in.
type skewAt struct {
	degree  float64
	buckets int
}

// skews are those of the papers: all buckets, those of half and of a quarter of the nodes, and one.
func skews() []skewAt {
	return []skewAt{{0, cluster.BucketCount}, {0.25, cluster.BucketCount / 2}, {0.5, cluster.BucketCount / 4}, {1, 1}}
}

// skewPublished gives what was published for 30 nodes, by policy, for each of skews.
func skewPublished(copies int) map[string][]float64 {
	if copies > 1 {
		return map[string][]float64{
			"D1": {327.9, 330.2, 325.9, 323.0}, "D2": {362.5, 355.7, 345.7, 352.8}, "D4": {373.3, 353.1, 351.7, 353.3},
			"R":  {325.0, 316.0, 318.3, 323.9},
			"S1": {322.9, 165.0, 78.8, 20.4}, "S2": {360.4, 177.9, 109.3, 48.3}, "S4": {363.2, 192.4, 138.3, 77.5},
		}
	}
	return map[string][]float64{
		"D1": {689.3, 691.0, 683.2, 694.9}, "D2": {791.9, 801.1, 769.5, 780.0}, "D4": {778.1, 812.0, 784.2, 780.0},
		"R":  {693.2, 705.3, 710.2, 716.0},
		"S1": {735.0, 383.5, 191.0, 26.4}, "S2": {766.9, 418.8, 217.3, 49.1}, "S4": {753.1, 463.6, 274.8, 89.9},
	}
}

// skewRun is one curve set: all policies with so many copies.
type skewRun struct {
	copies   int
	policies []named
	degrees  []skewAt
	rates    map[string][]float64
}

func runSkew(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	runs := []*skewRun{
		{copies: 1, policies: policies("D1", "D2", "D4", "R", "S1", "S2", "S4"), degrees: skews()},
		{copies: 2, policies: policies("D1", "D2", "D4", "R", "S1", "S2", "S4"), degrees: skews()},
	}
	if env.Quick { // two clusters share the work
		ends := []skewAt{skews()[0], skews()[3]}
		runs = []*skewRun{{copies: 1, policies: policies("D2", "S1"), degrees: ends}, {copies: 1, policies: policies("D4"), degrees: ends}}
	}
	nodes := sizeOf(env)
	err = atOnce(ctx, runs, func(ctx context.Context, run *skewRun) error {
		return withBed(ctx, env, nodes, 0, func(b *testbed.Bed) error { return run.measure(ctx, env, b) })
	})
	if err != nil {
		return r, err
	}
	if env.Quick {
		runs[0].policies = append(runs[0].policies, runs[1].policies...)
		runs[0].rates["D4"] = runs[1].rates["D4"]
		runs = runs[:1]
	}
	for _, run := range runs {
		run.tell(&r, nodes)
	}
	r.Notes = append(r.Notes, "Skew 0: the recipients are in all buckets; 0.25 and 0.5: in those of half and of a quarter of the nodes; 1: in one bucket.")
	return r, nil
}

func (run *skewRun) measure(ctx context.Context, env eval.Env, b *testbed.Bed) error {
	run.rates = map[string][]float64{}
	setDisks(b, inNVRAM()) // the published rates with two copies are those of a log in NVRAM
	for _, p := range run.policies {
		for _, d := range run.degrees {
			t := trial{copies: run.copies, buckets: d.buckets, users: usersPerNode * len(b.Nodes)}
			t.policy, t.reachable = p.on(b, d.buckets, run.copies)
			rate, err := measure(ctx, b, t, spansOf(env))
			if err != nil {
				return fmt.Errorf("policy %s, skew %g: %w", p.name, d.degree, err)
			}
			env.Progress("%d copies, policy %s, skew %g: %.1f msg/s", run.copies, p.name, d.degree, rate)
			run.rates[p.name] = append(run.rates[p.name], rate)
		}
	}
	return nil
}

// tell adds a run to the result.
func (run *skewRun) tell(r *eval.Result, nodes int) {
	suffix, copies := "", "one copy"
	if run.copies > 1 {
		suffix, copies = "-copies", "two copies, log in NVRAM"
	}
	t := eval.Table{Title: fmt.Sprintf("messages received by %d nodes, %s", nodes, copies), Corner: "skew", Unit: "msg/s"}
	chart := &plot.Chart{Title: "Throughput under a skewed load, " + copies, Note: fmt.Sprintf("%d nodes; a disk write of 36 ms for each message and node", nodes),
		X: plot.Axis{Label: "skew", Unit: "0: all buckets; 0.25, 0.5: those of half and a quarter of the nodes; 1: one bucket"}, Y: plot.Axis{Label: "messages received", Unit: "1/s"}}
	for _, d := range run.degrees {
		chart.X.Ticks = append(chart.X.Ticks, d.degree)
		t.Rows = append(t.Rows, eval.Row{Label: strconv.FormatFloat(d.degree, 'g', -1, 64)})
	}
	for _, p := range run.policies {
		t.Columns = append(t.Columns, p.name)
		published := run.published(p.name, nodes)
		for i, d := range run.degrees {
			cell := eval.Measured(run.rates[p.name][i])
			if j := slices.Index(skews(), d); published != nil {
				cell = eval.Both(published[j], run.rates[p.name][i])
			}
			t.Rows[i].Cells = append(t.Rows[i].Cells, cell)
		}
		if published != nil {
			chart.Series = append(chart.Series, plot.Series{Name: p.name, Whose: plot.Published, Points: curve(chart.X.Ticks, published)})
		}
		chart.Series = append(chart.Series, plot.Series{Name: p.name, Whose: plot.Measured, Points: curve(chart.X.Ticks, run.rates[p.name])})
	}
	r.Tables = append(r.Tables, t)
	r.Figures = append(r.Figures, eval.Figure{Name: "skew" + suffix, Drawing: chart})
	for _, name := range []string{"D2", "D4"} {
		r.Checks = append(r.Checks, run.isFlat(name, copies))
	}
	r.Checks = append(r.Checks, run.collapses(nodes, copies))
}

// published gives the published rates of a policy; nil: they are for another number of nodes.
func (run *skewRun) published(policy string, nodes int) []float64 {
	if nodes != nodesAll {
		return nil
	}
	return skewPublished(run.copies)[policy]
}

const flatWithin = 0.10

func (run *skewRun) isFlat(policy, copies string) eval.Check {
	rates := run.rates[policy]
	d := slices.Max(rates)/slices.Min(rates) - 1
	return eval.Checked(d <= flatWithin, fmt.Sprintf("%s is flat within 10 %% over skew, %s", policy, copies), "%.1f to %.1f msg/s: %.1f %% apart", slices.Min(rates), slices.Max(rates), 100*d)
}

// collapsesWithin is how far the collapse of S1 may be from the work of one replica set, as a factor.
const collapsesWithin = 1.35

// collapses checks that all load on one bucket leaves S1 with the throughput of one replica set.
func (run *skewRun) collapses(nodes int, copies string) eval.Check {
	rates := run.rates["S1"]
	first, last := rates[0], rates[len(rates)-1]
	want := float64(run.copies) / float64(nodes)
	f := last / first / want
	return eval.Checked(f < collapsesWithin && f > 1/collapsesWithin, fmt.Sprintf("S1 falls to about %d/%d, %s", run.copies, nodes, copies),
		"from %.1f to %.1f msg/s: to 1/%.1f", first, last, first/last)
}
