package sim

import (
	"fmt"
	"maps"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// confirmKept has this node ask, BEFORE it removes a copy because the object lies elsewhere, whether one of
// those who keep it has it whole: node.confirmKept. Who has handed it on names those to whom, and they are asked
// then. An update that nobody vouches for is refused, and offered again. What is to lie on nodes alone that were
// struck is taken back.
func (n *node) confirmKept(items []item, then func()) {
	var doubtful []*doubt
	for i := range items {
		it := &items[i]
		have := n.disk.objects[it.update.Object.ID]
		if it.reply.Err == nil && removes(n.id, have, it.update) {
			it.reply.Err = cluster.Errorf(cluster.KindUnavailable, "update", "nobody says that his copy is whole")
			doubtful = append(doubtful, &doubt{item: it, asked: cluster.ReplicaSet{n.id}, keepers: it.update.Object.Replicas})
		}
	}
	n.askKeepers(doubtful, then)
}

// keeperStepsMax is node.KeeperStepsMax.
const keeperStepsMax = 4

// doubt is an update that removes a copy, while those are asked who keep the object.
type doubt struct {
	*item
	asked   cluster.ReplicaSet // in the steps before; the node itself too
	keepers cluster.ReplicaSet // who are asked in this one
	place   int                // of the next of them
	next    cluster.ReplicaSet // to whom they have handed it on
	steps   int
}

// keeper gives the next node to ask, if there is one.
func (d *doubt) keeper() (id cluster.NodeID, ok bool) {
	if d.place == len(d.keepers) && d.steps < keeperStepsMax {
		d.asked = d.asked.Union(d.keepers)
		d.keepers, d.next, d.place = d.next.Without(d.asked), nil, 0
		d.steps++
	}
	if d.place == len(d.keepers) {
		return 0, false
	}
	d.place++
	return d.keepers[d.place-1], true
}

// removes reports whether a node will remove a copy that it has, because of an update that moves it.
func removes(self cluster.NodeID, have *stored, u *cluster.Update) bool {
	o := &u.Object
	return have != nil && !have.object.Deleted && !o.Deleted && len(o.Replicas) > 0 &&
		!o.Replicas.Contains(self) && have.object.Timestamp.Compare(o.Timestamp) < 0
}

// askKeepers asks a keeper of each update, and then the next one for those of which he does not vouch.
func (n *node) askKeepers(doubtful []*doubt, then func()) {
	groups := make(map[cluster.NodeID][]*doubt)
	for _, d := range doubtful {
		if id, ok := d.keeper(); ok {
			groups[id] = append(groups[id], d)
		}
	}
	if len(groups) == 0 {
		n.takeBack(doubtful, then)
		return
	}
	waiting := len(groups)
	for _, keeper := range slices.Sorted(maps.Keys(groups)) {
		group := groups[keeper]
		batch := make([]*cluster.Update, len(group))
		for i, d := range group {
			batch[i] = d.update
		}
		n.callAgain(keeper, &request{method: methodWhole, updates: batch}, func(a *answer) {
			for i, d := range group {
				switch {
				case a.err != nil:
				case a.replies[i].Err == nil:
					d.reply.Err = nil
				default:
					d.next = d.next.Union(a.elsewhere[i])
				}
			}
			if waiting--; waiting == 0 {
				n.askKeepers(slices.DeleteFunc(doubtful, func(d *doubt) bool { return d.reply.Err == nil }), then)
			}
		})
	}
}

// vouchedTime is for how long what a keeper says of his copy counts: an answer, and a commit of a slow disk.
const vouchedTime = 2 * callTimeout

// dropped is D1 where a message was removed since it lies elsewhere: a whole copy is left somewhere, of this
// version or another. If the last one was lost or damaged a moment ago, when it had been vouched for, nothing
// can be owed any more.
func (o *oracle) dropped(n *node, c change) {
	was := c.object
	if isCached(c.id.Type) || was.damaged || was.object.Deleted || c.newRecord.Deleted || o.newest[c.id].Deleted || o.hurt[c.id] {
		return
	}
	for _, x := range o.w.nodes {
		if s, _ := x.disk.durable(c.id); x != n && !x.disk.destroyed && s != nil && !s.damaged && s.object.Sum == was.object.Sum {
			return
		}
	}
	if at, ok := o.harmed[c.id]; ok && o.w.now-at < int64(vouchedTime) {
		o.lost[c.id] = true
		delete(o.acked, c.id)
		delete(o.newest, c.id)
		return
	}
	o.w.check.that("D1", fmt.Sprintf("%v removes the last whole copy of %s of %s, since it lies on %v; %s", n, c.id.ID, c.id.Owner,
		o.w.names(c.newRecord.Replicas), o.w.states(c.id)))
}

// takeBack gives those of the objects whose keepers were all struck to this node alone: node.takeBack. A damaged copy
// of what nobody else has is removed instead.
func (n *node) takeBack(doubtful []*doubt, then func()) {
	var mine []*doubt
	for _, it := range doubtful {
		switch s := n.disk.objects[it.update.Object.ID]; {
		case s == nil || !n.struck.ContainsAll(it.update.Object.Replicas):
		case !s.damaged:
			mine = append(mine, it)
		case n.upkeep.lost[s.object.ID] == s.object.Sum:
			it.reply.Err = nil
		default:
			n.heal(s)
		}
	}
	if len(mine) == 0 {
		then()
		return
	}
	waiting := len(mine)
	for _, it := range mine {
		s := n.disk.objects[it.update.Object.ID]
		o := s.object
		o.Timestamp = cluster.Timestamp{Time: it.update.Object.Timestamp.Time + 1, Node: n.id}
		o.Replicas = cluster.ReplicaSet{n.id}
		n.w.record("takes back "+o.ID.ID+" of "+o.ID.Owner, n)
		n.updateAll([]cluster.Update{{Object: o, Previous: it.update.Targets()}}, s.contents, true, func(_ []cluster.Update, errs []error) {
			it.reply.Err = errs[0]
			if waiting--; waiting == 0 {
				then()
			}
		})
	}
}

// serveWhole reads copies. What is damaged is brought in order. Where there is none any more the answer is where
// the object lies, as far as is known here; else it was deleted, or all have long had what came after.
func (n *node) serveWhole(from *node, r *request) {
	replies := make([]replication.Reply, len(r.updates))
	elsewhere := make([]cluster.ReplicaSet, len(r.updates))
	for i, u := range r.updates {
		rec := n.disk.records[u.Object.ID]
		switch s := n.disk.objects[u.Object.ID]; {
		case s == nil && rec != nil && !rec.Deleted && rec.Timestamp.Compare(u.Object.Timestamp) < 0:
			replies[i].Err = cluster.Errorf(cluster.KindStale, "read", "an older version was here")
		case s == nil && rec != nil && !rec.Deleted:
			elsewhere[i] = rec.Replicas
			replies[i].Err = cluster.Errorf(cluster.KindUnavailable, "read", "it was handed on")
		case s == nil || s.object.Deleted:
		case s.object.Timestamp.Compare(u.Object.Timestamp) < 0:
			replies[i].Err = cluster.Errorf(cluster.KindStale, "read", "an older version is here")
		case n.unreadable:
			replies[i].Err = cluster.Errorf(cluster.KindUnavailable, "read", "the disk gives an error")
		case s.damaged:
			n.heal(s, from.id)
			replies[i].Err = cluster.Errorf(cluster.KindCorrupt, "read", "contents do not match their sum")
		}
	}
	n.reply(from, r.id, &answer{replies: replies, elsewhere: elsewhere})
}
