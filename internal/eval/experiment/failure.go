package experiment

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
	"porcupine/internal/eval/testbed"
)

// failure is throughput while nodes die and come back (TOCS §5.7).
func failure() eval.Experiment {
	return eval.Experiment{
		Name: "failure", Title: "throughput while nodes die and come back, and what became of the messages",
		Source: "TOCS §5.7", Waits: true, Run: runFailure,
	}
}

// failurePublished gives what was published for 1, 3 and 6 of 30 nodes, without replication: the plateau and the
// lowest part, as shares of the rate before.
func failurePublished(dead int) (plateau, lowest float64) {
	switch dead {
	case 1:
		return 0.983, 0.915
	case 3:
		return 0.894, 0.846
	case 6:
		return 0.801, 0.690
	}
	return float64(eval.None()), float64(eval.None())
}

// failureSuspect is the silence after which a node is taken for dead in this experiment.
const failureSuspect = 6 * time.Second

// phases are the parts of a timeline: all nodes run; some are dead; all run again.
type phases struct{ before, dead, after, bin time.Duration }

func phasesOf(env eval.Env) phases {
	if env.Quick {
		return phases{16 * time.Second, 36 * time.Second, 24 * time.Second, 2 * time.Second}
	}
	return phases{30 * time.Second, 45 * time.Second, 45 * time.Second, 3 * time.Second}
}

// timeline is what happened when some nodes died.
type timeline struct {
	dead                   int
	times, rates           []float64 // seconds since the deaths, and messages a second in the papers' time
	view                   float64   // until the others had a view without them
	before, plateau, after float64   // rates
	lowest                 float64   // of the bins while they were dead
}

// failureRun is the experiment with so many copies, on one testbed.
type failureRun struct {
	copies       int
	deaths       []int
	p            phases
	lines        []timeline
	acknowledged int
	missing      int
}

func runFailure(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	runs := []*failureRun{{copies: 1, deaths: []int{1, 3, 6}}, {copies: 2, deaths: []int{1, 3, 6}}}
	nodes := sizeOf(env)
	if env.Quick {
		runs = []*failureRun{{copies: 1, deaths: []int{3}}, {copies: 2, deaths: []int{1}}}
	}
	err = atOnce(ctx, runs, func(ctx context.Context, run *failureRun) error {
		return withBed(ctx, env, nodes, failureSuspect, func(b *testbed.Bed) error { return run.measure(ctx, env, b) })
	})
	if err != nil {
		return r, err
	}
	for _, run := range runs {
		run.tell(&r, nodes)
	}
	r.Notes = append(r.Notes,
		"Nodes are killed without a word; their connections break, so that the others notice sooner than the papers' did (20 s).",
		"Shares are of the rate before. With two copies the clients' rate is told; what nodes that come back must catch up on is charged to their disks too.")
	return r, nil
}

func (run *failureRun) measure(ctx context.Context, env eval.Env, b *testbed.Bed) error {
	users, err := b.AddUsers(ctx, usersPerNode*len(b.Nodes), run.copies, cluster.BucketCount)
	if err != nil {
		return err
	}
	load := b.Start(testbed.Load{Users: users, Clients: clientsPerDisk * len(b.Nodes), Account: true})
	defer load.Stop()
	run.p = phasesOf(env)
	w := &watch{load: load, p: run.p}
	for _, dead := range run.deaths {
		line, err := w.kill(ctx, b, dead)
		if err != nil {
			return fmt.Errorf("%d nodes die: %w", dead, err)
		}
		env.Progress("%d copies, %d nodes died: %.1f msg/s before, %.1f at the lowest, %.1f then, %.1f after they came back", run.copies, dead, line.before, line.lowest, line.plateau, line.after)
		run.lines = append(run.lines, line)
	}
	load.Stop()
	run.acknowledged, run.missing, err = load.Missing(ctx)
	env.Progress("%d copies: %d messages acknowledged, %d missing; %d sessions failed, the last with %v", run.copies, run.acknowledged, run.missing, load.Counts().Failed, load.LastError())
	return err
}

// wait waits.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// watch takes the rate at which a load is acknowledged, bin by bin.
type watch struct {
	load  *testbed.Running
	p     phases
	began time.Time // of the line
	line  timeline
}

// kill has nodes die and come back, and watches.
func (w *watch) kill(ctx context.Context, b *testbed.Bed, dead int) (timeline, error) {
	w.line = timeline{dead: dead}
	if err := wait(ctx, spansWarm); err != nil {
		return w.line, err
	}
	w.began = time.Now().Add(w.p.before)
	if err := w.until(ctx, 0); err != nil {
		return w.line, err
	}
	victims := make([]*testbed.Node, dead)
	for i := range victims { // not beside each other
		victims[i] = b.Nodes[1+i*len(b.Nodes)/dead]
	}
	if err := atOnce(ctx, victims, func(_ context.Context, n *testbed.Node) error { return n.Kill() }); err != nil {
		return w.line, err
	}
	settled := make(chan error, 1)
	go func() { // waited for below
		err := b.Settle(ctx)
		w.line.view = time.Since(w.began).Seconds()
		settled <- err
	}()
	if err := w.until(ctx, w.p.dead); err != nil {
		return w.line, err
	}
	if err := <-settled; err != nil {
		return w.line, err
	}
	back := make(chan error, 1)
	go func() { // waited for below
		back <- atOnce(ctx, victims, func(ctx context.Context, n *testbed.Node) error { return n.Restart(ctx) })
	}()
	if err := w.until(ctx, w.p.dead+w.p.after); err != nil {
		return w.line, err
	}
	if err := <-back; err != nil {
		return w.line, err
	}
	w.sum()
	return w.line, b.Settle(ctx)
}

// spansWarm is how long the load runs before a timeline begins.
const spansWarm = 6 * time.Second

// until takes bins until so long after the deaths.
func (w *watch) until(ctx context.Context, end time.Duration) error {
	at, count := time.Now(), w.load.Counts().Delivered
	for at.Before(w.began.Add(end)) {
		if err := wait(ctx, min(w.p.bin, time.Until(w.began.Add(end)))); err != nil {
			return err
		}
		now, delivered := time.Now(), w.load.Counts().Delivered
		w.line.times = append(w.line.times, at.Add(now.Sub(at)/2).Sub(w.began).Seconds())
		w.line.rates = append(w.line.rates, float64(delivered-count)/now.Sub(at).Seconds()*scale)
		at, count = now, delivered
	}
	return nil
}

// sum takes the means of the parts: those with dead nodes and afterwards without their first half, in which the
// cluster finds itself.
func (w *watch) sum() {
	l, p := &w.line, w.p
	dead, end := p.dead.Seconds(), (p.dead + p.after).Seconds()
	l.before = l.mean(-end, 0)
	l.plateau = l.mean(dead/2, dead)
	l.after = l.mean(dead+p.after.Seconds()/2, end+p.bin.Seconds())
	l.lowest = l.before
	for i, t := range l.times {
		if t > 0 && t < dead {
			l.lowest = min(l.lowest, l.rates[i])
		}
	}
}

func (l *timeline) mean(from, to float64) float64 {
	sum, n := 0.0, 0.0
	for i, t := range l.times {
		if t > from && t <= to {
			sum, n = sum+l.rates[i], n+1
		}
	}
	return sum / n
}

// Bounds of the claims.
const (
	plateauWithin = 0.05
	fullAgain     = 0.95
)

func (run *failureRun) tell(r *eval.Result, nodes int) {
	suffix, copies := "", "one copy"
	if run.copies > 1 {
		suffix, copies = "-copies", "two copies"
	}
	t := eval.Table{Title: fmt.Sprintf("%d nodes, %s: shares of the rate before", nodes, copies), Corner: "dead nodes",
		Columns: []string{"before, msg/s", "lowest", "plateau", "surviving nodes", "after", "new view after, s"}}
	chart := &plot.Chart{Title: "Nodes die and come back, " + copies, Note: fmt.Sprintf("%d nodes; dead from 0 to %.0f s. Rates in the time of disks of 36 ms a write, seconds as they passed", nodes, run.p.dead.Seconds()),
		X: plot.Axis{Label: "time since the deaths", Unit: "s"}, Y: plot.Axis{Label: "messages received", Unit: "1/s"},
		Marks: []plot.Mark{{X: 0, Text: "they die"}, {X: run.p.dead.Seconds(), Text: "they come back"}}}
	for _, l := range run.lines {
		survive := 1 - float64(l.dead)/float64(nodes)
		plateau, lowest := float64(eval.None()), float64(eval.None())
		if nodes == nodesAll && run.copies == 1 {
			plateau, lowest = failurePublished(l.dead)
		}
		t.Rows = append(t.Rows, eval.Row{Label: strconv.Itoa(l.dead), Cells: []eval.Cell{
			eval.Measured(l.before), eval.Both(lowest, l.lowest/l.before), eval.Both(plateau, l.plateau/l.before), eval.Measured(survive),
			eval.Measured(l.after / l.before), eval.Measured(l.view)}})
		chart.Series = append(chart.Series, plot.Series{Name: fmt.Sprintf("%d dead", l.dead), Whose: plot.Measured, Points: curve(l.times, l.rates)})
		share := l.plateau / l.before
		r.Checks = append(r.Checks,
			eval.Checked(share > survive*(1-plateauWithin) && share < survive*(1+plateauWithin), fmt.Sprintf("plateau after %d deaths is the surviving share within 5 %%, %s", l.dead, copies),
				"%.3f of the rate before, %.3f of the nodes live", share, survive),
			eval.Checked(l.after > fullAgain*l.before, fmt.Sprintf("full rate again after %d nodes came back, %s", l.dead, copies), "%.3f of the rate before", l.after/l.before))
	}
	lost := eval.Checked(run.missing == 0, "no acknowledged message is lost, "+copies, "%d acknowledged, %d missing when all nodes are back", run.acknowledged, run.missing)
	lost.Exact = true
	r.Checks = append(r.Checks, lost)
	r.Tables = append(r.Tables, t)
	r.Figures = append(r.Figures, eval.Figure{Name: "failure" + suffix, Drawing: chart})
}
