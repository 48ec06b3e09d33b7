package wire_test

import (
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/wire"
)

// The values here seed the fuzzers and are held against the schema.

func exampleStamps() []cluster.Stamp {
	return []cluster.Stamp{
		{},
		{From: 1, Epoch: cluster.Epoch{Counter: 1<<62 - 1, Coordinator: 1 << 63}, Clock: cluster.Timestamp{Time: -1, Node: 2}},
		{From: 3, Clock: cluster.Timestamp{Time: 1e18, Node: 3}, Load: cluster.Load{
			Pending: 1, Commit: time.Second, DiskFull: true, DiskFree: 1 << 62, Objects: 2, Owners: 3, Draining: true, Sole: true,
		}},
	}
}

func exampleObjects() []cluster.Object {
	return []cluster.Object{
		{ID: cluster.ObjectID{Type: "user", Owner: "u0@example.test"}},
		{
			ID:        cluster.ObjectID{Type: "message", Owner: "\xff\x00@x", ID: "\x00\x01\xfe"},
			Timestamp: cluster.Timestamp{Time: 1e18 + 7, Node: 0xdeadbeef}, Replicas: cluster.NewReplicaSet(3, 1, 2),
			Copies: cluster.ReplicaSetMax, Attr: []byte("flags"), Size: 5 << 10, Sum: [32]byte{1, 31: 9},
		},
		{ID: cluster.ObjectID{Type: "alias", Owner: "o", ID: "i"}, Deleted: true, Replicas: cluster.NewReplicaSet(1), Size: cluster.ObjectSizeMax},
	}
}

func exampleUpdates() []cluster.Update {
	var list []cluster.Update
	for _, o := range exampleObjects() {
		list = append(list, cluster.Update{Object: o}, cluster.Update{Object: o, Previous: cluster.NewReplicaSet(9, 8)})
	}
	return list
}

func exampleFragments() []cluster.Fragment {
	return []cluster.Fragment{
		{Type: "message", Replicas: cluster.NewReplicaSet(1), Count: 2, Bytes: 3},
		{Type: "message", Replicas: cluster.NewReplicaSet(1, 2)},
		{Type: "x"},
	}
}

func exampleCached(owner string) []cluster.CachedObject {
	return []cluster.CachedObject{
		{Object: cluster.Object{ID: cluster.ObjectID{Type: "user", Owner: owner}, Size: 3}, Contents: []byte("abc")},
		{Object: cluster.Object{ID: cluster.ObjectID{Type: "alias", Owner: owner, ID: "a"}, Deleted: true}},
	}
}

func exampleHoldings() []cluster.Holding {
	return []cluster.Holding{
		{Owner: "gone@example.test", Seq: 1 << 60},
		{Owner: "u0@example.test", Seq: 4, Fragments: exampleFragments(), Cached: exampleCached("u0@example.test")},
	}
}

func exampleEntries() []cluster.Entry {
	return []cluster.Entry{
		{Owner: "nobody@example.test", Knowledge: cluster.Conclusive},
		{Owner: "u0", Knowledge: cluster.Complete, Cached: exampleCached("u0"), Fragments: []cluster.Placed{
			{Fragment: exampleFragments()[0], Holders: []cluster.NodeID{1}},
			{Fragment: exampleFragments()[1], Holders: []cluster.NodeID{1, 2}},
			{Fragment: exampleFragments()[2]},
		}},
	}
}

// exampleView has n members that manage the buckets in turn.
func exampleView(n int) *cluster.View {
	v := &cluster.View{Epoch: cluster.Epoch{Counter: uint64(n), Coordinator: 1}, Map: make(cluster.UserMap, cluster.BucketCount)}
	for i := range n {
		v.Members = append(v.Members, cluster.Member{
			Endpoint: cluster.Endpoint{ID: cluster.NodeID(i + 1), Name: "node", Addr: "127.0.0.1:10090"},
			Since:    cluster.Epoch{Counter: uint64(i), Coordinator: 5},
		})
	}
	for b := range v.Map {
		v.Map[b] = cluster.Assignment{Manager: v.Members[b%n].ID, Epoch: cluster.Epoch{Counter: uint64(b * b % 300), Coordinator: 7}}
	}
	return v
}

// unmapped is a view of n members without a user map: small, as seeds should be.
func unmapped(n int) *cluster.View {
	v := exampleView(n)
	v.Map = nil
	return v
}

func exampleContacts() []membership.Contact {
	return []membership.Contact{
		{Known: cluster.Known{Endpoint: cluster.Endpoint{ID: 1, Name: "ä", Addr: "[::1]:1"}, Sole: true}, Heard: cluster.Epoch{Counter: 3, Coordinator: 2},
			Life: membership.Life{Boot: 7, Process: 1 << 63, In: cluster.Epoch{Counter: 2, Coordinator: 2}, Durable: 1 << 60, Before: 1 << 59}},
		{Known: cluster.Known{Endpoint: cluster.Endpoint{ID: 2}}, Removed: true},
	}
}

func exampleMessages() []membership.Message {
	e := func(n uint64) cluster.Epoch { return cluster.Epoch{Counter: n, Coordinator: cluster.NodeID(n + 1)} }
	return []membership.Message{
		{Kind: membership.KindPing, Nonce: 1 << 63},
		{
			Kind: membership.KindReject, From: cluster.Endpoint{ID: 1, Name: "n", Addr: "a:1"}, Sole: true, Installed: e(1), Size: 3, Member: true,
			Nonce: 2, Epoch: e(2), Promised: e(3), Busy: true, Yours: e(4), Leaving: true, Coordinator: cluster.Endpoint{ID: 2, Addr: "b:2"},
			Members: exampleContacts(), Digest: 9, Known: exampleContacts()[:1],
			Boot: 300, Process: 8, Last: membership.Life{Boot: 299, Process: 7, In: e(1)}, Why: membership.RefusalTwin, Refused: 11,
			Found: 1 << 58, Durable: 1 << 57,
		},
		{Kind: membership.KindView, View: exampleView(3)},
		{Kind: membership.KindView, View: unmapped(2), Lives: []membership.Life{{}, {Boot: 1, Process: 2}}},
		{Kind: membership.KindView, View: unmapped(2)},
		{Kind: membership.KindView, View: &cluster.View{}},
		{Kind: 200},
	}
}

func examplePersistent() []membership.Persistent {
	return []membership.Persistent{{}, {Promised: cluster.Epoch{Counter: 9, Coordinator: 8}, Contacts: exampleContacts(), Boot: 12, Last: membership.Life{Boot: 12}, Found: 5,
		Absences: []membership.Absence{{ID: 2, For: time.Hour}, {ID: 3}}}}
}

// manyNodes is a set of n nodes.
func manyNodes(n int) cluster.ReplicaSet {
	var set cluster.ReplicaSet
	for i := range n {
		set = append(set, cluster.NodeID(i+1))
	}
	return set
}

func exampleRecords() []cluster.Record {
	o := exampleObjects()[1]
	return []cluster.Record{
		{ID: o.ID, Timestamp: o.Timestamp},
		{ID: o.ID, Timestamp: o.Timestamp, Replicas: o.Replicas, Targets: manyNodes(wire.TargetsMax)},
		{ID: o.ID, Timestamp: o.Timestamp, Deleted: true, Targets: o.Replicas, Retired: 1 << 62},
	}
}

func exampleReplies() []replication.Reply {
	at := cluster.Timestamp{Time: 7, Node: 8}
	refusal := func(k cluster.Kind, text string) error {
		return &cluster.Error{Kind: k, Op: "apply at a target", Err: &wire.Refusal{Text: text}}
	}
	return []replication.Reply{
		{Verdict: replication.Newer, Have: at},
		{Verdict: replication.Same, Have: at},
		{Verdict: replication.Older, Have: at},
		{Verdict: replication.Newer, Want: true},
		{Want: true},
		{Err: refusal(cluster.KindFull, "no room")},
		{Err: refusal(cluster.KindInternal, "")},
		{Err: refusal(99, "of a later version")},
	}
}
