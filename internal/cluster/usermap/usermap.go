// Package usermap computes the user map: which member manages which bucket (Porcupine §3, §4.2
// between rounds 2 and 3). It is one pure function. The coordinator of a membership round alone
// calls it, and ships the result in the view, so all members of an epoch have the same map (M1).
//
// Every change of a bucket's manager throws soft state away, to be pushed anew by all nodes. So
// the map moves as few buckets as possible, given that every member ends with floor(B/N) or
// ceil(B/N) of the B buckets (M3).
package usermap

import (
	"cmp"
	"slices"

	"porcupine/internal/cluster"
)

// Assign derives the user map of the view with this epoch and these members from base, the map
// of the view it continues; base is nil when there is none. The result has cluster.BucketCount
// entries and is a function of the arguments alone; the order of members does not matter. It
// is nil when there are no members. Neither argument is changed.
//
// A bucket is stamped with epoch if its manager changes, and also if its manager stays but has
// Since == epoch: that manager lost its soft state, so all nodes must push the bucket again.
func Assign(base cluster.UserMap, members []cluster.Member, epoch cluster.Epoch) cluster.UserMap {
	if len(members) == 0 {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(members), func(a, b cluster.Member) int { return cmp.Compare(a.ID, b.ID) })
	index := make(map[cluster.NodeID]int, len(sorted))
	for i, m := range sorted {
		index[m.ID] = i
	}
	room := quotas(base, index, len(sorted))
	out := make(cluster.UserMap, cluster.BucketCount)
	var free []int // buckets without a manager, ascending
	for b := range out {
		i, ok := -1, false
		if b < len(base) {
			i, ok = index[base[b].Manager]
		}
		if !ok || room[i] == 0 {
			free = append(free, b)
			continue
		}
		room[i]--
		out[b] = base[b]
		if sorted[i].Since == epoch {
			out[b].Epoch = epoch
		}
	}
	next := 0
	for _, b := range free {
		for room[next] == 0 {
			next++
		}
		room[next]--
		out[b] = cluster.Assignment{Manager: sorted[next].ID, Epoch: epoch}
	}
	return out
}

// quotas gives each member (by index) the number of buckets it shall have. The members that have
// most now get the larger share, so that they need not give one away.
func quotas(base cluster.UserMap, index map[cluster.NodeID]int, n int) []int {
	have := make([]int, n)
	for _, a := range base {
		if i, ok := index[a.Manager]; ok {
			have[i]++
		}
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(have[b], have[a]), cmp.Compare(a, b))
	})
	quota := make([]int, n)
	for rank, i := range order {
		quota[i] = cluster.BucketCount / n
		if rank < cluster.BucketCount%n {
			quota[i]++
		}
	}
	return quota
}
