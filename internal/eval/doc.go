// Package eval is the form of the evaluation: what an experiment is, and how its result is told.
//
// Each experiment of the papers (TOCS §5, thesis) is one Experiment: a function that runs real nodes,
// or the part of one that the experiment is about, and gives a Result: tables with the published
// value beside the measured one, figures with both curves, and checks. A check is a claim about the
// shape of a curve ("linear within 10 %"), never about an absolute speed: whoever repeats the
// experiment has another machine. A claim that does not hold makes the command fail.
//
// An experiment has two forms. The full one takes minutes; the quick one has fewer points and shorter
// windows, and is for every change. Both check the same claims.
//
// Experiments are made in rooms below this one; each has an All that lists its own. The command
// `porcupine eval` puts the lists together: nothing registers itself.
package eval
