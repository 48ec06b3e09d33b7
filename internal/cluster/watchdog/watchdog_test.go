package watchdog_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster/watchdog"
)

var start = time.Unix(1_700_000_000, 0)

// disk is a disk that hangs at given times, with a node that always has a commit under way.
type disk struct {
	w      watchdog.Watchdog
	now    time.Time
	since  time.Time // of the answer that it owes; zero: none
	left   []time.Duration
	back   []time.Duration
	probes int
}

func newDisk() *disk { return &disk{now: start} }

// run lets time pass; hangs says whether the disk answers at a moment.
func (d *disk) run(length time.Duration, hangs func(at time.Duration) bool) {
	for end := d.now.Add(length); d.now.Before(end); d.now = d.now.Add(watchdog.Period) {
		at := d.now.Sub(start)
		switch h := hangs(at); {
		case !h:
			d.since = time.Time{}
		case d.since.IsZero():
			d.since = d.now
		}
		var owed time.Duration
		if !d.since.IsZero() {
			owed = d.now.Sub(d.since)
		}
		switch d.w.Observe(d.now, owed) {
		case watchdog.Leaves:
			d.left = append(d.left, at)
		case watchdog.Returns:
			d.back = append(d.back, at)
		case watchdog.Stays:
		}
		if d.w.Wants(d.now) {
			d.probes++
			if d.since.IsZero() {
				d.w.Answered(d.now)
			}
		}
	}
}

func never(time.Duration) bool { return false }

func between(from, to time.Duration) func(time.Duration) bool {
	return func(at time.Duration) bool { return at >= from && at < to }
}

func TestOneHang(t *testing.T) {
	d := newDisk()
	d.run(30*time.Second, between(5*time.Second, 12*time.Second))
	if len(d.left) != 1 || d.left[0] <= 8*time.Second || d.left[0] > 8200*time.Millisecond {
		t.Errorf("it left at %v, want once, just after 8s", d.left)
	}
	if len(d.back) != 1 || d.back[0] < 13*time.Second || d.back[0] > 14*time.Second {
		t.Errorf("it came back at %v, want once, a second after 12s", d.back)
	}
	if d.w.Out() {
		t.Error("it is still out")
	}
}

func TestSlowIsNoHang(t *testing.T) {
	d := newDisk()
	d.run(time.Minute, func(at time.Duration) bool { return at%(4*time.Second) < 2900*time.Millisecond })
	if len(d.left) != 0 || d.probes != 0 {
		t.Errorf("a disk that takes 2.9 s sent its node out at %v, with %d probes", d.left, d.probes)
	}
}

// M5: a disk that hangs every ten seconds costs a few views, and then none.
func TestM5_HangsAgainAndAgain(t *testing.T) {
	d := newDisk()
	d.run(10*time.Minute, func(at time.Duration) bool { return at%(10*time.Second) < 4*time.Second })
	if n := len(d.left); n == 0 || n > 4 {
		t.Errorf("it left %d times in 10 minutes, at %v; want at most 4", n, d.left)
	}
	if !d.w.Out() {
		t.Error("it takes part")
	}
	d.run(watchdog.WaitMax+10*time.Second, never)
	if d.w.Out() {
		t.Error("it does not come back after the last hang")
	}
	d.run(watchdog.MemoryMax+time.Minute, never)
	hung := d.now.Sub(start)
	d.run(10*time.Second, between(hung, hung+4*time.Second))
	if d.w.Wait() != watchdog.WaitMin || d.w.Out() {
		t.Errorf("after a long time without a hang, the wait is %v and out %v; want %v and false", d.w.Wait(), d.w.Out(), watchdog.WaitMin)
	}
}

// A process that was stopped does not hold against the disk what happened meanwhile.
func TestStoppedProcess(t *testing.T) {
	var w watchdog.Watchdog
	now := start
	w.Observe(now, time.Millisecond)
	now = now.Add(time.Minute)
	if v := w.Observe(now, time.Minute); v != watchdog.Stays {
		t.Errorf("Observe() = %v after a stop of a minute, want Stays", v)
	}
	for range 29 {
		now = now.Add(watchdog.Period)
		if v := w.Observe(now, now.Sub(start)); v != watchdog.Stays {
			t.Fatalf("Observe() = %v %v after the stop, want Stays", v, now.Sub(start)-time.Minute)
		}
	}
	now = now.Add(2 * watchdog.Period)
	if v := w.Observe(now, now.Sub(start)); v != watchdog.Leaves {
		t.Errorf("Observe() = %v of a disk that hangs on, want Leaves", v)
	}
}

// A process that stands still for a moment now and then, on a machine that is busy, comes back all the same, however
// long its while is; what it did not watch does not count.
func TestReturnsThoughThereAreGaps(t *testing.T) {
	d := newDisk()
	for d.w.Wait() < watchdog.WaitMax {
		hung := d.now.Sub(start)
		d.run(4*time.Second, between(hung, hung+4*time.Second))
		d.run(watchdog.WaitMin, never)
	}
	const gap = 2 * watchdog.GapMax
	began, watched := d.now, time.Duration(0)
	for d.w.Out() && watched < 2*watchdog.WaitMax {
		d.run(10*time.Second, never)
		d.now = d.now.Add(gap)
		watched += 10 * time.Second
	}
	if d.w.Out() {
		t.Fatalf("it is out still, after %v of answers", watched)
	}
	if back := start.Add(d.back[len(d.back)-1]).Sub(began); back < watchdog.WaitMax+8*gap {
		t.Errorf("it came back after %v with gaps of %v, which count", back, gap)
	}
}

// Nobody answers the probes: the node stays out, though the store owes nothing.
func TestNoAnswerNoReturn(t *testing.T) {
	var w watchdog.Watchdog
	now := start
	for owed := time.Duration(0); !w.Out(); owed += watchdog.Period {
		now = now.Add(watchdog.Period)
		w.Observe(now, owed)
	}
	for range 1000 {
		now = now.Add(watchdog.Period)
		if w.Observe(now, 0) != watchdog.Stays {
			t.Fatal("it came back without an answer of the disk")
		}
	}
}

// Whatever the disk does: out within HangMax and two periods of a hang; out for at least WaitMin of
// answers; Leaves and Returns in turn; and the times out in an hour are bounded.
func TestRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDisk()
		hang := time.Duration(rapid.IntRange(1, 200).Draw(t, "hang")) * 100 * time.Millisecond
		rest := time.Duration(rapid.IntRange(1, 600).Draw(t, "rest")) * 100 * time.Millisecond
		d.run(time.Hour, func(at time.Duration) bool { return at%(hang+rest) < hang })
		if hang <= watchdog.HangMax && len(d.left) > 0 {
			t.Errorf("a hang of %v sent it out", hang)
		}
		if hang > watchdog.HangMax+2*watchdog.Period && (len(d.left) == 0 || d.left[0] > watchdog.HangMax+2*watchdog.Period) {
			t.Errorf("it left at %v, the disk hung from the start", d.left)
		}
		if k := len(d.left) - len(d.back); k < 0 || k > 1 {
			t.Errorf("it left %d times and came back %d times", len(d.left), len(d.back))
		}
		for i, at := range d.back {
			if at-d.left[i] < watchdog.WaitMin {
				t.Errorf("it came back %v after it left", at-d.left[i])
			}
		}
		if len(d.left) > 40 {
			t.Errorf("a disk that hangs %v and answers %v sent it out %d times in an hour", hang, rest, len(d.left))
		}
	})
}

// slowly lets time pass with a disk that takes so long for each write, one after the other; the node asks for one
// as often as it wants.
func (d *disk) slowly(length, each time.Duration) {
	var probing bool
	for end := d.now.Add(length); d.now.Before(end); d.now = d.now.Add(watchdog.Period) {
		if probing && d.now.Sub(d.since) >= each {
			d.since, probing = time.Time{}, false
			d.w.Answered(d.now)
		}
		var owed time.Duration
		if !d.since.IsZero() {
			owed = d.now.Sub(d.since)
		}
		switch d.w.Observe(d.now, owed) {
		case watchdog.Leaves:
			d.left = append(d.left, d.now.Sub(start))
		case watchdog.Returns:
			d.back = append(d.back, d.now.Sub(start))
		case watchdog.Stays:
		}
		if !probing && d.w.Wants(d.now) {
			d.since, probing = d.now, true
		}
	}
}

// A disk that hung once and has been slow ever since lets its node back, however slow it is, as long as it answers in
// the time that would not have sent the node out; one that takes longer for each write does not.
func TestASlowDiskComesBack(t *testing.T) {
	for _, tt := range []struct {
		each time.Duration // for a write
		most time.Duration // until it is back; 0: never
	}{
		{0, 1500 * time.Millisecond},
		{500 * time.Millisecond, 3 * time.Second},
		{time.Second, 4 * time.Second},
		{1500 * time.Millisecond, 6 * time.Second},
		{2900 * time.Millisecond, 10 * time.Second},
		{3200 * time.Millisecond, 0},
		{time.Minute, 0},
	} {
		d := newDisk()
		d.run(4*time.Second, between(0, 4*time.Second))
		d.since = time.Time{}
		d.slowly(10*time.Minute, tt.each)
		switch {
		case len(d.left) != 1:
			t.Errorf("%v a write: it left at %v, want once", tt.each, d.left)
		case tt.most == 0 && len(d.back) > 0:
			t.Errorf("%v a write: it came back at %v, though it hangs at each", tt.each, d.back)
		case tt.most > 0 && (len(d.back) != 1 || d.back[0] > 4*time.Second+tt.most):
			t.Errorf("%v a write: it came back at %v, want once, at most %v after 4s", tt.each, d.back, tt.most)
		}
	}
}

// A disk whose slowness is at the edge is in and out for a while, and then out for minutes at a time (M5).
func TestM5_DiskAtTheEdge(t *testing.T) {
	d := newDisk()
	d.run(time.Hour, func(at time.Duration) bool {
		round := at % (7 * time.Second) // now 2.9 s, now 3.3 s
		return round < 2900*time.Millisecond || round >= 3*time.Second && round < 6300*time.Millisecond
	})
	if n := len(d.left); n == 0 || n > 12 {
		t.Errorf("it left %d times in an hour", n)
	}
}
