package turnstile

import (
	"slices"
	"time"
)

// Bounds of a Limit.
const (
	// LimitMinDefault is the least number at once: enough for a disk to commit many together.
	LimitMinDefault = 8
	// LimitMax is the greatest; each has a message in memory or in a file.
	LimitMax = 1024
	// LimitFirst is what a node begins with.
	LimitFirst = 64

	// TimeAimed is what a delivery may take, in the middle of many, before there are too many at
	// once: far more than a commit takes on a disk that works, far less than clients wait.
	TimeAimed = time.Second / 2

	// The deliveries that are judged together.
	windowMin = 8
	windowMax = 64
	// One change takes the limit an eighth up, or down to a quarter at most.
	growth = 8
	shrink = 4
	// holdWindows is for how many windows a limit stands that a lower one was no better than.
	holdWindows = 8
)

// Limit is how many deliveries may be in progress at once. It learns from the time that they take
// while the limit is reached: if that is too long in the middle of a window, it falls to what would
// have ended in time; if it is not, it grows a little. Where a disk is slow but commits all that wait
// together, fewer at once are not faster: then it goes back to what it was. It is a value: no
// clock, no lock. Make it with NewLimit.
type Limit struct {
	min   int
	now   int
	since uint64 // the first ticket that is judged: earlier ones tell of another limit
	last  uint64 // the last ticket given
	full  bool   // the limit was reached in this window
	times []time.Duration

	before   int           // what the limit was before it fell, until it is that again, or was low enough for holdWindows; 0: it is
	middle   time.Duration // of the window that made it fall from there, or go back
	holdLeft int           // windows
	well     int           // windows since one in which deliveries took too long
}

// NewLimit gives a limit of LimitFirst that never falls below least, at most LimitMax.
func NewLimit(least int) Limit {
	least = min(LimitMax, least)
	first := max(least, LimitFirst)
	return Limit{min: least, now: first, since: uint64(first) + 1, times: make([]time.Duration, 0, windowMax)}
}

// Now gives the limit.
func (l *Limit) Now() int { return l.now }

// Begin takes note of a delivery that begins while others are in progress, and gives its ticket.
func (l *Limit) Begin(others int) (ticket uint64) {
	l.full = l.full || others+1 >= l.now
	l.last++
	return l.last
}

// End takes note of the end of a delivery. What began under an earlier limit says nothing of this
// one.
func (l *Limit) End(ticket uint64, took time.Duration) {
	if ticket < l.since {
		return
	}
	l.times = append(l.times, took)
	if len(l.times) < min(windowMax, max(windowMin, l.now/4)) {
		return
	}
	slices.Sort(l.times)
	middle, full := l.times[len(l.times)/2], l.full
	l.times, l.full = l.times[:0], false
	switch {
	case !full: // the limit is not what they waited for
	case middle > TimeAimed:
		l.slow(middle)
	default:
		l.holdLeft = 0
		if middle < TimeAimed*(growth-1)/growth {
			l.set(l.now + max(1, l.now/growth))
		}
		if l.well++; l.well >= holdWindows || l.now >= l.before {
			l.before = 0
		}
	}
}

// slow takes in a window in which the limit was reached and deliveries took too long.
func (l *Limit) slow(middle time.Duration) {
	l.well = 0
	switch {
	case l.before > 0 && middle > l.halfway():
		l.set(l.before)
		l.before, l.middle, l.holdLeft = 0, middle, holdWindows
	case l.holdLeft > 0 && middle < l.middle*3/2:
		l.holdLeft--
	case l.now > l.min:
		if l.before == 0 {
			l.before, l.middle = l.now, middle
		}
		l.holdLeft = 0
		l.set(max(l.now/shrink, int(int64(l.now)*int64(TimeAimed)/int64(middle))))
	}
}

// halfway is the time between what it took before the limit fell, which it takes still where all that wait are
// committed together, and the lower one, in proportion to the limit, that it takes where they are one after the other. It is
// measured from the first fall of several: no disk takes the same each time, and what is no more than that must not add up.
func (l *Limit) halfway() time.Duration {
	return l.middle * time.Duration(l.before+l.now) / time.Duration(2*l.before)
}

// set changes the limit. Those who come in at once because it has grown meet a line that is still short: like those who began
// before, they are not judged.
func (l *Limit) set(n int) {
	n = min(LimitMax, max(l.min, n))
	l.since = l.last + 1 + uint64(max(0, n-l.now))
	l.now = n
}
