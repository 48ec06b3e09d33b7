package store

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
)

// mustRetire is the end of an update: all its targets have it.
func mustRetire(t *testing.T, s *Store, r *cluster.Record) {
	t.Helper()
	items := []cluster.Retirement{{ID: r.ID, Timestamp: r.Timestamp, Targets: r.Targets}}
	if err := s.Retire(context.Background(), items); err != nil {
		t.Fatalf("Retire(%v) = %v", r.ID, err)
	}
}

// TestV1_SoleUntilAnotherHasIt: what lay on this node alone does so until the other replicas have it,
// whatever its replica set says, and after a restart too.
func TestV1_SoleUntilAnotherHasIt(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, testConfig(fs))
	expect := func(what string, sole bool) {
		t.Helper()
		if got := s.Load().Sole; got != sole {
			t.Errorf("%s: Sole = %t, want %t", what, got, sole)
		}
	}
	apply := func(time int64, contents string, nodes ...cluster.NodeID) *cluster.Record {
		u, body := put("user", "a", "1", time, []byte(contents), nodes...)
		return mustApply(t, s, u, body).Record
	}
	apply(1, "one", self)
	expect("made here alone", true)
	apply(2, "one", self, other)
	expect("the other is to get it", true)
	apply(3, "two", self, other)
	expect("changed meanwhile", true)
	u, body := put("message", "a", "m", 3, nil, self, other)
	mustRetire(t, s, mustApply(t, s, u, body).Record)
	expect("a message is no matter", true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig(fs))
	expect("opened again", true)
	last := apply(4, "three", self, other)
	expect("changed after that", true)
	mustRetire(t, s, last)
	expect("the other has it", false)
	last = apply(5, "four", self, other)
	expect("changed where both have it", false)
	mustRetire(t, s, last)
	mustVerify(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
