package sim

import (
	"fmt"
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
}

// String gives a row of a Markdown table.
func (p Phase) String() string {
	return fmt.Sprintf("| %s | %.1f s | %d | %d | %d | %d |", p.Name, p.Took.Seconds(), p.Epochs, p.Membership, p.Messages, p.Pushes)
}

// scaleMax is how long one phase may take.
const scaleMax = 5 * time.Minute

// Scale boots a large cluster with the periods of production, crashes a tenth of it, runs the tenth
// again, cuts it into halves and mends it, and tells what each step cost. The invariants are
// checked as in every run.
func Scale(nodes int, seed uint64, log func(Phase)) *Failure {
	w := newWorld(Options{Seed: seed, Nodes: nodes, Quiet: true})
	w.boot(nodes)
	tenth, half := w.nodes[:nodes/10], nodes/2
	var mend func()
	steps := []struct {
		name   string
		change func()
		rest   func() string
	}{
		{"all boot within 2 s", func() { w.run(bootTime) }, func() string { return w.unsettled(w.nodes) }},
		{"a tenth crashes", func() {
			for _, n := range tenth {
				n.crash()
			}
		}, func() string { return w.unsettled(w.nodes) }},
		{"the tenth starts again", func() {
			for _, n := range tenth {
				n.start()
			}
		}, func() string { return w.unsettled(w.nodes) }},
		{"cut into halves", func() {
			mend = w.faults.cutWhere(func(a, b *node) bool { return a.index < half != (b.index < half) })
		}, func() string { return w.unsettled(w.nodes[:half]) + w.unsettled(w.nodes[half:]) }},
		{"the halves merge", func() { mend() }, func() string { return w.unsettled(w.nodes) }},
	}
	for _, s := range steps {
		before, begun := w.stats, w.now
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
		log(Phase{
			Name:       s.name,
			Took:       time.Duration(w.now - begun),
			Epochs:     w.stats.Epochs - before.Epochs,
			Membership: w.stats.Membership - before.Membership,
			Messages:   w.stats.Messages - before.Messages,
			Pushes:     w.stats.Pushes - before.Pushes,
		})
	}
	return nil
}
