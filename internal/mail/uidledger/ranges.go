package uidledger

import (
	"slices"
	"sort"
)

// Range is the numbers from First to Last, both included.
type Range struct{ First, Last uint64 }

// Ranges is a set of numbers: ascending, neither overlapping nor touching. Its methods change it in place only where
// they say so.
type Ranges []Range

// Contains reports whether x is in the set.
func (r Ranges) Contains(x uint64) bool {
	i := sort.Search(len(r), func(i int) bool { return r[i].Last >= x })
	return i < len(r) && r[i].First <= x
}

// add puts in the numbers from first to last, in place. first above last: none.
func (r *Ranges) add(first, last uint64) {
	if first > last {
		return
	}
	s := *r
	if n := len(s); n == 0 || first > s[n-1].Last+1 {
		*r = append(s, Range{first, last})
		return
	}
	i := sort.Search(len(s), func(i int) bool { return s[i].Last+1 >= first }) // the first that touches, or lies above
	j := i
	for ; j < len(s) && s[j].First <= last+1; j++ {
		first, last = min(first, s[j].First), max(last, s[j].Last)
	}
	*r = slices.Replace(s, i, j, Range{first, last})
}

// union gives the numbers that are in either set.
func (r Ranges) union(s Ranges) Ranges {
	if len(r) == 0 {
		return slices.Clone(s)
	}
	if len(s) == 0 {
		return slices.Clone(r)
	}
	all := make(Ranges, 0, len(r)+len(s))
	for len(r)+len(s) > 0 {
		var next Range
		if len(s) == 0 || len(r) > 0 && r[0].First <= s[0].First {
			next, r = r[0], r[1:]
		} else {
			next, s = s[0], s[1:]
		}
		if n := len(all); n > 0 && next.First <= all[n-1].Last+1 {
			all[n-1].Last = max(all[n-1].Last, next.Last)
			continue
		}
		all = append(all, next)
	}
	return all
}

// gaps gives what of first to last is not in the set.
func (r Ranges) gaps(first, last uint64) (out Ranges) {
	i := sort.Search(len(r), func(i int) bool { return r[i].Last >= first })
	for ; i < len(r) && r[i].First <= last; i++ {
		if r[i].First > first {
			out = append(out, Range{first, r[i].First - 1})
		}
		first = r[i].Last + 1
	}
	if first <= last {
		out = append(out, Range{first, last})
	}
	return out
}

// ranges makes a set of numbers in any order.
func ranges(numbers []uint64) (r Ranges) {
	slices.Sort(numbers)
	for _, x := range numbers {
		if n := len(r); n > 0 && x <= r[n-1].Last+1 {
			r[n-1].Last = x
			continue
		}
		r = append(r, Range{x, x})
	}
	return r
}
