package membership

import (
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Failure detection (Porcupine §4.2). Every node pings its next neighbour on the ring of node
// ids; a member that a remote call could not reach is pinged too (Suspect). A pong echoes the
// ping's nonce, so it proves both directions of the link; any other message proves only one and
// clears nobody. A node is lost after a number of pings, not after a time: a process that itself
// stood still must ask again before it may judge.

// watch is one member that is being pinged.
type watch struct {
	to    cluster.Member
	next  time.Time // when the next ping is due
	first uint64    // nonce of the oldest ping since the last pong; 0: none is outstanding
	last  uint64    // nonce of the newest ping
	// misses counts the pings in a row that were not answered when the next one was due, since
	// the watch began or entered doubt.
	misses int
	doubt  bool
}

// ring is the set of watched members.
type ring struct {
	neighbour cluster.NodeID
	watches   map[cluster.NodeID]*watch
	lost      map[cluster.NodeID]bool // members of the view that did not answer, until the next view
}

// restart forgets what was measured before a pause.
func (r *ring) restart(now time.Time) {
	for _, w := range r.watches {
		w.misses, w.first, w.next = 0, 0, now
	}
}

// resetRing begins anew in a new view.
func (c *Core) resetRing(now time.Time) {
	c.ring = ring{watches: map[cluster.NodeID]*watch{}, lost: map[cluster.NodeID]bool{}}
	clear(c.claims)
	c.watchNeighbour(now)
}

// watchNeighbour watches the next member by id that is not lost, if it does not yet.
func (c *Core) watchNeighbour(now time.Time) {
	n := len(c.view.Members)
	self := slices.IndexFunc(c.view.Members, func(m cluster.Member) bool { return m.ID == c.cfg.Self.ID })
	c.ring.neighbour = cluster.NoNode
	for i := 1; i < n; i++ {
		m := c.view.Members[(self+i)%n]
		if c.ring.lost[m.ID] {
			continue
		}
		c.ring.neighbour = m.ID
		if c.ring.watches[m.ID] == nil {
			c.ring.watches[m.ID] = &watch{to: m, next: now.Add(c.jitter(c.cfg.PingPeriod))}
		}
		return
	}
}

// doubt begins to ping a member fast.
func (c *Core) doubt(now time.Time, id cluster.NodeID) {
	m, ok := c.view.Member(id)
	if !ok || id == c.cfg.Self.ID || c.ring.lost[id] {
		return
	}
	w := c.ring.watches[id]
	if w == nil {
		w = &watch{to: m}
		c.ring.watches[id] = w
	}
	if !w.doubt {
		w.doubt, w.misses, w.first, w.next = true, 0, 0, now
		c.event(Event{Kind: EventDoubt, Node: id})
	}
}

func (c *Core) tickRing(now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(c.ring.watches)) {
		if w := c.ring.watches[id]; w != nil && !now.Before(w.next) {
			c.tickWatch(now, w)
		}
	}
}

func (c *Core) tickWatch(now time.Time, w *watch) {
	if w.first != 0 {
		w.misses++
	}
	switch {
	case w.doubt && w.misses >= c.cfg.DoubtMissesMax:
		c.loseMember(now, w.to.ID)
		return
	case !w.doubt && w.misses >= c.cfg.PingMissesDoubt:
		w.doubt, w.misses = true, 0
		c.event(Event{Kind: EventDoubt, Node: w.to.ID})
	}
	w.last = c.freshNonce()
	if w.first == 0 {
		w.first = w.last
	}
	period := c.cfg.PingPeriod
	if w.doubt {
		period = c.cfg.DoubtPeriod
	}
	w.next = now.Add(period)
	c.send(w.to.Endpoint, Message{Kind: KindPing, Nonce: w.last})
}

// freshNonce counts up from a random start, skipping 0.
func (c *Core) freshNonce() uint64 {
	c.nonce++
	if c.nonce == 0 {
		c.nonce++
	}
	return c.nonce
}

// loseMember counts a member as gone and starts a round without it.
func (c *Core) loseMember(now time.Time, id cluster.NodeID) {
	c.event(Event{Kind: EventLost, Node: id})
	c.dropMember(now, id)
}

// dropMember is loseMember for a member that is alive but no longer of this view.
func (c *Core) dropMember(now time.Time, id cluster.NodeID) {
	c.ring.lost[id] = true
	delete(c.ring.watches, id)
	c.watchNeighbour(now)
	c.trigger(now)
	c.unexpect(now, id)
}

func (c *Core) onPing(now time.Time, m Message) {
	c.send(m.From, Message{Kind: KindPong, Nonce: m.Nonce})
	// A member of a newer view that counts us in tells us that we lag behind.
	if m.Member && c.view.Epoch.Less(m.Installed) {
		c.pull(now, m.From)
	}
}

func (c *Core) onPong(now time.Time, m Message) {
	w := c.ring.watches[m.From.ID]
	if w == nil || w.first == 0 || m.Nonce-w.first > w.last-w.first {
		return
	}
	if w.doubt {
		c.event(Event{Kind: EventCleared, Node: m.From.ID})
	}
	w.misses, w.first, w.doubt = 0, 0, false
	c.settleClaim(now, m.From.ID, m.Process)
	if m.From.ID != c.ring.neighbour {
		delete(c.ring.watches, m.From.ID)
	} else if limit := now.Add(c.cfg.PingPeriod); w.next.Before(limit) {
		w.next = limit
	}
	c.compareViews(now, m)
}

// compareViews judges an answer from a member of our view that says which view it has installed.
// Four things may be the case:
//
//  1. The same view: all is well.
//  2. It lags behind: it gets our view.
//  3. It has a newer view with us in it: we lag behind and ask for that view.
//  4. It has a newer view without us. If it is alone there, it has restarted or was cut off: we
//     start a round that takes it in again. If most of our view is there, we were voted out
//     (a zombie that wakes up; a link that works one way): we start over alone. Otherwise a
//     small part has split off: we go on without it, and merge later by probes.
func (c *Core) compareViews(now time.Time, m Message) {
	if !c.view.Contains(m.From.ID) {
		return
	}
	if m.From.ID == c.promise.coordinator && c.promise.epoch.Less(m.Installed) {
		c.promise = promise{} // its round is over: it has restarted, or joined another
	}
	switch cmp := m.Installed.Compare(c.view.Epoch); {
	case cmp == 0 || c.left:
		return
	case cmp < 0:
		if c.round == nil && !c.promise.active() {
			c.sendView(m.From)
		}
	case m.Member:
		c.pull(now, m.From)
	case c.promise.active() && c.promise.epoch != m.Installed:
		// A round is under way that may well settle it.
	case m.Size == 1:
		c.takeBack(now, m)
	case 2*m.Size >= len(c.view.Members):
		c.votedOut(now)
	default:
		c.dropMember(now, m.From.ID)
	}
}

// takeBack plans a round for a member that has started over alone. Its answer proved the link,
// and a group of one is its own coordinator, so no probe is needed.
func (c *Core) takeBack(now time.Time, m Message) {
	if c.isBarred(m.From.ID, now) {
		c.dropMember(now, m.From.ID)
		return
	}
	c.foundGroup(now, &group{coordinator: m.From.ID, epoch: m.Installed, members: []cluster.Endpoint{m.From}, at: now})
}

// votedOut reacts to a newer view of our group in which we are not.
func (c *Core) votedOut(now time.Time) {
	switch {
	case c.leave == nil:
		c.goAlone(now)
	case c.round != nil && c.round.phase == phaseViews:
		// It is the view that we are handing out ourselves: the others must have it BEFORE we go.
	default:
		c.finishLeave()
	}
}
