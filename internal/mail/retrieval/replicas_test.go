package retrieval

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/survey"
)

var pair = cluster.NewReplicaSet(2, 3)

func (w *world) left() []cluster.ObjectID {
	w.Propagate()
	return slices.Compact(w.Objects(string(user), mail.TypeMessage))
}

// D4: a deletion stands when one node has it, or, if none of the message's nodes can be reached, this
// one; the others hear of it when they are back.
func TestD4_DeletionsWithFaults(t *testing.T) {
	hung, mute, full := clustertest.Faults{Hung: true}, clustertest.Faults{Mute: true}, clustertest.Faults{Full: true}
	for name, faults := range map[string]map[cluster.NodeID]clustertest.Faults{
		"one hangs": {2: hung}, "the other hangs": {3: hung}, "both hang": {2: hung, 3: hung},
		"both are mute": {2: mute, 3: mute}, "both are full": {2: full, 3: full}, "one hangs, one is mute": {2: hung, 3: mute},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.put(user, 1, 10, pair, 2, 3)
			d := w.open(t)
			for id, f := range faults {
				w.SetFaults(id, f)
			}
			if err := d.Delete(context.Background(), []int{0}); err != nil {
				t.Fatalf("Delete = %v", err)
			}
			for id := range faults {
				w.SetFaults(id, clustertest.Faults{})
			}
			if left := w.left(); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// R5: mail that was deleted while a replica was away is not shown again when it is back, not even
// before it has heard of the deletions.
func TestR5_ReturnedReplicaShowsNothingDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.MoveBucket(string(user), 1)
		a := w.put(user, 1, 10, pair, 2, 3)
		w.put(user, 2, 20, pair, 2, 3)
		other := cluster.NewReplicaSet(1, 3)
		w.put(user, 3, 30, other, 1, 3) // the last of its fragment
		b := w.put(user, 4, 40, nil, 3) // lies on the node that goes away, and nowhere else
		w.open(t)
		w.SetMembers(1, 2)
		d := w.open(t)
		if err := d.Delete(context.Background(), []int{1, 2}); err != nil {
			t.Fatal(err)
		}
		w.SetMembers(1, 2, 3)
		if got := ids(w.open(t)); !slices.Equal(got, []string{a, b}) {
			t.Errorf("Messages with the node that is back = %v, want %v", got, []string{a, b})
		}
		time.Sleep(time.Second)
		w.Propagate()
		time.Sleep(survey.SettleAfter)
		if got := ids(w.open(t)); !slices.Equal(got, []string{a, b}) {
			t.Errorf("Messages afterwards = %v, want %v", got, []string{a, b})
		}
	})
}

// V2: what a node that is back has and nobody else knows of is shown.
func TestV2_ReturnedReplicaBringsItsOwn(t *testing.T) {
	w := newWorld(t, Config{})
	w.MoveBucket(string(user), 1)
	w.open(t)
	w.SetMembers(1, 2)
	a := w.put(user, 1, 10, cluster.NewReplicaSet(3), 3) // taken alone, on the other side of a partition
	b := w.put(user, 2, 20, pair, 2, 3)
	w.SetMembers(1, 2, 3)
	if got := ids(w.open(t)); !slices.Equal(got, []string{a, b}) {
		t.Errorf("Messages = %v, want %v", got, []string{a, b})
	}
}

// D5: a damaged copy, or one that is gone, is passed over for another replica's.
func TestD5_DamagedCopyIsPassedOver(t *testing.T) {
	w := newWorld(t, Config{})
	w.put(user, 1, 10, pair, 2, 3)
	id := mail.MessageID{1}.Object(user)
	for _, bad := range pair {
		d := w.open(t)
		w.Damage(bad, id)
		if got := read(t, d, 0); got != "u@x.test 1" {
			t.Errorf("with a damaged copy on node %v: %q", bad, got)
		}
		w.put(user, 1, 10, pair, 2, 3)
	}
	d := w.open(t)
	w.Damage(2, id)
	w.Damage(3, id)
	if _, err := d.Read(context.Background(), 0); kind(err) != "corrupt" {
		t.Errorf("Read with no whole copy = %v, want corrupt", err)
	}
}

// A session finds and deletes messages that were moved to other nodes since it began.
func TestMovedDuringASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.put(user, 1, 10, cluster.NewReplicaSet(2), 2)
		w.put(user, 2, 20, cluster.NewReplicaSet(2), 2)
		d := w.open(t)
		time.Sleep(time.Minute)
		for n := range byte(2) {
			id := mail.MessageID{n + 1}.Object(user)
			contents, _ := w.Contents(2, id)
			err := w.Node(2).UpdateAll(context.Background(), []cluster.Update{{Object: cluster.Object{ID: id, Deleted: true}, Previous: cluster.NewReplicaSet(2)}})
			if err[0] != nil {
				t.Fatal(err)
			}
			w.Put(3, cluster.Object{ID: id, Replicas: cluster.NewReplicaSet(3)}, contents)
		}
		if got := read(t, d, 0); got != "u@x.test 1" {
			t.Errorf("a message that was moved is %q", got)
		}
		if err := d.Delete(context.Background(), []int{0, 1}); err != nil {
			t.Fatal(err)
		}
		if left := w.left(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		if _, err := d.Read(context.Background(), 0); kind(err) != "not found" {
			t.Errorf("Read of a deleted message = %v", err)
		}
	})
}

// R2: of two versions of one message the newer counts, and deleting it reaches the nodes of both.
func TestR2_NewerVersionCounts(t *testing.T) {
	w := newWorld(t, Config{})
	id := mail.MessageID{1}.Object(user)
	w.Put(1, cluster.Object{ID: id, Timestamp: cluster.Timestamp{Time: 7, Node: 1}, Replicas: cluster.NewReplicaSet(1)}, []byte("old"))
	w.Put(2, cluster.Object{ID: id, Timestamp: cluster.Timestamp{Time: 9, Node: 1}, Replicas: pair}, []byte("newer"))
	w.Put(3, cluster.Object{ID: id, Timestamp: cluster.Timestamp{Time: 9, Node: 1}, Replicas: pair}, []byte("newer"))
	d := w.open(t)
	if len(d.Messages()) != 1 || d.Messages()[0].Size != 5 || read(t, d, 0) != "newer" {
		t.Errorf("Messages = %+v, want the newer version alone", d.Messages())
	}
	if err := d.Delete(context.Background(), []int{0}); err != nil {
		t.Fatal(err)
	}
	if left := w.left(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// R5, D4 under any faults: what was deleted with success is gone when all nodes are well again, and
// nothing else is.
func TestR5_AnyFaults(t *testing.T) {
	all := []cluster.ReplicaSet{cluster.NewReplicaSet(1), cluster.NewReplicaSet(2), cluster.NewReplicaSet(1, 2), pair, cluster.NewReplicaSet(1, 2, 3)}
	bad := []clustertest.Faults{{}, {Hung: true}, {Mute: true}, {Behind: true}}
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, Config{CompleteWait: time.Second})
		const kept, asked, deleted = 1, 2, 3
		state := map[string]int{}
		for n := range byte(rapid.IntRange(1, 6).Draw(r, "messages")) {
			set := rapid.SampledFrom(all).Draw(r, "set")
			state[w.put(user, n, int64(n), set, set...)] = kept
		}
		for range rapid.IntRange(1, 4).Draw(r, "sessions") {
			w.SetMembers(rapid.SampledFrom([][]cluster.NodeID{{1, 2, 3}, {1, 2}, {1, 3}, {1}}).Draw(r, "members")...)
			w.MoveBucket(string(user), 1)
			d, err := w.Open(context.Background(), user, client)
			if err != nil {
				r.Fatalf("Open = %v", err)
			}
			for i := cluster.NodeID(1); i <= 3; i++ {
				w.SetFaults(i, rapid.SampledFrom(bad).Draw(r, fmt.Sprintf("faults of %d", i)))
			}
			for i, m := range d.Messages() {
				if !rapid.Bool().Draw(r, "delete") {
					continue
				}
				state[m.ID] = max(state[m.ID], asked)
				if d.Delete(context.Background(), []int{i}) == nil {
					state[m.ID] = deleted
				}
			}
			for i := cluster.NodeID(1); i <= 3; i++ {
				w.SetFaults(i, clustertest.Faults{})
			}
			if rapid.Bool().Draw(r, "propagate") {
				w.Propagate()
			}
		}
		w.SetMembers(1, 2, 3)
		left := map[string]bool{}
		for _, id := range w.left() {
			left[id.ID] = true
		}
		for id, state := range state {
			// One that failed may have taken effect or not: the next session sees.
			if state == kept && !left[id] || state == deleted && left[id] {
				r.Errorf("%s in state %d is left: %v", id, state, left[id])
			}
		}
	})
}
