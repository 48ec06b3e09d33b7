package hundreds

import (
	"context"
	"fmt"
	"time"

	"porcupine/internal/cluster/balance"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
	"porcupine/internal/eval/queueing"
)

// What is modelled: the papers' cluster.
const (
	staleNodes   = 30
	staleUsers   = 60_000
	staleService = 36 * time.Millisecond // of a message at a disk
	staleLoad    = 4                     // messages under way, for each node: with more, the longest queue hides everything
)

// staleBusy is the throughput with all disks busy.
func staleBusy() float64 { return staleNodes / staleService.Seconds() }

// rule is a policy and what it makes of old news.
type rule struct {
	name    string
	spread  int // 0: random
	ageless bool
}

func rules() []rule {
	return []rule{
		{"D2, age known", 2, false}, {"D4, age known", 4, false}, {"D8, age known", 8, false},
		{"D2, age ignored", 2, true}, {"D4, age ignored", 4, true}, {"random", 0, false},
	}
}

func (u rule) policy() balance.Policy {
	if u.spread == 0 {
		return balance.Random{}
	}
	return balance.Dynamic{Spread: u.spread}
}

// staleness runs the model with load tables of growing age.
func staleness(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	ages := pick(env, []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second},
		[]time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second})
	t := eval.Table{Title: fmt.Sprintf("throughput on the model, %d messages under way for each node", staleLoad), Corner: "news every, s", Unit: "messages/s"}
	chart := plot.Chart{Title: "What old news of the load cost", Note: fmt.Sprintf("Model of %d nodes, one disk of %d ms each, %d messages under way for each node", staleNodes, staleService.Milliseconds(), staleLoad),
		X: plot.Axis{Label: "time between two news of a node's load", Unit: "s", Log: true}, Y: plot.Axis{Label: "throughput lost", Unit: "% of all disks busy"}}
	for _, age := range ages {
		chart.X.Ticks = append(chart.X.Ticks, age.Seconds())
	}
	peaks := map[string][]float64{}
	for _, u := range rules() {
		t.Columns = append(t.Columns, u.name)
		s := plot.Series{Name: u.name, Whose: plot.Computed}
		for _, age := range ages {
			if err := ctx.Err(); err != nil {
				return r, err
			}
			o, err := queueing.Run(queueing.Config{Nodes: staleNodes, Users: staleUsers, Service: staleService, Policy: u.policy(), Refresh: age,
				Ageless: u.ageless, Warm: 2*age + 5*time.Second, Window: 2*age + pick(env, 10*time.Second, 40*time.Second), Outstanding: staleLoad, Seed: 1})
			if err != nil {
				return r, err
			}
			peaks[u.name] = append(peaks[u.name], o.Throughput)
			s.Points = append(s.Points, plot.Point{X: age.Seconds(), Y: max(0, 100*(1-o.Throughput/staleBusy()))})
		}
		env.Progress("%s: %.0f messages/s with the freshest news, %.0f with the oldest", u.name, peaks[u.name][0], peaks[u.name][len(ages)-1])
		chart.Series = append(chart.Series, s)
	}
	for i, age := range ages {
		row := eval.Row{Label: fmt.Sprintf("%g", age.Seconds())}
		for _, u := range rules() {
			row.Cells = append(row.Cells, eval.Measured(peaks[u.name][i]))
		}
		t.Rows = append(t.Rows, row)
	}
	r.Tables = []eval.Table{t}
	r.Notes = []string{
		fmt.Sprintf("All disks busy would be %.0f messages a second. A tenth of the sessions empty a mailbox. \"Age ignored\" is the papers' rule: what was heard last counts. \"Age known\" is ours: what is older than %v counts as unknown.", staleBusy(), balance.FreshMax),
		"A model, not a measurement of nodes; the choice is made by the code of the nodes.",
	}
	r.Checks = staleChecks(peaks, len(ages)-1)
	r.Figures = []eval.Figure{{Name: "staleness", Drawing: &chart}}
	return r, nil
}

// staleChecks compares the first and the last age.
func staleChecks(peaks map[string][]float64, last int) []eval.Check {
	d2, d4, random := peaks["D2, age known"], peaks["D4, age known"], peaks["random"]
	old2, old4 := peaks["D2, age ignored"], peaks["D4, age ignored"]
	return []eval.Check{
		eval.Checked(min(d2[0], d4[0]) >= 0.95*staleBusy(), "with fresh news all disks are busy", "D2 %.0f, D4 %.0f of %.0f", d2[0], d4[0], staleBusy()),
		eval.Checked(d2[last] >= 0.98*old2[last] && d4[last] >= 0.98*old4[last], "when news are old, knowing it is no worse than ignoring it", "D2 %.0f against %.0f, D4 %.0f against %.0f", d2[last], old2[last], d4[last], old4[last]),
		eval.Checked(min(d2[last], d4[last]) >= 0.95*random[last], "with no news at all it is no worse than chance", "D2 %.0f, D4 %.0f, random %.0f", d2[last], d4[last], random[last]),
	}
}
