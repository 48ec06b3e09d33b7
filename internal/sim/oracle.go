package sim

import (
	"fmt"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// oracle sees all disks at once. It knows what is durable where, and so what the cluster owes its
// clients, however the nodes may fail.
type oracle struct {
	w      *World
	newest map[cluster.ObjectID]cluster.Object // of all updates durable on a disk that is not lost
	acked  map[cluster.ObjectID]promise
	hurt   map[cluster.ObjectID]bool  // a disk that had it was destroyed
	lost   map[cluster.ObjectID]bool  // all that had it are destroyed: nothing is owed
	harmed map[cluster.ObjectID]int64 // when a copy was last lost or damaged
}

// promise is what a client was told of an object: a version, and who had it on disk then, or
// later, when it had been copied to others.
type promise struct {
	ts      cluster.Timestamp
	keepers cluster.ReplicaSet
}

func (o *oracle) init(w *World) {
	o.w = w
	o.newest = make(map[cluster.ObjectID]cluster.Object)
	o.acked = make(map[cluster.ObjectID]promise)
	o.lost = make(map[cluster.ObjectID]bool)
	o.hurt = make(map[cluster.ObjectID]bool)
	o.harmed = make(map[cluster.ObjectID]int64)
}

// begun is called when an initiator sends an update.
func (o *oracle) begun(n *node, u *cluster.Update, contents string) {
	if u.Object.ID.Type == typeProfile {
		o.w.client.profileWrite(n, u, contents)
	}
}

// durable is called when a change on a disk has become durable.
func (o *oracle) durable(n *node, c change) {
	if n.disk.destroyed { // an old copy that was put back, and is not refused yet
		return
	}
	before := newest(replication.State{Object: objectOf(c.object), Record: c.record})
	now := cluster.Object{ID: c.id}
	switch {
	case c.newObject != nil:
		now = c.newObject.object
	case c.newRecord != nil:
		now.Timestamp, now.Replicas, now.Deleted = c.newRecord.Timestamp, c.newRecord.Replicas, c.newRecord.Deleted
	default:
		return
	}
	if now.Timestamp.Compare(before) < 0 {
		o.w.check.that("R2", fmt.Sprintf("%v overwrites %v of %s, of %v, with that of %v", n, c.id.ID, c.id.Owner, before, now.Timestamp))
	}
	if o.newest[c.id].Timestamp.Compare(now.Timestamp) < 0 {
		o.newest[c.id] = now
	}
	if p, ok := o.acked[c.id]; ok && p.ts.Compare(now.Timestamp) <= 0 && o.everywhere(now) {
		o.acked[c.id] = promise{now.Timestamp, now.Replicas}
	}
	if c.object != nil && c.newObject == nil && c.newRecord != nil {
		o.dropped(n, c)
	}
}

func objectOf(s *stored) *cluster.Object {
	if s == nil {
		return nil
	}
	return &s.object
}

// everywhere reports whether all of an object's replica set have been given this version or a newer one;
// contents that were damaged since were whole when the others let theirs go.
func (o *oracle) everywhere(x cluster.Object) bool {
	for _, id := range x.Replicas {
		n := o.w.byID[id]
		if n == nil || n.disk.destroyed {
			return false
		}
		if s, _ := n.disk.durable(x.ID); !o.has(id, x.ID, x.Timestamp) && (s == nil || !s.damaged || s.object.Timestamp.Compare(x.Timestamp) < 0) {
			return false
		}
	}
	return len(x.Replicas) > 0
}

// has reports whether a node has that version of an object or a newer one on its disk, durable and
// undamaged.
func (o *oracle) has(node cluster.NodeID, id cluster.ObjectID, ts cluster.Timestamp) bool {
	n := o.w.byID[node]
	if n == nil || n.disk.destroyed {
		return false
	}
	s, r := n.disk.durable(id)
	if s != nil && s.object.Timestamp.Compare(ts) >= 0 {
		return !s.damaged
	}
	return r != nil && r.Timestamp.Compare(ts) >= 0
}

// promised is D2 (D4 for other changes than deliveries): when a client is told that an update is
// durable on some nodes, it is.
func (o *oracle) promised(invariant string, n *node, id cluster.ObjectID, ts cluster.Timestamp, on cluster.ReplicaSet) {
	for _, x := range on {
		if m := o.w.byID[x]; m != nil && !m.disk.destroyed && !m.disk.isDamaged(id) && !o.has(x, id, ts) && o.newest[id].Timestamp.Compare(ts) <= 0 {
			o.w.check.that(invariant, fmt.Sprintf("%v promises %s of %s at %v on %v, but %v has not made it durable", n, id.ID, id.Owner, ts, on, m))
		}
	}
	if p := o.acked[id]; p.ts.Compare(ts) < 0 {
		o.acked[id] = promise{ts, on}
		delete(o.lost, id)
		if len(on) > 0 && !slices.ContainsFunc(on, func(x cluster.NodeID) bool { m := o.w.byID[x]; return m != nil && !m.disk.destroyed }) {
			o.lost[id] = true
			delete(o.acked, id)
		}
	}
}

// keep notes who has a deletion on disk that a client was told of.
func (o *oracle) keep(id cluster.ObjectID, ts cluster.Timestamp) {
	var keepers []cluster.NodeID
	for _, n := range o.w.nodes {
		if o.has(n.id, id, ts) {
			keepers = append(keepers, n.id)
		}
	}
	if len(keepers) == 0 && o.newest[id].Timestamp.Compare(ts) < 0 {
		o.w.check.that("D4", fmt.Sprintf("the deletion of %s of %s at %v was promised and is on no disk", id.ID, id.Owner, ts))
	}
	o.acked[id] = promise{ts, cluster.NewReplicaSet(keepers...)}
}

// destroyed is called when a disk is lost for good. What was promised must survive on another one,
// unless all that had it when it was promised are lost (D1, D4).
func (o *oracle) destroyed(n *node) {
	ids := n.disk.ids()
	for id := range n.disk.records { // sorted below
		if n.disk.objects[id] == nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, cluster.ObjectID.Compare)
	n.disk.destroyed = true
	for _, id := range ids {
		o.hurt[id] = true
		o.forget(id, n)
	}
}

// forget finds what is still owed of an object after a copy of it was lost at n.
func (o *oracle) forget(id cluster.ObjectID, n *node) {
	o.harmed[id] = o.w.now
	rest, any := cluster.Object{ID: id}, false
	for _, x := range o.w.nodes {
		if x.disk.destroyed {
			continue
		}
		s, r := x.disk.durable(id)
		if s != nil && !s.damaged {
			any = true
			if rest.Timestamp.Compare(s.object.Timestamp) < 0 {
				rest = s.object
			}
		}
		if r != nil && r.Deleted && rest.Timestamp.Compare(r.Timestamp) < 0 {
			any = true
			rest.Timestamp, rest.Replicas, rest.Deleted = r.Timestamp, r.Replicas, r.Deleted
		}
	}
	if o.newest[id].Timestamp.Compare(rest.Timestamp) <= 0 {
		return
	}
	s, r := n.disk.durable(id)
	if before := newest(replication.State{Object: objectOf(s), Record: r}); o.newest[id].Deleted && before.Compare(o.newest[id].Timestamp) < 0 {
		return // n never heard of the deletion: whoever has forgotten it did so when it was complete
	}
	if o.newest[id].Deleted && !any && (r == nil || r.Retired != 0) {
		return // complete: nothing can come back
	}
	p, ok := o.acked[id]
	if ok && rest.Timestamp.Compare(p.ts) < 0 {
		for _, k := range p.keepers {
			if x := o.w.byID[k]; x == nil || x.disk.destroyed {
				continue
			}
			if x := o.w.byID[k]; x.disk.objects[id] != nil && x.disk.objects[id].damaged {
				continue
			}
			o.w.check.that("D1", fmt.Sprintf("the last copy of %s of %s at %v is lost with %v; it was durable on %v, of which not all are lost",
				id.ID, id.Owner, p.ts, n, p.keepers)+"; "+o.w.states(id))
		}
		o.lost[id] = true
		delete(o.acked, id)
	}
	o.newest[id] = rest
	if !any {
		delete(o.newest, id)
	}
}

// diverging is R1 and R2: every replica of every object has the newest of its updates, and nobody
// else has a copy. It is R5 too: an object deleted without trace is nowhere.
func (w *World) diverging() (invariant, text string) {
	for _, n := range w.nodes {
		if n.disk.destroyed {
			continue
		}
		for _, id := range n.disk.ids() {
			s, want := n.disk.objects[id], w.oracle.newest[id]
			switch {
			case s.object.Deleted && w.now-(s.object.Timestamp.Time-start.UnixNano()) > int64(w.grace):
				continue // is being collected
			case s.damaged && (w.oracle.lost[id] || want.Timestamp.IsZero()): // no other copy was left: it stays, for whoever can read it
				continue
			case w.client.deleted[id] && !w.oracle.hurt[id]:
				return "R5", fmt.Sprintf("%v has %s of %s of %v; its deletion was acknowledged", n, id.ID, id.Owner, s.object.Timestamp)
			case want.Deleted && !s.object.Deleted:
				return "R5", fmt.Sprintf("%v has %s of %s, of %v, which was deleted at %v", n, id.ID, id.Owner, s.object.Timestamp, want.Timestamp)
			case s.object.Timestamp != want.Timestamp:
				return "R2", fmt.Sprintf("%v has %s of %s of %v, the newest is of %v", n, id.ID, id.Owner, s.object.Timestamp, want.Timestamp)
			case !want.Replicas.Contains(n.id):
				return "R1", fmt.Sprintf("%v has a copy of %s of %s, which lies on %v", n, id.ID, id.Owner, want.Replicas)
			case s.object.Sum != want.Sum || !s.object.Replicas.Equal(want.Replicas) || sumOf(s.contents) != s.object.Sum && !s.object.Deleted:
				return "R1", fmt.Sprintf("%v has other contents or replicas of %s of %s than others", n, id.ID, id.Owner)
			}
			for _, r := range want.Replicas {
				x := w.byID[r]
				if x == nil || x.disk.destroyed {
					continue
				}
				if x.disk.objects[id] == nil {
					return "R1", fmt.Sprintf("%v lacks its copy of %s of %s of %v", x, id.ID, id.Owner, want.Timestamp)
				}
			}
		}
	}
	return "", ""
}

// undrained is R4: what is left in the logs. The record of an object of which nothing but damaged
// copies is left stays: those who lack it can get it from nobody, and it may be deleted yet.
func (w *World) undrained() string {
	for _, n := range w.nodes {
		if !n.up() {
			continue
		}
		hopeless := 0
		for _, id := range n.disk.recordIDs() {
			r := n.disk.records[id]
			switch {
			case r.Retired != 0:
			case !r.Deleted && w.onlyDamaged(id):
				hopeless++
			default:
				return fmt.Sprintf("%v has a record of %s of %s of %v on its disk and %d in its log, targets %v, replicas %v; %s", n, id.ID, id.Owner,
					r.Timestamp, n.log.Len(), w.names(r.Targets), w.names(r.Replicas), w.states(id))
			}
		}
		if k := n.log.Len(); k > hopeless {
			return fmt.Sprintf("%v has %d records in memory, on its disk are %d", n, k, hopeless)
		}
	}
	return ""
}

// onlyDamaged reports whether nothing but damaged copies is left of an object.
func (w *World) onlyDamaged(id cluster.ObjectID) bool {
	damaged := false
	for _, n := range w.nodes {
		s := n.disk.objects[id]
		if s == nil || n.disk.destroyed {
			continue
		}
		if !s.damaged {
			return false
		}
		damaged = true
	}
	return damaged
}

// thin is R6: an object with fewer replicas than wanted, or more.
func (w *World) thin() string {
	live := 0
	for _, n := range w.nodes {
		if n.up() {
			live++
		}
	}
	for _, n := range w.nodes {
		if !n.up() {
			continue
		}
		for _, id := range n.disk.ids() {
			o := n.disk.objects[id].object
			newest, owed := w.oracle.newest[id]
			if n.disk.objects[id].damaged && (w.oracle.lost[id] || !owed || newest.Deleted) {
				continue // nothing can be made of it, and nobody misses it: see D2 for what was deleted
			}
			want := o.Copies
			if want == 0 {
				want = len(o.Replicas)
			}
			want = min(want, live)
			if len(o.Replicas) != want && !(o.Deleted && len(o.Replicas) > 0) {
				return fmt.Sprintf("%s of %s lies on %v, wanted are %d copies among %d nodes", id.ID, id.Owner, w.names(o.Replicas), want, live)
			}
			for _, r := range o.Replicas {
				if x := w.byID[r]; x == nil || x.disk.destroyed {
					return fmt.Sprintf("%s of %s lies on %v, of which %v is lost", id.ID, id.Owner, w.names(o.Replicas), r)
				}
			}
		}
	}
	return ""
}

// scattered is R7: a user's mail lies on more nodes than it should.
func (w *World) scattered() string {
	limit := w.spread + w.copies - 1
	for _, u := range w.client.users {
		var on cluster.ReplicaSet
		for _, n := range w.nodes {
			// The only copy of a message, damaged, is left alone.
			if own := n.disk.owners[u.name]; !n.disk.destroyed && own != nil &&
				slices.ContainsFunc(own.messages, func(s *stored) bool { return !s.damaged }) {
				on = on.Union(cluster.ReplicaSet{n.id})
			}
		}
		if len(on) > limit {
			return fmt.Sprintf("the mail of %s lies on %v, the limit are %d nodes", u.name, w.names(on), limit)
		}
	}
	return ""
}

// differing is R1 for cached objects: holders that have different versions. Where no record remembers
// that, their manager finds it.
func (w *World) differing() string {
	seen := make(map[cluster.ObjectID]cluster.Timestamp)
	for _, n := range w.nodes {
		if n.disk.destroyed {
			continue
		}
		for _, u := range w.client.users {
			own := n.disk.owners[u.name]
			if own == nil {
				continue
			}
			for _, s := range own.cached {
				if ts, ok := seen[s.object.ID]; ok && ts != s.object.Timestamp {
					return fmt.Sprintf("%v has %s %s of %s of %v, another node of %v", n, s.object.ID.Type, s.object.ID.ID, u.name, s.object.Timestamp, ts)
				}
				seen[s.object.ID] = s.object.Timestamp
			}
		}
	}
	return ""
}
