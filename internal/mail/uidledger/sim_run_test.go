package uidledger

import (
	"container/heap"
	"fmt"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// simFlags are those that clients set.
func simFlags() []mail.Flag { return []mail.Flag{mail.FlagSeen, mail.FlagFlagged, "$junk"} }

// run plays one seed: rounds of broken times and quiet ones. It returns what broke, if anything did.
func (w *world) run() (bad *simBad) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case simBad:
			bad = &x
		default:
			bad = &simBad{"panic", fmt.Sprint(x)}
			if w.trace != nil {
				panic(x)
			}
		}
	}()
	for _, m := range w.managers {
		m.open()
	}
	for range 2 + w.rng.IntN(2) {
		w.faulty = true
		for range 100 + w.rng.IntN(250) {
			w.step(1 + w.rng.Int64N(6))
			w.act()
		}
		if w.heal(); w.stuck(nil) {
			return nil
		}
	}
	return nil
}

// step lets time pass.
func (w *world) step(d int64) {
	until := w.now + d
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

// act does one thing of a broken time.
func (w *world) act() {
	s := w.managers[w.rng.IntN(len(w.managers))]
	live := w.live()
	switch k := w.rng.IntN(1000); {
	case k < 150:
		for range 1 + w.rng.IntN(w.burst) {
			w.deliver()
		}
	case k < 430:
		if s.ready() {
			w.clients[w.rng.IntN(len(w.clients))].sync(s)
		}
	case k < 540:
		if s.ready() {
			s.clientWrites()
		}
	case k < 740:
		w.gossip(live[w.rng.IntN(len(live))], live[w.rng.IntN(len(live))])
	case k < 890:
		if s.ready() {
			s.list()
			s.drive()
		}
	case k < 930:
		if s.ready() {
			s.readAll()
			s.drive()
		}
	case k < 950:
		w.cut()
	case k < 965 && s.m != nil:
		w.counts.crashes++
		s.crash()
	case k < 980:
		if s.m == nil && !s.node.lost {
			s.open()
		}
	case k < 988:
		w.counts.pauses++
		s.paused = w.now + w.rng.Int64N(300)
		w.note("manager %d stands still until %d", s.i, s.paused)
	default:
		w.rare(k, s)
	}
}

func (w *world) rare(k int, s *simManager) {
	switch {
	case k < 994 && s.ready():
		s.propose()
	case k < 996:
		w.lose()
	case k < 997 && s.ready() && w.chance(20):
		w.forgetful = true
		s.m.Renew(s.m.Set().UIDValidity + 1)
		s.drive()
	case k >= 997:
		live := w.live()
		w.drain(live[w.now%int64(len(live))])
	}
}

// propose wants other replicas: without those that are lost.
func (s *simManager) propose() {
	live := s.w.live()
	var nodes []cluster.NodeID
	for range 1 + s.w.rng.IntN(5) {
		nodes = append(nodes, live[s.w.rng.IntN(len(live))].id())
	}
	set := cluster.NewReplicaSet(nodes...)
	s.w.note("manager %d wants %v", s.i, set)
	if err := s.m.Propose(set); err != nil {
		s.w.fail("L9", "%v", err)
	}
	s.extra = set
	s.readAll()
	s.drive()
}

// clientWrites changes something, for a client of this manager.
func (s *simManager) clientWrites() {
	w, v := s.w, s.m.View()
	if !v.Opened() {
		return
	}
	if w.chance(8) {
		s.moveIn()
	}
	if v.Len() == 0 {
		return
	}
	pick := w.rng.IntN(v.Len())
	var e Entry
	v.Range(1, UIDMax, func(x *Entry) bool {
		e = *x
		pick--
		return pick >= 0
	})
	switch k := w.rng.IntN(100); {
	case k < 60:
		flags := simFlags()
		r := Register{Flag: flags[w.rng.IntN(len(flags))], On: w.chance(60), Stamp: w.stamp(s.node.i)}
		if err := s.m.SetFlags(Flagging{UID: e.UID, Register: r}); err != nil {
			w.fail("D4", "%v", err)
		}
		w.note("manager %d sets %v of %x UID %d", s.i, r, e.ID[:8], e.UID)
		s.wants = append(s.wants, simWant{uid: e.UID, id: e.ID, reg: r})
	case k < 85:
		var gone []Entry
		v.Range(e.UID, UIDMax, func(x *Entry) bool {
			gone = append(gone, *x)
			return len(gone) < 1+v.Len()/8
		})
		for _, x := range gone {
			if s.store(x.ID, func(m *simMail) { m.deleted = true }) {
				s.m.Expunge(mail.NewUIDSet(x.UID))
				s.wants = append(s.wants, simWant{uid: x.UID, id: x.ID, expunge: true})
				continue
			}
			w.counts.blind++
			w.note("manager %d: message %x UID %d lies where nobody can be reached, and is expunged", s.i, x.ID[:8], x.UID)
			s.m.Condemn(w.stamp(s.node.i), mail.NewUIDSet(x.UID))
			s.wants = append(s.wants, simWant{uid: x.UID, id: x.ID, expunge: true, validity: v.UIDValidity()})
		}
	default:
		s.store(e.ID, func(m *simMail) { m.in, m.stay = false, w.stamp(s.node.i) })
		s.list()
	}
	s.drive()
}

// store changes what is known of a message at the nodes that have it: of a move some of them hear later.
func (s *simManager) store(id mail.MessageID, change func(*simMail)) bool {
	var x simMail
	done := false
	for _, n := range s.w.live() {
		m, ok := n.mail[id]
		if !ok || !s.w.both(s.node.i, n.i) {
			continue
		}
		first := !done
		if first {
			x, done = m, true
			change(&x)
		}
		if first || x.deleted || s.w.chance(60) {
			n.put(id, x)
		}
	}
	if done {
		s.w.note("manager %d: message %x is deleted %t, in the folder %t", s.i, id[:8], x.deleted, x.in)
	}
	return done
}

// moveIn brings a message back that was moved out.
func (s *simManager) moveIn() {
	var id mail.MessageID
	found := false
	for x, m := range s.told {
		if !m.in && !m.deleted && (!found || string(x[:]) < string(id[:])) {
			id, found = x, true
		}
	}
	if found {
		s.store(id, func(m *simMail) { m.in, m.stay = true, s.w.stamp(s.node.i) })
		s.list()
	}
}

// heal makes everything whole, and checks that all is well.
func (w *world) heal() {
	w.note("all heals")
	w.faulty = false
	for i := range w.nodes {
		w.connect(i, true)
	}
	for _, m := range w.managers {
		m.paused = min(m.paused, w.now)
	}
	for _, n := range w.live() {
		w.undrain(n)
	}
	w.step(400) // what is under way ends
	w.spread()
	s := w.managers[w.rng.IntN(len(w.managers))]
	if s.node.lost {
		s.node = w.live()[0]
	}
	if s.m == nil || w.chance(50) {
		s.open()
	}
	w.settle(s)
	if w.stuck(s) {
		return
	}
	if set := s.m.Set(); set.equal(&w.first) || w.chance(50) || w.anyLost() {
		s.propose()
		w.settle(s)
	}
	if w.stuck(s) { // what was decided now was proposed before a loss
		return
	}
	w.check.quiet(s)
	w.spread()
	t := w.managers[w.rng.IntN(len(w.managers))]
	if t.node.lost {
		t.node = w.live()[0]
	}
	for _, m := range w.managers {
		if m != t && m != s && w.chance(50) && m.m != nil {
			m.crash()
		}
	}
	if w.chance(30) { // though managers are left that know of older times
		h := s.m.View().HighestModSeq()
		w.counts.forgotten++
		s.m.Forget(h - min(h, mail.ModSeq(w.rng.IntN(20))))
		w.settle(s)
		if w.stuck(s) {
			return
		}
		w.check.quiet(s)
		w.spread()
	}
	if t != s { // another one sees the same, and writes nothing new
		t.open()
		w.settle(t)
		if w.stuck(t) {
			return
		}
		if !t.m.View().Continues(s.m.View().Mark()) {
			w.fail("C1", "manager %d has read all, and a session of manager %d may not go on with it", t.i, s.i)
		}
		w.check.quiet(t)
	}
	w.check.retired += w.check.retiredNow
}

func (w *world) anyLost() bool {
	for _, n := range w.nodes {
		if n.lost && w.member(n) {
			return true
		}
	}
	return false
}

// settle has a manager do all that is to do, with everything reachable.
func (w *world) settle(s *simManager) {
	for range 3 {
		s.readAll2()
		s.list()
		s.drive()
		w.step(300)
		for n := 0; s.busy && n < 20; n++ { // many chunks, a few in each step
			w.step(300)
		}
	}
}

// readAll2 reads all again, also what is written to: other managers wrote there.
func (s *simManager) readAll2() {
	if s.busy {
		return
	}
	for _, n := range s.w.live() {
		set := s.m.Set()
		if _, member := set.lane(n.id()); member {
			s.m.Lost(n.id())
		}
	}
	s.readAll()
}
