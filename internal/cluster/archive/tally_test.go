package archive

import (
	"testing"

	"porcupine/internal/cluster"
)

// Each object counts once, with the best that became of it.
func TestTallyCountsObjectsOnce(t *testing.T) {
	tally := NewTally()
	a, b := cluster.Object{ID: id(message, "u1", "a"), Size: 7}, cluster.Object{ID: id(message, "u1", "b"), Size: 9}
	for _, step := range []struct {
		o     *cluster.Object
		f     fate
		first bool
	}{{&a, fateFailed, true}, {&b, fateOwnerless, true}, {&a, fatePut, true}, {&a, fatePut, false}, {&a, fatePresent, false}, {&b, fateOwnerless, false}} {
		if got := tally.note(step.o, step.f); got != step.first {
			t.Errorf("note %s as %d = %v", step.o.ID.ID, step.f, got)
		}
	}
	tally.met("u1@x.example", false, true)
	tally.met("u1@x.example", false, true)
	if got, exact := tally.Sum(); !exact || got != (Injected{Owners: 1, Removed: 1, Objects: 2, Put: 1, Bytes: 7, Ownerless: 1}) {
		t.Errorf("sum = %+v, exact %v", got, exact)
	}
	if tally.Unfinished() {
		t.Error("unfinished though no profile came")
	}
	if tally.met("u1@x.example", true, false); !tally.Unfinished() {
		t.Error("a profile came, and mail was left out: not unfinished")
	}
	small := NewTally()
	small.max = 1
	small.note(&a, fatePut)
	small.note(&b, fatePut)
	small.note(&b, fatePut)
	if got, exact := small.Sum(); exact || got.Objects != 3 {
		t.Errorf("beyond its bound: %+v, exact %v", got, exact)
	}
}

// Two nodes' backups have the same objects: a dry run over both counts and reports each once.
func TestDryRunsShareATally(t *testing.T) {
	l, s, tally := newLive(), source(t), NewTally()
	l.gone[id(profile, "u1", "")] = true
	reported := 0
	for range 2 {
		in := injector(t, s, l)
		in.Tally, in.DryRun = tally, true
		in.Report = func(cluster.Object) { reported++ }
		removed := 0
		in.Owner = func(_ string, n Injected) { removed += n.Removed }
		if inject(t, in); removed > 1 {
			t.Errorf("%d owners removed", removed)
		}
	}
	got, _ := tally.Sum()
	if got.Owners != 3 || got.Objects != 15 || got.Put != reported || got.Put+got.StayGone+got.Ownerless != 15 {
		t.Errorf("two runs: %+v, %d reported", got, reported)
	}
}
