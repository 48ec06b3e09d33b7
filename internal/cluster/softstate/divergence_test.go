package softstate

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// profile is a cached object of an owner in one version.
func profile(owner, id string, version int64) cluster.CachedObject {
	return cluster.CachedObject{Object: cluster.Object{
		ID: cluster.ObjectID{Type: "user", Owner: owner, ID: id}, Timestamp: cluster.Timestamp{Time: version, Node: 1}, Sum: [32]byte{byte(version)},
	}}
}

// managedByOne is a view of n members in which the first manages everything.
func managedByOne(counter uint64, n int) *cluster.View {
	v := oneView(counter, n)
	for b := range v.Map {
		v.Map[b].Manager = 1
	}
	return v
}

func TestDivergences(t *testing.T) {
	v := managedByOne(5, 3)
	m := NewManager(1, clusterID)
	now := time.Unix(100, 0)
	m.Install(v, now)
	seq := uint64(0)
	has := func(from cluster.NodeID, objects ...cluster.CachedObject) {
		t.Helper()
		seq++
		p := &Push{From: from, Epoch: v.Epoch, Holdings: []cluster.Holding{{Owner: "alice", Cached: objects, Seq: seq}}}
		if err := m.Receive(p, now); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, after time.Duration, want ...Divergence) {
		t.Helper()
		now = now.Add(after)
		if got := m.Divergences(now); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: Divergences = %+v, want %+v", when, got, want)
		}
	}
	complete := func(from cluster.NodeID) {
		t.Helper()
		if err := m.Receive(&Push{From: from, Epoch: v.Epoch, Complete: []cluster.Bucket{clusterID.BucketOf("alice")}}, now); err != nil {
			t.Fatal(err)
		}
	}
	set := func(ids ...cluster.NodeID) cluster.ReplicaSet { return cluster.NewReplicaSet(ids...) }
	diverged := Divergence{
		ID: profile("alice", "", 8).Object.ID, Newest: cluster.Timestamp{Time: 8, Node: 1}, Holders: set(2), Stale: set(1, 3),
	}

	has(1, profile("alice", "", 7))
	has(2, profile("alice", "", 8), profile("alice", "x", 3))
	has(3, profile("alice", "", 6))
	complete(1)
	complete(2)
	want("before all have told the bucket", 0)
	want("before all have told the bucket, later", time.Minute)
	complete(3)
	want("at once", time.Second)
	want("settled", DivergenceSettle, diverged)
	want("told already", time.Second)
	want("still there", DivergenceRepeat, diverged)

	has(3, profile("alice", "", 9))
	want("a newer version", DivergenceSettle)
	diverged.Newest.Time, diverged.Holders, diverged.Stale = 9, set(3), set(1, 2)
	want("settled anew", DivergenceSettle, diverged)

	has(1, profile("alice", "", 9))
	has(2, profile("alice", "", 9), profile("alice", "x", 3))
	want("all the same", DivergenceRepeat)
	if n := len(m.suspects.found); n != 0 {
		t.Errorf("%d suspects left", n)
	}

	has(2, profile("alice", "", 10))
	want("differs again", time.Second)
	m.Install(oneView(6, 1), now)
	want("the others left", time.Hour)
}

// TestDivergencesAreBounded: of too many differences, some are told at a time, and none is forgotten.
func TestDivergencesAreBounded(t *testing.T) {
	v := managedByOne(5, 2)
	m := NewManager(1, clusterID)
	now := time.Unix(100, 0)
	m.Install(v, now)
	const owners = suspectsMax + 500
	for from := range 2 {
		var holdings []cluster.Holding
		for i := range owners {
			name := fmt.Sprintf("u%d", i)
			holdings = append(holdings, cluster.Holding{Owner: name, Seq: 1, Cached: []cluster.CachedObject{profile(name, "", int64(from+1))}})
		}
		tell(t, m, v, cluster.NodeID(from+1), holdings...)
	}
	told := map[string]bool{}
	for round := 0; len(told) < owners; round++ {
		if round > 4*owners/DivergencesMax {
			t.Fatalf("%d of %d told after %d rounds", len(told), owners, round)
		}
		now = now.Add(5 * time.Second)
		got := m.Divergences(now)
		if len(got) > DivergencesMax || len(m.suspects.found) > suspectsMax {
			t.Fatalf("%d told at once, %d suspects", len(got), len(m.suspects.found))
		}
		for _, d := range got {
			told[d.ID.Owner] = true
			h := cluster.Holding{Owner: d.ID.Owner, Seq: 2, Cached: []cluster.CachedObject{profile(d.ID.Owner, "", 2)}}
			if err := m.Receive(&Push{From: 1, Epoch: v.Epoch, Holdings: []cluster.Holding{h}}, now); err != nil {
				t.Fatal(err)
			}
		}
	}
}
