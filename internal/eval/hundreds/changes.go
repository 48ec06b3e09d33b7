package hundreds

import (
	"context"
	"fmt"

	"porcupine/internal/cluster"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
	"porcupine/internal/sim"
)

// changesSeed is the seed of all runs: they differ in nothing but their size.
const changesSeed = 1

// size is a cluster of one size and its phases, by name.
type size struct {
	nodes  int
	phases map[string]sim.Phase
}

// changes plays the same changes with clusters of growing size.
func changes(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	var all []size
	for _, n := range pick(env, []int{30, 100}, []int{30, 100, 300, 1000}) {
		s := size{nodes: n, phases: map[string]sim.Phase{}}
		if f := sim.Changes(n, changesSeed, func(p sim.Phase) {
			s.phases[p.Name] = p
			env.Progress("%d nodes, %s: %.1f s, %d epochs, %d messages of membership, %d pushes", n, p.Name, p.Took.Seconds(), p.Epochs, p.Membership, p.Pushes)
		}); f != nil {
			return r, f
		}
		if err := ctx.Err(); err != nil {
			return r, err
		}
		all = append(all, s)
	}
	for _, phase := range []string{sim.PhaseDeath, sim.PhaseTenth, sim.PhaseReturn, sim.PhaseBoot} {
		r.Tables = append(r.Tables, phaseTable(phase, all))
	}
	r.Tables = append(r.Tables, restTable(all))
	r.Notes = []string{
		"Simulated: latency 0.2 to 0.4 ms, a scan of buckets 10 ms, no limits of bandwidth or processors; so the times are those of the protocol's own periods. A dead node is noticed after 1.2 s, and the last of it is looked for every 100 ms.",
		"Octets are payloads, without the framing of gRPC, TLS and TCP. The users' holdings are left out: the reconstruction experiment measures them; here a bucket is a marker.",
		"At boot each node knows three addresses.",
	}
	r.Checks = changesChecks(all)
	r.Figures = changesFigures(all)
	return r, nil
}

func phaseTable(phase string, all []size) eval.Table {
	t := eval.Table{Title: phase, Corner: "nodes",
		Columns: []string{"time to rest, s", "epochs", "messages of membership", "pushes", "KB, all nodes", "KB, the coordinator", "KB a member, from the coordinator"}}
	for _, s := range all {
		p := s.phases[phase]
		t.Rows = append(t.Rows, eval.Row{Label: fmt.Sprint(s.nodes), Cells: []eval.Cell{
			eval.Measured(p.Took.Seconds()), eval.Measured(float64(p.Epochs)), eval.Measured(float64(p.Membership)), eval.Measured(float64(p.Pushes)),
			eval.Measured(float64(p.Bytes) / 1000), eval.Measured(float64(p.Busiest) / 1000), eval.Measured(float64(p.Busiest) / 1000 / float64(s.nodes))}})
	}
	return t
}

func restTable(all []size) eval.Table {
	t := eval.Table{Title: "at rest, a node and second", Corner: "nodes", Columns: []string{"messages of membership", "octets", "epochs in all"}}
	for _, s := range all {
		p := s.phases[sim.PhaseRest]
		each := float64(s.nodes) * p.Took.Seconds()
		t.Rows = append(t.Rows, eval.Row{Label: fmt.Sprint(s.nodes), Cells: []eval.Cell{
			eval.Measured(float64(p.Membership) / each), eval.Measured(float64(p.Bytes) / each), eval.Measured(float64(p.Epochs))}})
	}
	return t
}

// Bounds of the claims. A node in a view of N is told of a death by one message of round 1 and one of round 3, and answers
// both; meanwhile it pings five times a second.
const (
	deathTime     = 3.0 // seconds
	deathMessages = 25  // of membership, a node
	restMessages  = 11  // of membership, a node and second: five pings, five pongs
)

func changesChecks(all []size) []eval.Check {
	slowest, epochs, each, pushes, rest := 0.0, int64(0), 0.0, int64(0), 0.0
	for _, s := range all {
		d, q := s.phases[sim.PhaseDeath], s.phases[sim.PhaseRest]
		slowest, epochs = max(slowest, d.Took.Seconds()), max(epochs, d.Epochs)
		each, pushes = max(each, float64(d.Membership)/float64(s.nodes)), max(pushes, d.Pushes-int64(s.nodes))
		rest = max(rest, float64(q.Membership)/float64(s.nodes)/q.Took.Seconds())
	}
	return []eval.Check{
		eval.Checked(slowest <= deathTime, "a death is over within 3 s at every size", "the slowest took %.1f s", slowest),
		eval.Checked(epochs == 1, "a death is one epoch", "at most %d", epochs),
		eval.Checked(each <= deathMessages, "messages of membership are linear in the nodes", "at most %.1f a node for one death", each),
		eval.Checked(pushes <= cluster.BucketCount, "pushes do not grow with the cluster beyond one a bucket and one a node", "at most %d more than nodes, of 4,096 buckets", pushes),
		eval.Checked(rest <= restMessages, "at rest a node does not notice the size of the cluster", "at most %.1f messages a node and second", rest),
	}
}

func changesFigures(all []size) []eval.Figure {
	var sizes []float64
	line := func(name string, y func(size) float64) plot.Series {
		s := plot.Series{Name: name}
		for _, x := range all {
			s.Points = append(s.Points, plot.Point{X: float64(x.nodes), Y: y(x)})
		}
		return s
	}
	for _, x := range all {
		sizes = append(sizes, float64(x.nodes))
	}
	nodes := plot.Axis{Label: "nodes", Log: true, Ticks: sizes}
	death := func(x size) sim.Phase { return x.phases[sim.PhaseDeath] }
	return []eval.Figure{
		{Name: "hundreds-messages", Drawing: &plot.Chart{Title: "Messages for the death of one node", Note: "The real cores, simulated network; until all buckets are complete again",
			X: nodes, Y: plot.Axis{Label: "messages of all nodes", Log: true}, Series: []plot.Series{
				line("membership, pings included", func(x size) float64 { return float64(death(x).Membership) }),
				line("pushes of soft state", func(x size) float64 { return float64(death(x).Pushes) }),
			}}},
		{Name: "hundreds-octets", Drawing: &plot.Chart{Title: "Octets for the death of one node", Note: "Payloads; the coordinator sends the view, with all members and the user map, to each",
			X: nodes, Y: plot.Axis{Label: "sent", Unit: "KB", Log: true}, Series: []plot.Series{
				line("all nodes", func(x size) float64 { return float64(death(x).Bytes) / 1000 }),
				line("the coordinator, for each member", func(x size) float64 { return float64(death(x).Busiest) / 1000 / float64(x.nodes) }),
			}}},
	}
}
