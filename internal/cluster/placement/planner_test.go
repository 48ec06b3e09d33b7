package placement

import (
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

const gib = 1 << 30

// world is a cluster of four nodes with room, seen by node 1 long after anything happened.
func world() World {
	w := World{Self: 1, Now: start, Since: start.Add(-time.Hour), Absent: map[cluster.NodeID]time.Time{}}
	for id := cluster.NodeID(1); id <= 4; id++ {
		w.Members = append(w.Members, Member{id, cluster.Load{DiskFree: 100 * gib}})
	}
	return w
}

// lose makes a member absent.
func (w *World) lose(id cluster.NodeID, ago time.Duration) {
	for i := range w.Members {
		if w.Members[i].ID == id {
			w.Members = append(w.Members[:i:i], w.Members[i+1:]...)
			break
		}
	}
	w.Absent[id] = w.Now.Add(-ago)
}

func (w *World) load(id cluster.NodeID) *cluster.Load {
	for i := range w.Members {
		if w.Members[i].ID == id {
			return &w.Members[i].Load
		}
	}
	return nil
}

func object(copies int, on ...cluster.NodeID) Object {
	return Object{Object: cluster.Object{
		ID:        cluster.ObjectID{Type: "note", Owner: "owner", ID: "x"},
		Timestamp: cluster.Timestamp{Time: start.Add(-time.Hour).UnixNano(), Node: 9},
		Replicas:  cluster.NewReplicaSet(on...), Copies: copies, Size: 1000,
	}}
}

// one plans for one object.
func one(w World, o Object, maps map[string][]cluster.Fragment) string {
	moves, waiting := NewPlanner(w).Bucket([]Object{o}, maps)
	switch {
	case waiting > 0:
		return "waits"
	case len(moves) == 0:
		return "stays"
	}
	text := moves[0].Reason.String()
	for _, u := range moves[0].Updates(w.Self) {
		text += " " + short(u.Object.Replicas)
	}
	return text
}

func short(s cluster.ReplicaSet) (text string) {
	for _, id := range s {
		text += fmt.Sprint(uint64(id))
	}
	return text
}

// near says that the owner's other objects lie on these nodes.
func near(on ...cluster.NodeID) map[string][]cluster.Fragment {
	return map[string][]cluster.Fragment{"owner": {{Type: "note", Replicas: cluster.NewReplicaSet(on...), Count: 3}}}
}

func TestPlan(t *testing.T) {
	tests := []struct {
		name  string
		setup func(*World)
		o     Object
		maps  map[string][]cluster.Fragment
		want  string
	}{
		{"all is well", nil, object(2, 1, 2), nil, "stays"},
		{"absent for a moment", func(w *World) { w.lose(2, time.Second) }, object(2, 1, 2), nil, "stays"},
		{"absent for longer", func(w *World) { w.lose(2, 2*time.Hour) }, object(2, 1, 2), near(1, 3), "repair 13"},
		{"copies not said", func(w *World) { w.lose(2, 2*time.Hour) }, object(0, 1, 2), near(1, 4), "repair 14"},
		{"struck", func(w *World) { w.lose(2, 0); delete(w.Absent, 2); w.Struck = cluster.ReplicaSet{2} }, object(2, 1, 2), near(3), "repair 13"},
		{"a week absent", func(w *World) {
			w.lose(2, 8*24*time.Hour)
			w.lose(3, time.Hour)
			w.lose(4, time.Hour)
		}, object(2, 1, 2), nil, "repair 1"},
		{"nobody else has room", func(w *World) {
			w.lose(2, 2*time.Hour)
			w.load(3).DiskFull, w.load(4).Draining = true, true
		}, object(2, 1, 2), nil, "stays"},
		{"few nodes when it was made", nil, object(3, 1, 2), near(4), "repair 124"},
		{"two too many", nil, object(1, 1), nil, "stays"},
		{"surplus on the fullest disk", func(w *World) { w.load(1).DiskFree = gib }, func() Object {
			o := object(2, 1, 2, 3)
			o.ID.ID = firstFor(1, 2, 3)
			return o
		}(), nil, "surplus 23"},
		{"surplus while one is away", func(w *World) { w.lose(3, time.Second) }, object(2, 1, 2, 3), nil, "stays"},
		{"drain", func(w *World) { w.load(1).Draining = true }, object(2, 1, 2), near(3), "drain 123 23"},
		{"drain with two nodes", func(w *World) {
			w.load(1).Draining = true
			for _, id := range []cluster.NodeID{3, 4} {
				w.lose(id, 0)
				delete(w.Absent, id)
				w.Struck = w.Struck.Union(cluster.ReplicaSet{id})
			}
		}, object(2, 1, 2), nil, "drain 2"},
		{"drain while another is absent", func(w *World) { w.load(1).Draining = true; w.lose(3, time.Hour); w.lose(4, time.Hour) }, object(2, 1, 2), nil, "stays"},
		{"drain of the only node", func(w *World) {
			w.load(1).Draining = true
			for _, id := range []cluster.NodeID{2, 3, 4} {
				w.lose(id, 0)
				delete(w.Absent, id)
			}
		}, object(1, 1), nil, "stays"},
		{"disks are uneven, outside the window", func(w *World) { w.load(1).DiskFree = gib }, object(2, 1, 2), nil, "stays"},
		{"disks are uneven", func(w *World) { w.load(1).DiskFree = gib; w.load(4).DiskFree = 120 * gib; w.Rebalance = true }, object(2, 1, 2), nil, "even 124 24"},
		{"disks are nearly even", func(w *World) { w.load(1).DiskFree = 90 * gib; w.Rebalance = true }, object(2, 1, 2), nil, "stays"},
		{"evening out would widen the spread", func(w *World) {
			w.load(1).DiskFree = gib
			w.load(4).DiskFree = 120 * gib
			w.Rebalance, w.Spread = true, 2
		}, object(2, 1, 2), near(1, 2), "stays"},
		{"too wide", func(w *World) { w.Rebalance, w.Spread = true, 2 }, func() Object {
			o := object(2, 1, 4)
			o.ID.ID = firstFor(1, 4)
			return o
		}(), map[string][]cluster.Fragment{"owner": {
			{Type: "note", Replicas: cluster.ReplicaSet{1, 2}, Count: 9}, {Type: "note", Replicas: cluster.ReplicaSet{1, 4}, Count: 1},
		}}, "spread 124 12"},
		{"too wide, but its mail map is not known", func(w *World) { w.Rebalance, w.Spread = true, 1 }, object(2, 1, 4), nil, "stays"},
		{"still under way", func(w *World) { w.lose(2, 2*time.Hour) }, func() Object {
			o := object(2, 1, 2)
			o.Propagating, o.Timestamp.Time = true, start.Add(-time.Second).UnixNano()
			return o
		}(), nil, "waits"},
		{"still under way to somebody", func(w *World) { w.lose(2, 2*time.Hour) }, func() Object {
			o := object(2, 1, 2)
			o.Propagating = true
			return o
		}(), near(3), "repair 13"},
		{"to drop while somebody may lack it", func(w *World) { w.load(1).Draining = true }, func() Object {
			o := object(1, 1, 2)
			o.Propagating = true
			return o
		}(), nil, "drain 12 2"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			w := world()
			if c.setup != nil {
				c.setup(&w)
			}
			if got := one(w, c.o, c.maps); got != c.want {
				t.Errorf("%v on %v: %s, want %s", c.o.Copies, c.o.Replicas, got, c.want)
			}
		})
	}
}

// firstFor gives an id of an object whose first holder to act is the first of those given.
func firstFor(first cluster.NodeID, others ...cluster.NodeID) string {
	holders := cluster.NewReplicaSet(append(others, first)...)
	for i := 0; ; i++ {
		id := fmt.Sprint("x", i)
		if turn(cluster.ObjectID{Type: "note", Owner: "owner", ID: id}, holders, first) == 0 {
			return id
		}
	}
}

// Exactly one holder acts at once; the others only if it does not, one after the other.
func TestTurns(t *testing.T) {
	w := world()
	w.lose(4, time.Hour)
	w.Since = w.Now
	w.RepairAfter = time.Hour
	for after, want := range map[time.Duration]int{0: 1, TurnAfter: 2, 2 * TurnAfter: 2} {
		acting := 0
		for _, self := range []cluster.NodeID{1, 2} {
			v := w
			v.Self, v.Now = self, w.Now.Add(after)
			v.Absent = map[cluster.NodeID]time.Time{4: w.Now.Add(-time.Hour)}
			if one(v, object(3, 1, 2, 4), nil) == "repair 123" {
				acting++
			}
		}
		if acting != want {
			t.Errorf("%v after: %d holders act, want %d", after, acting, want)
		}
	}
}

// D6, R3: a move is newer than what it was made from, older than any change made a millisecond later,
// the same when it is made again, and another if it says something else.
func TestD6R3_MovesLoseToChanges(t *testing.T) {
	o := object(2, 1, 2)
	a := Move{Object: o.Object, Replicas: cluster.ReplicaSet{1, 3}, Copies: 2}
	b := Move{Object: o.Object, Replicas: cluster.ReplicaSet{1, 4}, Copies: 2}
	ta, tb := a.Updates(1)[0].Object.Timestamp, b.Updates(1)[0].Object.Timestamp
	if ta != a.Updates(1)[0].Object.Timestamp || ta == tb || ta == a.Updates(2)[0].Object.Timestamp {
		t.Errorf("timestamps %v, %v", ta, tb)
	}
	if d := ta.Time - o.Timestamp.Time; d < 1 || d > stampRange {
		t.Errorf("a move is %d ns newer", d)
	}
}

// The objects of one owner go to the same nodes; those of many owners in proportion to free space.
func TestReplacementsSpreadByFreeSpace(t *testing.T) {
	w := world()
	w.lose(2, time.Hour)
	w.load(3).DiskFree = 300 * gib
	got := map[cluster.NodeID]int{}
	p := NewPlanner(w)
	for i := range 2000 {
		var objects []Object
		for k := range 3 {
			o := object(2, 1, 2)
			o.ID.Owner, o.ID.ID = fmt.Sprint("owner", i), fmt.Sprint(k)
			objects = append(objects, o)
		}
		moves, _ := p.Bucket(objects, nil)
		if len(moves) != 3 || !moves[0].Replicas.Equal(moves[2].Replicas) {
			t.Fatalf("moves %v", moves)
		}
		got[moves[0].Added()[0]]++
	}
	if got[3] < 1300 || got[3] > 1700 || got[4] < 300 {
		t.Errorf("replacements %v, want three to one", got)
	}
}

func TestAffectedAndDeadline(t *testing.T) {
	w := world()
	w.lose(4, time.Second)
	w.load(3).Draining = true
	p := NewPlanner(w)
	for _, c := range []struct {
		set  cluster.ReplicaSet
		few  int
		want bool
	}{
		{cluster.ReplicaSet{1, 2}, 2, false}, {cluster.ReplicaSet{1, 4}, 2, false}, {cluster.ReplicaSet{1, 3}, 2, true},
		{cluster.ReplicaSet{1, 9}, 2, true}, {cluster.ReplicaSet{1}, 2, true}, {cluster.ReplicaSet{1}, 0, false},
		{cluster.ReplicaSet{1, 2, 4}, 2, true},
	} {
		if got := p.Affected(c.set, c.few); got != c.want {
			t.Errorf("Affected(%v, %d) = %t", c.set, c.few, got)
		}
	}
	if got, want := p.Deadline(), start.Add(RepairAfterDefault-time.Second); !got.Equal(want) {
		t.Errorf("Deadline = %v, want %v", got, want)
	}
}

// A node on its way out says what it cannot let go, and whether absent nodes are what it waits for.
func TestHeld(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *World)
		want   Held
	}{
		{"an absent node is counted with", func(w *World) { w.lose(4, time.Hour) }, Held{1, cluster.ReplicaSet{4}}},
		{"the others are full", func(w *World) { w.load(4).DiskFull = true }, Held{Objects: 1}},
		{"another takes it", func(*World) {}, Held{}},
		{"the absent one was struck", func(w *World) { w.lose(4, time.Hour); w.Struck = cluster.ReplicaSet{4} }, Held{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := world()
			w.load(1).Draining = true
			tt.change(&w)
			p := NewPlanner(w)
			p.Bucket([]Object{object(3, 1, 2, 3)}, nil)
			if got := p.Held(); got.Objects != tt.want.Objects || !got.Absent.Equal(tt.want.Absent) {
				t.Errorf("held %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestLacks(t *testing.T) {
	w := world()
	w.lose(4, time.Second)
	p := NewPlanner(w)
	for _, tt := range []struct {
		set    cluster.ReplicaSet
		copies int
		want   bool
	}{
		{cluster.ReplicaSet{1, 4}, 0, true},
		{cluster.ReplicaSet{1, 2}, 0, false},
		{cluster.ReplicaSet{1, 2}, 3, true},
		{cluster.ReplicaSet{1, 2, 3}, 3, false},
	} {
		if got := p.Lacks(tt.set, tt.copies); got != tt.want {
			t.Errorf("%v, %d wanted, without node 4: lacks %v", tt.set, tt.copies, got)
		}
	}
	alone := NewPlanner(World{Self: 1, Now: start, Members: []Member{{ID: 1}}})
	if alone.Lacks(cluster.ReplicaSet{1}, 3) {
		t.Error("there is no other node, and it lacks one")
	}
}
