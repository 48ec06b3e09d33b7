package sim

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// atRest makes a small world in which all nodes have found each other.
func atRest(t *testing.T, nodes int) *World {
	t.Helper()
	w := newWorld(Options{Seed: 1, Nodes: nodes, Break: time.Minute, Quiet: true})
	w.draw()
	w.boot(w.opt.Nodes)
	w.run(time.Minute)
	if text := w.unsettled(w.nodes); text != "" {
		t.Fatal(text)
	}
	return w
}

// comesToRest has a world heal: nothing stays damaged or under way, and no two copies differ.
func comesToRest(t *testing.T, w *World) {
	t.Helper()
	w.healing = true
	w.await("R1", repairMax, w.unhealed)
	w.await("R4", drainMax, w.undrained)
	w.check.that(w.diverging())
	if w.check.failure != nil {
		t.Fatal(w.check.failure)
	}
}

// TestD1_TheLastWholeCopyIsNotDropped: a message has moved from one node to another while the first was
// away, and the copies of those who keep it rotted since. The one that was away is told to drop his, which is
// the only whole one: it does so when the others have been healed from it, and not before.
func TestD1_TheLastWholeCopyIsNotDropped(t *testing.T) {
	w := atRest(t, 4)
	left, kept, got := w.nodes[0], w.nodes[1], w.nodes[2]
	o := cluster.Object{
		ID:        cluster.ObjectID{Type: typeMessage, Owner: "u0@example.test", ID: "m1.1"},
		Timestamp: cluster.Timestamp{Time: left.wall().UnixNano(), Node: left.id},
		Replicas:  cluster.NewReplicaSet(left.id, kept.id), Copies: 2, Size: 1, Sum: sumOf("m"),
	}
	left.disk.put(o.ID, &stored{object: o, contents: "m"}, nil)
	o.Timestamp.Time++
	o.Replicas = cluster.NewReplicaSet(kept.id, got.id)
	record := &cluster.Record{
		ID: o.ID, Timestamp: o.Timestamp, Replicas: o.Replicas, Targets: o.Replicas.Union(cluster.NewReplicaSet(left.id)),
	}
	for _, n := range []*node{kept, got} {
		n.crash()
		n.disk.put(o.ID, &stored{object: o, contents: "m"}, record)
		n.disk.damage(o.ID)
		n.start()
	}
	w.oracle.newest[o.ID] = o
	comesToRest(t, w)
	if left.disk.objects[o.ID] != nil || kept.disk.objects[o.ID] == nil || got.disk.objects[o.ID] == nil {
		t.Errorf("at the end: %s", w.states(o.ID))
	}
}

// TestD1_WhoHandedItOnDoesNotVouch: a message moved twice while one was away who has it, and the copy of the last
// one rotted since. The one that was away hears of the first move alone, from somebody who never heard of the second,
// and asks who handed it on.
func TestD1_WhoHandedItOnDoesNotVouch(t *testing.T) {
	w := atRest(t, 4)
	left, between, got, other := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	o := cluster.Object{
		ID:        cluster.ObjectID{Type: typeMessage, Owner: "u0@example.test", ID: "m1.1"},
		Timestamp: cluster.Timestamp{Time: left.wall().UnixNano(), Node: left.id},
		Replicas:  cluster.NewReplicaSet(left.id), Copies: 1, Size: 1, Sum: sumOf("m"),
	}
	left.disk.put(o.ID, &stored{object: o, contents: "m"}, nil)
	moves := []*cluster.Record{
		{ID: o.ID, Timestamp: o.Timestamp, Replicas: cluster.NewReplicaSet(between.id), Targets: cluster.NewReplicaSet(left.id, other.id)},
		{ID: o.ID, Timestamp: o.Timestamp, Replicas: cluster.NewReplicaSet(got.id), Targets: cluster.NewReplicaSet(between.id, got.id)},
	}
	moves[0].Timestamp.Time++
	moves[1].Timestamp.Time += 2
	o.Timestamp, o.Replicas = moves[1].Timestamp, moves[1].Replicas
	between.crash()
	between.disk.put(o.ID, nil, moves[1])
	between.start()
	other.crash()
	other.disk.put(o.ID, nil, moves[0])
	other.start()
	got.crash()
	got.disk.put(o.ID, &stored{object: o, contents: "m"}, moves[1])
	got.disk.damage(o.ID)
	got.start()
	w.oracle.newest[o.ID] = o
	comesToRest(t, w)
	if left.disk.objects[o.ID] != nil || got.disk.objects[o.ID] == nil {
		t.Errorf("at the end: %s", w.states(o.ID))
	}
}

// TestD1_WhatAllKeepersLostIsTakenBack: those who keep a message were destroyed and struck, while one was away
// who has it still and was to drop his copy. It hears of that from a third one, and keeps it.
func TestD1_WhatAllKeepersLostIsTakenBack(t *testing.T) { keepersLost(t, false) }

// TestD1_WhatIsLostHereTooIsNotTakenBack: the same, and the copy of the one that was away is damaged too. There is
// nothing to keep, and the move comes to its end.
func TestD1_WhatIsLostHereTooIsNotTakenBack(t *testing.T) { keepersLost(t, true) }

func keepersLost(t *testing.T, damaged bool) {
	t.Helper()
	w := newWorld(Options{Seed: 1, Nodes: 5, Break: time.Minute, Quiet: true})
	w.draw()
	w.boot(w.opt.Nodes)
	w.run(time.Minute)
	left, other := w.nodes[0], w.nodes[3]
	o := cluster.Object{
		ID:        cluster.ObjectID{Type: typeMessage, Owner: "u0@example.test", ID: "m1.1"},
		Timestamp: cluster.Timestamp{Time: left.wall().UnixNano(), Node: left.id},
		Replicas:  cluster.NewReplicaSet(left.id, w.nodes[1].id), Copies: 2, Size: 1, Sum: sumOf("m"),
	}
	left.disk.put(o.ID, &stored{object: o, contents: "m"}, nil)
	if damaged {
		left.disk.damage(o.ID)
	} else {
		w.oracle.newest[o.ID] = o
	}
	replicas := cluster.NewReplicaSet(w.nodes[1].id, w.nodes[2].id)
	for _, n := range w.nodes[1:3] {
		n.crash()
		w.lose(n)
		w.acts++
		w.strike(n.id)
	}
	w.run(time.Duration(w.now) + time.Minute)
	if text := w.unsettled(w.nodes); text != "" {
		t.Fatal(text)
	}
	other.crash()
	o.Timestamp.Time++
	other.disk.put(o.ID, nil, &cluster.Record{
		ID: o.ID, Timestamp: o.Timestamp, Replicas: replicas, Targets: replicas.Union(cluster.NewReplicaSet(left.id, other.id)),
	})
	other.start()
	w.healing = true
	if damaged {
		w.await("R4", drainMax, func() string {
			if left.disk.objects[o.ID] != nil {
				return "the damaged copy is there: " + w.states(o.ID)
			}
			return w.undrained()
		})
		if w.check.failure != nil {
			t.Fatal(w.check.failure)
		}
		return
	}
	w.await("R4", drainMax, w.undrained)
	w.await("R6", repairMax, w.thin)
	w.await("R4", drainMax, w.undrained)
	w.check.that(w.diverging())
	if w.check.failure != nil {
		t.Fatal(w.check.failure)
	}
	if s := left.disk.objects[o.ID]; s == nil || s.object.Timestamp.Compare(o.Timestamp) < 0 || len(s.object.Replicas) != 2 {
		t.Errorf("at the end: %s", w.states(o.ID))
	}
}
