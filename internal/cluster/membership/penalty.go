package membership

import (
	"time"

	"porcupine/internal/cluster"
)

// penalty is the record of a node that was lost. A node that is lost again and again (a link
// that flaps, or that carries small messages but no views) would cost two epochs each time; so
// after the second loss it must wait before it is merged again, longer each time.
type penalty struct {
	losses int
	last   time.Time
	until  time.Time
}

// penalties holds a record for each node lost lately. Records are few: a node must have been a
// member to get one.
type penalties map[cluster.NodeID]penalty

// lost notes one more loss.
func (p penalties) lost(id cluster.NodeID, now time.Time, cfg *Config) {
	r := p[id]
	if now.Sub(r.last) > cfg.PenaltyMemory {
		r = penalty{}
	}
	r.losses++
	r.last = now
	if r.losses > 1 {
		wait := cfg.PenaltyMin
		for i := 2; i < r.losses && wait < cfg.PenaltyMax; i++ {
			wait *= 2
		}
		r.until = now.Add(min(wait, cfg.PenaltyMax))
	}
	p[id] = r
	for other, r := range p {
		if now.Sub(r.last) > cfg.PenaltyMemory && !r.until.After(now) {
			delete(p, other)
		}
	}
}

// penalise notes the members that a new view lacks, but for the one that left by itself.
func (c *Core) penalise(now time.Time, v *cluster.View) {
	for _, m := range c.view.Members {
		if !v.Contains(m.ID) && v.Epoch.Coordinator != m.ID {
			c.penalties.lost(m.ID, now, &c.cfg)
		}
	}
}
