package cluster_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
)

func TestMachineNamed(t *testing.T) {
	for name, want := range map[string]cluster.Machine{"": cluster.NoMachine, "rack 1": 0xde7370008042b608} {
		if got := cluster.MachineNamed(name); got != want {
			t.Errorf("MachineNamed(%q) = %#x, want %#x: nodes of two versions would not agree", name, uint64(got), uint64(want))
		}
	}
}

func TestMachines(t *testing.T) {
	m := cluster.Machines{1: 7, 2: 7, 3: 8, 4: cluster.NoMachine, 5: cluster.NoMachine}
	set := func(ids ...cluster.NodeID) []cluster.NodeID { return ids }
	for _, tt := range []struct {
		what      string
		got, want []cluster.NodeID
	}{
		{"apart from nothing", m.Apart(nil, set(3, 1)), set(3, 1)},
		{"apart from 1", m.Apart(set(1), set(2, 4, 3, 1)), set(4, 3)},
		{"apart from one of its own", m.Apart(set(4), set(4, 5, 9)), set(5, 9)},
		{"together", m.Together(cluster.ReplicaSet{1, 2, 3, 4, 5}), set(1, 2)},
		{"none together", m.Together(cluster.ReplicaSet{1, 3, 4, 5, 6}), nil},
		{"nothing known", cluster.Machines(nil).Together(cluster.ReplicaSet{1, 2}), nil},
		{"picked in order", m.Pick(nil, set(5, 4, 3), 2), set(5, 4)},
		{"picked apart", m.Pick(nil, set(1, 2, 3), 2), set(1, 3)},
		{"picked apart, then the rest", m.Pick(set(3), set(1, 2, 6), 5), set(1, 6, 2)},
		{"none to pick", m.Pick(set(3), nil, 2), nil},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, tt.got, tt.want)
		}
	}
}

// Pick takes as many as there are, and of all ways to take so many one with the most machines.
func TestMachines_PickIsBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := cluster.Machines{}
		var beside, candidates []cluster.NodeID
		for id := cluster.NodeID(1); int(id) <= rapid.IntRange(0, 8).Draw(t, "nodes"); id++ {
			m[id] = cluster.Machine(rapid.IntRange(0, 3).Draw(t, "machine"))
			if rapid.IntRange(0, 3).Draw(t, "where") == 0 {
				beside = append(beside, id)
			} else {
				candidates = append(candidates, id)
			}
		}
		n := rapid.IntRange(0, 5).Draw(t, "n")
		got := m.Pick(beside, candidates, n)
		if len(got) != min(n, len(candidates)) {
			t.Fatalf("%d picked of %v, want %d", len(got), candidates, n)
		}
		most := 0
		for bits := range 1 << len(candidates) { // every way to take so many
			way := slices.Clone(beside)
			for i, id := range candidates {
				if bits>>i&1 == 1 {
					way = append(way, id)
				}
			}
			if len(way)-len(beside) == len(got) {
				most = max(most, m.Count(cluster.NewReplicaSet(way...)))
			}
		}
		if all := cluster.NewReplicaSet(append(got, beside...)...); m.Count(all) != most {
			t.Fatalf("Pick(%v, %v, %d) = %v of %v: %d machines, %d are possible", beside, candidates, n, got, m, m.Count(all), most)
		}
	})
}
