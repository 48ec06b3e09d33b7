package uidledger

import (
	"maps"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// simCheck is what must hold, and the counts of a run.
type simCheck struct {
	w       *world
	means   map[simUID]mail.MessageID // U1: what a UID was ever shown for
	dead    map[simUID]int64          // U2: shown as gone when all was quiet
	flags   map[simFlag]simPromise
	deleted map[mail.MessageID]uint32 // D4: expunges that were acknowledged: see simWant.validity
	granted [counters][]simGrant

	validity                     uint32      // the greatest shown
	viewing                      *simManager // whose view is looked at
	reveals, retired, retiredNow int
}

type simUID struct {
	validity uint32
	uid      mail.UID
}

type simFlag struct {
	id   mail.MessageID
	flag mail.Flag
}

// simPromise is a write that was acknowledged, and the message's stay at that time.
type simPromise struct {
	stamp, stay cluster.Timestamp
	validity    uint32 // when UIDVALIDITY grows, what the deciding manager did not know of is lost
}

type simGrant struct {
	validity uint32
	manager  int
	life     int
	r        Range
}

func newSimCheck(w *world) simCheck {
	return simCheck{w: w, means: map[simUID]mail.MessageID{}, dead: map[simUID]int64{}, flags: map[simFlag]simPromise{}, deleted: map[mail.MessageID]uint32{}}
}

// see checks U1 and U2 whenever anybody is shown a message.
func (c *simCheck) see(validity uint32, uid mail.UID, id mail.MessageID) {
	key := simUID{validity, uid}
	old, ok := c.means[key]
	if ok && old != id {
		c.w.fail("U1", "UID %d is shown for message %x, and was for %x", uid, id[:8], old[:8])
	}
	if at, dead := c.dead[key]; dead && c.viewing.opened > at {
		c.w.fail("U2", "UID %d of message %x was gone, and is shown again", uid, id[:8])
	}
	if !ok {
		c.means[key] = id
		c.reveals++
	}
}

// shown checks a view that may be new.
func (c *simCheck) shown(s *simManager) {
	v := s.m.View()
	c.viewing = s
	if v.UIDValidity() < s.valid {
		c.w.fail("U4", "UIDVALIDITY goes back from %d to %d", s.valid, v.UIDValidity())
	}
	if v.UIDValidity() > s.valid {
		if highest := max(c.validity, c.w.first.UIDValidity); v.UIDValidity() > highest {
			c.w.counts.validities++
		}
		c.validity = max(c.validity, v.UIDValidity())
		s.valid, s.shownN, s.shownH = v.UIDValidity(), 1, 0
	}
	if v.UIDNext() < s.shownN || v.HighestModSeq() < s.shownH {
		c.w.fail("U6", "manager %d: UIDNEXT %d after %d, HIGHESTMODSEQ %d after %d", s.i, v.UIDNext(), s.shownN, v.HighestModSeq(), s.shownH)
	}
	v.Range(s.shownN, UIDMax, func(e *Entry) bool {
		c.see(s.valid, e.UID, e.ID)
		if e.UID >= v.UIDNext() {
			c.w.fail("U4", "UID %d is shown, and UIDNEXT is %d", e.UID, v.UIDNext())
		}
		return true
	})
	if s.m.Waiting() == nil && c.w.chance(10) {
		c.durable(s, v)
	}
	s.shownN, s.shownH = v.UIDNext(), v.HighestModSeq()
}

// durable checks L4: the head of each node that is written to says that this much was shown, and its chunks have the
// newest message.
func (c *simCheck) durable(s *simManager, v *View) {
	for _, node := range s.m.Reached() {
		n := c.w.nodes[node-1]
		if n.lost || v.next[ModSeqs] == 0 {
			continue
		}
		h, err := ParseHead(n.head)
		if err != nil {
			c.w.fail("L4", "node %d has no head that says so: %v", n.i, err)
		}
		if h.UIDValidity == v.UIDValidity() && (h.Shown[UIDs].Next < v.next[UIDs] || h.Shown[ModSeqs].Next < v.next[ModSeqs]) {
			c.w.fail("L4", "node %d has a head up to %d and %d, shown is %d and %d", n.i, h.Shown[UIDs].Next, h.Shown[ModSeqs].Next, v.next[UIDs], v.next[ModSeqs])
		}
		v.Range(s.shownN, UIDMax, func(e *Entry) bool {
			number := uint32(e.UID) / ChunkSlots
			have, err := parseChunk(n.chunks[number], newNames())
			if err != nil {
				c.w.fail("L4", "UID %d is shown, node %d does not have it: %v", e.UID, n.i, err)
			}
			if _, ok := have.find(uint8(e.UID % ChunkSlots)); !ok && have.uidValidity == v.UIDValidity() {
				c.w.fail("L4", "UID %d is shown, node %d does not have it", e.UID, n.i)
			}
			return true
		})
	}
}

// grants checks that leases are disjoint (L2, L3).
func (c *simCheck) grants(s *simManager) {
	if c.w.naive {
		return
	}
	for counter := range s.m.spans {
		for _, r := range s.m.spans[counter] {
			mine := false
			for i := range c.granted[counter] {
				g := &c.granted[counter][i]
				if g.validity != s.m.set.UIDValidity || r.First > g.r.Last || r.Last < g.r.First {
					continue
				}
				if g.manager != s.i || g.life != s.life {
					c.w.fail("U1", "%v %d to %d were granted to manager %d, and %d to %d to manager %d", Counter(counter), g.r.First, g.r.Last, g.manager, r.First, r.Last, s.i)
				}
				if g.r.First <= r.First && r.Last <= g.r.Last {
					mine = true
				}
			}
			if !mine {
				c.granted[counter] = append(c.granted[counter], simGrant{s.m.set.UIDValidity, s.i, s.life, r})
			}
		}
	}
}

// handOn says that the leases of a manager's earlier life are its present one's.
func (c *simCheck) handOn(s *simManager, before int) {
	for counter := range c.granted {
		for i := range c.granted[counter] {
			if g := &c.granted[counter][i]; g.manager == s.i && g.life == before {
				g.life = s.life
			}
		}
	}
}

// departures checks that no departure has ended a later stay (D4). When all is told again the message gets another UID,
// so that nothing is seen of it when all is whole: it is looked at before.
func (c *simCheck) departures(s *simManager) {
	if s.m.Waiting() != nil || s.m.unsettled || len(s.m.wishes) > 0 {
		return
	}
	ids := slices.SortedFunc(maps.Keys(s.later), func(a, b mail.MessageID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		uid := s.later[id]
		cell, i, ok := s.m.find(uid)
		if _, pending := s.m.pending.at[id]; !ok || pending || len(s.m.ids.all[id]) > 1 {
			continue // it was given another UID
		}
		if x := &cell.work.slots[i]; x.state == retired {
			c.w.fail("D4", "UID %d of message %x, there since %v, was ended by its departure at %v", uid, id[:8], x.stay, s.told[id].stay)
		}
	}
	s.later = nil
}

// acknowledge reports whether a client was told that its change is done, and keeps the promise in mind (D4).
func (c *simCheck) acknowledge(s *simManager, x simWant) bool {
	v := s.m.View()
	if x.expunge {
		if _, still := v.Get(x.uid); still {
			return false
		}
		if x.validity != 0 && s.m.Waiting() != nil {
			return false // the UID went because the message needs another one; the mark waits for numbers
		}
		if validity, before := c.deleted[x.id]; !before || validity != 0 {
			c.deleted[x.id] = x.validity
		}
		return true
	}
	for _, r := range v.Registers(x.uid) {
		if r.Flag == x.reg.Flag && r.Stamp.Compare(x.reg.Stamp) >= 0 {
			key := simFlag{x.id, x.reg.Flag}
			if c.flags[key].stamp.Compare(x.reg.Stamp) < 0 {
				c.w.note("acknowledged by manager %d: %v of %x UID %d", s.i, x.reg, x.id[:8], x.uid)
				e, _ := v.Get(x.uid)
				c.flags[key] = simPromise{x.reg.Stamp, e.Stay, v.UIDValidity()}
			}
			return true
		}
	}
	return false
}

// quiet checks what must hold when all is whole: s has read everything, and shows it.
func (c *simCheck) quiet(s *simManager) {
	v, w := s.m.View(), c.w
	if err := s.m.Waiting(); err != nil || !v.Opened() {
		w.fail("L2", "all is whole, and manager %d waits: %v", s.i, err)
	}
	c.conserved(v)
	for _, client := range w.clients {
		if client.kind == qresync && v.UIDValidity() == client.validity && v.Behind(client.validity, client.h, 0, client.uids()) {
			w.fail("U6", "a QRESYNC client is ahead of all: %d with %v, the folder is at %d and %d", client.h, client.uids(), v.HighestModSeq(), v.UIDNext())
		}
		client.sync(s)
		client.equal(v, "U5")
	}
	c.retiredNow = 0
	for _, cell := range s.m.order {
		for i := range cell.shown.slots {
			x := &cell.shown.slots[i]
			if x.state != live {
				c.dead[simUID{v.UIDValidity(), mail.UID(cell.shown.uid(x.index))}] = w.now
			}
			if x.state == retired {
				c.retiredNow++
			}
		}
	}
}

// conserved checks that exactly the messages that are there are shown, once, with the flags that were promised (D4).
func (c *simCheck) conserved(v *View) {
	w := c.w
	have := map[mail.MessageID]mail.UID{}
	v.Range(1, UIDMax, func(e *Entry) bool {
		if other, twice := have[e.ID]; twice {
			w.fail("U1", "message %x is shown as UID %d and %d", e.ID[:8], other, e.UID)
		}
		have[e.ID] = e.UID
		if validity, gone := c.deleted[e.ID]; gone && (validity == 0 || validity == v.UIDValidity()) {
			w.fail("D4", "message %x was expunged, and is shown", e.ID[:8])
		}
		return true
	})
	lies := w.live()[0].mail
	for _, id := range slices.SortedFunc(maps.Keys(lies), func(a, b mail.MessageID) int { return slices.Compare(a[:], b[:]) }) {
		m := lies[id]
		u, there := have[id]
		if there != (m.in && !m.deleted) {
			w.fail("D4", "message %x, UID %d: shown %t; in the folder %t, deleted %t", id[:8], u, there, m.in, m.deleted)
		}
	}
	for key, promise := range c.flags {
		u, there := have[key.id]
		if !there || promise.validity != v.UIDValidity() {
			continue
		}
		if e, _ := v.Get(u); e.Stay != promise.stay && w.forgetful {
			continue // it was moved out and in: who brings a message back brings its flags
		}
		stamp, ok := promise.stamp, false
		for _, r := range v.Registers(u) {
			ok = ok || r.Flag == key.flag && r.Stamp.Compare(stamp) >= 0
		}
		if !ok {
			w.fail("D4", "flag %s of message %x, UID %d was acknowledged with stamp %v: %v", key.flag, key.id[:8], u, stamp, v.Registers(u))
		}
	}
}
