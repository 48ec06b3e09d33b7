package softstate

import (
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// Each test is one sentence of the papers, or one of our rules beside them.

var t0 = time.Unix(1000, 0)

// oneView is a view of n members, all since epoch 1, the buckets dealt out in turn.
func oneView(counter uint64, n int) *cluster.View {
	v := &cluster.View{Epoch: cluster.Epoch{Counter: counter, Coordinator: 1}, Map: make(cluster.UserMap, cluster.BucketCount)}
	for id := 1; id <= n; id++ {
		v.Members = append(v.Members, cluster.Member{Endpoint: cluster.Endpoint{ID: cluster.NodeID(id)}, Since: epochOf("1")})
	}
	for b := range v.Map {
		v.Map[b] = cluster.Assignment{Manager: cluster.NodeID(1 + b%n), Epoch: epochOf("1")}
	}
	return v
}

// moved is v in a later epoch, with one bucket given to another node.
func moved(v *cluster.View, counter uint64, b cluster.Bucket, to cluster.NodeID) *cluster.View {
	next := &cluster.View{Epoch: cluster.Epoch{Counter: counter, Coordinator: 1}, Members: v.Members}
	next.Map = append(next.Map, v.Map...)
	next.Map[b] = cluster.Assignment{Manager: to, Epoch: next.Epoch}
	return next
}

// tell makes a member of the manager's view report all its buckets, with the holdings given.
func tell(t *testing.T, m *Manager, v *cluster.View, from cluster.NodeID, hs ...cluster.Holding) {
	t.Helper()
	p := &Push{From: from, Epoch: v.Epoch, Holdings: hs}
	for b := range v.Map {
		if v.Map[b].Manager == m.self {
			p.Complete = append(p.Complete, cluster.Bucket(b))
		}
	}
	if err := m.Receive(p, t0); err != nil {
		t.Fatalf("Receive(%d holdings of %d) = %v", len(hs), from, err)
	}
}

func lookup(t *testing.T, m *Manager, owner string) cluster.Entry {
	t.Helper()
	e, err := m.Lookup(owner)
	if err != nil {
		t.Fatalf("Lookup(%q) = %v", owner, err)
	}
	return e
}

// §4.3 step 1: "each node compares the old user map with the new": only fresh buckets are scanned (S3).
func TestPaper43_OnlyFreshBucketsAreScanned_S3(t *testing.T) {
	r := NewReporter(1, clusterID)
	v := oneView(1, 3)
	drain(t, r, r.Install(v, t0))
	if r.OwedBuckets() != 0 {
		t.Fatalf("owes %d buckets after all was acknowledged", r.OwedBuckets())
	}
	out := r.Install(moved(v, 2, 7, 3), t0)
	if len(out.Scans) != 1 || len(out.Scans[0].Buckets) != 1 || out.Scans[0].Buckets[0] != 7 || out.Scans[0].To != 3 {
		t.Errorf("scans = %+v, want bucket 7 for node 3", out.Scans)
	}
}

// drain answers every scan with nothing and every push with success.
func drain(t *testing.T, r *Reporter, out Output) {
	t.Helper()
	for steps := 0; len(out.Scans)+len(out.Pushes) > 0; steps++ {
		if steps > 10_000 {
			t.Fatal("the reporter does not come to rest")
		}
		var next Output
		add := func(o Output) {
			next.Scans = append(next.Scans, o.Scans...)
			next.Pushes = append(next.Pushes, o.Pushes...)
		}
		for _, s := range out.Scans {
			got := make([]Scanned, len(s.Buckets))
			for i, b := range s.Buckets {
				got[i].Bucket = b
			}
			add(r.Scanned(s.Attempt, got, t0))
		}
		for _, p := range out.Pushes {
			add(r.Answered(p.Push.ID, nil, t0))
		}
		out = next
	}
}

// §4.3: "compare epochs, not owners: A->B->A must also be redone".
func TestPaper43_ReturnToTheSameManagerIsFresh(t *testing.T) {
	m := NewManager(1, clusterID)
	v := oneView(1, 1)
	m.Install(v, t0)
	b := clusterID.BucketOf("ann")
	tell(t, m, v, 1, holding(1, "ann", 1, "mail"))
	if done := m.Install(moved(v, 3, b, 1), t0); done.Fresh != 1 {
		t.Errorf("Install: %+v, want one fresh bucket", done)
	}
	if e := lookup(t, m, "ann"); e.Knowledge != cluster.Partial || len(e.Fragments) > 0 {
		t.Errorf("entry after the bucket came back = %+v, want partial and empty", e)
	}
}

// §3: "bob:{A,C}": the mail map is the set of nodes that hold fragments.
func TestPaper3_MailMapIsTheUnionOfHoldings(t *testing.T) {
	m := NewManager(1, clusterID)
	v := oneView(1, 3)
	for b := range v.Map {
		v.Map[b].Manager = 1
	}
	m.Install(v, t0)
	tell(t, m, v, 1, holding(1, "bob", 1, "mail"))
	tell(t, m, v, 2)
	tell(t, m, v, 3, holding(3, "bob", 9, "mail", "profile@4"))
	e := lookup(t, m, "bob")
	if len(e.Fragments) != 2 || e.Fragments[0].Holders[0] != 1 || e.Fragments[1].Holders[0] != 3 || len(e.Cached) != 1 {
		t.Errorf("entry = %+v, want mail at 1 and 3 and one profile", e)
	}
	if e.Knowledge != cluster.Complete {
		t.Errorf("knowledge = %v, want complete (no known nodes told, so never conclusive)", e.Knowledge)
	}
}

// §4.5 of TOCS: with replication each element of the list is itself a set: {{A,B},{B,C}}.
func TestPaper45_ElementsOfTheMailMapAreReplicaSets(t *testing.T) {
	m := NewManager(1, clusterID)
	v := oneView(1, 1)
	v.Members = oneView(1, 3).Members
	m.Install(v, t0)
	ab, bc := cluster.NewReplicaSet(1, 2), cluster.NewReplicaSet(2, 3)
	frag := func(sets ...cluster.ReplicaSet) cluster.Holding {
		h := cluster.Holding{Owner: "bob", Seq: 1}
		for _, s := range sets {
			h.Fragments = append(h.Fragments, cluster.Fragment{Type: "mail", Replicas: s, Count: 2})
		}
		return h
	}
	tell(t, m, v, 1, frag(ab))
	tell(t, m, v, 2, frag(ab, bc))
	tell(t, m, v, 3, frag(bc))
	e := lookup(t, m, "bob")
	if got := fmt.Sprintf("%d %d", e.Fragments[0].Holders, e.Fragments[1].Holders); got != "[1 2] [2 3]" {
		t.Errorf("holders = %v, want [1 2] [2 3]", got)
	}
}

// Rule 3 (V1): when a missing profile proves that there is none.
func TestV1_Knowledge(t *testing.T) {
	node := func(id cluster.NodeID) cluster.Known { return cluster.Known{Endpoint: cluster.Endpoint{ID: id}} }
	sole := func(id cluster.NodeID) cluster.Known { k := node(id); k.Sole = true; return k }
	tests := []struct {
		name    string
		members int
		known   []cluster.Known
		silent  bool // the last member has not reported
		want    cluster.Knowledge
	}{
		{"all known are here", 3, []cluster.Known{node(1), node(2), node(3)}, false, cluster.Conclusive},
		{"a member has not reported", 3, []cluster.Known{node(1), node(2), node(3)}, true, cluster.Partial},
		{"one is absent", 2, []cluster.Known{node(1), node(2), node(3)}, false, cluster.Conclusive},
		{"the absent one has something alone", 2, []cluster.Known{node(1), node(2), sole(3)}, false, cluster.Complete},
		{"a member has something alone", 2, []cluster.Known{sole(1), node(2), node(3)}, false, cluster.Conclusive},
		{"two are absent", 2, []cluster.Known{node(1), node(2), node(3), node(4)}, false, cluster.Complete},
		{"left alone by the only other", 1, []cluster.Known{node(1), node(2)}, false, cluster.Complete},
		{"one node and no other ever", 1, []cluster.Known{node(1)}, false, cluster.Conclusive},
		{"nobody said who is known", 1, nil, false, cluster.Complete},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := NewManager(1, clusterID)
			v := oneView(1, tt.members)
			for b := range v.Map {
				v.Map[b].Manager = 1
			}
			m.Install(v, t0)
			m.SetKnown(tt.known)
			for id := 1; id <= tt.members; id++ {
				if !tt.silent || id < tt.members {
					tell(t, m, v, cluster.NodeID(id))
				}
			}
			if got := lookup(t, m, "nobody").Knowledge; got != tt.want {
				t.Errorf("knowledge = %v, want %v", got, tt.want)
			}
		})
	}
}

// V1: a name that was deleted is free for good only when nobody is away who may have changed it since.
func TestV1_WasDeleted(t *testing.T) {
	cached := func(kind cluster.ObjectType, at int64, deleted bool) cluster.CachedObject {
		return cluster.CachedObject{Object: cluster.Object{ID: cluster.ObjectID{Type: kind, Owner: "bob"}, Timestamp: cluster.Timestamp{Time: at, Node: 2}, Deleted: deleted}}
	}
	for _, c := range []struct {
		name    string
		members int
		holds   []cluster.CachedObject
		want    cluster.Knowledge
	}{
		{"deleted, all are here", 3, []cluster.CachedObject{cached("user", 1, true)}, cluster.Conclusive},
		{"deleted, one is away", 2, []cluster.CachedObject{cached("user", 1, true)}, cluster.Complete},
		{"lives, one is away", 2, []cluster.CachedObject{cached("user", 1, false)}, cluster.Conclusive},
		{"a user deleted, an alias in his place, one is away", 2, []cluster.CachedObject{cached("alias", 2, false), cached("user", 1, true)}, cluster.Conclusive},
		{"an alias deleted, a user in its place, one is away", 2, []cluster.CachedObject{cached("alias", 1, true), cached("user", 2, false)}, cluster.Conclusive},
		{"a user deleted, his folders not yet, one is away", 2, []cluster.CachedObject{cached("folders", 1, false), cached("user", 2, true)}, cluster.Complete},
		{"never heard of, one is away", 2, nil, cluster.Conclusive},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewManager(1, clusterID)
			v := oneView(1, c.members)
			for b := range v.Map {
				v.Map[b].Manager = 1
			}
			m.Install(v, t0)
			m.SetKnown([]cluster.Known{{Endpoint: cluster.Endpoint{ID: 1}}, {Endpoint: cluster.Endpoint{ID: 2}}, {Endpoint: cluster.Endpoint{ID: 3}}})
			for id := 1; id <= c.members; id++ {
				var hs []cluster.Holding
				if id == 2 && len(c.holds) > 0 {
					hs = []cluster.Holding{{Owner: "bob", Cached: c.holds, Seq: 1}}
				}
				tell(t, m, v, cluster.NodeID(id), hs...)
			}
			if got := lookup(t, m, "bob").Knowledge; got != c.want {
				t.Errorf("knowledge = %v, want %v", got, c.want)
			}
		})
	}
}

func TestM4_PushesOfOtherEpochsAreRefused(t *testing.T) {
	m := NewManager(1, clusterID)
	if err := m.Receive(&Push{From: 1}, t0); !cluster.IsKind(err, cluster.KindBehind) {
		t.Errorf("before any view: %v, want behind", err)
	}
	v := oneView(5, 2)
	m.Install(v, t0)
	mine, other := cluster.Bucket(0), cluster.Bucket(1)
	tests := []struct {
		name string
		push Push
		want cluster.Kind
	}{
		{"older", Push{From: 2, Epoch: epochOf("4")}, cluster.KindStale},
		{"newer", Push{From: 2, Epoch: epochOf("6")}, cluster.KindBehind},
		{"same counter, other coordinator", Push{From: 2, Epoch: cluster.Epoch{Counter: 5, Coordinator: 2}}, cluster.KindBehind},
		{"stranger", Push{From: 9, Epoch: v.Epoch}, cluster.KindInvalid},
		{"marker of a bucket managed elsewhere", Push{From: 2, Epoch: v.Epoch, Complete: []cluster.Bucket{mine, other}}, cluster.KindInvalid},
		{"bucket out of range", Push{From: 2, Epoch: v.Epoch, Complete: []cluster.Bucket{cluster.BucketCount}}, cluster.KindInvalid},
	}
	for _, tt := range tests {
		if err := m.Receive(&tt.push, t0); !cluster.IsKind(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if c := m.Counts(); c.Incomplete != c.Buckets {
		t.Errorf("a refused push left a marker: %+v", c)
	}
}

// §2: 76 bytes a user and 44 a fragment. Ours, for users with mail on one node and no profile.
func TestPaper2_MemoryOfTheMailMap(t *testing.T) {
	m := NewManager(1, clusterID)
	v := oneView(1, 1)
	m.Install(v, t0)
	const users = 20_000
	p := &Push{From: 1, Epoch: v.Epoch}
	for i := range users {
		p.Holdings = append(p.Holdings, holding(1, fmt.Sprintf("u%d@example.test", i), 1, "mail"))
	}
	if err := m.Receive(p, t0); err != nil {
		t.Fatal(err)
	}
	c := m.Counts()
	if each := c.Bytes / users; c.Owners != users || each > 120 {
		t.Errorf("%d owners take %d bytes each, want at most 76+44", c.Owners, each)
	}
}
