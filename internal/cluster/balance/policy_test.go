package balance

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// tally chooses many times and counts how often each node was among the chosen.
func tally(p Policy, q Request, t *Table) map[cluster.NodeID]int {
	rng := rand.New(rand.NewPCG(3, 4))
	got := map[cluster.NodeID]int{}
	for range 1000 {
		for _, id := range p.Choose(q, t, start, rng) {
			got[id]++
		}
	}
	return got
}

func TestPaper55_Policies(t *testing.T) {
	four := ids(1, 2, 3, 4)
	half := cluster.Bucket(cluster.BucketCount / 2)
	last := cluster.Bucket(cluster.BucketCount - 1)
	tests := []struct {
		name   string
		policy Policy
		q      Request
		loads  map[cluster.NodeID]cluster.Load
		want   []cluster.NodeID // always chosen, and nobody else
	}{
		{"S1 is the node of the bucket", Static{Spread: 1}, Request{Members: four, Bucket: half}, nil, ids(3)},
		{"S1 stays with it however busy", Static{Spread: 1}, Request{Members: four, Bucket: half, Holders: ids(1)},
			map[cluster.NodeID]cluster.Load{3: busy(99, time.Second)}, ids(3)},
		{"S2 is it or its successor", Static{Spread: 2}, Request{Members: four, Bucket: last},
			map[cluster.NodeID]cluster.Load{4: busy(9, time.Millisecond), 1: busy(1, time.Millisecond)}, ids(1)},
		{"S1 with two copies is both", Static{Spread: 1}, Request{Members: four, Bucket: last, Copies: 2}, nil, ids(1, 4)},
		{"static nodes that are down are not replaced", Static{Spread: 2, Nodes: four}, Request{Members: ids(1, 2), Bucket: half}, nil, nil},
		{"nor those that are full", Static{Spread: 1}, Request{Members: four, Bucket: half}, map[cluster.NodeID]cluster.Load{3: {DiskFull: true}}, nil},
		{"buckets are dealt to all nodes, also to those that are down", Static{Spread: 2, Nodes: four}, Request{Members: ids(1, 2, 4), Bucket: half}, nil, ids(4)},
		{"no nodes", Static{}, Request{}, nil, nil},
		{"R of one", Random{}, Request{Members: ids(1, 2), Exclude: ids(1)}, nil, ids(2)},
		{"R of none", Random{}, Request{}, nil, nil},
		{"D1 stays with the holder", Dynamic{Spread: 1}, Request{Members: four, Holders: ids(2), Spread: 4}, nil, ids(2)},
		{"D1 with two copies has two", Dynamic{Spread: 1}, Request{Members: four, Holders: ids(2, 3), Copies: 2}, nil, ids(2, 3)},
		{"dynamic as asked", Dynamic{}, Request{Members: four, Holders: ids(2), Spread: 1}, nil, ids(2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := NewTable()
			for id, l := range tt.loads {
				table.Observe(id, l, start)
			}
			got := tally(tt.policy, tt.q, table)
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

// R heeds neither load nor mail map, and takes no node twice.
func TestPaper55_RandomIsEven(t *testing.T) {
	table := NewTable()
	table.Observe(1, busy(99, time.Second), start)
	got := tally(Random{}, Request{Members: ids(1, 2, 3, 4), Holders: ids(2), Copies: 2}, table)
	for id := cluster.NodeID(1); id <= 4; id++ {
		if got[id] < 430 || got[id] > 570 {
			t.Errorf("node %d chosen %d times of 1000, want about 500", id, got[id])
		}
	}
}

// The members that a choice is given are not changed by it.
func TestPoliciesKeepTheirRequest(t *testing.T) {
	members := ids(1, 2, 3, 4, 5, 6)
	q := Request{Members: slices.Clone(members), Copies: 3}
	for _, p := range []Policy{Random{}, Static{Spread: 4}, Dynamic{Spread: 4}} {
		tally(p, q, NewTable())
		if !slices.Equal(q.Members, members) {
			t.Fatalf("%T changed the members to %v", p, q.Members)
		}
	}
}

// All buckets together fall to all nodes evenly.
func TestPaper55_StaticDealsBucketsEvenly(t *testing.T) {
	var nodes []cluster.NodeID
	for id := cluster.NodeID(1); id <= 30; id++ {
		nodes = append(nodes, id)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	got := map[cluster.NodeID]int{}
	for b := range cluster.BucketCount {
		for _, id := range (Static{Spread: 1}).Choose(Request{Members: nodes, Bucket: cluster.Bucket(b)}, NewTable(), start, rng) {
			got[id]++
		}
	}
	for _, id := range nodes {
		if got[id] < 136 || got[id] > 137 {
			t.Errorf("node %d has %d buckets of %d, want 136 or 137", id, got[id], cluster.BucketCount)
		}
	}
}
