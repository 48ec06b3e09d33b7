package replication_test

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

var objectID = cluster.ObjectID{Type: "message", Owner: "u0@example.test", ID: "m"}

func at(n int64) cluster.Timestamp { return cluster.Timestamp{Time: n, Node: 9} }

func set(ids ...cluster.NodeID) cluster.ReplicaSet { return cluster.NewReplicaSet(ids...) }

// copyOf is a copy with contents of its own.
func copyOf(n int64, replicas cluster.ReplicaSet) *cluster.Object {
	return &cluster.Object{ID: objectID, Timestamp: at(n), Replicas: replicas, Size: 1, Sum: sumOf(at(n))}
}

func recordOf(n int64, replicas, targets cluster.ReplicaSet, retired int64) *cluster.Record {
	return &cluster.Record{ID: objectID, Timestamp: at(n), Deleted: len(replicas) == 0, Replicas: replicas, Targets: targets, Retired: retired}
}

func updateOf(n int64, replicas, previous cluster.ReplicaSet) cluster.Update {
	u := cluster.Update{Object: *copyOf(n, replicas), Previous: previous}
	if len(replicas) == 0 {
		u.Object.Deleted, u.Object.Size, u.Object.Sum = true, 0, [32]byte{}
	}
	return u
}

// TestPaper54_Decide: the rules of thesis ch. 5, and the subtle points in them, at node 1.
func TestPaper54_Decide(t *testing.T) {
	const now = 77
	moved := updateOf(6, set(1, 2), nil)
	moved.Object.Sum = sumOf(at(5))
	tombstone := updateOf(6, set(1, 2), nil)
	tombstone.Object.Deleted, tombstone.Object.Size, tombstone.Object.Sum = true, 0, [32]byte{}
	for _, test := range []struct {
		name    string
		object  *cluster.Object
		record  *cluster.Record
		update  cluster.Update
		verdict replication.Verdict
		does    string // of: put, needs, remove, logs
		want    *cluster.Record
	}{
		{"new, here alone", nil, nil, updateOf(5, set(1), nil), replication.Newer, "put needs", nil},
		{"new", nil, nil, updateOf(5, set(1, 2), nil), replication.Newer, "put needs logs", recordOf(5, set(1, 2), set(1, 2), 0)},
		{"new contents", copyOf(5, set(1, 2)), nil, updateOf(6, set(1, 2), nil), replication.Newer, "put needs logs", recordOf(6, set(1, 2), set(1, 2), 0)},
		{"a replica more, the same contents", copyOf(5, set(1)), nil, moved, replication.Newer, "put logs", recordOf(6, set(1, 2), set(1, 2), 0)},
		{"a tombstone needs no contents", copyOf(5, set(1, 2)), nil, tombstone, replication.Newer, "put logs", &cluster.Record{ID: objectID, Timestamp: at(6), Deleted: true, Replicas: set(1, 2), Targets: set(1, 2)}},
		{"moved away", copyOf(5, set(1)), nil, updateOf(6, set(2), set(1)), replication.Newer, "remove logs", recordOf(6, set(2), set(1, 2), 0)},
		{"moved away, before it came", nil, nil, updateOf(6, set(2), set(1)), replication.Newer, "logs", recordOf(6, set(2), set(1, 2), 0)},
		{"deleted, here alone: retired at once (R5)", copyOf(5, set(1)), nil, updateOf(6, nil, set(1)), replication.Newer, "remove logs", recordOf(6, nil, set(1), now)},
		{"deleted, before it came (R5)", nil, nil, updateOf(6, nil, set(1, 2)), replication.Newer, "logs", recordOf(6, nil, set(1, 2), 0)},
		{"back to here alone: the record of the move goes", nil, recordOf(5, set(1), set(1), 3), updateOf(6, set(1), nil), replication.Newer, "put needs logs", nil},

		{"add targets: replicas of the older copy", copyOf(5, set(1, 3)), nil, updateOf(6, set(1, 2), nil), replication.Newer, "put needs logs", recordOf(6, set(1, 2), set(1, 2, 3), 0)},
		{"add targets: of the record it replaces", copyOf(5, set(1, 2)), recordOf(5, set(1, 2), set(1, 2, 4), 0), updateOf(6, set(1, 2), nil), replication.Newer, "put needs logs", recordOf(6, set(1, 2), set(1, 2, 4), 0)},
		{"add targets: of a retired one too", nil, recordOf(5, set(4), set(1, 4), 3), updateOf(6, set(2), set(1)), replication.Newer, "logs", recordOf(6, set(2), set(1, 2, 4), 0)},
		{"this node is a target, named or not", nil, nil, updateOf(6, set(2), nil), replication.Newer, "logs", recordOf(6, set(2), set(1, 2), 0)},

		{"same", copyOf(5, set(1, 2)), recordOf(5, set(1, 2), set(1, 2), 0), updateOf(5, set(1, 2), nil), replication.Same, "", recordOf(5, set(1, 2), set(1, 2), 0)},
		{"same, more targets (i)", copyOf(5, set(1, 2)), recordOf(5, set(1, 2), set(1, 2), 0), updateOf(5, set(1, 2), set(3)), replication.Same, "logs", recordOf(5, set(1, 2), set(1, 2, 3), 0)},
		{"same, retired before", copyOf(5, set(1, 2)), nil, updateOf(5, set(1, 2), set(3)), replication.Same, "", nil},
		{"same deletion, retired before", nil, recordOf(5, nil, set(1, 2), 3), updateOf(5, nil, set(1, 2, 3)), replication.Same, "", recordOf(5, nil, set(1, 2), 3)},

		{"older (Thomas)", copyOf(7, set(1, 2)), nil, updateOf(6, set(1, 2), nil), replication.Older, "", nil},
		{"older, by node (ii)", &cluster.Object{ID: objectID, Timestamp: cluster.Timestamp{Time: 6, Node: 10}, Replicas: set(1, 2)}, nil, updateOf(6, set(1, 2), nil), replication.Older, "", nil},
		{"older, late after a deletion (iv)", nil, recordOf(7, nil, set(1, 2), 3), updateOf(6, set(1, 2), nil), replication.Older, "", recordOf(7, nil, set(1, 2), 3)},
		{"older, and somebody who has not heard", copyOf(7, set(1, 2)), nil, updateOf(6, set(1, 3), nil), replication.Older, "logs", recordOf(7, set(1, 2), set(1, 2, 3), 0)},
		{"older, and a target more", copyOf(7, set(1, 2)), recordOf(7, set(1, 2), set(1, 2, 4), 0), updateOf(6, set(1, 3), nil), replication.Older, "logs", recordOf(7, set(1, 2), set(1, 2, 3, 4), 0)},
		{"older, and no target more", copyOf(7, set(1, 2)), recordOf(7, set(1, 2), set(1, 2, 3), 0), updateOf(6, set(1, 3), nil), replication.Older, "", recordOf(7, set(1, 2), set(1, 2, 3), 0)},
		{"older, and a retired deletion is made again (i)", nil, recordOf(7, nil, set(1, 2), 3), updateOf(6, set(1, 3), nil), replication.Older, "logs", recordOf(7, nil, set(1, 2, 3), 0)},
	} {
		d := replication.Decide(1, replication.State{Object: test.object, Record: test.record}, &test.update, now)
		does := ""
		for _, w := range []struct {
			set  bool
			word string
		}{{d.Put, " put"}, {d.Needs, " needs"}, {d.Remove, " remove"}, {d.Changed, " logs"}} {
			if w.set {
				does += w.word
			}
		}
		if does != "" {
			does = does[1:]
		}
		if d.Verdict != test.verdict || does != test.does || !sameRecord(d.Record, test.want) {
			t.Errorf("%s: %v, %q, record %+v; want %v, %q, %+v", test.name, d.Verdict, does, d.Record, test.verdict, test.does, test.want)
		}
		if !d.Changed && d.Record != test.record {
			t.Errorf("%s: another record, though nothing changed", test.name)
		}
	}
}

func sameRecord(a, b *cluster.Record) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID && a.Timestamp == b.Timestamp && a.Deleted == b.Deleted && a.Retired == b.Retired && a.Replicas.Equal(b.Replicas) && a.Targets.Equal(b.Targets)
}

// TestTargetsAreBounded: an update's own targets first.
func TestTargetsAreBounded(t *testing.T) {
	var many cluster.ReplicaSet
	for i := range replication.TargetsMax {
		many = append(many, cluster.NodeID(i+1))
	}
	u := updateOf(6, set(100, 101), set(200))
	d := replication.Decide(1, replication.State{Object: copyOf(5, set(1)), Record: recordOf(5, set(1), many, 0)}, &u, 1)
	if n := len(d.Record.Targets); n != replication.TargetsMax || !d.Record.Targets.ContainsAll(set(1, 2, 100, 101, 200)) {
		t.Errorf("%d targets %v", n, d.Record.Targets)
	}
}

// TestR4_AfterRetirement: (iii) a late retirement removes neither a newer record nor one that has grown.
func TestR4_AfterRetirement(t *testing.T) {
	retired := func(n int64, targets cluster.ReplicaSet) cluster.Retirement {
		return cluster.Retirement{ID: objectID, Timestamp: at(n), Targets: targets}
	}
	for _, test := range []struct {
		name    string
		record  *cluster.Record
		by      cluster.Retirement
		changed bool
		want    *cluster.Record
	}{
		{"none", nil, retired(5, set(1, 2)), false, nil},
		{"all have it", recordOf(5, set(1, 2), set(1, 2), 0), retired(5, set(1, 2)), true, nil},
		{"more than all", recordOf(5, set(1, 2), set(1, 2), 0), retired(5, set(1, 2, 3)), true, nil},
		{"it has grown", recordOf(5, set(1, 2), set(1, 2, 3), 0), retired(5, set(1, 2)), false, recordOf(5, set(1, 2), set(1, 2, 3), 0)},
		{"a newer one", recordOf(6, set(1, 2), set(1, 2), 0), retired(5, set(1, 2)), false, recordOf(6, set(1, 2), set(1, 2), 0)},
		{"a deletion is remembered (R5)", recordOf(5, nil, set(1, 2), 0), retired(5, set(1, 2)), true, recordOf(5, nil, set(1, 2), 44)},
		{"a move away is remembered (R5)", recordOf(5, set(2), set(1, 2), 0), retired(5, set(1, 2)), true, recordOf(5, set(2), set(1, 2), 44)},
		{"retired before", recordOf(5, nil, set(1, 2), 3), retired(5, set(1, 2)), false, recordOf(5, nil, set(1, 2), 3)},
	} {
		got, changed := replication.AfterRetirement(1, test.record, test.by, 44)
		if changed != test.changed || !sameRecord(got, test.want) {
			t.Errorf("%s: %+v, %t; want %+v, %t", test.name, got, changed, test.want, test.changed)
		}
	}
}

// TestR5_Forget: not before LateWindow after the retirement, and after the last absent node's return.
func TestR5_Forget(t *testing.T) {
	const window = int64(cluster.LateWindow)
	for _, test := range []struct {
		name                   string
		retired, together, now int64
		want                   bool
	}{
		{"propagates", 0, 1, 10 * window, false},
		{"just retired", 100, 1, 100 + window, false},
		{"long ago", 100, 1, 101 + window, true},
		{"a node is away", 100, 0, 10 * window, false},
		{"a node is back since a moment", 100, 9 * window, 10 * window, false},
		{"a node is back for long", 100, 9 * window, 10*window + 1, true},
	} {
		if got := replication.Forget(recordOf(5, nil, set(1), test.retired), test.together, test.now); got != test.want {
			t.Errorf("%s: Forget = %t, want %t", test.name, got, test.want)
		}
	}
}

// TestR5_ForgetTombstone: not before the grace period, not before LateWindow however short that is, nor before LateWindow after
// the last absent node's return however old the tombstone is.
func TestR5_ForgetTombstone(t *testing.T) {
	const window = int64(cluster.LateWindow)
	for _, test := range []struct {
		name                   string
		deleted, together, now int64
		grace                  time.Duration
		want                   bool
	}{
		{"in the grace period", 100, 1, 100 + 20*window, 20 * cluster.LateWindow, false},
		{"after it", 100, 1, 101 + 20*window, 20 * cluster.LateWindow, true},
		{"a late call may come", 100, 1, 100 + window, time.Second, false},
		{"none may", 100, 1, 101 + window, time.Second, true},
		{"a node is away", 100, 0, 100 * window, cluster.LateWindow, false},
		{"a node is back since a moment", 100, 100 * window, 100 * window, cluster.LateWindow, false},
		{"a node is back for a while", 100, 100 * window, 101 * window, cluster.LateWindow, false},
		{"a node is back for long", 100, 100 * window, 101*window + 1, cluster.LateWindow, true},
	} {
		if got := replication.ForgetTombstone(cluster.Timestamp{Time: test.deleted}, test.together, test.now, test.grace); got != test.want {
			t.Errorf("%s: ForgetTombstone = %t, want %t", test.name, got, test.want)
		}
	}
}

// TestNotice: a node without a copy tells others to remove theirs, and cannot give one to those that
// shall have it.
func TestNotice(t *testing.T) {
	u := replication.Notice(recordOf(6, set(3), set(1, 2, 3), 0))
	if d := replication.Decide(2, replication.State{Object: copyOf(5, set(1, 2))}, &u, 1); !d.Remove || d.Record == nil || !d.Record.Targets.Equal(set(1, 2, 3)) {
		t.Errorf("at a node that shall leave: %+v", d)
	}
	if d := replication.Decide(3, replication.State{}, &u, 1); !d.Needs {
		t.Errorf("at a node that shall have it: %+v", d)
	}
	if d := replication.Decide(3, replication.State{Object: copyOf(6, set(3))}, &u, 1); d.Verdict != replication.Same {
		t.Errorf("at a node that has it: %+v", d)
	}
}

// TestV1_ACopyIsAloneUntilAnotherIsKnown: a profile that was written at one node alone is to get a second
// replica, which dies before it has it. The first said already that it was the sole holder no more, and
// when it went away too, the others answered 550.
func TestV1_ACopyIsAloneUntilAnotherIsKnown(t *testing.T) {
	tombstone := copyOf(5, set(1, 2))
	tombstone.Deleted = true
	buried := updateOf(6, set(1, 2), nil)
	buried.Object.Deleted = true
	for _, test := range []struct {
		name   string
		have   replication.State
		update cluster.Update
		want   bool
	}{
		{"a second replica of what lay here alone", replication.State{Object: copyOf(5, set(1))}, updateOf(6, set(1, 2), nil), true},
		{"new here", replication.State{}, updateOf(6, set(1, 2), nil), true},
		{"made again", replication.State{Object: tombstone}, updateOf(6, set(1, 2), nil), true},
		{"changed before the second is known", replication.State{Object: copyOf(5, set(1, 2)), Record: recordOf(5, set(1, 2), set(1, 2), 0), Alone: true}, updateOf(6, set(1, 2), nil), true},
		{"sent again", replication.State{Object: copyOf(5, set(1, 2)), Record: recordOf(5, set(1, 2), set(1, 2), 0), Alone: true}, updateOf(5, set(1, 2), nil), true},
		{"an older one comes", replication.State{Object: copyOf(5, set(1, 2)), Record: recordOf(5, set(1, 2), set(1, 2), 0), Alone: true}, updateOf(4, set(1, 2, 3), nil), true},
		{"changed where others have it", replication.State{Object: copyOf(5, set(1, 2))}, updateOf(6, set(1, 2), nil), false},
		{"moved where others have it", replication.State{Object: copyOf(5, set(1, 2))}, updateOf(6, set(1, 3), nil), false},
		{"the replica set says it", replication.State{Object: copyOf(5, set(1, 2))}, updateOf(6, set(1), nil), false},
		{"deleted", replication.State{Object: copyOf(5, set(1, 2)), Record: recordOf(5, set(1, 2), set(1, 2), 0), Alone: true}, buried, false},
		{"moved away", replication.State{Object: copyOf(5, set(1, 2)), Record: recordOf(5, set(1, 2), set(1, 2), 0), Alone: true}, updateOf(6, set(2), set(1)), false},
	} {
		if d := replication.Decide(1, test.have, &test.update, 77); d.Alone != test.want {
			t.Errorf("%s: Alone = %t, want %t", test.name, d.Alone, test.want)
		}
	}
}
