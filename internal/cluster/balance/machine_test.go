package balance

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
)

// on says on which machine each node is: node 1 on the first of them, and so on.
func on(table *Table, machines ...cluster.Machine) {
	for i, m := range machines {
		id := cluster.NodeID(i + 1)
		k, _ := table.Get(id)
		k.Load.Machine = m
		table.Observe(id, k.Load, start)
	}
}

// Copies lie on different machines, as long as there is one: of the candidates, or if need be of the other members.
func TestChooseKeepsCopiesOnDifferentMachines(t *testing.T) {
	idle, ms := cluster.Load{}, time.Millisecond
	tests := []struct {
		name     string
		q        Request
		machines []cluster.Machine
		loads    map[cluster.NodeID]cluster.Load
		want     []cluster.NodeID // always chosen, and nobody else
	}{
		{"the second on another machine", Request{Members: ids(1, 2, 3), Spread: 3, Copies: 2}, []cluster.Machine{7, 7, 8},
			map[cluster.NodeID]cluster.Load{1: busy(1, ms), 2: busy(99, ms), 3: busy(500, ms)}, ids(1, 3)},
		{"the spread is broken for it", Request{Members: ids(1, 2, 3, 4), Holders: ids(1, 2), Spread: 2, Copies: 2}, []cluster.Machine{7, 7, 7, 8},
			map[cluster.NodeID]cluster.Load{1: busy(1, ms), 2: busy(99, ms)}, ids(1, 4)},
		{"one machine is all there is", Request{Members: ids(1, 2, 3), Copies: 3}, []cluster.Machine{7, 7, 7}, nil, ids(1, 2, 3)},
		{"the other one is full", Request{Members: ids(1, 2, 3), Copies: 2}, []cluster.Machine{7, 7, 8},
			map[cluster.NodeID]cluster.Load{3: {DiskFull: true}}, ids(1, 2)},
		{"beside a copy", Request{Members: ids(1, 2, 3, 4), Beside: ids(1)}, []cluster.Machine{7, 7, 7, 8},
			map[cluster.NodeID]cluster.Load{4: busy(500, ms), 2: idle, 3: idle}, ids(4)},
		{"beside copies on all machines", Request{Members: ids(1, 2, 3), Beside: ids(1, 3)}, []cluster.Machine{7, 7, 8}, nil, ids(2)},
		{"a node of whom nothing is known is a machine of its own", Request{Members: ids(1, 2, 3), Spread: 3, Copies: 2},
			[]cluster.Machine{7, 7, cluster.NoMachine}, map[cluster.NodeID]cluster.Load{1: busy(1, ms), 2: busy(99, ms), 3: busy(500, ms)}, ids(1, 3)},
		{"not where a node has just failed", Request{Members: ids(1, 2, 3, 4), Beside: ids(4), Exclude: ids(1, 4)}, []cluster.Machine{7, 7, 8, 9},
			map[cluster.NodeID]cluster.Load{3: busy(500, ms)}, ids(3)},
		{"unless only that machine is left", Request{Members: ids(1, 2, 3, 4), Beside: ids(4), Exclude: ids(1, 4)}, []cluster.Machine{7, 7, 9, 9}, nil, ids(2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := NewTable()
			for id, l := range tt.loads {
				table.Observe(id, l, start)
			}
			on(table, tt.machines...)
			got := count(tt.q, table, start)
			for _, id := range tt.want {
				if got[id] != 1000 {
					t.Errorf("node %d chosen %d times of 1000, want always", id, got[id])
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("chosen %v, want only %v", got, tt.want)
			}
		})
	}
}

// Never two copies on one machine while another one could have taken the second, and never fewer copies than if
// nothing were known of machines; whatever is full, failed or held already.
func TestChooseMachines_AsManyAsCanBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, machines := NewTable(), cluster.Machines{}
		var q Request
		var open []cluster.NodeID
		some := rapid.SampledFrom([]string{"open", "open", "open", "holder", "holder", "full", "beside", "failed"})
		for id := cluster.NodeID(1); int(id) <= rapid.IntRange(1, 12).Draw(t, "nodes"); id++ {
			q.Members = append(q.Members, id)
			l := cluster.Load{Pending: rapid.IntRange(0, 9).Draw(t, "pending"), Machine: cluster.Machine(rapid.IntRange(0, 4).Draw(t, "machine"))}
			machines[id] = l.Machine
			switch some.Draw(t, "what") {
			case "holder":
				q.Holders = append(q.Holders, id)
				open = append(open, id)
			case "full":
				l.DiskFull = true
			case "beside":
				q.Beside = append(q.Beside, id)
			case "failed":
				q.Exclude = append(q.Exclude, id)
			default:
				open = append(open, id)
			}
			table.Observe(id, l, start)
		}
		q.Copies, q.Spread = rapid.IntRange(1, 4).Draw(t, "copies"), rapid.IntRange(1, 5).Draw(t, "spread")
		got := Choose(q, table, start, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)))
		if want := min(q.Copies, len(open)); len(got) != want {
			t.Fatalf("Choose(%+v) = %v, want %d nodes", q, got, want)
		}
		for i, id := range got {
			if !slices.Contains(open, id) || slices.Contains(got[:i], id) {
				t.Fatalf("Choose(%+v) = %v: %d cannot take it, or is there twice", q, got, id)
			}
		}
		all := cluster.NewReplicaSet(append(got, q.Beside...)...)
		if best := cluster.NewReplicaSet(append(machines.Pick(q.Beside, open, q.Copies), q.Beside...)...); machines.Count(all) != machines.Count(best) {
			t.Fatalf("Choose(%+v) = %v: beside %v on %d machines, %v would be on %d", q, got, q.Beside, machines.Count(all), best, machines.Count(best))
		}
	})
}

// A node that left its machine, or left, is not remembered there.
func TestTableForgetsMachines(t *testing.T) {
	table := NewTable()
	on(table, 7, 7, 7)
	table.Observe(2, cluster.Load{}, start.Add(1))
	table.Retain(ids(1, 2))
	if len(table.machines) != 1 || table.machines[1] != 7 {
		t.Errorf("machines %v, want that of node 1 alone", table.machines)
	}
}
