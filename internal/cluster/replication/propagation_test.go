package replication_test

import (
	"errors"
	"slices"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// end is how an update ended at one target.
type end struct {
	reply replication.Reply
	err   error
}

var (
	applied = end{reply: replication.Reply{Verdict: replication.Newer, Have: at(6)}}
	again   = end{reply: replication.Reply{Verdict: replication.Same, Have: at(6)}}
	beaten  = end{reply: replication.Reply{Verdict: replication.Older, Have: at(7)}}
	wants   = end{reply: replication.Reply{Want: true}}
	full    = end{reply: replication.Reply{Err: cluster.Errorf(cluster.KindFull, "apply", "no room")}}
	invalid = end{reply: replication.Reply{Err: cluster.Errorf(cluster.KindInvalid, "apply", "no such type")}}
	silent  = end{err: cluster.Errorf(cluster.KindUnavailable, "call", "no answer")}
	nothing = end{}
)

func TestPropagation(t *testing.T) {
	type ends map[cluster.NodeID]end
	none := cluster.Kind(255)
	for _, test := range []struct {
		name             string
		update           cluster.Update
		ends             ends
		asked            [][]cluster.NodeID
		kind             cluster.Kind // none: Outcome is nil
		durable, missing cluster.ReplicaSet
		retires          bool
	}{
		{name: "all have it", update: updateOf(6, set(1, 2), nil), ends: ends{1: applied, 2: again}, asked: [][]cluster.NodeID{{1, 2}}, kind: none, retires: true},
		{name: "beaten at one", update: updateOf(6, set(1, 2), nil), ends: ends{1: applied, 2: beaten}, asked: [][]cluster.NodeID{{1, 2}}, kind: none},
		{name: "one is silent", update: updateOf(6, set(1, 2), nil), ends: ends{1: silent, 2: applied}, asked: [][]cluster.NodeID{{1, 2}}, kind: cluster.KindUnavailable, durable: set(2), missing: set(1)},
		{name: "one is full", update: updateOf(6, set(1, 2), nil), ends: ends{1: applied, 2: full}, asked: [][]cluster.NodeID{{1, 2}}, kind: cluster.KindFull, durable: set(1), missing: set(2)},
		{name: "one lacks the contents", update: updateOf(6, set(1, 2), nil), ends: ends{1: applied, 2: wants}, asked: [][]cluster.NodeID{{1, 2}}, kind: cluster.KindInvalid, durable: set(1), missing: set(2)},
		{name: "an answer that says nothing", update: updateOf(6, set(1, 2), nil), ends: ends{1: applied, 2: nothing}, asked: [][]cluster.NodeID{{1, 2}}, kind: cluster.KindInternal, durable: set(1), missing: set(2)},
		{name: "all refuse", update: updateOf(6, set(1, 2), nil), ends: ends{1: invalid, 2: invalid}, asked: [][]cluster.NodeID{{1, 2}}, kind: cluster.KindInvalid},
		{name: "all fail, each in its way", update: updateOf(6, set(1, 2), nil), ends: ends{1: invalid, 2: silent}, asked: [][]cluster.NodeID{{1, 2}}, kind: cluster.KindUnavailable},
		{name: "all fail, one is full", update: updateOf(6, set(1, 2), nil), ends: ends{1: silent, 2: full}, asked: [][]cluster.NodeID{{1, 2}}, kind: cluster.KindFull},
		{name: "a move: the leaver is last (D1)", update: updateOf(6, set(2), set(1)), ends: ends{1: applied, 2: applied}, asked: [][]cluster.NodeID{{2}, {1}}, kind: none, retires: true},
		{name: "a move: the leaver is silent", update: updateOf(6, set(2), set(1)), ends: ends{1: silent, 2: applied}, asked: [][]cluster.NodeID{{2}, {1}}, kind: none},
		{name: "a move that fails asks no leaver (D1)", update: updateOf(6, set(2, 3), set(1)), ends: ends{2: applied, 3: silent}, asked: [][]cluster.NodeID{{2, 3}}, kind: cluster.KindUnavailable, durable: set(2), missing: set(3)},
		{name: "a deletion", update: updateOf(6, nil, set(1, 2)), ends: ends{1: applied, 2: applied}, asked: [][]cluster.NodeID{{1, 2}}, kind: none, retires: true},
		{name: "a deletion, one not reached", update: updateOf(6, nil, set(1, 2)), ends: ends{1: applied, 2: silent}, asked: [][]cluster.NodeID{{1, 2}}, kind: none},
		{name: "a deletion, one refuses", update: updateOf(6, nil, set(1, 2)), ends: ends{1: applied, 2: invalid}, asked: [][]cluster.NodeID{{1, 2}}, kind: cluster.KindInvalid, durable: set(1), missing: set(2)},
		{name: "a deletion, none reached", update: updateOf(6, nil, set(1, 2)), ends: ends{1: silent, 2: silent}, asked: [][]cluster.NodeID{{1, 2}}, kind: cluster.KindUnavailable},
		{name: "no targets", update: updateOf(6, nil, nil), kind: cluster.KindInvalid},
	} {
		p := replication.Propagate(&test.update)
		var asked [][]cluster.NodeID
		var outcome error
		for targets := p.Next(); len(targets) > 0; targets = p.Next() {
			asked = append(asked, slices.Clone(targets))
			for _, id := range targets {
				p.Answered(id, test.ends[id].reply, test.ends[id].err)
			}
			if len(asked) == 1 {
				outcome = p.Outcome()
			}
		}
		if len(asked) == 0 {
			outcome = p.Outcome()
		}
		p.Answered(99, replication.Reply{}, nil) // no target: nothing
		if !slices.EqualFunc(asked, test.asked, slices.Equal[[]cluster.NodeID]) {
			t.Errorf("%s: asked %v, want %v", test.name, asked, test.asked)
		}
		if late := p.Outcome(); (late == nil) != (outcome == nil) {
			t.Errorf("%s: the outcome changed from %v to %v", test.name, outcome, late)
		}
		var short *cluster.Shortfall
		switch {
		case test.kind == none && outcome != nil, test.kind != none && !cluster.IsKind(outcome, test.kind):
			t.Errorf("%s: %v, want kind %v", test.name, outcome, test.kind)
		case errors.As(outcome, &short) != (test.durable != nil):
			t.Errorf("%s: %v, a shortfall is wanted: %t", test.name, outcome, test.durable != nil)
		case short != nil && (!short.Durable.Equal(test.durable) || !short.Missing.Equal(test.missing)):
			t.Errorf("%s: %v, want %v and %v", test.name, short, test.durable, test.missing)
		}
		if r, ok := p.Retirement(); ok != test.retires || ok && (r.Timestamp != at(6) || !r.Targets.Equal(test.update.Targets())) {
			t.Errorf("%s: retirement %+v, %t; want %t", test.name, r, ok, test.retires)
		}
	}
}

// TestUnanswered: what has not ended yet is not durable.
func TestUnanswered(t *testing.T) {
	u := updateOf(6, set(1, 2), nil)
	p := replication.Propagate(&u)
	p.Next()
	p.Answered(1, applied.reply, nil)
	if err := p.Outcome(); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Outcome = %v, want kind unavailable", err)
	}
	if r, ok := p.Retirement(); ok {
		t.Errorf("Retirement = %+v", r)
	}
}
