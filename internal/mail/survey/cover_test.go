package survey

import (
	"slices"
	"testing"

	"porcupine/internal/cluster"
)

// The cover asks few nodes, itself rather than another, the least loaded of the rest.
func TestCover(t *testing.T) {
	placed := func(holders ...cluster.NodeID) cluster.Placed { return cluster.Placed{Holders: holders} }
	for _, tt := range []struct {
		name      string
		fragments []cluster.Placed
		exclude   []cluster.NodeID
		self      cluster.NodeID
		pending   map[cluster.NodeID]int
		want      []cluster.NodeID
	}{
		{"nothing", nil, nil, 1, nil, nil},
		{"one each", []cluster.Placed{placed(1), placed(2)}, nil, 1, nil, []cluster.NodeID{1, 2}},
		{"one node for all", []cluster.Placed{placed(1, 2), placed(2, 3), placed(2)}, nil, 1, nil, []cluster.NodeID{2}},
		{"itself", []cluster.Placed{placed(1, 2, 3)}, nil, 3, nil, []cluster.NodeID{3}},
		{"two of three", []cluster.Placed{placed(1, 2), placed(2, 3), placed(1, 3)}, nil, 9, nil, []cluster.NodeID{1, 2}},
		{"without the one that failed", []cluster.Placed{placed(1, 2), placed(2, 3)}, []cluster.NodeID{2}, 9, nil, []cluster.NodeID{1, 3}},
		{"no holder left", []cluster.Placed{placed(1, 2), placed(2)}, []cluster.NodeID{2}, 1, nil, nil},
		{"the least loaded", []cluster.Placed{placed(1, 2, 3)}, nil, 9, map[cluster.NodeID]int{1: 5, 2: 1, 3: 4}, []cluster.NodeID{2}},
	} {
		got := cover(tt.fragments, tt.exclude, tt.self, func(id cluster.NodeID) int { return tt.pending[id] })
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: cover = %v, want %v", tt.name, got, tt.want)
		}
	}
}
