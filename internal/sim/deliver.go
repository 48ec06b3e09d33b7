package sim

import (
	"errors"
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
)

// Limits of a delivery.
const (
	attemptsMax = 4 // sets of nodes tried by one proxy
	submitMax   = 3 // times that a client hands in one message
	submitPause = 5 * time.Second
)

// submit hands a message in: it is accepted, refused, or the client hears nothing and does not
// know. Then it may try again, at another node.
func (c *clients) submit(n *node, u *user, tag string, try int) {
	if !n.up() || c.closed {
		return
	}
	over := false
	end := func(acked, clean bool) {
		if over {
			return
		}
		over = true
		switch {
		case acked:
			c.ledger.Accepted(tag, u.name)
		case clean:
			c.ledger.Refused(tag)
		default:
			c.ledger.Doubtful(tag)
		}
		if !acked && try < submitMax && c.rng.IntN(2) == 0 {
			c.w.after(c.w.faults.exp(submitPause), func() { c.submit(c.w.nodes[c.rng.IntN(len(c.w.nodes))], u, tag, try+1) })
		}
	}
	c.ledger.Submitted(tag, u.name)
	c.w.after(opLimit, func() { end(false, false) })
	n.after(0, func() {
		begun := c.w.now
		n.lookup(u.name, cluster.Conclusive, func(e cluster.Entry, _ *cluster.View, err error) {
			if err == nil {
				if _, ok := e.Find(typeProfile, profileID); ok {
					d := &delivery{c: c, n: n, user: u, entry: e, end: end, contents: tag + " for " + u.name}
					d.id = cluster.ObjectID{Type: typeMessage, Owner: u.name, ID: fmt.Sprintf("%s.%d", tag, try)}
					d.attempt()
					return
				}
				c.unknown(n, u, &e, begun)
			}
			end(false, true) // 451 or 550, nothing was sent
		})
	})
}

// delivery is one message at its proxy, as in the delivery of mail: it is stored on as many nodes as
// wanted, nodes that fail are replaced, and what is durable is accepted when nobody can replace
// them.
type delivery struct {
	c        *clients
	n        *node
	user     *user
	entry    cluster.Entry
	id       cluster.ObjectID
	contents string
	end      func(acked, clean bool)
	durable  cluster.ReplicaSet // have it on disk
	touched  cluster.ReplicaSet // may have it
	tried    []cluster.NodeID
	first    cluster.Timestamp // of the first attempt
	attempts int
	invalid  bool
}

// attempt stores the message on the nodes that have it and as many others as are missing. Each
// attempt is an update of the same object, newer than the one before, and has all nodes that may
// know of one among its targets (D6).
func (d *delivery) attempt() {
	n, w := d.n, d.c.w
	wanted := w.copies - len(d.durable)
	if d.attempts++; d.attempts > attemptsMax || wanted <= 0 || d.invalid {
		d.settle()
		return
	}
	q := balance.Request{Members: n.view().IDs(), Beside: d.durable, Exclude: d.tried, Copies: wanted, Spread: max(w.spread+w.copies-1-len(d.durable), wanted)}
	for _, f := range d.entry.Fragments {
		if f.Type == typeMessage {
			q.Holders = append(q.Holders, f.Holders...)
		}
	}
	set := cluster.NewReplicaSet(balance.Choose(q, n.loads, w.time(), n.rng)...)
	if len(d.durable)+len(set) < max(w.copiesMin, len(d.durable)+1) { // nobody can take it
		d.settle()
		return
	}
	d.tried = append(d.tried, set...)
	all := d.durable.Union(set)
	u := cluster.Update{
		Object:   cluster.Object{ID: d.id, Replicas: all, Copies: w.copies, Size: int64(len(d.contents)), Sum: sumOf(d.contents)},
		Previous: d.touched,
	}
	if !d.first.IsZero() { // what others have done to it in the meantime is newer
		u.Object.Timestamp = cluster.Timestamp{Time: d.first.Time + int64(d.attempts), Node: d.first.Node}
	}
	d.touched = d.touched.Union(set)
	n.update(u, d.contents, func(ts cluster.Timestamp, err error) {
		if d.first.IsZero() {
			d.first = ts
		}
		var short *cluster.Shortfall
		switch {
		case err == nil:
			d.durable = all
			d.settle()
			return
		case errors.As(err, &short):
			d.durable = d.durable.Union(short.Durable)
		case cluster.IsKind(err, cluster.KindInvalid):
			d.invalid = true
		}
		d.attempt()
	})
}

// settle ends a delivery: what is durable is accepted, if it is enough; else it is undone.
func (d *delivery) settle() {
	if len(d.durable) >= d.c.w.copiesMin {
		d.accept()
		return
	}
	if len(d.touched) == 0 {
		d.end(false, true)
		return
	}
	n := d.n
	n.updateAll([]cluster.Update{deletion(d.id, d.touched)}, "", false, func(_ []cluster.Update, errs []error) {
		d.end(false, errs[0] == nil)
	})
}

// accept is 250.
func (d *delivery) accept() {
	w := d.c.w
	if len(d.durable) < min(w.copiesMin, w.copies) {
		w.check.that("D2", fmt.Sprintf("%v accepts %s on %d nodes, want %d", d.n, d.id.ID, len(d.durable), w.copiesMin))
	}
	w.oracle.promised("D2", d.n, d.id, d.first, d.durable)
	w.stats.Acked++
	accepted := &sent{id: d.id, user: d.user, contents: d.contents, acked: w.now}
	d.c.messages[d.id] = accepted
	if !d.c.removed[d.id] {
		if d.user.kept == nil {
			d.user.kept = make(map[cluster.ObjectID]*sent)
		}
		d.user.kept[d.id] = accepted
	}
	d.end(true, true)
}
