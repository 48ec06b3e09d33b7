package membership

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// closeReplies ends round 2. The base, the view that the new one continues, is the largest among
// the answers, ties the larger epoch, so that least soft state is lost. A view counts as large as
// the number of staying members that have it installed, not as its list of members: a zombie's
// old list is long, but nobody lives in it.
func (c *Core) closeReplies(now time.Time) {
	r := c.round
	votes := map[cluster.Epoch]int{}
	if c.leave == nil {
		votes[c.view.Epoch]++
	}
	for _, a := range r.asks {
		if a.answered && !a.reply.Leaving {
			votes[a.reply.Installed]++
		}
	}
	r.bases = slices.SortedFunc(maps.Keys(votes), func(a, b cluster.Epoch) int {
		return cmp.Or(cmp.Compare(votes[b], votes[a]), b.Compare(a))
	})
	r.bases = append(r.bases, c.view.Epoch) // at hand in any case
	c.nextBase(now)
}

// nextBase takes the best base that is left. Only one node's map is ever shipped to us, and only
// if the base is not our own view.
func (c *Core) nextBase(now time.Time) {
	r := c.round
	if r.bases[0] == c.view.Epoch {
		c.decide(now, c.view)
		return
	}
	r.phase, r.tries = phaseFetch, 0
	r.deadline = now.Add(c.cfg.ReplyTimeout)
	c.requestBase(now)
}

// requestBase asks the nodes that have the base, one after the other.
func (c *Core) requestBase(now time.Time) {
	r := c.round
	var holders []*ask
	for _, id := range r.order() {
		if a := r.asks[id]; a.answered && a.reply.Installed == r.bases[0] {
			holders = append(holders, a)
		}
	}
	c.send(holders[r.tries%len(holders)].to, Message{Kind: KindViewRequest})
	r.tries++
	r.resendAt = now.Add(c.cfg.ResendPeriod)
}

// decide fixes the membership: those who answered and are not struck, and this node. A member keeps its Since iff
// it has the base installed and is a member of it; nobody else remembers what the base's user map
// says it manages. This node installs the view BEFORE it sends round 3.
func (c *Core) decide(now time.Time, base *cluster.View) {
	r := c.round
	var members []cluster.Member
	lives := map[cluster.NodeID]Life{c.cfg.Self.ID: c.life()}
	add := func(e cluster.Endpoint, installed cluster.Epoch) {
		m := cluster.Member{Endpoint: e, Since: r.epoch}
		if old, ok := base.Member(e.ID); ok && installed == base.Epoch {
			m.Since = old.Since
		}
		members = append(members, m)
	}
	if c.leave == nil {
		add(c.cfg.Self, c.view.Epoch)
	}
	for _, id := range r.order() {
		a := r.asks[id]
		if !a.answered || c.contacts.byID[id].Removed {
			if a.expected && !a.answered && !c.view.Contains(id) {
				c.penalties.silent(id, now, &c.cfg)
			}
			delete(r.asks, id) // of the struck, a reply may have told just now
		} else if c.contacts.byID[id].Life.outran(a.reply) { // likewise
			c.refuse(a.to, a.reply.Process, RefusalRolledBack)
			delete(r.asks, id)
		} else if !a.reply.Leaving {
			add(a.to, a.reply.Installed)
			lives[id] = Life{Boot: a.reply.Boot, Process: a.reply.Process}
		}
	}
	switch {
	case len(members) == 0:
		c.finishLeave()
		return
	case len(r.asks) == 0 && len(c.view.Members) == 1:
		c.endRound() // a merger that came to nothing: no need for a new epoch
		return
	}
	slices.SortFunc(members, func(a, b cluster.Member) int { return cmp.Compare(a.ID, b.ID) })
	r.view = &cluster.View{Epoch: r.epoch, Members: members, Map: c.cfg.Assign(base.Map, members, r.epoch)}
	r.lives = make([]Life, len(members))
	for i, m := range members {
		r.lives[i] = lives[m.ID]
	}
	r.phase = phaseViews
	r.deadline, r.resendAt = now.Add(c.cfg.ViewTimeout), now.Add(c.cfg.ResendPeriod)
	if c.leave == nil {
		c.contacts.learn(r.view, r.lives)
		c.penalise(now, r.view)
		c.install(now, r.view)
		c.round = r
	}
	c.sendViews()
	c.checkAcks(now)
}
