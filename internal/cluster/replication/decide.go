package replication

import (
	"time"

	"porcupine/internal/cluster"
)

// TargetsMax bounds the targets of an update. Beyond it the nodes of the largest ids among those that
// only older updates knew are left out; what they still have of the object, the comparison of
// buckets finds.
const TargetsMax = 64

// State is what one node has under an object's id.
//
// Invariant: a record is never older than the copy. A record newer than the copy does not exist
// either: they change in one commit.
type State struct {
	Object *cluster.Object // the copy or tombstone; nil: none
	Record *cluster.Record // nil: none
	// Alone: the last Decision about the object said so, and its record propagates still.
	Alone bool
}

// newest is the timestamp of the newest update that the node knows; zero: none.
func (s State) newest() (t cluster.Timestamp) {
	if s.Object != nil {
		t = s.Object.Timestamp
	}
	if s.Record != nil && s.Record.Timestamp.Compare(t) > 0 {
		t = s.Record.Timestamp
	}
	return t
}

// Verdict says how an update stands to what a node has.
type Verdict uint8

const (
	// Newer: it is applied.
	Newer Verdict = 1 + iota
	// Same: it is the update that the node has.
	Same
	// Older: the node has a newer one, which wins.
	Older
)

func (v Verdict) String() string {
	switch v {
	case Newer:
		return "newer"
	case Same:
		return "same"
	case Older:
		return "older"
	}
	return "no verdict"
}

// Decision is what one update does to one node's State.
type Decision struct {
	Verdict Verdict
	// Put and Remove say what to do with the copy: replace it by the update's object, or remove
	// it. Neither: leave it. Remove is set only if there is a copy.
	Put, Remove bool
	// Needs says that Put wants contents which the node does not have: those of its copy, if it has
	// one, are others. If they did not come with the update, nothing is done, nothing is logged,
	// and the answer is Want.
	Needs bool
	// Record is the record that the node has afterwards; nil: none. It must be durable before the
	// node answers, together with the copy, if it is not the State's own (Changed).
	Record  *cluster.Record
	Changed bool
	// Alone: the node has a copy, and as far as it knows no other node has one of any version, though the
	// replica set names others: they are not known to have got theirs. It ends when the record is retired,
	// or replaced by a Decision that says otherwise. Until then the copy counts as the only one there is
	// (cluster.Load.Sole). A shell that starts, and has not kept it, takes it for true of each copy whose
	// record propagates.
	Alone bool
}

// Decide applies the rules to an update that arrives at node self. now is the wall time in
// nanoseconds. It neither keeps nor changes what it is given.
//
//   - Newer (Thomas write rule): the update replaces what is there. Its record has its own targets
//     and those that only the node knows: the replicas of what is replaced, and the targets of its
//     record, retired or not (thesis ch. 5, "add targets"). An update whose only target is
//     this node leaves no record. A node that is left without a copy logs the update all the same,
//     whether it had one or not: the record is what an older update, late, would meet (R5).
//   - Same: targets that are news to a record that still propagates are added to it. Once it is
//     retired there is nothing to do: whoever brings more targets goes on until they have heard.
//   - Older: it is not applied. If it names nodes that may not have heard of the newer one, then
//     the newer one's record gets them as targets, and is made anew, if need be, so that it is
//     brought to them. The sender, if it is a target, is among them: its record ends by that.
func Decide(self cluster.NodeID, have State, u *cluster.Update, now int64) Decision {
	switch c := u.Object.Timestamp.Compare(have.newest()); {
	case c > 0:
		return newer(self, have, u, now)
	case c == 0:
		return same(have, u)
	default:
		return older(self, have, u)
	}
}

func newer(self cluster.NodeID, have State, u *cluster.Update, now int64) Decision {
	o := &u.Object
	d := Decision{Verdict: Newer, Put: o.Replicas.Contains(self)}
	d.Remove = !d.Put && have.Object != nil
	d.Needs = d.Put && !o.Deleted && !sameContents(have.Object, o)
	targets := bounded(o.Replicas, cluster.ReplicaSet{self}, u.Previous)
	if have.Object != nil {
		targets = bounded(targets, have.Object.Replicas)
	}
	if r := have.Record; r != nil {
		targets = bounded(targets, r.Replicas, r.Targets)
	}
	r := &cluster.Record{ID: o.ID, Timestamp: o.Timestamp, Deleted: o.Deleted, Replicas: o.Replicas, Targets: targets}
	switch {
	case len(targets) > 1:
	case d.Put:
		r = nil
	default:
		r.Retired = now
	}
	d.Record, d.Changed = r, r != nil || have.Record != nil
	d.Alone = d.Put && !o.Deleted && len(o.Replicas) > 1 && !have.elsewhere()
	return d
}

// elsewhere reports whether another node is known to have a copy of some version. It keeps it until all
// replicas of a newer one have that: who shall remove a copy is told last (Propagation).
func (s State) elsewhere() bool {
	return s.Object != nil && !s.Object.Deleted && len(s.Object.Replicas) > 1 && !s.Alone
}

func same(have State, u *cluster.Update) Decision {
	d := Decision{Verdict: Same, Record: have.Record, Alone: have.Alone}
	r := have.Record
	if r == nil || r.Retired != 0 {
		return d
	}
	if targets := bounded(r.Targets, u.Object.Replicas, u.Previous); len(targets) > len(r.Targets) {
		grown := *r
		grown.Targets = targets
		d.Record, d.Changed = &grown, true
	}
	return d
}

func older(self cluster.NodeID, have State, u *cluster.Update) Decision {
	d := Decision{Verdict: Older, Record: have.Record, Alone: have.Alone}
	var r cluster.Record
	if have.Record != nil {
		r = *have.Record
	} else {
		o := have.Object
		r = cluster.Record{ID: o.ID, Timestamp: o.Timestamp, Deleted: o.Deleted, Replicas: o.Replicas}
	}
	// Whoever is a replica or a target of a retired record has applied it, or it would not be retired.
	heard := bounded(r.Replicas, cluster.ReplicaSet{self}, r.Targets)
	targets := bounded(heard, u.Object.Replicas, u.Previous)
	if len(targets) == len(heard) {
		return d
	}
	r.Targets, r.Retired = targets, 0
	d.Record, d.Changed = &r, true
	return d
}

// AfterRetirement applies a retirement to the record that node self has: nil afterwards if nothing of it
// need be remembered. A record that has been replaced, or has other targets too, is not over. A node
// that has no copy keeps the record, retired, until Forget says so.
func AfterRetirement(self cluster.NodeID, rec *cluster.Record, r cluster.Retirement, now int64) (after *cluster.Record, changed bool) {
	if rec == nil || rec.Retired != 0 || !r.Retires(rec) {
		return rec, false
	}
	if rec.Replicas.Contains(self) {
		return nil, true
	}
	kept := *rec
	kept.Retired = max(now, 1)
	return &kept, true
}

// Forget reports whether a retired record may be dropped (R5). Two kinds of older update can come
// late. One is on the network: it is refused after LateWindow. The other is in the log of a node
// that this record does not name, and that could not tell any of its targets so far: such a node is
// away. So the wait begins anew when the last known node that was away is back. together is when
// that was, in nanoseconds; 0 while one is away. (One that is struck is not away: it never returns.)
func Forget(rec *cluster.Record, together, now int64) bool {
	if rec.Retired == 0 || together == 0 {
		return false
	}
	return now-max(rec.Retired, together) > int64(cluster.LateWindow)
}

// ForgetTombstone reports whether the tombstone of a deletion may be dropped, of which no update propagates (R5). It guards
// against the same two kinds of older update as a retired record (Forget), so the wait begins anew likewise when the last
// known node that was away is back, however old the tombstone is by then: what that node offers comes AFTER it has been seen. Beyond that
// it stays for the grace period. Times are in nanoseconds; together is 0 while a node is away.
func ForgetTombstone(deleted cluster.Timestamp, together, now int64, grace time.Duration) bool {
	if together == 0 {
		return false
	}
	return now-deleted.Time > int64(max(grace, cluster.LateWindow)) && now-together > int64(cluster.LateWindow)
}

// Notice makes the update that a record stands for, as it is offered by a node that has no copy. It
// serves to tell that the object is deleted or has moved away. A target that is to have a copy, and has
// not, wants the contents, and must get them from another node.
func Notice(rec *cluster.Record) cluster.Update {
	return cluster.Update{
		Object:   cluster.Object{ID: rec.ID, Timestamp: rec.Timestamp, Deleted: rec.Deleted, Replicas: rec.Replicas},
		Previous: rec.Targets,
	}
}

// sameContents reports whether a copy has the contents of an object that comes without them.
func sameContents(have, want *cluster.Object) bool {
	return have != nil && !have.Deleted && have.Size == want.Size && have.Sum == want.Sum
}

// bounded unites sets, as far as TargetsMax allows; those given first go in first.
func bounded(set cluster.ReplicaSet, more ...cluster.ReplicaSet) cluster.ReplicaSet {
	for _, m := range more {
		rest := m.Without(set)
		set = set.Union(rest[:max(0, min(len(rest), TargetsMax-len(set)))])
	}
	return set
}

// Reply is a target's answer to one update that it was sent or offered.
type Reply struct {
	Verdict Verdict
	// Have is the timestamp of what the target has now: the update's own, or that of a newer one.
	Have cluster.Timestamp
	// Want: the update was offered without contents, and the target needs them. Nothing was applied.
	Want bool
	// Err: the target could not apply it (full, damaged). Nothing was applied. KindInvalid is final
	// for this node's program, yet the record stays: another version may take it.
	Err error
}

// Applied reports whether the target has the update with timestamp t, and nothing newer.
func (r Reply) Applied(t cluster.Timestamp) bool {
	return r.Err == nil && !r.Want && (r.Verdict == Newer || r.Verdict == Same) && r.Have == t
}
