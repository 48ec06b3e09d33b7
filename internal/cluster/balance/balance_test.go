package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

var start = time.Unix(1_000_000, 0)

func ids(n ...cluster.NodeID) []cluster.NodeID { return n }

// count chooses many times and counts who came first.
func count(q Request, t *Table, now time.Time) map[cluster.NodeID]int {
	rng := rand.New(rand.NewPCG(1, 2))
	got := make(map[cluster.NodeID]int)
	for range 1000 {
		for _, id := range Choose(q, t, now, rng) {
			got[id]++
		}
	}
	return got
}

// busy is a load with that many commits pending, of the given time each.
func busy(pending int, commit time.Duration) cluster.Load {
	return cluster.Load{Pending: pending, Commit: commit}
}

func TestChoose(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		name  string
		q     Request
		loads map[cluster.NodeID]cluster.Load
		age   time.Duration
		want  []cluster.NodeID // always chosen, and nobody else
	}{
		{"the only member", Request{Members: ids(1)}, nil, 0, ids(1)},
		{"no member", Request{}, nil, 0, nil},
		{"§4.5 holders fill the spread", Request{Members: ids(1, 2, 3, 4), Holders: ids(2, 3)},
			map[cluster.NodeID]cluster.Load{1: {}, 2: busy(9, ms), 3: busy(3, ms), 4: {}}, 0, ids(3)},
		{"§4.5 least loaded of the candidates", Request{Members: ids(1, 2), Spread: 2},
			map[cluster.NodeID]cluster.Load{1: busy(8, ms), 2: busy(2, ms)}, 0, ids(2)},
		{"a slow disk is like a busy one", Request{Members: ids(1, 2), Spread: 2},
			map[cluster.NodeID]cluster.Load{1: busy(2, 50*ms), 2: busy(8, ms)}, 0, ids(2)},
		{"spread 1 stays with the holder", Request{Members: ids(1, 2, 3), Holders: ids(2), Spread: 1},
			map[cluster.NodeID]cluster.Load{2: busy(100, ms)}, 0, ids(2)},
		{"§4.5 limit broken when the holders are full", Request{Members: ids(1, 2, 3), Holders: ids(1, 2), Spread: 2},
			map[cluster.NodeID]cluster.Load{1: {DiskFull: true}, 2: {DiskFull: true}}, 0, ids(3)},
		{"limit broken when the holders are down", Request{Members: ids(3), Holders: ids(1, 2)}, nil, 0, ids(3)},
		{"draining takes nothing", Request{Members: ids(1, 2)}, map[cluster.NodeID]cluster.Load{1: {Draining: true}}, 0, ids(2)},
		{"full stays full when the news is old", Request{Members: ids(1, 2)},
			map[cluster.NodeID]cluster.Load{1: {DiskFull: true}}, time.Hour, ids(2)},
		{"excluded", Request{Members: ids(1, 2), Exclude: ids(2)}, nil, 0, ids(1)},
		{"all full", Request{Members: ids(1, 2)}, map[cluster.NodeID]cluster.Load{1: {DiskFull: true}, 2: {DiskFull: true}}, 0, nil},
		{"copies widen the spread", Request{Members: ids(1, 2, 3), Spread: 1, Copies: 3}, nil, 0, ids(1, 2, 3)},
		{"fewer members than copies", Request{Members: ids(1, 2), Copies: 3}, nil, 0, ids(1, 2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := NewTable()
			for id, l := range tt.loads {
				table.Observe(id, l, start)
			}
			got := count(tt.q, table, start.Add(tt.age))
			for _, id := range tt.want {
				if got[id] != 1000 {
					t.Errorf("node %d chosen %d times of 1000, want always", id, got[id])
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("chosen %v, want only %v", got, tt.want)
			}
		})
	}
}

// Old news is no news: an idle node not heard of for a while loses its advantage, and does not
// gain one over a node known to be busy either.
func TestStaleLoadIsUnknownNotIdle(t *testing.T) {
	table := NewTable()
	q := Request{Members: ids(1, 2, 3), Spread: 3}
	table.Observe(1, busy(0, time.Millisecond), start)
	now := start.Add(FreshMax + 1)
	table.Observe(2, busy(1, time.Millisecond), now)
	table.Observe(3, busy(50, time.Millisecond), now)
	got := count(q, table, now)
	if got[1] != 0 || got[2] != 1000 {
		t.Errorf("stale idle node chosen %d times, idle node %d of 1000", got[1], got[2])
	}
}

// Nor does old news make a node better than it was: a slow disk is slow still, and a long queue does not
// go faster than its disk works.
func TestStaleLoadIsNoBetterThanItWas(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		name  string
		stale cluster.Load
		age   time.Duration
		want  time.Duration // estimated
	}{
		{"slow disk", busy(0, 50*ms), time.Hour, 50 * ms},
		{"long queue", busy(999, 10*ms), 4 * time.Second, 6 * time.Second},
		{"queue that is gone", busy(999, 10*ms), time.Hour, 10 * ms},
		{"quick disk", busy(0, ms), time.Hour, 4 * ms},
		{"busy, of unknown speed", busy(1000, 0), time.Hour, 4 * ms},
		{"absurd", busy(1<<62, time.Hour), 4 * time.Second, math.MaxInt64 - 4*time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := NewTable()
			table.Observe(1, tt.stale, start)
			now := start.Add(tt.age)
			table.Observe(2, busy(3, ms), now)
			if got := table.estimates(ids(1, 2), now)[0].wait; got != tt.want {
				t.Errorf("%+v of %v ago counts like %v, want %v", tt.stale, tt.age, got, tt.want)
			}
		})
	}
}

func TestUnknownLoadsAreSpreadEvenly(t *testing.T) {
	got := count(Request{Members: ids(1, 2, 3, 4)}, NewTable(), start)
	for id := cluster.NodeID(1); id <= 4; id++ {
		if got[id] < 180 || got[id] > 320 {
			t.Errorf("node %d chosen %d times of 1000, want about 250", id, got[id])
		}
	}
}

// A node that has just joined has few commits to tell of, or none. In a quiet cluster it gets its share of
// new objects all the same, whatever the speed of the others' disks.
func TestFreshNodeGetsItsShare(t *testing.T) {
	for _, commit := range []time.Duration{100 * time.Microsecond, time.Millisecond, 20 * time.Millisecond} {
		for name, fresh := range map[string]cluster.Load{"nothing known": {}, "slow first commits": busy(0, 3*commit)} {
			t.Run(name+", the others "+commit.String(), func(t *testing.T) {
				table := NewTable()
				table.Observe(1, busy(0, commit), start)
				table.Observe(2, busy(0, commit*9/10), start)
				table.Observe(3, fresh, start)
				for copies, want := range map[int]int{1: 333, 2: 667} {
					got := count(Request{Members: ids(1, 2, 3), Spread: 3, Copies: copies}, table, start)
					for id := cluster.NodeID(1); id <= 3; id++ {
						if got[id] < want-80 || got[id] > want+80 {
							t.Errorf("with %d copies node %d was chosen %d times of 1000, want about %d", copies, id, got[id], want)
						}
					}
				}
			})
		}
	}
}

// In a quiet cluster most nodes are not heard of for a while. They are not forgotten for that.
func TestUnheardNodeGetsItsShare(t *testing.T) {
	table := NewTable()
	table.Observe(1, busy(0, time.Millisecond), start)
	table.Observe(2, busy(0, 2*time.Millisecond), start)
	got := count(Request{Members: ids(1, 2, 3), Spread: 3}, table, start)
	for id := cluster.NodeID(1); id <= 3; id++ {
		if got[id] < 250 || got[id] > 420 {
			t.Errorf("node %d was chosen %d times of 1000, want about 333", id, got[id])
		}
	}
}

// With many candidates and one stale table, not everybody runs to the one idle node.
func TestPowerOfTwoChoices(t *testing.T) {
	table := NewTable()
	var members []cluster.NodeID
	for id := cluster.NodeID(1); id <= 20; id++ {
		members = append(members, id)
		table.Observe(id, busy(int(id), time.Millisecond), start)
	}
	got := count(Request{Members: members, Spread: 20}, table, start)
	if got[1] < 60 || got[1] > 150 {
		t.Errorf("the idlest of 20 chosen %d times of 1000, want about 100", got[1])
	}
	if got[20] != 0 {
		t.Errorf("the busiest chosen %d times, want never", got[20])
	}
}

func TestChooseGivesDistinctMembers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	table := NewTable()
	for range 2000 {
		n := 1 + rng.IntN(8)
		q := Request{Spread: rng.IntN(5), Copies: rng.IntN(4)}
		for id := 1; id <= n; id++ {
			q.Members = append(q.Members, cluster.NodeID(id))
			if rng.IntN(3) == 0 {
				q.Holders = append(q.Holders, cluster.NodeID(id))
			}
			table.Observe(cluster.NodeID(id), cluster.Load{Pending: rng.IntN(9) - 1, Commit: time.Duration(rng.Int64N(1e9))}, start)
		}
		got := Choose(q, table, start, rng)
		if want := min(max(q.Copies, 1), n); len(got) != want {
			t.Fatalf("Choose(%+v) = %v, want %d nodes", q, got, want)
		}
		sorted := slices.Clone(got)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(got) {
			t.Fatalf("Choose(%+v) = %v: a node twice", q, got)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewTable()
	table.Observe(1, busy(5, 0), start)
	table.Observe(1, busy(9, 0), start.Add(-time.Second))
	if k, ok := table.Get(1); !ok || k.Load.Pending != 5 {
		t.Errorf("Get(1) = %+v, %v after an older observation, want 5 pending", k, ok)
	}
	table.Observe(2, cluster.Load{}, start)
	table.Retain(ids(2, 3))
	if _, ok := table.Get(1); ok {
		t.Error("Get(1) after Retain(2, 3): still known")
	}
	if _, ok := table.Get(2); !ok {
		t.Error("Get(2) after Retain(2, 3): forgotten")
	}
	table.Observe(3, busy(1<<62, time.Hour), start)
	if e := table.estimates(ids(3), start)[0]; e.wait <= time.Hour {
		t.Errorf("wait of an absurd load = %v, want a large one", e.wait)
	}
}
