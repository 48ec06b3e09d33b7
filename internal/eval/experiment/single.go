package experiment

import (
	"context"
	"fmt"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
	"porcupine/internal/eval/testbed"
)

// single is the throughput of one node with one disk, and with three faster ones (TOCS §5.4).
func single() eval.Experiment {
	return eval.Experiment{
		Name: "single", Title: "throughput of one node with a slow and with a fast disk",
		Source: "TOCS §5.4", Waits: true, Run: runSingle,
	}
}

// singleNodes is the number of nodes on which the rate of one is taken: two copies need two.
const singleNodes = 2

// singlePublished gives the published rates of a node with one disk and with three, for each of the first three setups.
func singlePublished() [][2]float64 { return [][2]float64{{23, 105}, {9, 38}, {13, 48}} }

func runSingle(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	speeds := []float64{1, fastFactor}
	rates := map[float64][]float64{}
	var mu sync.Mutex
	err = atOnce(ctx, speeds, func(ctx context.Context, speed float64) error {
		return withBed(ctx, env, singleNodes, 0, func(b *testbed.Bed) error {
			for _, s := range setups()[:3] {
				for _, n := range b.Nodes {
					n.Disk.Set(faster(speed), s.costs)
				}
				t := trial{copies: s.copies, buckets: cluster.BucketCount, users: usersPerNode * singleNodes, reachable: singleNodes}
				rate, err := measure(ctx, b, t, spansOf(env))
				if err != nil {
					return fmt.Errorf("%s, disk %g times as fast: %w", s.name, speed, err)
				}
				env.Progress("disk %g times as fast, %s: %.1f msg/s a node", speed, s.name, rate/singleNodes)
				mu.Lock()
				rates[speed] = append(rates[speed], rate/singleNodes)
				mu.Unlock()
			}
			return nil
		})
	})
	if err != nil {
		return r, err
	}
	return singleResult(rates[1], rates[fastFactor]), nil
}

func singleResult(slow, fast []float64) (r eval.Result) {
	t := eval.Table{Title: "messages received by one node", Corner: "configuration", Unit: "msg/s",
		Columns: []string{"one disk", "three faster disks", "ratio"}}
	bars := &plot.Bars{Title: "Throughput of one node", X: "configuration", Y: plot.Axis{Label: "messages received by a node", Unit: "1/s"}}
	series := []plot.BarSeries{
		{Name: "one disk", Whose: plot.Published}, {Name: "one disk", Whose: plot.Measured},
		{Name: "three faster disks", Whose: plot.Published}, {Name: "three faster disks", Whose: plot.Measured},
	}
	for i, s := range setups()[:3] {
		p := singlePublished()[i]
		t.Rows = append(t.Rows, eval.Row{Label: s.name, Cells: []eval.Cell{eval.Both(p[0], slow[i]), eval.Both(p[1], fast[i]), eval.Both(p[1]/p[0], fast[i]/slow[i])}})
		bars.Groups = append(bars.Groups, s.name)
		for k, v := range []float64{p[0], slow[i], p[1], fast[i]} {
			series[k].Values = append(series[k].Values, v)
		}
		ratio := fast[i] / slow[i]
		r.Checks = append(r.Checks, eval.Checked(ratio > fastFactor*(1-fastWithin) && ratio < fastFactor*(1+fastWithin),
			s.name+": a faster disk is a faster node", "a disk %.2f times as fast: %.2f times the messages", fastFactor, ratio))
	}
	bars.Series = series
	r.Tables = []eval.Table{t}
	r.Figures = []eval.Figure{{Name: "single", Drawing: bars}}
	r.Notes = []string{fmt.Sprintf("Rates of each of %d nodes, since two copies need two. A unit of disk work is %v in the papers' time, which was taken from their clusters of 2 to 30 nodes; their single node was a little slower.", singleNodes, paperUnit.Round(time.Millisecond))}
	return r
}

// fastWithin is how far the gain of a node may be from the gain of its disk.
const fastWithin = 0.10
