package membership

import (
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// How long a node has been absent is what this node has seen of it: time in which it ran itself, by the
// monotonic clock, added up over restarts. A wall clock that jumps strikes nobody, and a cluster that
// was switched off as a whole for longer than the grace period comes back with all its nodes.

// Absence is how long a known node has not been a member.
type Absence struct {
	ID  cluster.NodeID
	For time.Duration // as seen by this node while it ran
}

// Strikes.
const (
	// absencePeriod is how often absences are made durable and compared with the grace period; with a
	// short one, an eighth of it.
	absencePeriod = time.Minute
	// strikeDelay is how much longer others than the acting coordinator wait before they strike, as a
	// part of the grace period, so that one node does it.
	strikeDelay = 16
)

// absences holds since when nodes are absent.
type absences struct {
	since map[cluster.NodeID]time.Time // what was seen before this process began is taken off
	next  time.Time                    // when to look; zero: nobody is absent
}

func newAbsences(list []Absence, now time.Time) absences {
	s := absences{since: make(map[cluster.NodeID]time.Time, len(list))}
	for _, a := range list {
		s.since[a.ID] = now.Add(-max(a.For, 0))
	}
	return s
}

// shift leaves out a time in which this process stood still.
func (s *absences) shift(gap time.Duration) {
	for id, t := range s.since {
		s.since[id] = t.Add(gap)
	}
}

// list gives the absences as of now, ascending by id.
func (s *absences) list(now time.Time) []Absence {
	out := make([]Absence, 0, len(s.since))
	for _, id := range slices.Sorted(maps.Keys(s.since)) {
		out = append(out, Absence{ID: id, For: now.Sub(s.since[id])})
	}
	return out
}

// trackAbsences follows the contacts and the view. It runs whenever one of them has changed.
func (c *Core) trackAbsences(now time.Time) {
	s := &c.absences
	for id, k := range c.contacts.byID {
		_, counted := s.since[id]
		switch absent := !k.Removed && !c.view.Contains(id); {
		case absent && !counted:
			s.since[id] = now
		case !absent && counted:
			delete(s.since, id)
		}
	}
	for id := range s.since {
		if _, ok := c.contacts.byID[id]; !ok {
			delete(s.since, id)
		}
	}
	if len(s.since) == 0 {
		s.next = time.Time{}
	} else if s.next.IsZero() {
		s.next = now.Add(c.absencePeriod())
	}
}

func (c *Core) absencePeriod() time.Duration {
	return min(absencePeriod, max(c.cfg.Grace/8, time.Millisecond))
}

// tickAbsences makes absences durable now and then, and strikes the nodes that have been absent
// for the grace period. Only where most nodes are: the smaller side of a partition that nobody
// mended strikes nobody, it is struck.
func (c *Core) tickAbsences(now time.Time) {
	if c.absences.next.IsZero() || now.Before(c.absences.next) {
		return
	}
	c.absences.next = now.Add(c.absencePeriod())
	c.contacts.dirty = true // what was seen of them must not be forgotten
	limit := c.cfg.Grace
	if !c.isActing() {
		limit += limit / strikeDelay
	}
	if c.leave != nil || !c.Majority() {
		return
	}
	for _, a := range c.absences.list(now) {
		if a.For >= limit {
			c.strike(now, a.ID)
		}
	}
}

// strike removes a known, absent node for good, here and, by a round, at all members.
func (c *Core) strike(now time.Time, id cluster.NodeID) {
	k := c.contacts.byID[id]
	k.Removed, k.Sole = true, false
	if k.Heard.Less(c.view.Epoch) {
		k.Heard = c.view.Epoch
	}
	c.contacts.put(k)
	c.syncProbes(now)
	if len(c.view.Members) > 1 {
		c.gather.force = true
		c.trigger(now)
	}
}

// dropStruck goes on without members that are struck: whoever made the view did not know.
func (c *Core) dropStruck(now time.Time) {
	for _, m := range c.view.Members {
		if c.contacts.byID[m.ID].Removed && !c.ring.lost[m.ID] {
			c.dropMember(now, m.ID)
		}
	}
}

// Absent lists the known nodes that are not members, ascending by id, and how long they have not been,
// as far as this node has seen. Struck ones are not among them.
func (c *Core) Absent(now time.Time) []Absence { return c.absences.list(now) }

// Struck lists the nodes that were removed for good, ascending.
func (c *Core) Struck() []cluster.NodeID {
	var out []cluster.NodeID
	for id, k := range c.contacts.byID {
		if k.Removed {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Majority reports whether the view has more than half of the nodes known and not struck, or half
// of them with the one of the smallest id.
func (c *Core) Majority() bool {
	members, known, smallest := 0, 0, c.cfg.Self.ID
	count := func(id cluster.NodeID) {
		known++
		if c.view.Contains(id) {
			members++
		}
		smallest = min(smallest, id)
	}
	count(c.cfg.Self.ID)
	for id, k := range c.contacts.byID {
		if !k.Removed {
			count(id)
		}
	}
	return 2*members > known || 2*members == known && c.view.Contains(smallest)
}
