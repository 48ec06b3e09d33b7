package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// faults throws faults at the cluster: a random one every now and then, of the classes that this
// run has switched on, each for a random while.
type faults struct {
	w        *World
	rng      *rand.Rand
	on       []fault
	every    time.Duration // mean time between two
	last     time.Duration // mean length of one
	mend     []func()      // ends what is active
	until    int64         // none begins after this
	joins    int           // still allowed
	losses   int           // of disks
	keepNone bool          // a crash loses all that is not synced
	window   int64         // none begins before this
	ahead    time.Duration // the most that a clock was
}

// fault is one class: it begins a fault and gives what ends it, or nil if it could not begin now.
type fault struct {
	name  string
	row   string // of the fault matrix
	begin func(f *faults) (end func())
}

// classes lists all faults.
func classes() []fault {
	return []fault{
		{"halves", "14", func(f *faults) func() { return f.split(2, 0) }},
		{"minority", "14", func(f *faults) func() { return f.split(2, 1) }},
		{"three ways", "14", func(f *faults) func() { return f.split(3, 0) }},
		{"bridge", "16", (*faults).bridge},
		{"one way", "15", (*faults).oneWay},
		{"flapping link", "17", (*faults).flap},
		{"loss", "18, 22", func(f *faults) func() {
			return f.rate(&f.w.net.loss, []float64{0.01, 0.05, 0.1, 0.3}[f.rng.IntN(4)])
		}},
		{"duplication", "20, 29", func(f *faults) func() { return f.rate(&f.w.net.dup, 0.02+0.3*f.rng.Float64()) }},
		{"late copies", "20, 29", func(f *faults) func() { return f.rate(&f.w.net.late, 0.01+0.1*f.rng.Float64()) }},
		{"jitter", "19, 20", (*faults).jitter},
		{"pause", "25", (*faults).pause},
		{"crash", "1, 2, 3", (*faults).crash},
		{"crash at an effect", "30", (*faults).crashAtEffect},
		{"power failure", "2, 3", (*faults).powerOut},
		{"rolling restart", "1, 42", (*faults).rolling},
		{"slow node", "12, 19", (*faults).slowNode},
		{"slow disk", "12", (*faults).slowDisk},
		{stallName, "13", (*faults).stall},
		{"disk full", "10", func(f *faults) func() {
			return f.diskFault(func(n *node) { n.full = true }, func(n *node) { n.full = false })
		}},
		{"read error", "9", func(f *faults) func() {
			return f.diskFault(func(n *node) { n.unreadable = true }, func(n *node) { n.unreadable = false })
		}},
		{"fsync failure", "8", (*faults).syncFailure},
		{"bit rot", "4", (*faults).bitRot},
		{"disk loss", "5", (*faults).diskLoss},
		{"rolled back disk", "7", (*faults).rollback},
		{"long absence", "6", (*faults).absence},
		{"clock jump", "27", (*faults).clockJump},
		{"clock skew", "27, 28", (*faults).skewed},
		{"join", "", (*faults).join},
		{"leave", "", (*faults).leave},
		{"drain", "", (*faults).drain},
		{"combined", "42", (*faults).combined},
	}
}

// stallName is the class of the disks that hang.
const stallName = "disk stall"

// faultKinds is how many classes there may be.
const faultKinds = 40

// joinsMax bounds the machines that join during a run.
const joinsMax = 4

// draw decides what this run has.
func (f *faults) draw() {
	for _, c := range classes() {
		if f.rng.IntN(3) == 0 {
			f.on = append(f.on, c)
		}
	}
	if f.rng.IntN(6) == 0 { // what a run with one fault shows, one with all of them hides
		f.on = nil
		for range 1 + f.rng.IntN(2) {
			f.on = append(f.on, classes()[f.rng.IntN(len(classes()))])
		}
	}
	if only := strings.Split(f.w.opt.Only, ","); only[0] != "" {
		f.on = slices.DeleteFunc(classes(), func(c fault) bool { return !slices.Contains(only, c.name) })
	}
	f.every = time.Duration(float64(time.Second) * []float64{3, 8, 20, 60}[f.rng.IntN(4)])
	f.last = time.Duration(float64(time.Second) * []float64{1, 4, 15, 40}[f.rng.IntN(4)])
	f.joins, f.losses = joinsMax, f.rng.IntN(lossesMax+1)
	if f.w.opt.Nodes < 3 { // grow, and lose those that were there first
		for _, c := range classes() {
			if (c.name == "join" || c.name == "crash") && !f.has(c.name) {
				f.on = append(f.on, c)
			}
		}
	}
	if f.rng.IntN(4) == 0 {
		f.w.net.jitter = time.Duration(f.rng.Int64N(int64(30 * time.Millisecond)))
	}
	if f.rng.IntN(4) == 0 {
		f.w.net.loss = 0.02 * f.rng.Float64()
	}
}

func (f *faults) has(name string) bool {
	return slices.ContainsFunc(f.on, func(c fault) bool { return c.name == name })
}

// run begins a fault every now and then until the given moment.
func (f *faults) run(until int64) {
	f.until = until
	if len(f.on) == 0 {
		return
	}
	f.w.after(f.exp(f.every), f.throw)
}

func (f *faults) throw() {
	if f.w.now >= f.until {
		return
	}
	f.begin(f.on[f.rng.IntN(len(f.on))])
	f.w.after(f.exp(f.every), f.throw)
}

// begin begins one fault and sees to its end.
func (f *faults) begin(c fault) {
	if f.w.now < f.window {
		return // a machine is joining: see join
	}
	end := c.begin(f)
	if end == nil {
		return
	}
	f.w.stats.Faults++
	f.w.stats.Kinds[slices.IndexFunc(classes(), func(o fault) bool { return o.name == c.name })]++
	f.w.record("fault: "+c.name, nil)
	ended := false
	once := func() {
		if !ended {
			ended = true
			end()
			f.w.record("end of: "+c.name, nil)
		}
	}
	f.mend = append(f.mend, once)
	last := f.exp(f.last)
	if c.name == "long absence" {
		last = f.w.grace + f.exp(2*time.Minute)
	}
	f.w.after(last, once)
}

// heal ends all faults, the newest first, and runs every machine.
func (f *faults) heal() {
	f.w.record("heal", nil)
	for i := len(f.mend) - 1; i >= 0; i-- {
		f.mend[i]()
	}
	f.mend = nil
	f.w.net.loss, f.w.net.dup, f.w.net.late, f.w.net.jitter = 0, 0, 0, 0
	for _, n := range f.w.nodes {
		n.slow, n.skew, n.drift, n.dying = 0, 0, 0, 0
		n.slowDisk, n.stalled, n.syncFails, n.full, n.unreadable = 0, 0, false, false, false
		n.off, n.draining = false, false
		if n.paused {
			n.resume()
		}
		if !n.up() && !n.gone {
			n.start()
		}
	}
}

// exp draws a time around a mean.
func (f *faults) exp(mean time.Duration) time.Duration {
	return time.Duration(f.rng.ExpFloat64()*float64(mean)) + time.Millisecond
}

// any draws a node that has a process; nil if none has.
func (f *faults) any() *node {
	n := f.w.nodes[f.rng.IntN(len(f.w.nodes))]
	if !n.up() {
		return nil
	}
	return n
}

// split cuts the machines into groups; with size, all groups but the last have that many.
func (f *faults) split(groups, size int) func() {
	nodes := f.w.nodes
	group := make([]int, len(nodes))
	for i, p := range f.rng.Perm(len(nodes)) {
		group[i] = p % groups
		if size > 0 {
			group[i] = min(p/size, groups-1)
		}
	}
	return f.cutWhere(func(a, b *node) bool { return group[a.index] != group[b.index] })
}

// cutWhere cuts all links that match, and gives what mends them.
func (f *faults) cutWhere(match func(a, b *node) bool) func() {
	type pair struct{ a, b *node }
	var cut []pair
	for _, a := range f.w.nodes {
		for _, b := range f.w.nodes {
			if a != b && match(a, b) {
				f.w.cut(a, b, true)
				cut = append(cut, pair{a, b})
			}
		}
	}
	return func() {
		for _, p := range cut {
			f.w.cut(p.a, p.b, false)
		}
	}
}

// bridge cuts the machines into two groups that only one machine reaches both of.
func (f *faults) bridge() func() {
	if f.w.opt.Nodes < 3 {
		return nil
	}
	perm := f.rng.Perm(len(f.w.nodes))
	return f.cutWhere(func(a, b *node) bool {
		return perm[a.index] != 0 && perm[b.index] != 0 && perm[a.index]%2 != perm[b.index]%2
	})
}

// oneWay loses what one machine sends to another, or to all.
func (f *faults) oneWay() func() {
	from, to := f.rng.IntN(len(f.w.nodes)), f.rng.IntN(len(f.w.nodes))
	all, in := f.rng.IntN(2) == 0, f.rng.IntN(2) == 0
	return f.cutWhere(func(a, b *node) bool {
		if in {
			a, b = b, a
		}
		return a.index == from && (all || b.index == to)
	})
}

// flap cuts and mends the links of one machine, to another or to all.
func (f *faults) flap() func() {
	from, to := f.rng.IntN(len(f.w.nodes)), f.rng.IntN(len(f.w.nodes))
	all := f.rng.IntN(3) == 0
	match := func(a, b *node) bool {
		return a.index == from && (all || b.index == to) || b.index == from && (all || a.index == to)
	}
	period := 50*time.Millisecond + time.Duration(f.rng.Int64N(int64(5*time.Second)))
	var mend func()
	over := false
	var toggle func()
	toggle = func() {
		if over {
			return
		}
		if mend != nil {
			mend()
			mend = nil
		} else {
			mend = f.cutWhere(match)
		}
		f.w.after(period, toggle)
	}
	toggle()
	return func() {
		over = true
		if mend != nil {
			mend()
		}
	}
}

// rate sets a rate of the network.
func (f *faults) rate(r *float64, to float64) func() {
	was := *r
	*r = to
	return func() { *r = was }
}

func (f *faults) jitter() func() {
	was := f.w.net.jitter
	f.w.net.jitter = time.Millisecond + time.Duration(f.rng.Int64N(int64(500*time.Millisecond)))
	return func() { f.w.net.jitter = was }
}

func (f *faults) pause() func() {
	n := f.any()
	if n == nil || n.paused {
		return nil
	}
	n.paused = true
	life := n.life
	f.w.record("stops", n)
	return func() {
		if n.life == life && n.paused {
			f.w.record("goes on", n)
			n.resume()
		}
	}
}

func (f *faults) crash() func() {
	n := f.any()
	if n == nil {
		return nil
	}
	n.crash()
	return func() { f.restart(n) }
}

func (f *faults) restart(n *node) {
	if !n.up() && !n.gone && !n.off {
		n.start()
	}
}

// crashAtEffect lets a process die between two effects: before or after something is durable,
// before an answer, before a retirement (row 30).
func (f *faults) crashAtEffect() func() {
	n := f.any()
	if n == nil {
		return nil
	}
	n.dying = 1 + f.rng.IntN(12)
	return func() {
		n.dying = 0
		f.restart(n)
	}
}

func (f *faults) slowNode() func() {
	n := f.any()
	if n == nil || n.slow > 0 {
		return nil
	}
	n.slow = 20*time.Millisecond + time.Duration(f.rng.Int64N(int64(300*time.Millisecond)))
	return func() { n.slow = 0 }
}

// clockJump moves a wall clock, by seconds or by an hour, forth or back.
func (f *faults) clockJump() func() {
	n := f.any()
	if n == nil {
		return nil
	}
	jump := []time.Duration{3 * time.Second, 9 * time.Second, time.Hour}[f.rng.IntN(3)]
	if f.rng.IntN(2) == 0 {
		jump = -jump
	}
	turn := func(by time.Duration) {
		n.skew += by
		f.ahead = max(f.ahead, n.skew)
	}
	turn(jump)
	return func() { turn(-jump) } // where jumps overlap, the end of one back is a jump ahead
}

// joinTime is how long no new fault begins after a machine joined. Joining is an administrator's
// act on a healthy cluster: a joiner that is cut off, together with part of the cluster, before
// the others have met it could make a user that they have no reason to suspect.
const joinTime = 5 * time.Second

// join adds a machine. It knows those that its sponsor knows.
func (f *faults) join() func() {
	sponsor := f.any()
	if sponsor == nil || f.joins == 0 || f.w.net.disorder() {
		return nil
	}
	for _, n := range f.w.nodes {
		if !n.up() || n.paused || n.out || n.blocked || n.hangs() || n.dying > 0 || n.slow > 0 || n.view() != sponsor.view() {
			return nil
		}
	}
	f.joins--
	f.window = f.w.now + int64(joinTime)
	n := f.w.addNode()
	n.disk.persist.Contacts = contacts(sponsor)
	f.w.record(fmt.Sprintf("%v joins", n), nil)
	n.start()
	return func() {}
}

// leave lets a node leave in order. Its machine comes back later.
func (f *faults) leave() func() {
	n := f.any()
	if n == nil || n.leaving {
		return nil
	}
	n.leaving = true
	life := n.life
	n.after(0, func() {
		n.obey(n.core.Leave(f.w.time()))
	})
	return func() {
		if n.life == life { // still at it, or stopped meanwhile
			n.crash()
		}
		f.restart(n)
	}
}
