package uidledger

import (
	"testing"

	"porcupine/internal/cluster"
)

// U1: a replica that does not find what it has granted goes on above all that that can have been, if enough of the others are found to tell.
func TestU1_Regain(t *testing.T) {
	const budget = (BudgetMax + 1) * LanesMax * UIDLease
	set := func(n int) Set {
		var nodes cluster.ReplicaSet
		for i := range n {
			nodes = append(nodes, cluster.NodeID(i+1))
		}
		return FirstSet(nodes, 1)
	}
	three := set(3)
	second := three.next(cluster.NewReplicaSet(1, 2, 4), 1, [counters]uint64{300, 300}) // above the floor of 3's budget
	at := func(s Set, ceil uint64) []byte {
		g := Grant{Set: s}
		g.Counters[UIDs].Ceil = ceil
		return g.Marshal()
	}
	promised := Grant{Set: three, Promised: Ballot{1, 2}}
	for name, c := range map[string]struct {
		set    Set
		others [][]byte
		want   uint64 // 0: for now it is refused
	}{
		"the only one":                       {set(1), nil, 0},
		"one of two":                         {set(2), [][]byte{at(set(2), 512)}, 512 + budget},
		"one of two, alone":                  {set(2), nil, 0},
		"one of three":                       {three, [][]byte{at(three, 512), at(three, 4096)}, 4096 + budget},
		"one of three, one away":             {three, [][]byte{at(three, 512)}, 0},
		"one of four: three make a majority": {set(4), [][]byte{at(set(4), 512), at(set(4), 4096), at(set(4), 256)}, 512 + budget},
		"one of five, one away":              {set(5), [][]byte{at(set(5), 512), at(set(5), 4096), at(set(5), 256)}, 4096 + budget},
		"one of five, two away":              {set(5), [][]byte{at(set(5), 512), at(set(5), 4096)}, 0},
		"the others were not told the set":   {second, [][]byte{at(three, 512), at(three, 300)}, second.Floor[UIDs] + budget},
		"the others know a newer set":        {three, [][]byte{at(second, 512), at(three, 512)}, 0},
		"a vote is under way":                {three, [][]byte{promised.Marshal(), at(three, 512)}, 0},
		"no numbers are left":                {set(2), [][]byte{at(set(2), UIDMax-1)}, UIDMax},
	} {
		r := Request{Kind: AskLane, Set: c.set, Counter: UIDs, After: 300, Count: 1}
		b, err := Regain(&r, c.others)
		if c.want == 0 {
			if !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		g, parseErr := ParseGrant(b)
		if err != nil || parseErr != nil || g.Counters[UIDs].Ceil != c.want || !g.Set.equal(&c.set) {
			t.Errorf("%s: %+v, %v, %v; want a ceiling of %d", name, g.Counters, err, parseErr, c.want)
		}
	}
	if _, err := Regain(&Request{Set: three}, [][]byte{{'x'}, at(three, 1)}); !cluster.IsKind(err, cluster.KindCorrupt) {
		t.Errorf("a grant object that is damaged: %v", err)
	}
}

// A replica that has gone on above everything gives numbers again when a majority has told what it may count from: at once, by its manager.
func TestL9_RegainedReplicaGoesOn(t *testing.T) {
	for _, n := range []cluster.NodeID{2, 3, 4, 5} {
		var nodes []cluster.NodeID
		for i := range n {
			nodes = append(nodes, i+1)
		}
		b := newBench(t, nodes...)
		m := b.open()
		m.Arrive(Arrival{ID: messageID(1), Stay: cluster.Timestamp{Time: 1, Node: 1}})
		b.run(m)
		var others [][]byte
		for _, i := range nodes[1:] {
			others = append(others, b.grants[i])
		}
		var err error
		if b.grants[1], err = Regain(&Request{Set: b.set}, others); err != nil {
			t.Fatal(err)
		}
		m = b.open()
		m.Arrive(Arrival{ID: messageID(2), Stay: cluster.Timestamp{Time: 2, Node: 1}})
		b.run(m)
		if err := m.Waiting(); err != nil || m.View().Len() != 2 || m.View().UIDNext() > 2*(BudgetMax+1)*LanesMax*UIDLease {
			t.Errorf("%d replicas: %v, %d messages, UIDNEXT %d", n, err, m.View().Len(), m.View().UIDNext())
		}
		for _, i := range nodes {
			if g, err := ParseGrant(b.grants[i]); err != nil || g.Counters[UIDs].Ceil < uint64(m.View().UIDNext())-1 {
				t.Errorf("%d replicas: node %d has %+v, %v, UIDNEXT %d", n, i, g.Counters, err, m.View().UIDNext())
			}
		}
	}
}
