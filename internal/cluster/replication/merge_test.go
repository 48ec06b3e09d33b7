package replication_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// union is a merge function: contents are sets of bytes.
func union(a, b []byte) ([]byte, error) {
	set := slices.Concat(a, b)
	slices.Sort(set)
	return slices.Compact(set), nil
}

// put gives an object contents that have something more than those that it has.
func (w *world) put(o *cluster.Object) {
	contents, _ := union(w.contents[o.Sum], []byte{byte(w.rnd.IntN(256))})
	o.Sum, o.Size = sha256.Sum256(contents), int64(len(contents))
	w.contents[o.Sum] = contents
}

// checkMerged: in the end each object has all that any of its updates had which was applied anywhere.
func (w *world) checkMerged() error {
	for _, id := range w.objects {
		var want, got []byte
		for _, c := range w.history[id] {
			if c.applied {
				want, _ = union(want, w.contents[c.update.Object.Sum])
			}
		}
		for _, n := range w.nodes {
			if o := n.disk[id].Object; o != nil {
				got = w.contents[o.Sum]
			}
		}
		if !slices.Equal(want, got) {
			return fmt.Errorf("object %s has %v, its updates had %v", id.ID, got, want)
		}
	}
	return nil
}

// playMerged plays a seed with contents that are joined.
func playMerged(seed uint64, r rules) (*world, error) {
	f := swarm(seed)
	f.strike = false
	w := newWorld(seed, f, r)
	w.merging, w.told = true, *oneSeed == seed
	if err := w.play(); err != nil {
		return w, err
	}
	return w, w.checkMerged()
}

// TestMergedTypesLoseNothing: with contents that are joined, R1 and R4 hold as ever, and nothing of
// any update is lost, whatever the order.
func TestMergedTypesLoseNothing(t *testing.T) {
	for seed := uint64(1); seed <= 300; seed++ {
		if *oneSeed != 0 {
			seed = *oneSeed
		}
		w, err := playMerged(seed, trueRules())
		for _, line := range w.story {
			t.Log(line)
		}
		if err != nil {
			t.Fatalf("seed %d: %v\nreplay: go test ./internal/cluster/replication -run TestMergedTypesLoseNothing -converge.seed=%d -v", seed, err, seed)
		}
		if *oneSeed != 0 {
			return
		}
	}
}

// TestSeededBugsOfJoinAreFound plants bugs that lose part of an update.
func TestSeededBugsOfJoinAreFound(t *testing.T) {
	type merge = func(a, b []byte) ([]byte, error)
	for name, skip := range map[string]func(have replication.State, u *cluster.Update, theirs []byte) bool{
		"a leaver drops what it has": func(_ replication.State, _ *cluster.Update, theirs []byte) bool { return theirs == nil },
		"an older update is dropped": func(have replication.State, u *cluster.Update, _ []byte) bool {
			return u.Object.Timestamp.Compare(have.Object.Timestamp) < 0
		},
		"an older copy is dropped": func(have replication.State, u *cluster.Update, _ []byte) bool {
			return u.Object.Timestamp.Compare(have.Object.Timestamp) > 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := trueRules()
			r.join = func(self cluster.NodeID, have replication.State, mine []byte, u *cluster.Update, theirs []byte, m merge) *replication.Joined {
				if skip(have, u, theirs) {
					return nil
				}
				return replication.Join(self, have, mine, u, theirs, m)
			}
			const most = 5000
			for seed := uint64(1); seed <= most; seed++ {
				if _, err := playMerged(seed, r); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("not found in %d seeds", most)
		})
	}
}

func TestJoin(t *testing.T) {
	set := func(ids ...cluster.NodeID) cluster.ReplicaSet { return cluster.NewReplicaSet(ids...) }
	at := func(n int64) cluster.Timestamp { return cluster.Timestamp{Time: n, Node: 1} }
	object := func(n int64, contents string, replicas cluster.ReplicaSet) *cluster.Object {
		return &cluster.Object{
			ID: cluster.ObjectID{Type: "flags", Owner: "o", ID: "i"}, Timestamp: at(n), Replicas: replicas,
			Size: int64(len(contents)), Sum: sha256.Sum256([]byte(contents)), Attr: []byte{byte(n)},
		}
	}
	gone := object(5, "", set(1, 2))
	gone.Deleted = true
	failing := func(a, b []byte) ([]byte, error) { return nil, errors.New("not contents") }
	nine := set(2, 3, 4, 5, 6, 7, 8, 9)
	for _, test := range []struct {
		name     string
		have     replication.State
		mine     string
		update   cluster.Update
		theirs   []byte
		merge    func(a, b []byte) ([]byte, error)
		contents string // "": no joined update
		replicas cluster.ReplicaSet
		previous cluster.ReplicaSet
	}{
		{name: "nothing here", update: cluster.Update{Object: *object(5, "ab", set(1))}, theirs: []byte("ab"), merge: union},
		{name: "no merge function", have: replication.State{Object: object(4, "a", set(1))}, mine: "a", update: cluster.Update{Object: *object(5, "b", set(1))}, theirs: []byte("b")},
		{name: "newer that has all", have: replication.State{Object: object(4, "a", set(1))}, mine: "a", update: cluster.Update{Object: *object(5, "ab", set(1))}, theirs: []byte("ab"), merge: union},
		{name: "older that adds nothing", have: replication.State{Object: object(6, "ab", set(1))}, mine: "ab", update: cluster.Update{Object: *object(5, "b", set(1))}, theirs: []byte("b"), merge: union},
		{name: "newer that lacks some", have: replication.State{Object: object(4, "a", set(1, 2))}, mine: "a", update: cluster.Update{Object: *object(5, "b", set(1, 3))}, theirs: []byte("b"), merge: union,
			contents: "ab", replicas: set(1, 3), previous: set(1, 2, 3)},
		{name: "older that adds some", have: replication.State{Object: object(6, "a", set(1, 2)), Record: &cluster.Record{Timestamp: at(6), Targets: set(1, 2, 9)}}, mine: "a",
			update: cluster.Update{Object: *object(5, "b", set(1, 3)), Previous: set(7)}, theirs: []byte("b"), merge: union,
			contents: "ab", replicas: set(1, 2), previous: set(1, 2, 3, 7, 9)},
		{name: "the same update", have: replication.State{Object: object(5, "a", set(1))}, mine: "a", update: cluster.Update{Object: *object(5, "a", set(1))}, theirs: []byte("a"), merge: union},
		{name: "a deletion", have: replication.State{Object: object(4, "a", set(1))}, mine: "a", update: cluster.Update{Object: *gone}, merge: union},
		{name: "a tombstone here", have: replication.State{Object: gone}, update: cluster.Update{Object: *object(6, "a", set(1))}, theirs: []byte("a"), merge: union},
		{name: "cannot be merged", have: replication.State{Object: object(4, "a", set(1))}, mine: "a", update: cluster.Update{Object: *object(5, "b", set(1))}, theirs: []byte("b"), merge: failing},
		{name: "offered, newer: the contents are wanted first", have: replication.State{Object: object(4, "a", set(1))}, mine: "a", update: cluster.Update{Object: *object(5, "b", set(1))}, merge: union},
		{name: "offered, older: the sender will join", have: replication.State{Object: object(6, "a", set(1))}, mine: "a", update: cluster.Update{Object: *object(5, "b", set(1))}, merge: union},
		{name: "to leave with what others may lack", have: replication.State{Object: object(4, "a", set(1))}, mine: "a", update: cluster.Update{Object: *object(5, "b", set(2))}, merge: union,
			contents: "a", replicas: set(1, 2), previous: set(1, 2)},
		{name: "to leave with what others have", have: replication.State{Object: object(4, "a", set(1))}, mine: "a", update: cluster.Update{Object: *object(5, "a", set(2))}, merge: union},
		{name: "to leave a full replica set", have: replication.State{Object: object(4, "a", set(1))}, mine: "a", update: cluster.Update{Object: *object(5, "b", nine)}, theirs: []byte("b"), merge: union,
			contents: "ab", replicas: set(1, 2, 3, 4, 5, 6, 7, 8), previous: set(1, 2, 3, 4, 5, 6, 7, 8, 9)},
	} {
		j := replication.Join(1, test.have, []byte(test.mine), &test.update, test.theirs, test.merge)
		if test.contents == "" {
			if j != nil {
				t.Errorf("%s: joined %+v", test.name, j)
			}
			continue
		}
		if j == nil {
			t.Errorf("%s: not joined", test.name)
			continue
		}
		o := j.Update.Object
		if string(j.Contents) != test.contents || o.Sum != sha256.Sum256(j.Contents) || o.Size != int64(len(j.Contents)) || !o.Timestamp.IsZero() ||
			!o.Replicas.Equal(test.replicas) || !j.Update.Previous.Equal(test.previous) {
			t.Errorf("%s: joined %q %+v", test.name, j.Contents, j.Update)
		}
	}
}
