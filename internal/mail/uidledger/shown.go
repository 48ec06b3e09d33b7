package uidledger

import "slices"

// Shown is what has ever been shown of one counter's numbers, by anybody: the publication records of all sessions,
// joined (L4, L5).
//
// A publication says "the next number is N", and was made from a view that had some of the numbers below N. What L5
// asks of all publications p is whether one has u < N_p and did not know u. So each is exactly the pair (N, the
// numbers below N that its view did not have), and the question of all of them together is whether u is in the union
// of the second parts. So nothing is lost when the records are joined at once, no record is ever pruned, and the
// head does not grow with the sessions that there were. Numbers of which nothing live is left may be added (see
// Manager.compact): who is asked about them later would have had to retire them anyway.
type Shown struct {
	Next    uint64 // the largest N; 0: nothing was shown
	Skipped Ranges // the numbers below Next that somebody's view did not have
}

// safe reports whether nobody was shown that x is passed without having seen x (L5).
func (s *Shown) safe(x uint64) bool { return x >= s.Next || !s.Skipped.Contains(x) }

// join gives all that either says.
func (s *Shown) join(t *Shown) Shown {
	return Shown{Next: max(s.Next, t.Next), Skipped: s.Skipped.union(t.Skipped)}
}

func (s *Shown) equal(t *Shown) bool { return s.Next == t.Next && slices.Equal(s.Skipped, t.Skipped) }
