package turnstile

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// disk is a queue with more work than it can do: as many are in progress as may be, always.
type disk struct {
	limit  Limit
	now    time.Duration
	inside []job // the oldest first
	ended  int
}

type job struct {
	ticket uint64
	began  time.Duration
}

func (d *disk) fill() {
	for len(d.inside) < d.limit.Now() {
		d.inside = append(d.inside, job{d.limit.Begin(len(d.inside)), d.now})
	}
}

// commit ends the oldest n after a time, and lets others in.
func (d *disk) commit(n int, took time.Duration) {
	d.now += took
	n = min(n, len(d.inside))
	for _, j := range d.inside[:n] {
		d.limit.End(j.ticket, d.now-j.began)
	}
	d.inside = d.inside[n:]
	d.ended += n
	d.fill()
}

// run plays a time, and gives how many ended in a second and how long the last took.
func (d *disk) run(span time.Duration, step func()) (rate float64, took time.Duration) {
	d.fill()
	end, before, began := d.now+span, d.ended, d.now
	for d.now < end {
		step()
	}
	return float64(d.ended-before) / (d.now - began).Seconds(), d.now - d.inside[0].began
}

func TestLimitFollowsASlowDisk(t *testing.T) {
	d := disk{limit: NewLimit(LimitMinDefault)}
	one := func(service time.Duration) func() { return func() { d.commit(1, service) } }
	steps := []struct {
		name     string
		service  time.Duration // of one message
		min, max int           // of the limit then
	}{
		{"fast", time.Millisecond, 400, LimitMax},
		{"it becomes slow", 10 * time.Millisecond, 25, 65},
		{"very slow", 200 * time.Millisecond, LimitMinDefault, LimitMinDefault},
		{"well again", time.Millisecond, 400, LimitMax},
	}
	for _, s := range steps {
		d.run(2*time.Minute, one(s.service))
		if got := d.limit.Now(); got < s.min || got > s.max {
			t.Errorf("%s: limit %d, want %d to %d", s.name, got, s.min, s.max)
		}
	}
}

// A disk that takes two seconds for a commit, of however many, has a great rate only with many at
// once: the limit must not take that away.
func TestLimitKeepsTheRateOfGroups(t *testing.T) {
	d := disk{limit: NewLimit(LimitMinDefault)}
	group := func() { d.commit(len(d.inside), 2*time.Second) }
	if rate, _ := d.run(5*time.Minute, group); rate < 0.6*LimitFirst/2 {
		t.Errorf("%.0f a second, want about %d: the limit is %d", rate, LimitFirst/2, d.limit.Now())
	}
}

// No disk takes the same each time: the windows in which it happens to be quicker must not add up to a lower and lower limit.
func TestLimitKeepsTheRateOfGroupsThatVary(t *testing.T) {
	for _, service := range []time.Duration{600 * time.Millisecond, time.Second, 2 * time.Second} {
		for _, spread := range []float64{0.15, 0.4, 0.75} {
			rng := rand.New(rand.NewPCG(1, 2))
			d := disk{limit: NewLimit(LimitMinDefault)}
			rate, _ := d.run(20*time.Minute, func() {
				d.commit(len(d.inside), time.Duration(float64(service)*(1+spread*(2*rng.Float64()-1))))
			})
			if want := 0.6 * LimitFirst / service.Seconds(); rate < want {
				t.Errorf("commits of %v, give or take %.2f of it: %.0f a second, want %.0f: the limit is %d", service, spread, rate, want, d.limit.Now())
			}
		}
	}
}

func TestLimitThatIsNotReachedStands(t *testing.T) {
	l := NewLimit(LimitMinDefault)
	for range 1000 {
		l.End(l.Begin(3), 5*time.Second)
	}
	if l.Now() != LimitFirst {
		t.Errorf("limit %d after slow deliveries that were few, want %d", l.Now(), LimitFirst)
	}
}

// However small the least limit is, a disk that is well again gets more than that.
func TestLimitGrowsFromOne(t *testing.T) {
	d := disk{limit: NewLimit(1)}
	d.run(5*time.Minute, func() { d.commit(1, time.Second) })
	if got := d.limit.Now(); got != 1 {
		t.Fatalf("limit %d for a disk that takes a second for each, want 1", got)
	}
	d.run(time.Minute, func() { d.commit(1, time.Millisecond) })
	if got := d.limit.Now(); got < 400 {
		t.Errorf("limit %d when the disk takes a millisecond, want at least 400", got)
	}
}

// Whatever times a disk has, the limit stays in its bounds.
func TestLimitBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := disk{limit: NewLimit(LimitMinDefault)}
		d.fill()
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			d.commit(rapid.IntRange(1, 64).Draw(t, "many"), time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms"))*time.Millisecond)
			if n := d.limit.Now(); n < LimitMinDefault || n > LimitMax {
				t.Fatalf("limit %d, want %d to %d", n, LimitMinDefault, LimitMax)
			}
		}
	})
}
