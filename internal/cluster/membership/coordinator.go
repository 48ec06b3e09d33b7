package membership

import (
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// gather holds the reasons for a round of our own, and when it shall start. The delay lets
// changes that belong together (ten nodes that boot or die at once) cost one epoch. The other
// reasons are in ring.lost.
type gather struct {
	at      time.Time // when round 1 starts; zero: no reason
	started time.Time // when the first reason came up
	found   map[cluster.NodeID]*group
	force   bool      // for another reason: a promise to go above, contacts to spread
	hold    time.Time // we agreed to be merged: keep from merging others until then
}

type phase uint8

const (
	phaseReplies phase = iota // rounds 1 and 2
	phaseFetch                // fetching the base view
	phaseViews                // round 3
)

// round is one run of the three rounds with this node as coordinator.
type round struct {
	epoch    cluster.Epoch
	phase    phase
	digest   uint64
	asks     map[cluster.NodeID]*ask
	deadline time.Time // of the phase
	resendAt time.Time
	bases    []cluster.Epoch // phaseFetch: views to continue, best first
	tries    int             // phaseFetch: requests sent
	view     *cluster.View   // phaseViews
	lives    []Life          // phaseViews: of its members
}

// ask is one node that a round speaks to.
type ask struct {
	to       cluster.Endpoint
	yours    cluster.Epoch
	expected bool // round 2 waits for it
	answered bool
	reply    Message
	acked    bool // round 3
}

// trigger plans a round, unless one is planned.
func (c *Core) trigger(now time.Time) {
	if c.gather.at.IsZero() {
		c.gather.started = now
		c.gather.at = now.Add(c.cfg.GatherDelay + c.jitter(c.cfg.GatherDelay))
	}
}

// gatherDue gives the time when a planned round may start: not while another coordinator's round
// that we take part in is under way, and a mere merger not while we agreed to be merged.
func (c *Core) gatherDue() time.Time {
	t := c.gather.at
	if t.IsZero() {
		return t
	}
	if c.promise.active() && !c.ring.lost[c.promise.coordinator] && c.promise.until.After(t) {
		t = c.promise.until
	}
	if len(c.ring.lost) == 0 && !c.gather.force && c.gather.hold.After(t) {
		t = c.gather.hold
	}
	return t
}

func (c *Core) tickGather(now time.Time) {
	due := c.gatherDue()
	if c.round != nil || due.IsZero() || now.Before(due) {
		return
	}
	maps.DeleteFunc(c.gather.found, func(_ cluster.NodeID, g *group) bool { return now.Sub(g.at) > c.cfg.PromiseTimeout })
	if len(c.gather.found) == 0 && len(c.ring.lost) == 0 && !c.gather.force && c.leave == nil {
		c.gather.at = time.Time{}
		return
	}
	c.startRound(now)
}

// startRound is round 1: a proposal above all epochs known goes to the members that are not
// lost, and to the groups that agreed to be merged.
func (c *Core) startRound(now time.Time) {
	c.gather.at, c.gather.force = time.Time{}, false
	c.promise = promise{}
	r := &round{
		epoch:    c.nextEpoch(),
		digest:   digest(c.contacts.absent(c.view)),
		asks:     map[cluster.NodeID]*ask{},
		deadline: now.Add(c.cfg.ReplyTimeout),
		resendAt: now.Add(c.cfg.ResendPeriod),
	}
	c.round = r
	c.noteStay(r.epoch)
	for _, m := range c.view.Members {
		if m.ID != c.cfg.Self.ID && !c.ring.lost[m.ID] {
			r.asks[m.ID] = &ask{to: m.Endpoint, yours: c.view.Epoch, expected: true}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.gather.found)) {
		if c.leave != nil {
			break // others will merge
		}
		c.addGroup(c.gather.found[id])
	}
	c.event(Event{Kind: EventProposed, Epoch: r.epoch, Count: len(r.asks)})
	for _, id := range r.order() {
		c.sendNewGroup(r.asks[id])
	}
	c.checkReplies(now)
}

// order lists the nodes a round speaks to, ascending.
func (r *round) order() []cluster.NodeID { return slices.Sorted(maps.Keys(r.asks)) }

// addGroup adds a group's members to the round and lists those that are new in it.
func (c *Core) addGroup(g *group) []*ask {
	var added []*ask
	for _, e := range g.members {
		old := c.round.asks[e.ID]
		// A group's coordinator knows best where it is itself; its list of others may be old.
		if e.ID == c.cfg.Self.ID || old != nil && (old.answered || old.yours == g.epoch || e.ID != g.coordinator) {
			continue
		}
		a := &ask{to: e, yours: g.epoch, expected: true}
		c.round.asks[e.ID] = a
		added = append(added, a)
	}
	return added
}

// askGroup adds a group to a round that is waiting for replies.
func (c *Core) askGroup(g *group) {
	for _, a := range c.addGroup(g) {
		c.sendNewGroup(a)
	}
}

func (c *Core) sendNewGroup(a *ask) {
	c.send(a.to, Message{Kind: KindNewGroup, Epoch: c.round.epoch, Yours: a.yours, Digest: c.round.digest})
}

func (c *Core) onReply(now time.Time, m Message) {
	r := c.round
	if r == nil || r.phase != phaseReplies || m.Epoch != r.epoch {
		return
	}
	a := r.asks[m.From.ID]
	if a == nil || a.answered {
		return
	}
	a.answered, a.reply, a.to = true, m, m.From
	if slices.ContainsFunc(m.Known, func(k Contact) bool { return k.ID == c.cfg.Self.ID && k.Removed }) {
		c.end(RefusalStruck, m.From)
		return
	}
	c.contacts.joinAll(m.Known)
	c.checkReplies(now)
}

// unexpect stops waiting for a node's reply.
func (c *Core) unexpect(now time.Time, id cluster.NodeID) {
	if c.round == nil || c.round.phase != phaseReplies {
		return
	}
	if a := c.round.asks[id]; a != nil && !a.answered {
		a.expected = false
		c.checkReplies(now)
	}
}

// checkReplies ends round 2 early when all who are expected have answered.
func (c *Core) checkReplies(now time.Time) {
	for _, a := range c.round.asks {
		if a.expected && !a.answered {
			return
		}
	}
	c.closeReplies(now)
}

// sendViews sends round 3 to all who have not acknowledged it.
func (c *Core) sendViews() {
	known := c.contacts.absent(c.round.view)
	for _, id := range c.round.order() {
		if a := c.round.asks[id]; !a.acked {
			c.send(a.to, Message{Kind: KindView, Epoch: c.round.epoch, View: c.round.view, Known: known, Lives: c.round.lives})
		}
	}
}

func (c *Core) onViewAck(now time.Time, m Message) {
	if r := c.round; r != nil && r.phase == phaseViews && m.Epoch == r.epoch && r.asks[m.From.ID] != nil {
		r.asks[m.From.ID].acked = true
		c.checkAcks(now)
	}
}

func (c *Core) checkAcks(now time.Time) {
	for _, a := range c.round.asks {
		if !a.acked && !a.reply.Leaving {
			return
		}
	}
	c.endRound()
}

func (c *Core) endRound() {
	c.round = nil
	if c.leave != nil {
		c.finishLeave()
	}
}

func (c *Core) tickRound(now time.Time) {
	r := c.round
	switch {
	case r == nil:
	case !now.Before(r.deadline):
		c.roundTimeout(now)
	case !now.Before(r.resendAt):
		r.resendAt = now.Add(c.cfg.ResendPeriod)
		switch r.phase {
		case phaseReplies:
			for _, id := range r.order() {
				if a := r.asks[id]; a.expected && !a.answered {
					c.sendNewGroup(a)
				}
			}
		case phaseFetch:
			c.requestBase(now)
		case phaseViews:
			c.sendViews()
		}
	}
}

// roundTimeout ends a phase that did not end early.
func (c *Core) roundTimeout(now time.Time) {
	r := c.round
	switch r.phase {
	case phaseReplies:
		c.closeReplies(now)
	case phaseFetch:
		r.bases = r.bases[1:]
		c.nextBase(now)
	case phaseViews:
		c.endRound()
		for _, id := range r.order() {
			if a := r.asks[id]; !c.left && !a.acked && !a.reply.Leaving {
				c.event(Event{Kind: EventSilent, Node: id, Epoch: r.epoch})
				c.penalties.joined(id, now) // whatever it was before, it did not get through this time
				c.dropMember(now, id)
			}
		}
	}
}

// onReject hears that a proposal or a view of ours was refused. Three things may be the case:
//
//  1. The node has installed another view than we thought. If that view has agreed to this round
//     the node is asked again, in its name; else it is not of this round.
//  2. The node has promised a larger epoch whose coordinator is at work: we yield, and come back
//     only if our reasons outlive that round.
//  3. The node has promised a larger epoch that nobody cares about any more: we go above it.
func (c *Core) onReject(now time.Time, m Message) {
	r := c.round
	member := c.view.Contains(m.From.ID)
	if r == nil {
		// Perhaps the answer to a view that we sent to one who lags behind.
		if m.Epoch == c.view.Epoch && member {
			if m.Epoch.Less(m.Promised) && m.Installed.Less(c.view.Epoch) {
				c.overtaken(now, m) // to send the view again would draw the same refusal, without end
			} else {
				c.compareViews(now, m)
			}
		}
		return
	}
	a := r.asks[m.From.ID]
	if m.Epoch != r.epoch || a == nil || a.answered && r.phase != phaseViews {
		return
	}
	if c.view.Epoch.Less(m.Installed) {
		c.compareViews(now, m)
	}
	switch {
	case c.round != r:
	case m.Epoch.Less(m.Promised):
		c.overtaken(now, m)
	case r.phase != phaseReplies || r.asks[m.From.ID].yours == m.Installed:
	case c.hasAgreed(m.Installed):
		a.yours = m.Installed
		c.sendNewGroup(a)
	default:
		maps.DeleteFunc(c.gather.found, func(_ cluster.NodeID, g *group) bool { return g.epoch == a.yours })
		c.unexpect(now, m.From.ID)
	}
}

// hasAgreed reports whether the nodes in that epoch take part in this node's round.
func (c *Core) hasAgreed(epoch cluster.Epoch) bool {
	if epoch == c.view.Epoch {
		return true
	}
	for _, g := range c.gather.found {
		if g.epoch == epoch {
			return true
		}
	}
	return false
}

// overtaken gives up the round; the reasons for it stay.
func (c *Core) overtaken(now time.Time, m Message) {
	c.round = nil
	c.gather.force = true
	c.gather.started = now
	if m.Busy {
		c.event(Event{Kind: EventYielded, Epoch: m.Promised, Node: m.Promised.Coordinator})
		c.gather.at = now.Add(c.cfg.ReplyTimeout + c.jitter(c.cfg.ReplyTimeout))
		return
	}
	c.event(Event{Kind: EventRaised, Epoch: m.Promised, Node: m.From.ID})
	c.gather.at = now.Add(c.jitter(c.cfg.GatherDelay))
}
