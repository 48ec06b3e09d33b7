package experiment

import (
	"context"
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/eval"
	"porcupine/internal/eval/queueing"
)

// modelNote says what the model of the experiment showed.
const modelNote = "Where the fast nodes stand decides what static sets of four gain, on the model and here. Neighbouring sets overlap, so work moves on from set to set " +
	"towards a fast disk. With fast nodes apart from each other every set is near one, and S4 gains as much as D2; with fast nodes beside each other, as in the measurement above, their sets are the same few and S4 gains little. " +
	"The published S4 and S2 gain less with each further fast node, so the papers' fast nodes must have stood beside each other. The model's proxies hear the length of all queues once a second, and nothing of the disks' speed, as the papers' did."

// fastPlace is a number of fast nodes and where they stand among the static sets.
type fastPlace struct {
	label string
	nodes []int
	as    int // as many as in this published row; 0: not published
}

func fastPlaces() []fastPlace {
	return []fastPlace{
		{"1", []int{0}, 1}, {"2 beside each other", []int{0, 1}, 2}, {"3 beside each other", []int{0, 1, 2}, 3},
		{"2 apart", []int{0, nodesAll / 2}, 0}, {"3 apart", []int{0, nodesAll / 3, 2 * nodesAll / 3}, 0},
	}
}

// heteroModel gives the throughput on the model, under the papers' conditions.
func heteroModel(policy named, fast []int) (float64, error) {
	c := queueing.Config{Nodes: nodesAll, Users: 5000, Service: paperUnit, Policy: policy.Policy, Refresh: time.Second, Ageless: true, Unweighted: true,
		Outstanding: clientsPerDisk, Warm: 10 * time.Second, Window: 60 * time.Second, Seed: 1, Speed: make([]float64, nodesAll)}
	if !policy.free {
		var ids []cluster.NodeID
		for i := range nodesAll {
			ids = append(ids, cluster.NodeID(i+1))
		}
		c.Policy = balance.Static{Spread: policy.spread, Nodes: ids}
	}
	for i := range c.Speed {
		c.Speed[i] = 1
	}
	for _, i := range fast {
		c.Speed[i] = fastFactor
	}
	o, err := queueing.Run(c)
	return o.Throughput, err
}

// tellHeteroModel adds what the model says of the places of the fast nodes.
func tellHeteroModel(ctx context.Context, env eval.Env, r *eval.Result) error {
	t := eval.Table{Title: fmt.Sprintf("increase on a model of %d nodes, one copy", nodesAll), Corner: "fast nodes", Unit: "msg/s", Columns: heteroPolicies()}
	base, places := eval.Row{Label: "without, msg/s"}, fastPlaces()
	rows := make([]eval.Row, len(places))
	got := map[string]map[string]float64{} // by place and policy
	for _, policy := range policies(heteroPolicies()...) {
		without, err := heteroModel(policy, nil)
		if err != nil {
			return err
		}
		base.Cells = append(base.Cells, eval.Measured(without))
		for i, p := range places {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			with, err := heteroModel(policy, p.nodes)
			if err != nil {
				return err
			}
			cell := eval.Measured(with - without)
			if p.as > 0 {
				cell = eval.Both(heteroPublished(1)[policy.name][p.as], with-without)
			}
			rows[i].Label, rows[i].Cells = p.label, append(rows[i].Cells, cell)
			if got[p.label] == nil {
				got[p.label] = map[string]float64{}
			}
			got[p.label][policy.name] = with - without
		}
		env.Progress("model, policy %s: %.0f msg/s without fast nodes", policy.name, without)
	}
	t.Rows = append([]eval.Row{base}, rows...)
	r.Tables = append(r.Tables, t)
	r.Notes = append(r.Notes, modelNote)
	beside, apart := got["3 beside each other"], got["3 apart"]
	r.Checks = append(r.Checks, eval.Checked(heteroOrder(beside) && !heteroOrder(apart), "on the model that order holds with fast nodes beside each other, and not with fast nodes apart",
		"beside each other D2 %+.0f, S4 %+.0f; apart D2 %+.0f, S4 %+.0f", beside["D2"], beside["S4"], apart["D2"], apart["S4"]))
	return nil
}
