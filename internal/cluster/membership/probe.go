package membership

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Probes (Porcupine §4.2): the acting coordinator of a group keeps probing the addresses of all
// known nodes that are not in it, and merges with the groups it finds. A node that has just
// started is a group of one, so its probes are its request to join.
//
// Which of two groups merges the other is decided by size, then epoch; and only after a round trip
// between the two coordinators, so that a link that works one way can never start a round:
//
//	smaller group            larger group
//	   probe            -->    (from its coordinator; a member would answer with a redirect)
//	                    <--  probe
//	   ack, with members -->    link proven, both ways: round 1 to both groups
//
// If the larger one probes first, the first line is missing. The acknowledging coordinator agrees
// to the merger for its whole group: its members answer round 1 because the proposal names the
// epoch it agreed in (Message.Yours). A node that merely overhears a proposal refuses it; so a
// bridge between two halves that cannot talk to each other is not torn to and fro.

// probe is one address that may lead to another group.
type probe struct {
	addr   string
	id     cluster.NodeID // NoNode: not known yet
	peer   bool           // given by AddPeer, kept for ever
	next   time.Time
	sent   time.Time
	period time.Duration
	nonce  uint64
}

// probes is the set of addresses to probe.
type probes struct {
	byAddr map[string]*probe
	next   time.Time // the earliest that is due; zero: none
}

func newProbes() probes { return probes{byAddr: map[string]*probe{}} }

func (s *probes) note(t time.Time) {
	if s.next.IsZero() || t.Before(s.next) {
		s.next = t
	}
}

func (s *probes) addPeer(now time.Time, addr string) {
	p := s.byAddr[addr]
	if p == nil {
		if len(s.byAddr) >= KnownMax+PeersMax {
			return
		}
		p = &probe{addr: addr}
		s.byAddr[addr] = p
	}
	p.peer, p.next = true, now
	s.note(now)
}

// group is another group that agreed to be merged.
type group struct {
	coordinator cluster.NodeID
	epoch       cluster.Epoch
	members     []cluster.Endpoint
	at          time.Time
}

// syncProbes makes the set of probes follow the view and the contacts.
func (c *Core) syncProbes(now time.Time) {
	absent := c.contacts.absent(c.view)
	spread := min(max(time.Duration(len(absent))*2*time.Millisecond, 10*time.Millisecond), c.cfg.ProbePeriod)
	wanted := make(map[string]bool, len(absent))
	for _, k := range absent {
		if k.Removed {
			continue
		}
		wanted[k.Addr] = true
		p := c.probes.byAddr[k.Addr]
		if p == nil {
			p = &probe{addr: k.Addr, next: now.Add(c.jitter(spread))}
			c.probes.byAddr[k.Addr] = p
		}
		p.id = k.ID
	}
	maps.DeleteFunc(c.probes.byAddr, func(addr string, p *probe) bool { return !wanted[addr] && !p.peer })
	c.probes.next = now
}

// isWanted reports whether a probe may find a node outside the view.
func (c *Core) isWanted(p *probe) bool {
	if p.id != cluster.NoNode {
		return !c.view.Contains(p.id)
	}
	return !slices.ContainsFunc(c.view.Members, func(m cluster.Member) bool { return m.Addr == p.addr })
}

func (c *Core) tickProbes(now time.Time) {
	if c.probes.next.IsZero() || now.Before(c.probes.next) || !c.isActing() {
		return
	}
	c.probes.next = time.Time{}
	var due []string
	for addr, p := range c.probes.byAddr {
		switch {
		case c.leave != nil || !c.isWanted(p):
		case now.Before(p.next):
			c.probes.note(p.next)
		default:
			due = append(due, addr)
		}
	}
	slices.Sort(due) // they are few, however many are known
	for i, addr := range due {
		if i == ProbeBurstMax {
			c.probes.note(now.Add(c.cfg.ResendPeriod))
			return
		}
		p := c.probes.byAddr[addr]
		p.nonce, p.sent = c.freshNonce(), now
		p.period = min(max(p.period, c.cfg.ResendPeriod), c.cfg.ProbePeriodMax)
		p.next = now.Add(p.period*3/4 + c.jitter(p.period/2))
		p.period *= 2
		c.probes.note(p.next)
		c.send(cluster.Endpoint{ID: p.id, Addr: p.addr}, Message{Kind: KindProbe, Nonce: p.nonce})
	}
}

// wakeProbe probes an address at once and often, because its node gave a sign of life.
func (c *Core) wakeProbe(now time.Time, to cluster.Endpoint) {
	p := c.probes.byAddr[to.Addr]
	if p == nil {
		c.syncProbes(now)
		if p = c.probes.byAddr[to.Addr]; p == nil {
			return // no room among the known nodes
		}
	}
	p.id = to.ID
	p.period = c.cfg.ResendPeriod
	p.next = now
	if soonest := p.sent.Add(c.cfg.ResendPeriod); !p.sent.IsZero() && now.Before(soonest) {
		p.next = soonest
	}
	c.probes.note(p.next)
	c.tickProbes(now)
}

// larger reports whether this group, not the sender's, is the one that merges the other.
func (c *Core) larger(m Message) bool {
	return cmp.Or(cmp.Compare(len(c.view.Members), m.Size), c.view.Epoch.Compare(m.Installed)) > 0
}

func (c *Core) onProbe(now time.Time, m Message) {
	ack := Message{Kind: KindProbeAck, Nonce: m.Nonce, Coordinator: acting(c.view).Endpoint}
	member := c.view.Contains(m.From.ID)
	switch {
	case c.leave != nil:
	case !c.isActing() || member && m.Installed.Less(c.view.Epoch):
		c.send(m.From, ack)
	case !c.larger(m):
		ack.Members = c.groupContacts()
		c.send(m.From, ack)
		c.gather.hold = now.Add(c.cfg.GatherMax)
	case c.isBarred(m.From.ID, now):
	case member && c.gather.found[m.From.ID] != nil:
		// A round that takes it in is planned.
	case member:
		c.doubt(now, m.From.ID) // it has restarted; a ping proves the link and tells its epoch
		c.tickRing(now)
	default:
		c.wakeProbe(now, m.From)
	}
}

// groupContacts lists the members of the view as contacts.
func (c *Core) groupContacts() []Contact {
	out := make([]Contact, len(c.view.Members))
	for i, m := range c.view.Members {
		out[i] = Contact{Known: cluster.Known{Endpoint: m.Endpoint, Sole: c.contacts.byID[m.ID].Sole}, Heard: c.view.Epoch}
		if m.ID == c.cfg.Self.ID {
			out[i].Sole = c.sole
		}
	}
	return out
}

func (c *Core) onProbeAck(now time.Time, m Message) {
	p := c.probes.findNonce(m.Nonce)
	if p == nil {
		return
	}
	p.id, p.nonce = m.From.ID, 0
	switch {
	case m.Member && c.view.Epoch.Less(m.Installed):
		c.pull(now, m.From)
	case c.leave != nil || !c.isActing():
	case c.view.Contains(m.From.ID) && !c.view.Epoch.Less(m.Installed):
	case m.Coordinator.ID == m.From.ID && len(m.Members) > 0:
		c.contacts.joinAll(m.Members)
		if c.larger(m) && !c.isBarred(m.From.ID, now) {
			g := &group{coordinator: m.From.ID, epoch: m.Installed, at: now}
			for _, k := range m.Members {
				g.members = append(g.members, k.Endpoint)
			}
			c.foundGroup(now, g)
		}
	case m.Coordinator.ID != m.From.ID && m.Coordinator.ID != c.cfg.Self.ID && !c.view.Contains(m.Coordinator.ID):
		c.contacts.join(Contact{Known: cluster.Known{Endpoint: m.Coordinator, Sole: true}, Heard: m.Installed})
		c.wakeProbe(now, m.Coordinator)
	}
}

func (s *probes) findNonce(nonce uint64) *probe {
	if nonce == 0 {
		return nil
	}
	for _, p := range s.byAddr {
		if p.nonce == nonce {
			return p
		}
	}
	return nil
}

// foundGroup plans a round that takes another group in, or adds it to the one that is asking.
func (c *Core) foundGroup(now time.Time, g *group) {
	old := c.gather.found[g.coordinator]
	c.gather.found[g.coordinator] = g
	fresh := old == nil || old.epoch != g.epoch
	if fresh {
		c.event(Event{Kind: EventFound, Node: g.coordinator, Epoch: g.epoch, Count: len(g.members)})
	}
	if c.round != nil && c.round.phase == phaseReplies {
		c.askGroup(g)
		return
	}
	planned := !c.gather.at.IsZero()
	c.trigger(now)
	if !planned || !fresh {
		return
	}
	limit := c.gather.started.Add(c.cfg.GatherMax)
	slid := now.Add(c.cfg.GatherDelay + c.jitter(c.cfg.GatherDelay))
	if slid.After(c.gather.at) && slid.Before(limit) {
		c.gather.at = slid
	}
}
