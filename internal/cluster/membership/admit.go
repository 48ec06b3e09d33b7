package membership

import (
	"time"

	"porcupine/internal/cluster"
)

// admit checks a message before it may change anything, and advances the Lamport clock.
func (c *Core) admit(now time.Time, m Message) bool {
	if m.From.ID == c.cfg.Self.ID {
		if p := c.probes.findNonce(m.Nonce); p != nil && m.Kind == KindProbe {
			delete(c.probes.byAddr, p.addr) // another name of our own address
		} else if m.From.Addr != c.cfg.Self.Addr {
			c.event(Event{Kind: EventDuplicate, Addr: m.From.Addr})
			if m.Process != c.process && m.Size < len(c.view.Members) {
				c.refuse(m.From, m.Process, RefusalTwin)
			}
		}
		return false
	}
	epochs := [...]cluster.Epoch{m.Installed, m.Epoch, m.Promised, m.Yours}
	valid := m.From.ID != cluster.NoNode && m.From.Addr != "" && m.Size >= 1 && m.Kind >= KindPing && m.Kind <= kindMax &&
		!m.Installed.IsZero() && len(m.Known) <= KnownMax && len(m.Members) <= KnownMax
	for _, e := range epochs {
		valid = valid && e.Counter <= EpochCounterMax
	}
	if m.Kind == KindView {
		valid = valid && validView(m.View) && m.View.Epoch == m.Epoch && (len(m.Lives) == 0 || len(m.Lives) == len(m.View.Members))
	}
	if m.Kind == KindNewGroup {
		valid = valid && m.Epoch.Coordinator == m.From.ID
	}
	if !valid {
		c.event(Event{Kind: EventInvalid, Node: m.From.ID, Addr: m.From.Addr})
		return false
	}
	if !c.isAllowed(now, m) {
		return false
	}
	regressed := false
	for _, e := range epochs {
		c.seen = max(c.seen, e.Counter)
		regressed = regressed || e.Coordinator == c.cfg.Self.ID && c.promised.Less(e)
	}
	c.contacts.meet(m.From, m.Sole, m.Installed)
	c.contacts.hear(m)
	if regressed {
		// Only a data directory that was copied back forgets own epochs.
		c.event(Event{Kind: EventRegressed, Node: m.From.ID})
		c.end(RefusalRolledBack, m.From)
		return false
	}
	return true
}

func validView(v *cluster.View) bool {
	if v == nil || len(v.Members) == 0 || len(v.Map) != cluster.BucketCount || v.Epoch.IsZero() {
		return false
	}
	last := cluster.NoNode
	for _, m := range v.Members {
		if m.ID <= last || m.Addr == "" {
			return false
		}
		last = m.ID
	}
	return true
}
