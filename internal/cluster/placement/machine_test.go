package placement

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// on puts the four nodes of a world on machines.
func (w *World) on(machines ...cluster.Machine) {
	for i, m := range machines {
		if l := w.load(cluster.NodeID(i + 1)); l != nil {
			l.Machine = m
		}
	}
	w.Part = true
}

// mine makes an object of which node 1, as a holder, sees to first.
func mine(copies int, others ...cluster.NodeID) Object {
	o := object(copies, append(others, 1)...)
	o.ID.ID = firstFor(1, others...)
	return o
}

func TestPlanMachines(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setup func(*World)
		o     Object
		maps  map[string][]cluster.Fragment
		want  string
	}{
		{"two on one machine are moved apart, added before dropped", func(w *World) { w.on(7, 7, 8, 8); w.load(2).DiskFree = gib }, mine(2, 2), near(3), "apart 123 13"},
		{"the fuller of them goes", func(w *World) { w.on(7, 7, 8, 9); w.load(1).DiskFree = gib }, mine(2, 2), near(4), "apart 124 24"},
		{"a set of three keeps what is apart", func(w *World) { w.on(7, 8, 7, 9); w.load(3).DiskFree = 2 * gib; w.load(2).DiskFree = gib }, mine(3, 2, 3), nil, "apart 1234 124"},
		{"a cached object too", func(w *World) { w.on(7, 7, 8, 8); w.load(2).DiskFree = gib }, func() Object {
			o := mine(2, 2)
			o.Cached = true
			return o
		}(), near(3), "apart 123 13"},
		{"but not one that was just written", func(w *World) { w.on(7, 7, 8, 8) }, func() Object {
			o := mine(2, 2)
			o.Cached, o.Timestamp.Time = true, start.Add(-ApartAfter+1).UnixNano()
			return o
		}(), near(3), "stays"},
		{"not when it is not permitted", func(w *World) { w.on(7, 7, 8, 8); w.Part = false }, mine(2, 2), nil, "stays"},
		{"nobody acts out of turn", func(w *World) { w.on(7, 7, 8, 8) }, func() Object {
			o := object(2, 1, 2)
			o.ID.ID = firstFor(2, 1)
			return o
		}(), nil, "stays"},
		{"a tombstone stays where it is", func(w *World) { w.on(7, 7, 8, 8) }, func() Object {
			o := mine(2, 2)
			o.Deleted = true
			return o
		}(), nil, "stays"},
		{"one machine is all there is", func(w *World) { w.on(7, 7, 7, 7) }, mine(2, 2), nil, "stays"},
		{"the other one is full", func(w *World) { w.on(7, 7, 8, 8); w.load(3).DiskFull, w.load(4).Draining = true, true }, mine(2, 2), nil, "stays"},
		{"a holder is away: not now", func(w *World) { w.on(7, 7, 8, 8); w.lose(2, time.Second) }, mine(2, 2), nil, "stays"},
		{"nodes that say nothing are apart", func(w *World) { w.on(7, cluster.NoMachine, cluster.NoMachine, 7) }, mine(2, 2), nil, "stays"},
		{"repair goes to another machine", func(w *World) { w.on(7, 8, 7, 9); w.lose(2, 2*time.Hour) }, object(2, 1, 2), near(3), "repair 14"},
		{"repair goes to the same machine rather than nowhere", func(w *World) { w.on(7, 8, 7, 9); w.lose(2, 2*time.Hour); w.load(4).DiskFull = true }, object(2, 1, 2), nil, "repair 13"},
		{"surplus goes where two are together", func(w *World) { w.on(7, 8, 8, 9); w.load(1).DiskFree, w.load(3).DiskFree = gib, 2*gib }, mine(2, 2, 3), nil, "surplus 12"},
		{"drain goes to another machine", func(w *World) { w.on(7, 8, 8, 9); w.load(1).Draining = true }, object(2, 1, 2), near(3), "drain 124 24"},
		{"disks are not evened out onto one machine", func(w *World) {
			w.on(7, 8, 8, 9)
			w.load(1).DiskFree, w.load(3).DiskFree, w.load(4).DiskFree = gib, 200*gib, 120*gib
			w.Rebalance = true
		}, object(2, 1, 2), nil, "even 124 24"},
		{"but within a machine", func(w *World) {
			w.on(7, 8, 7, 9)
			w.load(1).DiskFree, w.load(3).DiskFree = gib, 200*gib
			w.Rebalance = true
		}, object(2, 1, 2), nil, "even 123 23"},
		{"spread does not bring them together", func(w *World) { w.on(8, 7, 7, 9); w.Rebalance, w.Spread = true, 1 }, mine(2, 2), map[string][]cluster.Fragment{"owner": {
			{Type: "note", Replicas: cluster.ReplicaSet{3}, Count: 9}, {Type: "note", Replicas: cluster.ReplicaSet{1, 2}, Count: 1},
		}}, "stays"},
		{"spread gathers on different machines", func(w *World) { w.Self = 2; w.on(7, 7, 8, 9); w.Rebalance, w.Spread = true, 2 }, func() Object {
			o := object(2, 2, 3)
			o.ID.ID = firstFor(2, 3)
			return o
		}(), map[string][]cluster.Fragment{"owner": {
			{Type: "note", Replicas: cluster.ReplicaSet{1, 2}, Count: 9}, {Type: "note", Replicas: cluster.ReplicaSet{1, 4}, Count: 2}, {Type: "note", Replicas: cluster.ReplicaSet{2, 3}, Count: 1},
		}}, "spread 1234 14"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := world()
			tt.setup(&w)
			if got := one(w, tt.o, tt.maps); got != tt.want {
				t.Errorf("%v on %v: %s, want %s", tt.o.Copies, tt.o.Replicas, got, tt.want)
			}
		})
	}
}

func TestCrowded(t *testing.T) {
	w := world()
	w.on(7, 7, 8, cluster.NoMachine)
	p := NewPlanner(w)
	for _, tt := range []struct {
		set  cluster.ReplicaSet
		want bool
	}{
		{cluster.ReplicaSet{1, 2}, true}, {cluster.ReplicaSet{1, 3}, false}, {cluster.ReplicaSet{1, 2, 3}, true},
		{cluster.ReplicaSet{1, 2, 3, 4}, false}, {cluster.ReplicaSet{1, 2, 9}, false},
	} {
		if got := p.Crowded(tt.set); got != tt.want {
			t.Errorf("Crowded(%v) = %t, want %t", tt.set, got, tt.want)
		}
	}
}
