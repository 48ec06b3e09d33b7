package uidledger

import (
	"slices"
	"strings"

	"porcupine/internal/mail"
)

// clientKind is how a client keeps up with the folder.
type clientKind uint8

const (
	follower  clientKind = iota // fetches what is at or above the UIDNEXT that it was told
	lister                      // lists everything each time
	condstore                   // lists the UIDs, fetches the unknown, asks CHANGEDSINCE for the others
	qresync                     // never lists: CHANGEDSINCE and VANISHED
	idler                       // stays in one session, which moves from manager to manager where it may
	clientKinds
)

func (k clientKind) String() string {
	return [...]string{"UIDNEXT follower", "full lister", "CONDSTORE client", "QRESYNC client", "IDLE client"}[k]
}

// simClient is one client, with what it believes. It hops between managers.
type simClient struct {
	w        *world
	kind     clientKind
	validity uint32
	next     mail.UID
	h        mail.ModSeq
	seen     map[mail.UID]simEntry
	on       *simManager // of an IDLE session
	life     int
	mark     Mark
}

type simEntry struct {
	id    mail.MessageID
	flags string
}

func newSimClient(w *world, kind clientKind) *simClient {
	return &simClient{w: w, kind: kind, seen: map[mail.UID]simEntry{}}
}

func (c *simClient) reset(v *View) {
	c.validity, c.next, c.h, c.seen = v.UIDValidity(), 1, 0, map[mail.UID]simEntry{}
}

func (c *simClient) take(e *Entry) {
	c.w.check.see(c.validity, e.UID, e.ID)
	c.seen[e.UID] = entryOf(e)
}

func entryOf(e *Entry) simEntry {
	if len(e.Flags) == 0 {
		return simEntry{id: e.ID}
	}
	names := make([]string, len(e.Flags))
	for i, f := range e.Flags {
		names[i] = string(f)
	}
	return simEntry{e.ID, strings.Join(names, " ")}
}

// sync brings the client up to what a manager shows.
func (c *simClient) sync(s *simManager) {
	v := s.m.View()
	c.w.check.viewing = s
	if !v.Opened() || v.UIDValidity() < c.validity {
		return
	}
	if c.kind == idler {
		c.idle(s, v)
		return
	}
	if v.UIDValidity() > c.validity {
		c.reset(v)
	}
	all := mail.UID(UIDMax)
	switch c.kind {
	case follower:
		v.Range(c.next, all, func(e *Entry) bool { c.take(e); return true })
	case lister:
		clear(c.seen)
		v.Range(1, all, func(e *Entry) bool { c.take(e); return true })
	case condstore:
		known := c.seen
		c.seen = make(map[mail.UID]simEntry, len(known))
		for u := range v.UIDs().All() {
			if old, ok := known[u]; ok {
				c.seen[u] = old
			} else if e, ok := v.Get(u); ok {
				c.take(&e)
			}
		}
		v.ChangedSince(c.h, func(e *Entry) bool { c.take(e); return true })
	case qresync:
		known := c.uids()
		if v.Behind(c.validity, c.h, 0, known) {
			return // NO [UNAVAILABLE] (L13)
		}
		c.changes(v, known)
	}
	c.next, c.h = max(c.next, v.UIDNext()), v.HighestModSeq()
}

func (c *simClient) uids() mail.UIDSet {
	keys := make([]mail.UID, 0, len(c.seen))
	for u := range c.seen {
		keys = append(keys, u)
	}
	return mail.NewUIDSet(keys...)
}

func (c *simClient) changes(v *View, known mail.UIDSet) {
	for u := range v.VanishedSince(c.h, known).All() {
		delete(c.seen, u)
	}
	v.ChangedSince(c.h, func(e *Entry) bool { c.take(e); return true })
}

// idle is one look of a session that stays open: what changed is told, and then the client has exactly the view.
func (c *simClient) idle(s *simManager, v *View) {
	if c.on != s || c.life != s.life {
		if c.on == nil || !v.Continues(c.mark) {
			c.reset(v) // BYE, and a new session
		}
		c.w.note("idle client goes to manager %d, %d seen", s.i, len(c.seen))
		c.on, c.life = s, s.life
	} else if c.validity == v.UIDValidity() && !v.Continues(c.mark) {
		c.w.fail("C1", "manager %d may not go on with a session of its own", s.i)
	}
	if c.validity != v.UIDValidity() {
		c.reset(v)
	}
	if h := v.HighestModSeq(); h < c.h {
		c.w.fail("U6", "HIGHESTMODSEQ of a session goes back from %d to %d", c.h, h)
	}
	if n := v.UIDNext(); n < c.next {
		c.w.fail("U4", "UIDNEXT of a session goes back from %d to %d", c.next, n)
	}
	known := c.uids()
	fresh := c.next
	for u := range v.VanishedSince(c.h, known).All() {
		delete(c.seen, u)
	}
	v.ChangedSince(c.h, func(e *Entry) bool {
		if !known.Contains(e.UID) && e.UID < fresh {
			c.w.fail("U3", "message %x comes with UID %d after UIDNEXT was %d", e.ID[:8], e.UID, fresh)
		}
		c.take(e)
		return true
	})
	c.equal(v, "C1")
	c.w.note("idle client at manager %d: H %d N %d sk %v", s.i, v.HighestModSeq(), v.UIDNext(), s.m.head.Shown)
	c.next, c.h, c.mark = v.UIDNext(), v.HighestModSeq(), v.Mark()
}

// equal demands that the client has exactly what is shown.
func (c *simClient) equal(v *View, invariant string) {
	n := 0
	v.Range(1, UIDMax, func(e *Entry) bool {
		n++
		if got, ok := c.seen[e.UID]; !ok || got.id != e.ID || c.kind != follower && got != entryOf(e) {
			c.w.fail(invariant, "%v has %v for UID %d (there: %t), message %x with flags %v and modification sequence %d; its HIGHESTMODSEQ is %d, its UIDNEXT %d", c.kind, got, e.UID, ok, e.ID[:8], e.Flags, e.ModSeq, c.h, c.next)
		}
		return true
	})
	if c.kind != follower && len(c.seen) != n {
		extra := c.uids().Without(v.UIDs())
		c.w.fail(invariant, "%v has %d messages, %d are there; not there: %v; its HIGHESTMODSEQ is %d", c.kind, len(c.seen), n, slices.Clip(extra), c.h)
	}
}
