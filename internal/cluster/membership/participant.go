package membership

import (
	"time"

	"porcupine/internal/cluster"
)

// promise is another coordinator's round that this node has answered.
type promise struct {
	coordinator cluster.NodeID
	epoch       cluster.Epoch
	until       time.Time // zero: none
}

func (p *promise) active() bool { return !p.until.IsZero() }

// onNewGroup answers round 1. A promise means: no view with a smaller epoch will be installed,
// so the installed epoch that the reply tells stays true until the new view comes. The Since of
// the new view stands on that.
func (c *Core) onNewGroup(now time.Time, m Message) {
	repeated := c.promise.active() && c.promise.epoch == m.Epoch
	if !repeated && (!c.promised.Less(m.Epoch) || !c.concerns(m)) {
		if m.Epoch != c.view.Epoch { // else a late copy
			c.event(Event{Kind: EventRefused, Epoch: m.Epoch, Node: m.From.ID})
			c.reject(m)
		}
		return
	}
	if !repeated {
		if c.round != nil {
			c.event(Event{Kind: EventYielded, Epoch: m.Epoch, Node: m.From.ID})
			c.round = nil
			c.trigger(now) // comes to nothing if the new view settles our reasons
		}
		c.event(Event{Kind: EventPromised, Epoch: m.Epoch, Node: m.From.ID})
		c.promised = m.Epoch
		c.noteStay(m.Epoch)
	}
	c.promise = promise{coordinator: m.From.ID, epoch: m.Epoch, until: now.Add(c.cfg.PromiseTimeout)}
	reply := Message{Kind: KindReply, Epoch: m.Epoch, Leaving: c.leave != nil}
	if absent := c.contacts.absent(c.view); m.Installed != c.view.Epoch || digest(absent) != m.Digest {
		reply.Known = absent
	}
	c.send(m.From, reply)
}

// concerns reports whether a proposal is meant for the group that this node is in: it names our
// epoch (we share the coordinator's view, or our coordinator agreed to merge), or one of the two
// lags behind in the same group. All else is an overheard or outdated proposal.
func (c *Core) concerns(m Message) bool {
	mine := c.view.Epoch
	weLag := m.Member && m.Yours == m.Installed && mine.Less(m.Installed)
	itLags := m.Installed.Less(mine) && c.view.Contains(m.From.ID)
	return m.Yours == mine || weLag || itLags
}

func (c *Core) reject(m Message) {
	busy := c.promise.active() || c.round != nil
	c.send(m.From, Message{Kind: KindReject, Epoch: m.Epoch, Promised: c.promised, Busy: busy})
}

// tickPromise gives up waiting for round 3.
func (c *Core) tickPromise(now time.Time) {
	if !c.promise.active() || now.Before(c.promise.until) {
		return
	}
	p := c.promise
	c.promise = promise{}
	c.event(Event{Kind: EventAbandoned, Epoch: p.epoch, Node: p.coordinator})
	c.doubt(now, p.coordinator)
}

// onView takes a view: the base that our own round fetches, round 3 of another's, or the answer
// to a request of ours.
func (c *Core) onView(now time.Time, m Message) {
	v := m.View
	if r := c.round; r != nil && r.phase == phaseFetch && v.Epoch == r.bases[0] {
		c.decide(now, v)
		return
	}
	switch {
	case v.Epoch == c.view.Epoch:
		c.send(m.From, Message{Kind: KindViewAck, Epoch: v.Epoch})
	case v.Epoch.Less(c.promised):
		c.reject(m)
	case !v.Contains(c.cfg.Self.ID):
		if c.leave != nil {
			c.send(m.From, Message{Kind: KindViewAck, Epoch: v.Epoch})
			c.finishLeave()
			return
		}
		c.compareViews(now, m)
	case c.promised.Less(v.Epoch):
		// Only members that promised are in a view: an earlier life of ours did, and this one
		// has lost it (a data directory copied back). Its Since would be a lie.
		c.event(Event{Kind: EventRegressed, Node: m.From.ID, Epoch: v.Epoch})
		c.end(RefusalRolledBack, m.From)
	default:
		c.contacts.joinAll(m.Known)
		c.contacts.learn(v, m.Lives)
		c.penalise(now, v)
		c.install(now, v)
		c.send(m.From, Message{Kind: KindViewAck, Epoch: v.Epoch})
		c.dropStruck(now)
		c.handOnStrikes(now, m.Known)
	}
}

// handOnStrikes begins a round when this node has struck a node of which the view's coordinator did not
// know: it was done while the round was under way, and would stay untold until the next change.
func (c *Core) handOnStrikes(now time.Time, known []Contact) {
	told := make(map[cluster.NodeID]bool, len(known))
	for _, k := range known {
		told[k.ID] = k.Removed
	}
	for id, k := range c.contacts.byID {
		if k.Removed && !told[id] {
			c.gather.force = true
			c.trigger(now)
			return
		}
	}
}

// pull asks a node for its view, not too often.
func (c *Core) pull(now time.Time, from cluster.Endpoint) {
	if now.Before(c.pullNext) {
		return
	}
	c.pullNext = now.Add(c.cfg.ResendPeriod)
	c.send(from, Message{Kind: KindViewRequest})
}

// sendView sends the installed view outside of a round.
func (c *Core) sendView(to cluster.Endpoint) {
	lives := make([]Life, len(c.view.Members))
	for i, m := range c.view.Members {
		lives[i] = c.contacts.byID[m.ID].Life
		if m.ID == c.cfg.Self.ID {
			lives[i] = c.life()
		}
	}
	c.send(to, Message{Kind: KindView, Epoch: c.view.Epoch, View: c.view, Known: c.contacts.absent(c.view), Lives: lives})
}

// goAlone starts over as a group of one; probes lead back.
func (c *Core) goAlone(now time.Time) {
	c.event(Event{Kind: EventAlone})
	c.gather.found = nil
	c.foundAlone(now)
}

// foundAlone makes this node the coordinator of a group of one, with all buckets.
func (c *Core) foundAlone(now time.Time) {
	epoch := c.nextEpoch()
	members := []cluster.Member{{Endpoint: c.cfg.Self, Since: epoch}}
	c.install(now, &cluster.View{Epoch: epoch, Members: members, Map: c.cfg.Assign(nil, members, epoch)})
}

// install makes v the view of this node.
func (c *Core) install(now time.Time, v *cluster.View) {
	c.view = v
	c.out.View = v
	c.round = nil
	if c.promised.Less(v.Epoch) {
		c.promised = v.Epoch
	}
	c.contacts.install(v)
	c.contacts.dirty = true
	if !c.promise.active() || !v.Epoch.Less(c.promise.epoch) {
		c.promise = promise{}
	}
	c.event(Event{Kind: EventInstalled, Epoch: v.Epoch, Count: len(v.Members)})
	c.gather.force = false
	found := map[cluster.NodeID]*group{}
	for id, g := range c.gather.found {
		if !v.Contains(id) {
			found[id] = g
		}
	}
	c.gather.found = found
	if len(found) == 0 {
		c.gather.at = time.Time{}
	}
	c.resetRing(now)
	c.syncProbes(now)
	if c.leave != nil && len(v.Members) > 1 {
		c.gather.force = true
		c.gather.at = now
	}
}
