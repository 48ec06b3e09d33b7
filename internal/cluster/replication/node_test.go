package replication_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// apply is an update at one target, under its store's commit.
func (n *node) apply(u cluster.Update, contents bool) replication.Reply {
	if err := n.clock.Observe(u.Object.Timestamp, n.w.time().Add(n.skew)); err != nil {
		return replication.Reply{Err: err}
	}
	st := n.disk[u.Object.ID]
	if j := n.join(st, &u, contents); j != nil {
		n.w.change(u.Object.ID, u.Object.Timestamp).applied = true
		j.Update.Object.Timestamp = n.clock.Now(n.w.time().Add(n.skew))
		n.w.history[u.Object.ID] = append(n.w.history[u.Object.ID], &change{update: j.Update})
		n.w.contents[j.Update.Object.Sum] = j.Contents
		return replication.Reply{Verdict: replication.Older, Have: n.apply(j.Update, true).Have}
	}
	d := n.w.rules.decide(n.id, st, &u, n.wall())
	have := u.Object.Timestamp
	if d.Needs && !contents {
		n.w.tell(n.id, "wants", u.Object.ID.ID, u.Object.Timestamp)
		return replication.Reply{Want: true}
	}
	if d.Verdict == replication.Older {
		have = newestOf(st)
	}
	n.w.tell(n.id, "applies", u.Object.ID.ID, u.Object.Timestamp, d.Verdict)
	if d.Put {
		st.Object = &u.Object
	}
	if d.Remove {
		st.Object = nil
	}
	st.Record = d.Record
	if d.Changed || d.Put || d.Remove {
		clear(n.unsynced) // a commit
	}
	n.disk[u.Object.ID] = st
	if d.Verdict == replication.Newer {
		n.w.change(u.Object.ID, u.Object.Timestamp).applied = true
	}
	if r := d.Record; r != nil && r.Retired == 0 {
		n.perform(n.w.rules.added(n.log, *r, n.w.time()))
	}
	return replication.Reply{Verdict: d.Verdict, Have: have}
}

// join is the store's for types that merge.
func (n *node) join(st replication.State, u *cluster.Update, contents bool) *replication.Joined {
	if !n.w.merging || st.Object == nil {
		return nil
	}
	var theirs []byte
	if contents {
		theirs = n.w.contents[u.Object.Sum]
	}
	return n.w.rules.join(n.id, st, n.w.contents[st.Object.Sum], u, theirs, union)
}

func newestOf(st replication.State) (t cluster.Timestamp) {
	if st.Object != nil {
		t = st.Object.Timestamp
	}
	if st.Record != nil && st.Record.Timestamp.Compare(t) > 0 {
		t = st.Record.Timestamp
	}
	return t
}

func (w *world) change(id cluster.ObjectID, t cluster.Timestamp) *change {
	i := slices.IndexFunc(w.history[id], func(c *change) bool { return c.update.Object.Timestamp == t })
	return w.history[id][i]
}

// perform is the shell of the log.
func (n *node) perform(out replication.Output) {
	for _, r := range out.Retires {
		n.retire(r)
	}
	for _, o := range out.Offers {
		n.offer(o)
	}
	at := n.log.Deadline()
	if at.IsZero() {
		return
	}
	due := max(at.Sub(start()), n.w.now)
	if n.armed > n.w.now && n.armed <= due {
		return
	}
	n.armed = due
	life := n.life
	n.w.after(due-n.w.now, func() {
		if n.up && n.life == life {
			n.armed = 0
			n.perform(n.log.Tick(n.w.time()))
		}
	})
}

// retire sends retirements; those for the node itself reach its disk a little later, un-synced.
func (n *node) retire(r replication.Retire) {
	if r.To != n.id {
		to := n.w.node(r.To)
		n.w.send(n, to, len(r.Items), func() { to.retired(r.Items) })
		return
	}
	life := n.life
	n.w.after(n.w.upTo(50*time.Millisecond), func() {
		if !n.up || n.life != life {
			return
		}
		for _, item := range r.Items {
			st := n.disk[item.ID]
			n.w.tell(n.id, "retires", item.ID.ID, item.Timestamp, item.Targets)
			if after, changed := n.w.rules.retire(n.id, st.Record, item, n.wall()); changed {
				n.unsynced[item.ID] = st.Record
				st.Record = after
				n.disk[item.ID] = st
			}
		}
	})
}

// retired takes in retirements.
func (n *node) retired(items []cluster.Retirement) {
	heard := make([]cluster.Retirement, len(items))
	for i, r := range items {
		heard[i] = n.w.rules.heard(n.disk[r.ID], r)
	}
	n.perform(n.log.Retired(heard, n.w.time()))
}

// header is what a node offers of a record; false if it has another update by now.
func (n *node) header(id cluster.ObjectID, t cluster.Timestamp) (cluster.Update, bool) {
	st := n.disk[id]
	switch {
	case st.Record == nil || st.Record.Timestamp != t || st.Record.Retired != 0:
		return cluster.Update{}, false
	case st.Object != nil:
		return cluster.Update{Object: *st.Object, Previous: st.Record.Targets}, true
	}
	return replication.Notice(st.Record), true
}

// offer sends headers, then the contents that are wanted, and reports the last word on each.
func (n *node) offer(o replication.Offer) {
	var headers []cluster.Update
	var answers []replication.Answer
	for _, r := range o.Items {
		if u, ok := n.header(r.ID, r.Timestamp); ok {
			headers = append(headers, u)
		} else {
			answers = append(answers, replication.Answer{ID: r.ID, Gone: true})
		}
	}
	to := n.w.node(o.To)
	for _, u := range headers {
		n.w.tell(n.id, "offers", u.Object.ID.ID, u.Object.Timestamp, "to", to.id)
	}
	call(n.w, n, to, len(headers), func() []replication.Reply {
		replies := make([]replication.Reply, len(headers))
		for i, u := range headers {
			replies[i] = to.apply(u, false)
		}
		return replies
	}, func(replies []replication.Reply, ok bool) {
		if !ok {
			n.perform(n.log.Answered(o.Number, nil, errSilent, n.w.time()))
			return
		}
		for i, u := range headers {
			answers = append(answers, replication.Answer{ID: u.Object.ID, Reply: replies[i]})
		}
		n.bring(o, to, answers, 0)
	})
}

// bring sends the contents that are wanted, from the i-th answer on.
func (n *node) bring(o replication.Offer, to *node, answers []replication.Answer, i int) {
	for ; i < len(answers); i++ {
		a := &answers[i]
		st := n.disk[a.ID]
		j := slices.IndexFunc(o.Items, func(r cluster.Record) bool { return r.ID == a.ID })
		if !a.Reply.Want || st.Object == nil || st.Record == nil || st.Object.Timestamp != o.Items[j].Timestamp {
			continue
		}
		u := cluster.Update{Object: *st.Object, Previous: st.Record.Targets}
		call(n.w, n, to, 1, func() replication.Reply { return to.apply(u, true) }, func(r replication.Reply, ok bool) {
			if ok {
				a.Reply = r
			}
			n.bring(o, to, answers, i+1)
		})
		return
	}
	n.perform(n.log.Answered(o.Number, answers, nil, n.w.time()))
}

// initiate is Node.Update.
func (n *node) initiate(u cluster.Update, contents bool) {
	c := &change{update: u}
	n.w.history[u.Object.ID] = append(n.w.history[u.Object.ID], c)
	p := replication.Propagate(&u)
	n.w.tell(n.id, "begins", u.Object.ID.ID, u.Object.Timestamp, "on", u.Object.Replicas, "before", u.Previous)
	n.propagate(c, p, contents, true)
}

func (n *node) propagate(c *change, p *replication.Propagation, contents, first bool) {
	targets := n.w.rules.next(p, &c.update)
	left := len(targets)
	if left == 0 {
		if r, ok := p.Retirement(); ok {
			life := n.life
			n.w.after(n.w.upTo(100*time.Millisecond), func() {
				if n.up && n.life == life {
					n.announce(r)
				}
			})
		}
		return
	}
	for _, id := range targets {
		to := n.w.node(id)
		call(n.w, n, to, 1, func() replication.Reply { return to.apply(c.update, contents) }, func(r replication.Reply, ok bool) {
			var err error
			if !ok {
				err = errSilent
			}
			p.Answered(id, r, err)
			if left--; left > 0 {
				return
			}
			if first {
				c.acked = p.Outcome() == nil
			}
			n.propagate(c, p, contents, false)
		})
	}
}

// announce sends a retirement to all targets.
func (n *node) announce(r cluster.Retirement) {
	for _, id := range r.Targets {
		to := n.w.node(id)
		n.w.send(n, to, 1, func() { to.retired([]cluster.Retirement{r}) })
	}
}

// collect is the store's: it forgets what may be forgotten.
func (n *node) collect() {
	for id, st := range n.disk {
		if st.Record != nil && n.w.rules.forget(st.Record, n.together, n.wall()) {
			st.Record = nil
			n.disk[id] = st
		}
	}
}

// sumOf makes contents that no other update has.
func sumOf(t cluster.Timestamp) (sum [32]byte) {
	binary.BigEndian.PutUint64(sum[:], uint64(t.Time))
	binary.BigEndian.PutUint64(sum[8:], uint64(t.Node))
	return sum
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 3)) }
