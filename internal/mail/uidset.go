package mail

import (
	"iter"
	"slices"
	"sort"
)

// UIDRange is the UIDs from First to Last, both included; First <= Last.
type UIDRange struct{ First, Last UID }

// UIDSet is a set of UIDs: ranges in ascending order that neither overlap nor touch. A mailbox of
// 100,000 messages with few gaps is a few ranges. Its methods never change it in place, Append excepted.
type UIDSet []UIDRange

// NewUIDSet makes a set of UIDs in any order, repeated or not.
func NewUIDSet(uids ...UID) UIDSet {
	sorted := slices.Clone(uids)
	slices.Sort(sorted)
	var s UIDSet
	for _, u := range sorted {
		s.Append(u)
	}
	return s
}

// Append adds a UID that is not smaller than any in the set.
func (s *UIDSet) Append(u UID) {
	if n := len(*s); n > 0 {
		switch last := &(*s)[n-1]; {
		case u <= last.Last:
			return
		case u == last.Last+1:
			last.Last = u
			return
		}
	}
	*s = append(*s, UIDRange{u, u})
}

// Len is the number of UIDs.
func (s UIDSet) Len() int {
	n := 0
	for _, r := range s {
		n += int(r.Last-r.First) + 1
	}
	return n
}

// search gives the index of the first range that ends at u or later.
func (s UIDSet) search(u UID) int {
	return sort.Search(len(s), func(i int) bool { return s[i].Last >= u })
}

// Contains reports whether u is in the set.
func (s UIDSet) Contains(u UID) bool {
	i := s.search(u)
	return i < len(s) && s[i].First <= u
}

// All gives the UIDs, ascending.
func (s UIDSet) All() iter.Seq[UID] {
	return func(yield func(UID) bool) {
		for _, r := range s {
			for u := r.First; ; u++ {
				if !yield(u) {
					return
				}
				if u == r.Last { // Last may be the largest UID of all
					break
				}
			}
		}
	}
}

// Union gives the UIDs that are in either set.
func (s UIDSet) Union(t UIDSet) UIDSet {
	all := append(slices.Clone(s), t...)
	slices.SortFunc(all, func(a, b UIDRange) int {
		switch {
		case a.First < b.First:
			return -1
		case a.First > b.First:
			return 1
		}
		return 0
	})
	joined := all[:0]
	for _, r := range all {
		if n := len(joined); n > 0 && (r.First <= joined[n-1].Last || r.First == joined[n-1].Last+1) {
			joined[n-1].Last = max(joined[n-1].Last, r.Last)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// Intersect gives the UIDs that are in both sets.
func (s UIDSet) Intersect(t UIDSet) UIDSet {
	var both UIDSet
	for len(s) > 0 && len(t) > 0 {
		if first, last := max(s[0].First, t[0].First), min(s[0].Last, t[0].Last); first <= last {
			both = append(both, UIDRange{first, last})
		}
		if s[0].Last < t[0].Last {
			s = s[1:]
		} else {
			t = t[1:]
		}
	}
	return both
}

// Without gives the UIDs that are not in t.
func (s UIDSet) Without(t UIDSet) UIDSet {
	var rest UIDSet
	for _, r := range s {
		for _, hole := range t[t.search(r.First):] {
			if hole.First > r.Last {
				break
			}
			if hole.First > r.First {
				rest = append(rest, UIDRange{r.First, hole.First - 1})
			}
			if hole.Last >= r.Last {
				r.First = 0 // nothing is left of it
				break
			}
			r.First = hole.Last + 1
		}
		if r.First != 0 {
			rest = append(rest, r)
		}
	}
	return rest
}
