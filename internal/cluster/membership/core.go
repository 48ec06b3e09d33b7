package membership

import (
	"math/rand/v2"
	"time"

	"porcupine/internal/cluster"
)

// Core is the membership protocol of one node. One owner, no lock: calls must not overlap, and
// now never goes back. Every call returns an Output that must be obeyed.
type Core struct {
	cfg Config
	rng *rand.Rand

	// promised is the largest epoch proposed, promised or installed. Invariant: view.Epoch <=
	// promised. It is durable before any message tells of it.
	promised cluster.Epoch
	seen     uint64 // Lamport clock: the largest counter of any epoch heard of
	view     *cluster.View
	contacts contacts
	sole     bool // this node's own Sole flag
	nonce    uint64
	boot     uint64 // this process's Life
	process  uint64
	past     Life                     // the last promise of the processes before
	last     Life                     // and of this one
	found    uint64                   // Persistent.Found
	durable  uint64                   // SetDurable
	absences absences                 // who is not a member, and how long: absence.go
	claims   map[cluster.NodeID]claim // life.go

	ring      ring       // failure detection: watch.go
	probes    probes     // the search for other groups: probe.go
	penalties penalties  // nodes that come and go too often: penalty.go
	promise   promise    // another coordinator's round: participant.go
	gather    gather     // reasons for a round of our own: coordinator.go
	round     *round     // a round of our own, or nil: coordinator.go
	pullNext  time.Time  // no ViewRequest before
	leave     *time.Time // not nil: on its way out, until then at most
	left      bool       // out
	due       time.Time  // the Next given last
	out       Output     // what this call has produced so far
}

// New starts a node as a group of one, in an epoch above all it ever promised. The first Output
// holds that view and must be obeyed like all others. rng is the core's own from now on. The
// error is of cluster.KindInvalid and names the field of the configuration.
func New(cfg Config, p Persistent, now time.Time, rng *rand.Rand) (*Core, Output, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, Output{}, err
	}
	c := &Core{
		cfg:       cfg,
		rng:       rng,
		promised:  p.Promised,
		seen:      p.Promised.Counter,
		contacts:  newContacts(cfg.Self.ID, p.Contacts),
		nonce:     rng.Uint64(),
		probes:    newProbes(),
		penalties: penalties{},
		boot:      p.Boot + 1,
		past:      p.Last,
		last:      p.Last,
		found:     foundSince(p, cfg.Found),
		absences:  newAbsences(p.Absences, now),
		claims:    map[cluster.NodeID]claim{},
	}
	c.process = max(c.nonce, 1)
	c.foundAlone(now)
	return c, c.flush(now), nil
}

// View gives the installed view; never nil.
func (c *Core) View() *cluster.View { return c.view }

// Known lists all nodes ever met and not removed, this one included, ascending by id. The slice
// is the caller's.
func (c *Core) Known() []cluster.Known {
	out := make([]cluster.Known, 0, len(c.contacts.byID)+1)
	self := cluster.Known{Endpoint: c.cfg.Self, Sole: c.sole}
	placed := false
	for _, k := range c.contacts.list() {
		if !placed && self.ID < k.ID {
			out, placed = append(out, self), true
		}
		if !k.Removed {
			out = append(out, k.Known)
		}
	}
	if !placed {
		out = append(out, self)
	}
	return out
}

// Step takes a message from another node. A message that makes no sense is dropped with an event.
func (c *Core) Step(now time.Time, m Message) Output {
	if c.left || !c.admit(now, m) {
		return c.flush(now)
	}
	c.awake(now)
	switch m.Kind {
	case KindPing:
		c.onPing(now, m)
	case KindPong:
		c.onPong(now, m)
	case KindProbe:
		c.onProbe(now, m)
	case KindProbeAck:
		c.onProbeAck(now, m)
	case KindNewGroup:
		c.onNewGroup(now, m)
	case KindReply:
		c.onReply(now, m)
	case KindReject:
		c.onReject(now, m)
	case KindView:
		c.onView(now, m)
	case KindViewAck:
		c.onViewAck(now, m)
	case KindViewRequest:
		c.sendView(m.From)
	}
	return c.flush(now)
}

// Tick does what is due. Calling it too early does nothing.
func (c *Core) Tick(now time.Time) Output {
	if c.left {
		return c.flush(now)
	}
	c.awake(now)
	if c.leave != nil && !now.Before(*c.leave) {
		c.finishLeave()
		return c.flush(now)
	}
	c.tickPromise(now)
	c.tickRing(now)
	c.tickRound(now)
	c.tickGather(now)
	c.tickProbes(now)
	c.tickAbsences(now)
	return c.flush(now)
}

// SetDurable says how far this node's disk has come: a number that grows with every commit that is
// durable, and none that a crash may still undo. A process that begins later finds at least that
// (Config.Found). It sends nothing by itself: every message carries it.
func (c *Core) SetDurable(n uint64) { c.durable = max(c.durable, n) }

// Suspect says that a call to a member timed out or was refused. The core pings the node at
// once, fast, and starts a round if it does not answer; one failed call alone changes nothing.
// Cheap; nodes that are not members are ignored.
func (c *Core) Suspect(now time.Time, id cluster.NodeID) Output {
	if !c.left {
		c.awake(now)
		c.doubt(now, id)
		c.tickRing(now)
	}
	return c.flush(now)
}

// Leave is the orderly shutdown: the others get a view without this node at once, and nobody has
// to time out. The core goes on working until an Output has Left set: at once for a
// group of one, after two round trips otherwise, and at the latest after ReplyTimeout +
// ViewTimeout when nobody answers.
func (c *Core) Leave(now time.Time) Output {
	if c.left || c.leave != nil {
		return c.flush(now)
	}
	c.awake(now)
	until := now.Add(c.cfg.ReplyTimeout + c.cfg.ViewTimeout)
	c.leave = &until
	if len(c.view.Members) == 1 {
		c.finishLeave()
	} else if c.round == nil || c.round.phase != phaseReplies {
		c.startRound(now)
	}
	return c.flush(now)
}

func (c *Core) finishLeave() {
	c.left = true
	c.out.Left = true
	c.event(Event{Kind: EventLeft})
}

// AddPeer gives the address of some node of the cluster (from the configuration or a join). It is
// probed while its node is not a member, for the life of the process.
func (c *Core) AddPeer(now time.Time, addr string) Output {
	if !c.left && addr != "" && addr != c.cfg.Self.Addr {
		c.probes.addPeer(now, addr)
		c.tickProbes(now)
	}
	return c.flush(now)
}

// SetSole records a node's Sole flag (this one's or a member's), as last heard from it.
func (c *Core) SetSole(now time.Time, id cluster.NodeID, sole bool) Output {
	if id == c.cfg.Self.ID {
		c.sole = sole
	} else if k, ok := c.contacts.byID[id]; ok && !k.Removed {
		k.Sole = sole
		c.contacts.put(k)
	}
	return c.flush(now)
}

// Forget strikes an absent node, here and, by a round, at all members: it is refused for ever under
// that id. It asks for no majority: who calls it knows that the node will not come back, or may
// come back empty. The error is of cluster.KindInvalid for this node and for members,
// of cluster.KindNotFound for a node not known.
func (c *Core) Forget(now time.Time, id cluster.NodeID) (Output, error) {
	op := "forget node " + id.String()
	if c.view.Contains(id) {
		return c.flush(now), cluster.Errorf(cluster.KindInvalid, op, "it is a member: stop it first")
	}
	k, ok := c.contacts.byID[id]
	if !ok || k.Removed {
		return c.flush(now), cluster.Errorf(cluster.KindNotFound, op, "no such node is known")
	}
	c.strike(now, id)
	return c.flush(now), nil
}

// awake notices that this process stood still: then the silence of others proves nothing.
func (c *Core) awake(now time.Time) {
	if c.due.IsZero() || now.Sub(c.due) <= c.cfg.PauseMax {
		return
	}
	gap := now.Sub(c.due)
	c.event(Event{Kind: EventPaused, For: gap})
	c.due = now
	c.ring.restart(now)
	c.absences.shift(gap)
	if c.round != nil {
		c.round.deadline = c.round.deadline.Add(gap)
		c.round.resendAt = now
	}
	if c.promise.active() {
		c.promise.until = c.promise.until.Add(gap)
	}
}

// acting reports which member acts as coordinator between rounds: the one that made the view, or
// the first if that one has left. Only it probes, and only it agrees to merge.
func acting(v *cluster.View) cluster.Member {
	if m, ok := v.Member(v.Epoch.Coordinator); ok {
		return m
	}
	return v.Members[0]
}

func (c *Core) isActing() bool { return acting(c.view).ID == c.cfg.Self.ID }

// nextEpoch gives an epoch above all this node ever heard of or promised, and promises it.
func (c *Core) nextEpoch() cluster.Epoch {
	c.promised = cluster.Epoch{Counter: max(c.seen, c.promised.Counter) + 1, Coordinator: c.cfg.Self.ID}
	c.seen = c.promised.Counter
	c.contacts.dirty = true
	return c.promised
}

// noteStay remembers that this process may come to be a member in that epoch.
func (c *Core) noteStay(epoch cluster.Epoch) {
	c.last = Life{Boot: c.boot, Process: c.process, In: epoch}
	c.contacts.dirty = true
}

// jitter gives a random part of d.
func (c *Core) jitter(d time.Duration) time.Duration {
	return time.Duration(c.rng.Int64N(int64(d) + 1))
}

func (c *Core) event(e Event) { c.out.Events = append(c.out.Events, e) }

// send fills in what every message carries.
func (c *Core) send(to cluster.Endpoint, m Message) {
	m.From, m.Sole = c.cfg.Self, c.sole
	m.Boot, m.Process, m.Last = c.boot, c.process, c.past
	m.Found = c.found
	if c.last.Boot == c.boot && c.last.Process == c.process { // else the next process tells what this one found
		m.Durable = c.durable
	}
	m.Installed, m.Size = c.view.Epoch, len(c.view.Members)
	m.Member = to.ID != cluster.NoNode && c.view.Contains(to.ID)
	c.out.Send = append(c.out.Send, Envelope{To: to, Message: m})
}

// flush ends a call: what it produced, what must be durable, and when to come back.
func (c *Core) flush(now time.Time) Output {
	out := c.out
	c.out = Output{}
	for _, id := range c.contacts.struck {
		out.Events = append(out.Events, Event{Kind: EventRemoved, Node: id})
	}
	c.contacts.struck = nil
	if c.contacts.dirty {
		c.trackAbsences(now)
		c.contacts.dirty = false
		out.Persist = &Persistent{Promised: c.promised, Contacts: c.contacts.list(), Boot: c.boot, Last: c.last, Found: c.found,
			Absences: c.absences.list(now)}
	}
	if c.left {
		return out
	}
	out.Next = c.deadline()
	if !out.Next.IsZero() && !out.Next.After(now) {
		out.Next = now.Add(time.Millisecond)
	}
	c.due = out.Next
	return out
}

// deadline gives the earliest time at which anything is due, zero if nothing is.
func (c *Core) deadline() time.Time {
	var next time.Time
	note := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, w := range c.ring.watches {
		note(w.next)
	}
	if c.round != nil {
		note(c.round.deadline)
		note(c.round.resendAt)
	} else {
		note(c.gatherDue())
	}
	note(c.promise.until)
	note(c.absences.next)
	if c.isActing() {
		note(c.probes.next)
	}
	if c.leave != nil {
		note(*c.leave)
	}
	return next
}
