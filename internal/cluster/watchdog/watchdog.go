// Package watchdog decides when a node whose disk hangs leaves its cluster, and when it may come back.
//
// A disk that hangs gives no error. Its node answers pings, takes calls and promises nothing, so it
// would hold up every update that has it for a target, for as long as the disk likes. So a node whose
// disk has owed an answer for longer than HangMax takes no part any more: it behaves towards the others
// as one that has crashed, and they go on without it. The process lives, and asks the disk; when that
// has answered for a while, several times, the node comes back as any other that was away.
//
// What sends a node out and what keeps it out is the same: an answer owed for longer than HangMax. A disk that
// is slow, and answers, is not asked to become fast before its node may come back: it may hold the only copy of
// some mail, and if the node had not been out it would stay in.
//
// Each coming and going costs the cluster two views. A disk that hangs every few seconds must not cost
// them every few seconds: the while is twice as long each time, and is forgotten after MemoryMax
// without a hang.
//
// The watchdog is a value: it reads no clock and no disk. Its owner calls Observe every Period with what
// the disk owes, makes a durable write when Wants says so, and tells Answered when that is through.
package watchdog

import "time"

// Times of the watchdog.
const (
	// Period is the time between two observations.
	Period = 100 * time.Millisecond
	// HangMax is how long a disk may owe an answer. Longer than a busy disk takes for an fsync among
	// others, and short enough: with the time that the others need to notice a silent node (about
	// 1.4 s) the node is out of the view within 5 s.
	HangMax = 3 * time.Second
	// AnswerMax is how long a probe takes at most of a disk that does not hang: it may have to wait for a write that is
	// under way, and then for its own.
	AnswerMax = 2 * HangMax
	// AnswersMin is how many probes must have been answered since the disk last hung, however long that takes.
	AnswersMin = 3
	// GapMax is the longest time between two observations that counts as watching. After a longer one
	// this process itself stood still: what the disk owed meanwhile proves nothing.
	GapMax = 500 * time.Millisecond
	// ProbePeriod is the time between two durable writes that are made to see whether the disk answers.
	ProbePeriod = 250 * time.Millisecond
	// WaitMin is for how long the disk must answer before the node comes back, the first time;
	// twice as long each further time, up to WaitMax.
	WaitMin = time.Second
	WaitMax = 2 * time.Minute
	// MemoryMax without a hang, and the next one is the first.
	MemoryMax = 10 * time.Minute
)

// Verdict is what an observation changes.
type Verdict uint8

const (
	// Stays: nothing changes.
	Stays Verdict = iota
	// Leaves: the node must take no part from now on.
	Leaves
	// Returns: the node may take part again.
	Returns
)

// Watchdog judges one node's disk. The zero value is a node that takes part. One owner, no lock.
type Watchdog struct {
	out      bool
	hanging  bool          // while out: the disk owes more than HangMax
	wait     time.Duration // for how long the disk must answer
	watched  time.Time     // of the last observation
	from     time.Time     // watched without a gap since
	hung     time.Time     // when it was last seen to hang
	answered time.Time     // the last answer while out
	well     time.Time     // the first one since it last hung; zero: none yet
	answers  int           // since then, with that one
	probed   time.Time     // when a probe was last wanted
}

// Out reports whether the node takes no part.
func (w *Watchdog) Out() bool { return w.out }

// Wait gives for how long the disk must answer before the node comes back.
func (w *Watchdog) Wait() time.Duration { return w.wait }

// Observe takes in for how long the disk has owed its oldest answer: 0 if it owes none. now must
// not go back.
func (w *Watchdog) Observe(now time.Time, owed time.Duration) Verdict {
	if gap := now.Sub(w.watched); gap > GapMax {
		w.from = now
		if !w.well.IsZero() {
			// Not counted, but not begun anew either: a machine that is busy makes gaps, and the while may be minutes.
			w.well = w.well.Add(gap)
		}
	}
	w.watched = now
	owed = min(owed, now.Sub(w.from))
	if !w.out {
		if owed <= HangMax {
			return Stays
		}
		w.out, w.hanging = true, true
		w.penalise(now)
		return Leaves
	}
	if owed > HangMax {
		if !w.hanging {
			w.hanging = true
			w.penalise(now)
		}
		w.hung, w.well, w.answers = now, time.Time{}, 0
		return Stays
	}
	w.hanging = false
	// From answer to answer: of the write that is owed now nobody knows whether it hangs.
	if w.answers < AnswersMin || w.answered.Sub(w.well) < w.wait {
		return Stays
	}
	w.out = false
	return Returns
}

// penalise makes the wait of a disk that hangs longer, if it did lately.
func (w *Watchdog) penalise(now time.Time) {
	if now.Sub(w.hung) > MemoryMax {
		w.wait = 0
	}
	w.wait = min(max(2*w.wait, WaitMin), WaitMax)
	w.hung = now
	w.well, w.answers = time.Time{}, 0
}

// Wants reports whether a durable write should be made now, to see whether the disk answers. It wants
// none of a node that takes part: there, those of the clients tell.
func (w *Watchdog) Wants(now time.Time) bool {
	if !w.out || now.Sub(w.probed) < ProbePeriod {
		return false
	}
	w.probed = now
	return true
}

// Answered takes in that such a write is durable.
func (w *Watchdog) Answered(now time.Time) {
	w.answered = now
	if w.well.IsZero() {
		w.well = now
	}
	w.answers = min(w.answers+1, AnswersMin)
}
