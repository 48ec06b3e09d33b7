package cost

import (
	"context"
	"fmt"
	"slices"

	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
)

// published gives the throughput of the papers' cluster with faked disk writes, by the number of nodes, for one copy and two.
func published() [2]map[int]float64 {
	return [2]map[int]float64{
		{2: 663.9, 4: 1136.6, 8: 1975.9, 16: 3095.5, 30: 4838.7},
		{2: 466.2, 4: 767.7, 8: 1562.3, 16: 2401.1, 30: 3836.1},
	}
}

// nodeTime is what a message took of one node's time, in milliseconds.
func nodeTime(nodes int, throughput float64) float64 { return 1000 * float64(nodes) / throughput }

func run(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	sizes, messages := []int{2, 4, 8, 16}, int64(4000)
	if env.Quick {
		sizes, messages = []int{4, 8}, 1500
	}
	all, err := measure(ctx, env, sizes, messages)
	if err != nil {
		return r, err
	}
	r.Tables = []eval.Table{table(all[0], "one copy"), table(all[1], "two copies")}
	r.Notes = []string{
		"Published: the number of nodes over the throughput with faked disk writes, on machines of 200 to 350 MHz. Measured: processor time of this process, in which all nodes and the clients are, with what they do by the clock, which counts for more the slower messages come: on a machine with other work the figures are too high. All clusters run in one process, so what they do at rest is in all figures alike. The least of four rounds. A tenth of the sessions read and delete a mailbox.",
		"Calls are those between nodes, without membership and without retirements of update records, which go in batches of up to a thousand, when it is time; bytes are payloads and contents, both ways, of messages of 1 KB. With one node all would be zero; with N, what is drawn at random is elsewhere with the chance 1 - 1/N, and the last columns are over that. Two nodes have one replica set of two copies, so fewer fragments are registered than with four or more.",
	}
	r.Checks = append(checks(all[0], "one copy"), checks(all[1], "two copies")...)
	r.Figures = figures(all)
	return r, nil
}

func elsewhere(nodes int) float64 { return 1 - 1/float64(nodes) }

func table(points []point, name string) eval.Table {
	t := eval.Table{Title: "a message costs, " + name, Corner: "nodes",
		Columns: []string{"ms of processor", "calls", "bytes between nodes", "calls / (1 - 1/N)", "bytes / (1 - 1/N)"}}
	for _, p := range points {
		ms := eval.Measured(p.ms)
		if x, ok := published()[p.copies-1][p.nodes]; ok {
			ms = eval.Both(nodeTime(p.nodes, x), p.ms)
		}
		e := elsewhere(p.nodes)
		t.Rows = append(t.Rows, eval.Row{Label: fmt.Sprint(p.nodes), Cells: []eval.Cell{
			ms, eval.Measured(p.calls()), eval.Measured(p.bytes()), eval.Measured(p.calls() / e), eval.Measured(p.bytes() / e)}})
	}
	return t
}

// Tolerances. Calls and bytes are counted; how many updates share a call depends on what else is under way. Processor time
// is measured, and nodes that share two processors find colder caches the more they are: see the document.
const (
	countsMax = 1.15
	timeMax   = 1.5
	// lawful is the least number of nodes that is held to the law. Of two nodes there is one set of two copies, so that a user has one
	// fragment, and fewer are registered; from as many nodes on as the spread has, that is the same with each further one.
	lawful = 4
)

// checks holds the points to what a cost that does not grow with the cluster must look like.
func checks(points []point, name string) []eval.Check {
	points = slices.DeleteFunc(slices.Clone(points), func(p point) bool { return p.nodes < lawful })
	first, last := points[0], points[len(points)-1]
	rise := func(of func(*point) float64) float64 {
		least, most := of(&first), of(&first)
		for i := range points {
			least, most = min(least, of(&points[i])), max(most, of(&points[i]))
		}
		return most / least
	}
	calls := rise(func(p *point) float64 { return p.calls() / elsewhere(p.nodes) })
	bytes := rise(func(p *point) float64 { return p.bytes() / elsewhere(p.nodes) })
	grown, due := last.ms/first.ms, elsewhere(last.nodes)/elsewhere(first.nodes)
	return []eval.Check{
		eval.Checked(calls <= countsMax, "calls a message are those of 1 - 1/N within 15 %, "+name, "%.2f between the most and the least, of calls over 1 - 1/N", calls),
		eval.Checked(bytes <= countsMax, "bytes a message are those of 1 - 1/N within 15 %, "+name, "%.2f between the most and the least, of bytes over 1 - 1/N", bytes),
		eval.Checked(grown <= due*timeMax, "processor time a message grows at most half as much again as 1 - 1/N, "+name, "%.2f times as much with %d nodes as with %d; 1 - 1/N is %.2f times as much", grown, last.nodes, first.nodes, due),
	}
}

func figures(all [2][]point) []eval.Figure {
	names := [2]string{"one copy", "two copies"}
	chart := &plot.Chart{Title: "Time of a node that a message costs, with disks that cost nothing", Note: "Published: nodes over throughput, machines of 200 to 350 MHz; here: processor time of all nodes",
		X: plot.Axis{Label: "nodes"}, Y: plot.Axis{Label: "time of a message", Unit: "ms"}}
	calls := &plot.Chart{Title: "Calls between nodes for a message", Note: "Without membership and retirements, which go in batches; a tenth of the sessions read and delete a mailbox",
		X: plot.Axis{Label: "nodes"}, Y: plot.Axis{Label: "calls a message"}}
	for i, points := range all {
		old := plot.Series{Name: names[i], Whose: plot.Published}
		for _, n := range []int{2, 4, 8, 16, 30} {
			old.Points = append(old.Points, plot.Point{X: float64(n), Y: nodeTime(n, published()[i][n])})
		}
		ms, count := plot.Series{Name: names[i]}, plot.Series{Name: names[i]}
		law := plot.Series{Name: names[i], Whose: plot.Computed}
		last := points[len(points)-1]
		for _, p := range points {
			ms.Points = append(ms.Points, plot.Point{X: float64(p.nodes), Y: p.ms})
			count.Points = append(count.Points, plot.Point{X: float64(p.nodes), Y: p.calls()})
		}
		for n := 2; n <= last.nodes; n++ {
			law.Points = append(law.Points, plot.Point{X: float64(n), Y: last.calls() / elsewhere(last.nodes) * elsewhere(n)})
		}
		chart.Series = append(chart.Series, old, ms)
		calls.Series = append(calls.Series, law, count)
	}
	return []eval.Figure{{Name: "cost", Drawing: chart}, {Name: "cost-calls", Drawing: calls}}
}
