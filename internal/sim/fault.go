package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"porcupine/internal/cluster/membership"
)

// faults throws faults at the cluster: a random one every now and then, of the classes that this
// run has switched on, each for a random while.
type faults struct {
	w      *World
	rng    *rand.Rand
	on     []fault
	every  time.Duration // mean time between two
	last   time.Duration // mean length of one
	mend   []func()      // ends what is active
	until  int64         // none begins after this
	joins  int           // still allowed
	window int64         // none begins before this
	ahead  time.Duration // the most that a clock was
}

// fault is one class: it begins a fault and gives what ends it, or nil if it could not begin now.
type fault struct {
	name  string
	begin func(f *faults) (end func())
}

// classes lists all faults. Rows of reliability's fault matrix that concern pure cores.
var classes = []fault{
	{"halves", func(f *faults) func() { return f.split(2, 0) }},
	{"minority", func(f *faults) func() { return f.split(2, 1) }},
	{"three ways", func(f *faults) func() { return f.split(3, 0) }},
	{"bridge", (*faults).bridge},
	{"one way", (*faults).oneWay},
	{"flapping link", (*faults).flap},
	{"loss", func(f *faults) func() {
		return f.rate(&f.w.net.loss, []float64{0.01, 0.05, 0.1, 0.3}[f.rng.IntN(4)])
	}},
	{"duplication", func(f *faults) func() { return f.rate(&f.w.net.dup, 0.02+0.3*f.rng.Float64()) }},
	{"jitter", (*faults).jitter},
	{"pause", (*faults).pause},
	{"crash", (*faults).crash},
	{"crash at an effect", (*faults).crashAtEffect},
	{"slow node", (*faults).slowNode},
	{"clock jump", (*faults).clockJump},
	{"join", (*faults).join},
	{"leave", (*faults).leave},
}

// joinsMax bounds the machines that join during a run.
const joinsMax = 4

// draw decides what this run has.
func (f *faults) draw() {
	for _, c := range classes {
		if f.rng.IntN(3) == 0 {
			f.on = append(f.on, c)
		}
	}
	f.every = time.Duration(float64(time.Second) * []float64{3, 8, 20, 60}[f.rng.IntN(4)])
	f.last = time.Duration(float64(time.Second) * []float64{1, 4, 15, 40}[f.rng.IntN(4)])
	f.joins = joinsMax
	if f.w.opt.Nodes < 3 { // grow, and lose those that were there first
		for _, c := range classes {
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
	f.w.after(f.exp(f.last), once)
}

// heal ends all faults, the newest first, and runs every machine.
func (f *faults) heal() {
	f.w.record("heal", nil)
	for i := len(f.mend) - 1; i >= 0; i-- {
		f.mend[i]()
	}
	f.mend = nil
	f.w.net.loss, f.w.net.dup, f.w.net.jitter = 0, 0, 0
	for _, n := range f.w.nodes {
		n.slow, n.skew, n.drift, n.dying = 0, 0, 0, 0
		n.slowDisk, n.stalled, n.syncFails, n.full = 0, 0, false, false
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
	if !n.up() && !n.gone {
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
	n.skew += jump
	f.ahead = max(f.ahead, jump)
	return func() { n.skew -= jump }
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
		if !n.up() || n.paused || n.dying > 0 || n.slow > 0 || n.view() != sponsor.view() {
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

// survivors draws how many of the writes not yet synced a crash keeps: none, all, or some.
func (f *faults) survivors(count int) int {
	switch f.rng.IntN(3) {
	case 0:
		return 0
	case 1:
		return count
	}
	return f.rng.IntN(count + 1)
}

// refused is the end of a process that may not take part. If its hard state is not what the others
// know, it is set aside, and the machine joins empty, as a new node.
func (w *World) refused(n *node, why membership.Refusal) {
	w.record("is refused: "+why.String(), n)
	w.stats.Refusals++
	if why == membership.RefusalTwin {
		return
	}
	w.lose(n)
}

// lose takes a disk away for good. A new machine comes in its place.
func (w *World) lose(n *node) {
	n.gone = true
	w.oracle.destroyed(n)
	w.after(newMachineTime, w.replace)
}

// newMachineTime is how long it takes to put a new machine in the place of one that is lost.
const newMachineTime = 2 * time.Second

// replace adds an empty machine. It knows those that its sponsor knows.
func (w *World) replace() {
	var sponsor *node
	for _, n := range w.nodes {
		if n.up() && !n.paused && (sponsor == nil || len(n.view().Members) > len(sponsor.view().Members)) {
			sponsor = n
		}
	}
	if sponsor == nil {
		w.after(newMachineTime, w.replace)
		return
	}
	n := w.addNode()
	n.disk.persist.Contacts = contacts(sponsor)
	w.record(fmt.Sprintf("%v comes in place of another", n), nil)
	n.start()
}
