package uidledger

import (
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// simManager is the shell of one manager: it does what the room of the index does.
type simManager struct {
	w      *world
	i      int
	node   *simNode
	m      *Manager // nil: down
	life   int      // counts its starts: what belongs to an earlier one is dropped
	busy   bool     // a step is under way
	paused int64    // until then
	again  bool     // drive when the step is done
	told   map[mail.MessageID]simMail
	shownN mail.UID // to find what is new in the view
	shownH mail.ModSeq
	valid  uint32
	wants  []simWant
	extra  cluster.ReplicaSet // that shall become members
	opened int64
	resend bool                      // something was read: all is told again
	later  map[mail.MessageID]uint32 // UIDs of later stays than the departures that were told since something was read
}

// simWant is a change that a client waits for.
type simWant struct {
	uid     mail.UID
	id      mail.MessageID
	reg     Register
	expunge bool
	// validity is that under which it was condemned: if it grows, a mark that the deciding manager did not know of is lost. 0: it
	// was deleted.
	validity uint32
}

func (s *simManager) ready() bool {
	return s.m != nil && !s.busy && s.w.now >= s.paused && !s.node.lost
}

// open starts a manager with nothing in memory but, now and then, what is left of the leases of the one before.
func (s *simManager) open() {
	before := s.life
	s.life++
	c := Config{Self: cluster.NodeID(100 + s.i), First: s.w.first, Life: s.w.nextLife()}
	if s.m != nil && s.w.chance(60) {
		c.Unused = s.m.Unused()
		s.w.check.handOn(s, before)
	}
	s.m = New(c)
	s.m.rangesGood, s.m.chunksOnce = s.w.rangesGood, s.w.chunksOnce
	s.busy, s.wants, s.again = false, nil, false
	s.told, s.later = map[mail.MessageID]simMail{}, nil
	s.shownN, s.shownH, s.valid = 0, 0, 0
	s.extra, s.opened = nil, s.w.now
	s.w.note("manager %d opens at node %d", s.i, s.node.i)
	s.readAll()
	s.list()
	s.drive()
}

func (s *simManager) crash() {
	s.life++
	s.m, s.busy = nil, false
	s.w.note("manager %d crashes", s.i)
}

// readAll reads every replica that can be reached and is not written to. Others are news.
func (s *simManager) readAll() {
	for range 3 { // a newer set has other members
		for _, n := range s.w.live() {
			if s.w.both(s.node.i, n.i) {
				s.read(n)
			}
		}
	}
}

func (s *simManager) read(n *simNode) {
	set := s.m.Set()
	_, member := set.lane(n.id())
	member = member || s.extra.Contains(n.id())
	if member && s.m.Reached().Contains(n.id()) {
		return
	}
	if !member && n.head == nil && len(n.chunks) == 0 {
		return
	}
	s.w.note("manager %d reads node %d, full %t", s.i, n.i, member)
	s.resend, s.later = true, nil
	if err := s.m.Read(Snapshot{Node: n.id(), Full: member, Head: n.head, Chunks: n.chunks}); err != nil && !cluster.IsKind(err, cluster.KindUnavailable) {
		s.w.fail("R1", "%v", err)
	}
}

// list tells the manager what lies in the folder, as far as the nodes that it reaches know.
func (s *simManager) list() {
	s.bury()
	known := map[mail.MessageID]simMail{}
	for _, n := range s.w.live() {
		if !s.w.both(s.node.i, n.i) {
			continue
		}
		for id, m := range n.mail {
			if old, ok := known[id]; ok {
				if m.stay.Compare(old.stay) < 0 {
					m.stay, m.in = old.stay, old.in
				}
				m.deleted = m.deleted || old.deleted
			}
			known[id] = m
		}
	}
	ids := make([]mail.MessageID, 0, len(known))
	for id, m := range known {
		if old, ok := s.told[id]; s.resend || !ok || old != m {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b mail.MessageID) int { return slices.Compare(a[:], b[:]) })
	s.resend = false
	for _, id := range ids {
		s.tell(id, known[id])
	}
}

// bury deletes what lies on a node that can be reached and was expunged while none could: as far as that is durable.
func (s *simManager) bury() {
	if s.w.counts.blind == 0 || s.m.flight != idle || len(s.m.dirty) > 0 || !s.m.View().Opened() {
		return
	}
	s.m.Stays(func(st Stay) {
		if !st.Condemned.IsZero() {
			s.store(st.ID, func(m *simMail) { m.deleted = true })
		}
	})
}

func (s *simManager) tell(id mail.MessageID, m simMail) {
	if old, ok := s.told[id]; ok { // what it once saw it does not forget
		if m.stay.Compare(old.stay) < 0 {
			m.stay, m.in = old.stay, old.in
		}
		m.deleted = m.deleted || old.deleted
	}
	s.told[id] = m
	delete(s.later, id)
	switch {
	case m.deleted:
		s.m.Depart(Departure{ID: id, Deleted: true})
	case m.in:
		s.m.Arrive(Arrival{ID: id, Stay: m.stay})
	default:
		s.expectLater(id, m.stay)
		s.m.Depart(Departure{ID: id, Stay: m.stay})
	}
}

// expectLater notes a UID of a message that came back after it had left, which the manager has read of in the ledger
// and not heard of otherwise: the departure must not end it.
func (s *simManager) expectLater(id mail.MessageID, left cluster.Timestamp) {
	var buf [1]uint32
	for _, uid := range s.m.ids.uids(id, &buf) {
		if c, i, ok := s.m.find(uid); ok && c.work.slots[i].state == live && c.work.slots[i].stay.Compare(left) > 0 {
			if s.later == nil {
				s.later = map[mail.MessageID]uint32{}
			}
			s.later[id] = uid
		}
	}
}

// drive takes the next step, if there is one.
func (s *simManager) drive() {
	if s.busy || s.m == nil {
		s.again = true
		return
	}
	s.again = false
	if s.w.naive {
		s.simplify()
	}
	step, ok := s.m.Next()
	if !ok {
		s.settled()
		return
	}
	s.busy = true
	if len(step.Ask) > 0 {
		s.ask(step)
		return
	}
	s.write(step)
}

// simplify gives numbers without asking anybody: the largest and one, as if there were no other side.
func (s *simManager) simplify() {
	for c := range s.m.spans {
		first := max(s.m.top[c], s.m.lowest(Counter(c))-1) + 1
		s.m.spans[c] = Ranges{{first, first + 1<<16}}
	}
}

// simCall is one step under way: the answers that are missing.
type simCall struct {
	missing int
	done    bool
	answers []Answer
	durable map[cluster.NodeID]int
}

// call sends something to a node, and the answer back. A crash or a cut may lose either.
func (s *simManager) call(node cluster.NodeID, at func(n *simNode), back func()) {
	w, life := s.w, s.life
	n := w.nodes[node-1]
	if w.faulty && w.chance(2) {
		w.counts.packets++
		w.note("a packet of manager %d to node %d is lost", s.i, n.i)
		return
	}
	w.after(1+w.rng.Int64N(8), func() {
		if n.lost || !w.up[s.node.i][n.i] {
			return
		}
		at(n)
		w.after(1+w.rng.Int64N(4), func() {
			if w.up[n.i][s.node.i] && s.life == life {
				s.whenAwake(life, back)
			}
		})
	})
}

// whenAwake does something when the manager's process runs.
func (s *simManager) whenAwake(life int, do func()) {
	if wait := s.paused - s.w.now; wait > 0 {
		s.w.after(wait, func() { s.whenAwake(life, do) })
		return
	}
	if s.life == life && s.m != nil {
		do()
	}
}

func (s *simManager) timeout(call *simCall, end func()) {
	life := s.life
	s.w.after(40, func() { s.whenAwake(life, func() { s.finish(call, end) }) })
}

func (s *simManager) finish(call *simCall, end func()) {
	if call.done {
		return
	}
	call.done = true
	end()
	s.busy = false
	s.drive()
}

func (s *simManager) ask(step Step) {
	call := &simCall{missing: len(step.Ask)}
	end := func() { s.m.Answered(call.answers); s.w.check.grants(s) }
	for _, a := range step.Ask {
		request := a.Request
		var reply Reply
		var refused error
		s.call(a.Node, func(n *simNode) {
			if refused = s.w.recall(n, &request); refused != nil {
				s.w.note("node %d to manager %d: %v", n.i, s.i, refused)
				return
			}
			next, r, err := Decide(n.id(), n.grant, &request)
			if err != nil {
				s.w.fail("L2", "%v", err)
			}
			if next != nil {
				n.grant = next
			}
			reply = r
			s.w.note("node %d to manager %d: %v of %v: %v", n.i, s.i, request.Kind, request.Counter, reply.Verdict)
		}, func() {
			if call.done {
				return
			}
			call.answers = append(call.answers, Answer{Node: a.Node, Reply: reply, Err: refused})
			if call.missing--; call.missing == 0 {
				s.finish(call, end)
			}
		})
	}
	s.timeout(call, end)
}

func (s *simManager) write(step Step) {
	call := &simCall{missing: len(step.Write) * len(step.On), durable: map[cluster.NodeID]int{}}
	end := func() {
		var durable []cluster.NodeID
		for node, n := range call.durable {
			if n == len(step.Write) {
				durable = append(durable, node)
			}
		}
		s.w.note("manager %d: %d objects durable on %v of %v", s.i, len(step.Write), durable, step.On)
		s.m.Written(cluster.NewReplicaSet(durable...))
	}
	for _, node := range step.On {
		for _, o := range step.Write {
			_, kind, number, err := ParseID(o.ID)
			if err != nil {
				s.w.fail("L4", "%v", err)
			}
			s.call(node, func(n *simNode) {
				s.w.write(n, kind, uint32(number), o.Contents)
			}, func() {
				if call.done {
					return
				}
				call.durable[node]++
				if call.missing--; call.missing == 0 {
					s.finish(call, end)
				}
			})
		}
	}
	s.timeout(call, end)
}

// settled looks at what is shown now, and tells clients what they wait for.
func (s *simManager) settled() {
	if !s.m.View().Opened() || s.m.Torn() && !s.w.naive {
		if s.m.Torn() {
			s.w.fail("U1", "manager %d found a torn UID", s.i)
		}
		return
	}
	s.w.check.shown(s)
	s.w.check.departures(s)
	rest := s.wants[:0]
	for _, x := range s.wants {
		if !s.w.check.acknowledge(s, x) {
			rest = append(rest, x)
		}
	}
	s.wants = rest
	if s.m.Waiting() == nil {
		s.wants = nil // what is not done by now was for nothing: its UID went
	}
	if s.again {
		s.w.after(1, func() {
			if s.ready() {
				s.drive()
			}
		})
	}
}
