package usermap_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/usermap"
)

func epochOf(n int) cluster.Epoch { return cluster.Epoch{Counter: uint64(n), Coordinator: 1} }

func membersOf(since cluster.Epoch, ids ...cluster.NodeID) []cluster.Member {
	var out []cluster.Member
	for _, id := range ids {
		out = append(out, cluster.Member{Endpoint: cluster.Endpoint{ID: id}, Since: since})
	}
	return out
}

func idsTo(n int) []cluster.NodeID {
	var out []cluster.NodeID
	for id := range n {
		out = append(out, cluster.NodeID(id+1))
	}
	return out
}

func counts(m cluster.UserMap) map[cluster.NodeID]int {
	out := map[cluster.NodeID]int{}
	for _, a := range m {
		out[a.Manager]++
	}
	return out
}

func moved(a, b cluster.UserMap) int {
	n := 0
	for i := range b {
		if len(a) == 0 || a[i].Manager != b[i].Manager {
			n++
		}
	}
	return n
}

// check reports what is wrong with a result, whatever the input.
func check(base, got cluster.UserMap, members []cluster.Member, epoch cluster.Epoch) error {
	if len(got) != cluster.BucketCount {
		return fmt.Errorf("%d buckets, want %d", len(got), cluster.BucketCount)
	}
	since := map[cluster.NodeID]cluster.Epoch{}
	for _, m := range members {
		since[m.ID] = m.Since
	}
	have, low := counts(got), cluster.BucketCount/len(members)
	for _, m := range members {
		if c := have[m.ID]; c != low && (c != low+1 || cluster.BucketCount%len(members) == 0) {
			return fmt.Errorf("member %s has %d buckets of %d members", m.ID, c, len(members))
		}
	}
	for b, a := range got {
		s, ok := since[a.Manager]
		if !ok {
			return fmt.Errorf("bucket %d: manager %s is no member", b, a.Manager)
		}
		fresh := len(base) == 0 || base[b].Manager != a.Manager || s == epoch
		if fresh && a.Epoch != epoch || !fresh && a != base[b] {
			return fmt.Errorf("bucket %d: %v, before %v, fresh: %v", b, a, base[b], fresh)
		}
	}
	return nil
}

// slowMoves moves one bucket at a time, in the obvious way: first those without a manager to who
// has fewest, then from who has most to who has fewest. It gives the number of moves.
func slowMoves(base cluster.UserMap, members []cluster.Member) int {
	have := map[cluster.NodeID]int{}
	for _, m := range members {
		have[m.ID] = 0
	}
	moves := 0
	least := func() cluster.NodeID {
		best := members[0].ID
		for _, m := range members {
			if have[m.ID] < have[best] {
				best = m.ID
			}
		}
		return best
	}
	for b := range cluster.BucketCount {
		if len(base) != 0 {
			if _, ok := have[base[b].Manager]; ok {
				have[base[b].Manager]++
			}
		}
	}
	total := 0
	for _, n := range have {
		total += n
	}
	for ; total < cluster.BucketCount; total++ {
		have[least()]++
		moves++
	}
	for {
		most := members[0].ID
		for _, m := range members {
			if have[m.ID] > have[most] {
				most = m.ID
			}
		}
		to := least()
		if have[most]-have[to] <= 1 {
			return moves
		}
		have[most]--
		have[to]++
		moves++
	}
}

// M3 on random histories, against the slow way: as even, and not one move more.
func TestM3_RandomHistoriesAgainstTheSlowWay(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		rng := rand.New(rand.NewPCG(seed, 0))
		var base cluster.UserMap
		since := map[cluster.NodeID]cluster.Epoch{}
		for step := 1; step <= 12; step++ {
			epoch := epochOf(step)
			pool := 1 + rng.IntN(60)
			var members []cluster.Member
			for _, id := range idsTo(pool) {
				if rng.IntN(4) == 0 && len(members) > 0 {
					delete(since, id)
					continue
				}
				if _, ok := since[id]; !ok || rng.IntN(10) == 0 {
					since[id] = epoch
				}
				members = append(members, membersOf(since[id], id)...)
			}
			for id := range since {
				if int(id) > pool {
					delete(since, id)
				}
			}
			before := slices.Clone(base)
			got := usermap.Assign(base, members, epoch)
			if err := check(base, got, members, epoch); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, step, err)
			}
			if have, want := moved(base, got), slowMoves(base, members); have != want {
				t.Fatalf("seed %d step %d: %d buckets moved, the slow way moves %d", seed, step, have, want)
			}
			if !slices.Equal(before, base) {
				t.Fatalf("seed %d step %d: the base was changed", seed, step)
			}
			rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			if again := usermap.Assign(base, members, epoch); !slices.Equal(got, again) {
				t.Fatalf("seed %d step %d: the order of the members changes the result", seed, step)
			}
			base = got
		}
	}
}

// M3: one node more or less moves no more than its share.
func TestM3_MovementOnOneNodeMoreOrLess(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 7, 30, 100, 999, 5000} {
		ids := idsTo(n + 1)
		small := usermap.Assign(nil, membersOf(epochOf(1), ids[:n]...), epochOf(1))
		big := usermap.Assign(small, membersOf(epochOf(1), ids...), epochOf(2))
		limit := (cluster.BucketCount + n) / (n + 1)
		if got := moved(small, big); got > limit {
			t.Errorf("%d nodes and one more: %d buckets move, want at most %d", n, got, limit)
		}
		for b := range big {
			if big[b].Manager != small[b].Manager && big[b].Manager != ids[n] {
				t.Fatalf("%d nodes and one more: bucket %d moves between old members", n, b)
			}
		}
		gone := usermap.Assign(big, membersOf(epochOf(1), ids[1:]...), epochOf(3))
		limit = (cluster.BucketCount + n) / (n + 1)
		if got := moved(big, gone); got > limit {
			t.Errorf("%d nodes and one less: %d buckets move, want at most %d", n+1, got, limit)
		}
	}
}

// Rule 1: a manager that stays but has lost its memory gets its buckets stamped.
func TestRule1_RenewedSinceStampsTheBuckets(t *testing.T) {
	old, now := epochOf(1), epochOf(2)
	base := usermap.Assign(nil, membersOf(old, 1, 2, 3), old)
	members := membersOf(old, 1, 2, 3)
	members[1].Since = now
	got := usermap.Assign(base, members, now)
	for b, a := range got {
		want := base[b]
		if want.Manager == 2 {
			want.Epoch = now
		}
		if a != want {
			t.Fatalf("bucket %d: %v, want %v", b, a, want)
		}
	}
}

func TestAssignEdges(t *testing.T) {
	base := usermap.Assign(nil, membersOf(epochOf(1), 1), epochOf(1))
	cases := []struct {
		name    string
		base    cluster.UserMap
		members []cluster.Member
	}{
		{"nothing before", nil, membersOf(epochOf(2), 5)},
		{"all others", base, membersOf(epochOf(2), 7, 8, 9)},
		{"more members than buckets", base, membersOf(epochOf(1), idsTo(5000)...)},
		{"largest id", base, membersOf(epochOf(2), 1, 1<<64-1)},
	}
	for _, c := range cases {
		if err := check(c.base, usermap.Assign(c.base, c.members, epochOf(2)), c.members, epochOf(2)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if got := usermap.Assign(base, nil, epochOf(2)); got != nil {
		t.Errorf("no members: %d buckets, want nil", len(got))
	}
}

func BenchmarkAssign1000(b *testing.B) {
	base := usermap.Assign(nil, membersOf(epochOf(1), idsTo(1000)...), epochOf(1))
	members := membersOf(epochOf(1), idsTo(1001)...)
	for b.Loop() {
		usermap.Assign(base, members, epochOf(2))
	}
}

func ExampleAssign() {
	first, second := epochOf(1), epochOf(2)
	two := usermap.Assign(nil, membersOf(first, 1, 2), first)
	three := usermap.Assign(two, membersOf(first, 1, 2, 3), second)
	fmt.Println(counts(two), counts(three), moved(two, three))
	// Output: map[0000000000000001:2048 0000000000000002:2048] map[0000000000000001:1366 0000000000000002:1365 0000000000000003:1365] 1365
}
