package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Phase is one step of a scale run: what the cluster took to come to rest after a change.
type Phase struct {
	Name       string
	Took       time.Duration // simulated, from the change to rest
	Epochs     int64         // different views installed
	Membership int64         // messages of the membership cores
	Messages   int64         // all messages, those of soft state included
	Pushes     int64
	Bytes      int64 // payloads that all nodes sent
	Busiest    int64 // of them, by the node that sent most: the coordinator
}

// String gives a row of a Markdown table.
func (p Phase) String() string {
	return fmt.Sprintf("| %s | %.1f s | %d | %d | %d | %d | %d | %d |", p.Name, p.Took.Seconds(), p.Epochs, p.Membership, p.Messages, p.Pushes, p.Bytes, p.Busiest)
}

// scaleMax is how long one phase may take.
const scaleMax = 5 * time.Minute

// atOnce is the time within which the nodes of Changes boot. The longer it is, the more views of a few hundred
// nodes there are before that of all, each with a push from everybody to everybody.
const atOnce = 100 * time.Millisecond

// gather makes machines that know the addresses of the seeds alone, and starts them at once: new nodes of a new cluster.
func (w *World) gather(count int) {
	for range count {
		w.addNode()
	}
	for _, n := range w.nodes {
		w.after(time.Duration(n.rng.Int64N(int64(atOnce))), n.start)
	}
}

// restTime is how long the phase lasts in which nothing happens.
const restTime = 10 * time.Second

// step is a phase to come: a change, and a test that says what is not at rest yet.
type step struct {
	name   string
	change func()
	rest   func() string
}

// Scale boots a large cluster with the periods of production, crashes a tenth of it, runs the tenth
// again, cuts it into halves and mends it, and tells what each step cost. The invariants are
// checked as in every run.
func Scale(nodes int, seed uint64, log func(Phase)) *Failure {
	w := newWorld(Options{Seed: seed, Nodes: nodes, Quiet: true})
	w.meter = newMeter()
	w.boot(nodes)
	tenth, half := w.nodes[:nodes/10], nodes/2
	all := func() string { return w.unsettled(w.nodes) }
	var mend func()
	return w.play([]step{
		{"all boot within 2 s", func() { w.run(bootTime) }, all},
		{"a tenth crashes", func() { each(tenth, (*node).crash) }, all},
		{"the tenth starts again", func() { each(tenth, (*node).start) }, all},
		{"cut into halves", func() {
			mend = w.faults.cutWhere(func(a, b *node) bool { return a.index < half != (b.index < half) })
		}, func() string { return w.unsettled(w.nodes[:half]) + w.unsettled(w.nodes[half:]) }},
		{"the halves merge", func() { mend() }, all},
	}, log)
}

// Changes boots a large cluster of new nodes with the periods of production and tells what it costs to be at rest for
// a while, and what single changes cost: one node crashes, it starts again, a tenth crashes at once. The
// invariants are checked as in every run.
func Changes(nodes int, seed uint64, log func(Phase)) *Failure {
	w := newWorld(Options{Seed: seed, Nodes: nodes, Quiet: true})
	w.meter = newMeter()
	w.gather(nodes)
	one, tenth := w.nodes[nodes/2], w.nodes[:nodes/10]
	all := func() string { return w.unsettled(w.nodes) }
	return w.play([]step{
		{PhaseBoot, func() { w.run(atOnce) }, all},
		{PhaseRest, func() { w.run(time.Duration(w.now) + restTime) }, all},
		{PhaseDeath, one.crash, all},
		{PhaseReturn, one.start, all},
		{PhaseTenth, func() { each(tenth, (*node).crash) }, all},
	}, log)
}

// The phases of Changes.
const (
	PhaseBoot   = "all boot at once, knowing three"
	PhaseRest   = "10 s at rest"
	PhaseDeath  = "one node dies"
	PhaseReturn = "it starts again"
	PhaseTenth  = "a tenth dies"
)

func each(nodes []*node, do func(*node)) {
	for _, n := range nodes {
		do(n)
	}
}

// play carries out the steps, each when the cluster has come to rest after the one before.
func (w *World) play(steps []step, log func(Phase)) *Failure {
	for _, s := range steps {
		before, sent, begun := w.stats, slices.Clone(w.meter.sent), w.now
		s.change()
		for w.run(time.Duration(w.now) + 100*time.Millisecond); s.rest() != "" && w.check.failure == nil; {
			if time.Duration(w.now-begun) > scaleMax {
				w.check.that("M5", strings.TrimSpace(s.name+": "+s.rest()))
			}
			w.run(time.Duration(w.now) + 100*time.Millisecond)
		}
		if w.check.failure != nil {
			return w.check.failure
		}
		all, most := w.meter.since(sent)
		log(Phase{
			Name:       s.name,
			Took:       time.Duration(w.now - begun),
			Epochs:     w.stats.Epochs - before.Epochs,
			Membership: w.stats.Membership - before.Membership,
			Messages:   w.stats.Messages - before.Messages,
			Pushes:     w.stats.Pushes - before.Pushes,
			Bytes:      all.bytes,
			Busiest:    most.bytes,
		})
	}
	return nil
}
