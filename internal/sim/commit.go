package sim

import (
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// commitTime is how long one fsync takes.
const commitTime = 2 * time.Millisecond

// op is one caller's request to the writer of a node's disk. As in the store, all that wait become
// one group: each decides on what it finds and writes its batch, then one fsync covers them,
// AFTER that they are answered.
type op struct {
	apply func()      // decides and writes
	done  func(error) // durable now
}

// commit gives the writer work.
func (n *node) commit(o op) {
	n.pending++
	n.queue = append(n.queue, o)
	if !n.syncing {
		n.beginGroup()
	}
}

func (n *node) beginGroup() {
	group := n.queue
	n.queue, n.syncing = nil, true
	for i := range group {
		group[i].apply()
	}
	mark := n.disk.written
	n.syncedAt = n.w.now
	n.after(commitTime+n.slow+n.slowDisk, func() { n.endGroup(group, mark) })
}

// endGroup is the end of the fsync.
func (n *node) endGroup(group []op, mark uint64) {
	if n.hangs() {
		n.watchDisk()
		n.after(n.untilAnswer(), func() { n.endGroup(group, mark) })
		return
	}
	if n.syncFails { // D10: what is on the disk is unknown, and nothing may be promised any more
		n.w.record("fsync fails", n)
		n.crash()
		return
	}
	if n.boundary("before a commit is durable") {
		return
	}
	n.disk.synced(mark, func(c change) { n.w.oracle.durable(n, c) })
	if n.boundary("after a commit is durable") {
		return
	}
	n.syncing = false
	life := n.life
	for _, o := range group {
		n.pending--
		o.done(nil)
		if n.life != life {
			return
		}
	}
	if len(n.queue) > 0 && !n.syncing {
		n.beginGroup()
	}
}

// boundary is a place between two effects: the process may be made to die there.
func (n *node) boundary(where string) (died bool) {
	if n.dying == 0 {
		return false
	}
	if n.dying--; n.dying > 0 {
		return false
	}
	n.w.record("dies "+where, n)
	n.w.stats.Boundaries++
	n.crash()
	return true
}

// item is one update at one of its targets.
type item struct {
	update   *cluster.Update
	contents string
	has      bool // contents came with it
	reply    replication.Reply
	record   *cluster.Record // that propagates afterwards; nil: none
	applied  bool
	joined   bool // was made here, of two others
	announce bool
}

// told are the targets that hear of what this node logs from the sender; the others hear of it from
// this node alone, at once.
func (it *item) told() cluster.ReplicaSet {
	if it.reply.Verdict == replication.Older {
		return nil
	}
	return it.update.Targets()
}

// accept makes updates durable at this node, in one commit: store.Apply and store.Accept. then is
// called with the answers when the managers of their owners have heard.
func (n *node) accept(items []item, then func([]item)) {
	wall := n.wall()
	for i := range items {
		items[i].reply.Err = n.admit(items[i].update, wall)
	}
	n.confirmKept(items, func() { n.acceptNow(items, then) })
}

// acceptNow is accept for updates that may be applied.
func (n *node) acceptNow(items []item, then func([]item)) {
	owners := make([]string, 0, 1)
	n.commit(op{
		apply: func() {
			for i := range items {
				it := &items[i]
				if it.reply.Err != nil {
					continue
				}
				n.decide(it)
				if owner := it.update.Object.ID.Owner; it.announce {
					n.open[owner]++
					owners = append(owners, owner)
				}
			}
		},
		done: func(error) {
			life := n.life
			for i := range items {
				if it := &items[i]; it.record != nil {
					n.replicate(n.log.AddedFor(*it.record, it.told(), n.w.time())) // AFTER the commit
				}
				if n.life != life {
					return
				}
			}
			n.register(owners, func(late []string) {
				for i := range items {
					markLate(&items[i], late)
				}
				then(items)
			})
		},
	})
}

// markLate makes an error of an update of a cached object that the manager has not heard of (V1).
func markLate(it *item, late []string) {
	for _, owner := range late {
		if it.update.Object.ID.Owner == owner && isCached(it.update.Object.ID.Type) && it.announce {
			it.reply.Err = cluster.Errorf(cluster.KindUnavailable, "update", "the manager has not heard of it yet")
		}
	}
}

// admit refuses what this node should not take in now. Deletions are always taken.
func (n *node) admit(u *cluster.Update, wall time.Time) error {
	if err := n.clock.Observe(u.Object.Timestamp, n.clocks.Believe(wall)); err != nil {
		return cluster.Errorf(cluster.KindInvalid, "update", "%w", err)
	}
	if u.Object.ID.Type == typeFlags { // may have to be joined
		if err := n.mayStamp(); err != nil {
			return err
		}
	}
	switch {
	case !u.Targets().Contains(n.id):
		return cluster.Errorf(cluster.KindInvalid, "update", "not a target")
	case u.Object.Deleted:
	case n.full && u.Object.Replicas.Contains(n.id):
		return cluster.Errorf(cluster.KindFull, "update", "the disk is full")
	case (n.leaving || n.draining) && u.Object.Replicas.Contains(n.id) && len(u.Previous) == 0:
		return cluster.Errorf(cluster.KindFull, "update", "on its way out")
	}
	return nil
}

// decide applies one update to the disk, as part of a commit.
func (n *node) decide(it *item) {
	u, d := it.update, n.disk
	id := u.Object.ID
	have := d.objects[id]
	joined := n.join(it, have)
	if it.reply.Err != nil {
		return
	}
	if joined != nil {
		n.decide(joined)
		it.reply = joined.reply
		it.reply.Verdict, it.reply.Have = replication.Older, joined.update.Object.Timestamp
		it.record, it.applied, it.announce = joined.record, joined.applied, joined.announce
		return
	}
	decision := replication.Decide(n.id, d.state(id), u, n.wall().UnixNano())
	it.reply.Verdict = decision.Verdict
	it.reply.Have = u.Object.Timestamp
	contents := it.contents
	if decision.Put && !it.has {
		if decision.Needs || have != nil && have.damaged {
			it.reply.Want = true
			return
		}
		if have != nil {
			contents = have.contents
		}
	}
	next := have
	switch {
	case decision.Put:
		next = &stored{object: u.Object, contents: contents, since: n.w.now}
		if u.Object.Deleted {
			next.contents = ""
		}
	case decision.Remove:
		next = nil
	}
	if decision.Verdict == replication.Older {
		it.reply.Have = newest(d.state(id))
	}
	if next != have || decision.Changed {
		var before, after bool
		own := d.owners[id.Owner]
		if have != nil {
			before = own.hasFragment(have.object.Replicas)
		}
		if next != nil {
			after = own.hasFragment(next.object.Replicas)
		}
		d.set(d.begin(), id, next, decision.Record)
		d.note(id, decision.Alone)
		it.applied = true
		own = d.owners[id.Owner]
		it.announce = next != have && (isCached(id.Type) ||
			have != nil && before != own.hasFragment(have.object.Replicas) ||
			next != nil && after != own.hasFragment(next.object.Replicas))
	}
	// What was there already may have been stored by a call that did not get as far as the manager.
	it.announce = it.announce || !it.applied && u.Object.Replicas.Contains(n.id)
	if r := decision.Record; r != nil && r.Retired == 0 {
		it.record = r
	}
}

// newest is the timestamp of what a node has.
func newest(s replication.State) cluster.Timestamp {
	var ts cluster.Timestamp
	if s.Object != nil {
		ts = s.Object.Timestamp
	}
	if s.Record != nil && ts.Compare(s.Record.Timestamp) < 0 {
		ts = s.Record.Timestamp
	}
	return ts
}
