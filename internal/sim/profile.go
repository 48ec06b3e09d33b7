package sim

import (
	"slices"

	"porcupine/internal/cluster"
)

// create makes a user: its profile must reach min(2, known nodes) nodes at least, up to three.
func (c *clients) create(n *node, u *user) {
	if u.busy {
		return
	}
	u.busy = true
	life := n.life
	n.w.after(4*lookupLimit, func() { u.busy = false }) // the operation is over or lost by then
	n.lookup(u.name, cluster.Complete, func(e cluster.Entry, _ *cluster.View, err error) {
		known, view := n.core.Known(), n.view()
		least := min(2, len(known))
		if err != nil || e.Knowledge < cluster.Complete || len(view.Members) < least || life != n.life {
			return // try again later
		}
		for _, old := range e.Cached { // beat the tombstone, if there is one
			if !old.Object.Deleted || n.clock.Observe(old.Object.Timestamp, n.wall()) != nil {
				return // exists; or a clock is wrong
			}
		}
		homes := view.IDs()
		n.rng.Shuffle(len(homes), func(i, j int) { homes[i], homes[j] = homes[j], homes[i] })
		homes = homes[:min(len(homes), copiesWanted)]
		p := cluster.CachedObject{Object: cluster.Object{
			ID:        cluster.ObjectID{Type: typeProfile, Owner: u.name, ID: profileID},
			Timestamp: n.clock.Now(n.wall()),
			Replicas:  cluster.NewReplicaSet(homes...),
		}}
		c.spread(n, u, p, func() {
			u.created, u.version, u.homes = c.w.now, p.Object.Timestamp, p.Object.Replicas
			u.exists = p.Object.Timestamp.Compare(u.doubt) > 0
			c.w.record("user "+u.name+" created", n)
		})
	})
}

// delete removes a user: its tombstone must reach every node that holds the profile.
func (c *clients) delete(n *node, u *user) {
	if u.busy {
		return
	}
	u.busy = true
	n.w.after(4*lookupLimit, func() { u.busy = false })
	n.lookup(u.name, cluster.Complete, func(e cluster.Entry, _ *cluster.View, err error) {
		old, ok := e.Find(typeProfile, profileID)
		if err != nil || !ok || n.clock.Observe(old.Object.Timestamp, n.wall()) != nil {
			return
		}
		if slices.ContainsFunc(old.Object.Replicas, func(id cluster.NodeID) bool { return !n.view().Contains(id) }) {
			return // a node that holds it is away: try again later
		}
		p := old
		p.Object.Deleted = true
		p.Object.Timestamp = n.clock.Now(n.wall())
		u.exists = false
		u.doubt = later(u.doubt, p.Object.Timestamp)
		c.spread(n, u, p, func() { c.w.record("user "+u.name+" deleted", n) })
	})
}

func later(a, b cluster.Timestamp) cluster.Timestamp {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

// spread writes a profile to all its replicas; then is called when all have it.
func (c *clients) spread(n *node, u *user, p cluster.CachedObject, then func()) {
	waiting, ok := len(p.Object.Replicas), true
	for _, home := range p.Object.Replicas {
		n.call(home, &request{method: methodProfile, owner: u.name, profile: p}, func(a *answer) {
			waiting--
			ok = ok && a.err == nil
			if waiting == 0 && ok {
				then()
			}
		})
	}
}
