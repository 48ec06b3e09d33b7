package membership

import (
	"time"

	"porcupine/internal/cluster"
)

// penalty is the record of a node that was a member. A node that is lost again soon after it was
// taken in (a link that flaps, that works one way or not between all members, that carries small
// messages but no views) would cost two epochs each time; so it must wait before it is merged
// again, twice as long each time. So must one that agrees to be merged and does not answer in round 1: its
// disk may be too slow to promise anything in time. A node that is lost after a long membership has merely
// crashed, and pays nothing.
type penalty struct {
	since time.Time // when it was last taken in, or silent in round 3
	last  time.Time // when it was last lost
	wait  time.Duration
	until time.Time // not to be taken back before
}

// penalties holds a record for each node that came or went within PenaltyMemory.
type penalties map[cluster.NodeID]penalty

// joined notes that a node was taken in.
func (p penalties) joined(id cluster.NodeID, now time.Time) {
	r := p[id]
	r.since = now
	p[id] = r
}

// lost notes that a member is one no more.
func (p penalties) lost(id cluster.NodeID, now time.Time, cfg *Config) {
	r := p[id]
	if now.Sub(r.last) > cfg.PenaltyMemory {
		r.wait = 0
	}
	r.last = now
	if now.Sub(r.since) <= cfg.FlapMax {
		r.wait = min(max(2*r.wait, cfg.PenaltyMin), cfg.PenaltyMax)
		r.until = now.Add(r.wait)
	}
	p[id] = r
}

// silent notes that a node agreed to be merged, and did not answer when it came to that.
func (p penalties) silent(id cluster.NodeID, now time.Time, cfg *Config) {
	p.joined(id, now)
	p.lost(id, now, cfg)
}

// penalise compares a new view with the old one: who was taken in, and who is missing. A node
// that left by itself made the view that lacks it.
func (c *Core) penalise(now time.Time, v *cluster.View) {
	for id, r := range c.penalties {
		if now.Sub(r.last) > c.cfg.PenaltyMemory && now.Sub(r.since) > c.cfg.FlapMax {
			delete(c.penalties, id)
		}
	}
	for _, m := range v.Members {
		if m.Since == v.Epoch && m.ID != c.cfg.Self.ID {
			c.penalties.joined(m.ID, now)
		}
	}
	for _, m := range c.view.Members {
		if !v.Contains(m.ID) && v.Epoch.Coordinator != m.ID {
			c.penalties.lost(m.ID, now, &c.cfg)
		}
	}
}

// isBarred reports whether a node must wait before it is taken back.
func (c *Core) isBarred(id cluster.NodeID, now time.Time) bool {
	return c.penalties[id].until.After(now)
}
