package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Clocks is what a node has heard of the others' clocks. By it the node judges its own: a timestamp from a clock that
// is ahead, once it is stored, or made durable as given, is in the way until the clocks of all others have come
// as far, whether the clock is set or not. So none is given while at least half of the nodes heard of, this one
// counted, would refuse it. Of two nodes that is the one that is ahead, whoever is right: a clock that is behind does no
// such harm. A node that hears of nobody goes by its own clock.
//
// It reads no clock itself: the wall time comes in. One owner, no lock.
type Clocks struct {
	fresh   time.Duration
	heard   map[NodeID]reading
	company bool          // there are other members, who cannot be silent for longer than fresh
	lastAt  int64         // the wall time when any was heard; 0: none ever
	counted int64         // the wall time when pivot was found
	judges  int           // nodes that pivot was found of
	pivot   time.Duration // half of the nodes are behind the wall by at least as much
}

// reading is what a node's clock showed when it was last heard.
type reading struct{ theirs, at int64 }

// behind is how far it was behind this node's wall.
func (r reading) behind() time.Duration { return time.Duration(r.at - r.theirs) }

// recountEvery is how much of the wall's time may pass before the nodes are counted again, where none of their
// clocks has jumped.
const recountEvery = 100 * time.Millisecond

// NewClocks starts with nobody heard of. fresh is for how long what was heard counts: a member is not silent for longer.
func NewClocks(fresh time.Duration) *Clocks {
	return &Clocks{fresh: fresh, heard: map[NodeID]reading{}}
}

// Heard notes a reading of a node's clock, zero: none came. One from before what was heard last came late, and counts only when
// that is no longer fresh.
func (c *Clocks) Heard(from NodeID, t Timestamp, wall time.Time) {
	if t.Time == 0 {
		return
	}
	now := wall.UnixNano()
	c.lastAt = now
	before, known := c.heard[from]
	known = known && c.isFresh(before, now)
	if known && t.Time < before.theirs {
		return
	}
	after := reading{theirs: t.Time, at: now}
	c.heard[from] = after
	if moved := after.behind() - before.behind(); !known || max(moved, -moved) > time.Second {
		c.count(now)
	}
}

// Retain forgets all but the members of a view, which this node is one of.
func (c *Clocks) Retain(members []NodeID) {
	c.company = len(members) > 1
	for id := range c.heard {
		if !slices.Contains(members, id) {
			delete(c.heard, id)
		}
	}
	c.counted = 0
}

// Check refuses a timestamp that may not be given at that time, with an *AheadError: too many others
// are behind it, or none was heard for so long, by this wall, that the wall itself must have moved.
func (c *Clocks) Check(t Timestamp, wall time.Time) error {
	c.recount(wall.UnixNano())
	lead := max(time.Duration(t.Time-wall.UnixNano()), 0)
	switch silent := c.silent(wall); {
	case silent > c.fresh:
		return &AheadError{Ahead: silent, Silent: true}
	case c.judges > 0 && lead+c.pivot > ClockSkewMax:
		return &AheadError{Ahead: lead + c.pivot}
	}
	return nil
}

// Believe gives the time that timestamps from elsewhere are to be measured with: the wall, or that of the others
// where the wall is wrong.
func (c *Clocks) Believe(wall time.Time) time.Time {
	c.recount(wall.UnixNano())
	switch silent := c.silent(wall); {
	case silent > c.fresh:
		return wall.Add(c.fresh - silent)
	case c.judges > 0 && c.pivot > ClockSkewMax:
		return wall.Add(-c.pivot)
	}
	return wall
}

// silent is for how long no member was heard, by the wall; 0 if there need not be any.
func (c *Clocks) silent(wall time.Time) time.Duration {
	if !c.company || c.lastAt == 0 {
		return 0
	}
	return time.Duration(wall.UnixNano() - c.lastAt)
}

func (c *Clocks) isFresh(r reading, now int64) bool {
	return now >= r.at && time.Duration(now-r.at) <= c.fresh
}

// recount counts if that was some time ago.
func (c *Clocks) recount(now int64) {
	if now < c.counted || time.Duration(now-c.counted) > recountEvery {
		c.count(now)
	}
}

// count finds the pivot.
func (c *Clocks) count(now int64) {
	c.counted = now
	all := make([]time.Duration, 0, len(c.heard))
	for _, r := range c.heard {
		if c.isFresh(r, now) {
			all = append(all, r.behind())
		}
	}
	if c.judges = len(all); c.judges == 0 {
		return
	}
	slices.SortFunc(all, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	c.pivot = all[(len(all)+2)/2-1] // so many of len(all)+1 nodes are half of them or more
}

// AheadError says that this node may not give timestamps now.
type AheadError struct {
	Ahead  time.Duration
	Silent bool // what is ahead is the time when another node was last heard
}

func (e *AheadError) Error() string {
	ahead := e.Ahead.Round(time.Millisecond)
	if e.Silent {
		return fmt.Sprintf("by this node's clock no other node was heard for %v: the clock may have been moved, so nothing is changed here until one is heard", ahead)
	}
	return fmt.Sprintf("this node's time is %v ahead of that of the others (at most %v allowed), so nothing is changed through it: set the clocks of all nodes, for example with NTP; if this node's was set already, wait as long as it was ahead",
		ahead, ClockSkewMax)
}
