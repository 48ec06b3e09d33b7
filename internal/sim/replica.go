package sim

import (
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// Limits of replication in the shell, as in the node.
const (
	retireDelay = time.Second            // retirements wait this long for others
	retireSoon  = 100 * time.Millisecond // those of cached objects
	retireMax   = 1024                   // of one call
	fenceTries  = 4                      // of a call refused because of its epoch
	fencePause  = 150 * time.Millisecond
)

// update is node.Update: it sends an update to all its targets at once; then is called when all have
// answered or been given up. Contents that are not given stay what the targets have.
func (n *node) update(u cluster.Update, contents string, then func(cluster.Timestamp, error)) {
	n.updateAll([]cluster.Update{u}, contents, !u.Object.Deleted, func(us []cluster.Update, errs []error) {
		then(us[0].Object.Timestamp, errs[0])
	})
}

// updateAll is node.UpdateAll: several updates, one call to each target. Only a single update may
// have contents. then is called when what may be said is settled; the targets that shall remove
// their copies hear AFTER that.
func (n *node) updateAll(us []cluster.Update, contents string, has bool, then func([]cluster.Update, []error)) {
	us = slices.Clone(us)
	n.stamp(us, func(err error) {
		if err != nil {
			errs := slices.Repeat([]error{err}, len(us))
			n.after(0, func() { then(us, errs) })
			return
		}
		f := &flight{n: n, us: us, contents: contents, has: has, then: then}
		for i := range us {
			f.ways = append(f.ways, replication.Propagate(&us[i]))
			n.w.oracle.begun(n, &us[i], contents)
		}
		f.send()
	})
}

// flight is some updates on their way to their targets.
type flight struct {
	n        *node
	us       []cluster.Update
	ways     []*replication.Propagation
	contents string
	has      bool
	then     func([]cluster.Update, []error)
	told     bool
}

// send sends to the targets whose turn it is, and goes on when all have answered.
func (f *flight) send() {
	groups := make(map[cluster.NodeID][]int)
	for i := range f.us {
		for _, t := range f.ways[i].Next() {
			groups[t] = append(groups[t], i)
		}
	}
	if len(groups) == 0 {
		f.end()
		return
	}
	waiting := len(groups)
	for _, t := range slices.Sorted(maps.Keys(groups)) {
		indexes := groups[t]
		batch := make([]*cluster.Update, len(indexes))
		for j, i := range indexes {
			batch[j] = &f.us[i]
		}
		f.n.callAgain(t, &request{method: methodApply, updates: batch, contents: f.contents, has: f.has}, func(a *answer) {
			for j, i := range indexes {
				if a.err != nil {
					f.ways[i].Answered(t, replication.Reply{}, a.err)
				} else {
					f.ways[i].Answered(t, a.replies[j], nil)
				}
			}
			if waiting--; waiting == 0 {
				f.tell()
			}
		})
	}
}

// tell tells the caller, once, and goes on with the targets that come last.
func (f *flight) tell() {
	life := f.n.life
	if !f.told {
		f.told = true
		errs := make([]error, len(f.us))
		for i := range f.us {
			errs[i] = f.ways[i].Outcome()
		}
		if f.n.boundary("before an update is answered") {
			return
		}
		f.then(f.us, errs)
	}
	if f.n.life == life {
		f.send()
	}
}

// end retires what all targets have.
func (f *flight) end() {
	for i := range f.us {
		if r, ok := f.ways[i].Retirement(); ok {
			for _, t := range r.Targets {
				f.n.retire(t, []cluster.Retirement{r})
			}
		}
	}
	if !f.told {
		f.tell()
	}
}

// stamp gives updates their timestamps. A stretch of the clock is durable BEFORE timestamps of it
// are given (R3). None are given by a clock that is ahead of the others'.
func (n *node) stamp(us []cluster.Update, then func(error)) {
	for i := range us {
		if !us[i].Object.Timestamp.IsZero() {
			continue
		}
		if err := n.mayStamp(); err != nil {
			then(err)
			return
		}
		t := n.clock.Now(n.wall())
		if t.Time > n.reserved {
			until := max(t.Time+int64(100*time.Millisecond), n.clocks.Believe(n.wall()).Add(clockReserve).UnixNano())
			n.commit(op{
				apply: func() {},
				done: func(error) {
					n.disk.clock = max(n.disk.clock, until)
					n.reserved = n.disk.clock
					n.stamp(us, then)
				},
			})
			return
		}
		us[i].Object.Timestamp = t
		n.w.check.stamped(n, t)
	}
	then(nil)
}

// mayStamp refuses timestamps that the others would refuse.
func (n *node) mayStamp() error {
	wall := n.wall()
	if err := n.clocks.Check(n.clock.Read(wall), wall); err != nil {
		n.w.stats.Unstamped++
		return cluster.Errorf(cluster.KindUnavailable, "compare clocks", "%w", err)
	}
	return nil
}

// clockReserve is node.ClockReserve.
const clockReserve = 3 * time.Second

// callAgain is call, repeated when the other side is in another epoch, while both may be on their
// way to the same one.
func (n *node) callAgain(to cluster.NodeID, r *request, then func(*answer)) {
	tries := 0
	var try func()
	try = func() {
		if to != n.id && !n.view().Contains(to) {
			then(&answer{err: cluster.Errorf(cluster.KindUnavailable, "call", "not a member")})
			return
		}
		again := *r
		n.call(to, &again, func(a *answer) {
			if k := cluster.KindOf(a.err); a.err != nil && (k == cluster.KindStale || k == cluster.KindBehind) && tries < fenceTries {
				tries++
				n.after(fencePause, try)
				return
			}
			then(a)
		})
	}
	try()
}

// retire queues retirements for a node.
func (n *node) retire(to cluster.NodeID, items []cluster.Retirement) {
	delay := retireDelay
	if isCached(items[0].ID.Type) {
		delay = retireSoon
	}
	first := n.retiring == nil
	if first {
		n.retiring = make(map[cluster.NodeID][]cluster.Retirement)
	}
	if at := n.w.now + int64(delay); first || at < n.retireAt {
		n.retireAt = at
		n.after(delay, n.flushRetirements)
	}
	n.retiring[to] = append(n.retiring[to], items...)
}

func (n *node) flushRetirements() {
	if n.retiring == nil {
		return // gone sooner, with others
	}
	if n.boundary("before retirements are sent") {
		return
	}
	queued := n.retiring
	n.retiring = nil
	for _, to := range slices.Sorted(maps.Keys(queued)) {
		for items := range slices.Chunk(queued[to], retireMax) {
			if to == n.id {
				n.retired(items)
				continue
			}
			if n.view().Contains(to) {
				n.tell(to, &request{method: methodRetire, retirements: items})
			}
		}
	}
}

// retired takes in retirements.
func (n *node) retired(items []cluster.Retirement) {
	n.replicate(n.log.Retired(items, n.w.time()))
}

// replicate carries out what the log of update records wants.
func (n *node) replicate(out replication.Output) {
	for _, r := range out.Retires {
		if r.To == n.id {
			for _, item := range r.Items {
				n.disk.retire(item, n.wall().UnixNano())
			}
			n.tellSole()
			continue
		}
		n.retire(r.To, r.Items)
	}
	for _, o := range out.Offers {
		n.offer(o)
	}
}

// offer asks a target whether it has updates: first without contents, then with those it wants.
func (n *node) offer(o replication.Offer) {
	n.w.stats.Offers++
	var batch []*cluster.Update
	answers := make([]replication.Answer, 0, len(o.Items))
	for _, r := range o.Items {
		if u, ok := n.disk.update(r.ID, r.Timestamp); ok {
			n.w.stats.Offered++
			batch = append(batch, &u)
		} else {
			answers = append(answers, replication.Answer{ID: r.ID, Gone: true})
		}
	}
	if len(batch) == 0 {
		n.after(0, func() { n.replicate(n.log.Answered(o.Number, answers, nil, n.w.time())) })
		return
	}
	finish := func(err error) { n.replicate(n.log.Answered(o.Number, answers, err, n.w.time())) }
	n.callAgain(o.To, &request{method: methodApply, updates: batch}, func(a *answer) {
		if a.err != nil {
			finish(a.err)
			return
		}
		waiting := 1
		end := func() {
			if waiting--; waiting == 0 {
				finish(nil)
			}
		}
		for i, u := range batch {
			// A node outside the replica set has no contents to bring; that they are wanted is the answer.
			if !a.replies[i].Want || !u.Object.Replicas.Contains(n.id) {
				answers = append(answers, replication.Answer{ID: u.Object.ID, Reply: a.replies[i]})
				continue
			}
			waiting++
			n.sendContents(o.To, u, func(r replication.Reply) {
				answers = append(answers, replication.Answer{ID: u.Object.ID, Reply: r})
				end()
			})
		}
		end()
	})
}

// sendContents sends an update with the contents that this node has, if it has them still.
func (n *node) sendContents(to cluster.NodeID, u *cluster.Update, then func(replication.Reply)) {
	have := n.disk.objects[u.Object.ID]
	switch {
	case have == nil || have.object.Timestamp != u.Object.Timestamp:
		then(replication.Reply{Err: cluster.Errorf(cluster.KindNotFound, "bring", "a newer update took its place")})
		return
	case have.damaged || n.unreadable:
		then(replication.Reply{Err: cluster.Errorf(cluster.KindCorrupt, "bring", "contents cannot be read")})
		return
	}
	n.callAgain(to, &request{method: methodApply, updates: []*cluster.Update{u}, contents: have.contents, has: true}, func(a *answer) {
		if a.err != nil {
			then(replication.Reply{Err: a.err})
			return
		}
		then(a.replies[0])
	})
}
