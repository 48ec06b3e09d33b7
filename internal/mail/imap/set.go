package imap

import (
	"errors"
	"slices"
	"strconv"

	"porcupine/internal/mail"
)

// Star is "*" in a NumSet: the largest number in use. 0 is no number (RFC 9051 §9, seq-number).
const Star = 0

// NumSet is a sequence set as a client wrote it (RFC 9051 §9, sequence-set): message sequence numbers or
// UIDs, in any order, with overlaps.
type NumSet struct {
	Saved  bool // "$": the saved result of the last search too (RFC 5182)
	Ranges []NumRange
}

// NumRange is the numbers between First and Last, both included. Either may be Star, and First may be the
// larger one: "4:2" is 2, 3, 4.
type NumRange struct{ First, Last uint32 }

// ErrBeyond is the error for a sequence number of a message that does not exist: BAD (RFC 9051 §6.4, seq-number).
var ErrBeyond = errors.New("there is no message with that number")

// Empty reports whether the set names nothing, not even "$".
func (s NumSet) Empty() bool { return !s.Saved && len(s.Ranges) == 0 }

// IsOpen reports whether each range of the set ends with "*", so that who wrote it need not know how many messages there are.
func (s NumSet) IsOpen() bool {
	return len(s.Ranges) > 0 && !slices.ContainsFunc(s.Ranges, func(r NumRange) bool { return r.First != Star && r.Last != Star })
}

// SetOf makes a set of UIDs to be sent.
func SetOf(uids mail.UIDSet) NumSet {
	s := NumSet{}
	for _, r := range uids {
		s.Ranges = append(s.Ranges, NumRange{uint32(r.First), uint32(r.Last)})
	}
	return s
}

// SetOfNumbers makes a set of numbers in ascending order.
func SetOfNumbers(numbers ...uint32) NumSet {
	s := NumSet{}
	for _, n := range numbers {
		if last := len(s.Ranges) - 1; last >= 0 && n == s.Ranges[last].Last+1 {
			s.Ranges[last].Last = n
			continue
		}
		s.Ranges = append(s.Ranges, NumRange{n, n})
	}
	return s
}

// Resolve gives the numbers as a set in ascending order, with "*" being largest, which is 0 if nothing is
// there. "$" adds nothing: the caller has the saved result.
func (s NumSet) Resolve(largest uint32) mail.UIDSet {
	ranges := make(mail.UIDSet, 0, len(s.Ranges))
	for _, r := range s.Ranges {
		first, last := r.bounds(largest)
		if last == 0 {
			continue // "*" of nothing
		}
		ranges = append(ranges, mail.UIDRange{First: mail.UID(max(first, 1)), Last: mail.UID(last)})
	}
	return mail.UIDSet(nil).Union(ranges)
}

func (r NumRange) bounds(largest uint32) (first, last uint32) {
	first, last = r.First, r.Last
	if first == Star {
		first = largest
	}
	if last == Star {
		last = largest
	}
	return min(first, last), max(first, last)
}

// UIDs gives those of the UIDs known that the set, of UIDs, names. UIDs that are not there are passed over in
// silence (RFC 9051 §6.4.9); "*" is the largest known. saved is what "$" means.
func (s NumSet) UIDs(known, saved mail.UIDSet) mail.UIDSet {
	largest := uint32(0)
	if n := len(known); n > 0 {
		largest = uint32(known[n-1].Last)
	}
	return s.withSaved(s.Resolve(largest), saved).Intersect(known)
}

// withSaved adds the saved result to a set, if it is meant.
func (s NumSet) withSaved(uids, saved mail.UIDSet) mail.UIDSet {
	if !s.Saved {
		return uids
	}
	return uids.Union(saved)
}

// Numbers gives the UIDs of the messages that the set, of sequence numbers, names: known in ascending order
// is message 1, 2, and so on. It fails with ErrBeyond for a number that no message has; "*" is one if
// there are no messages. saved is what "$" means.
func (s NumSet) Numbers(known, saved mail.UIDSet) (mail.UIDSet, error) {
	count := known.Len()
	for _, r := range s.Ranges {
		if count == 0 || int64(r.First) > int64(count) || int64(r.Last) > int64(count) {
			return nil, ErrBeyond
		}
	}
	var uids mail.UIDSet
	before := uint32(0) // messages in the ranges of known that are done
	i := 0
	for _, want := range s.Resolve(uint32(count)) {
		first, last := uint32(want.First), uint32(want.Last)
		for ; i < len(known); i++ {
			have := known[i]
			size := uint32(have.Last-have.First) + 1
			if first <= before+size {
				from := have.First + mail.UID(max(first, before+1)-before-1)
				to := have.First + mail.UID(min(last, before+size)-before-1)
				uids = append(uids, mail.UIDRange{First: from, Last: to})
			}
			if last <= before+size {
				break // the next wanted range may begin in this one
			}
			before += size
		}
	}
	return s.withSaved(mail.UIDSet(nil).Union(uids), saved.Intersect(known)), nil
}

// appendTo writes a set as RFC 9051 §9 has it. An empty one writes nothing.
func (s NumSet) appendTo(dst []byte) []byte {
	for i, r := range s.Ranges {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendSeqNumber(dst, r.First)
		if r.Last != r.First {
			dst = appendSeqNumber(append(dst, ':'), r.Last)
		}
	}
	if s.Saved {
		if len(s.Ranges) > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '$')
	}
	return dst
}

func appendSeqNumber(dst []byte, n uint32) []byte {
	if n == Star {
		return append(dst, '*')
	}
	return strconv.AppendUint(dst, uint64(n), 10)
}

// String writes a set as RFC 9051 §9 has it.
func (s NumSet) String() string { return string(s.appendTo(nil)) }

// hasStar reports whether "*" is in it.
func (s NumSet) hasStar() bool {
	return slices.ContainsFunc(s.Ranges, func(r NumRange) bool { return r.First == Star || r.Last == Star })
}

// size is how many numbers a set without "*" lists, repeated ones counted again.
func (s NumSet) size() (n uint64) {
	for _, r := range s.Ranges {
		first, last := r.bounds(0)
		n += uint64(last-first) + 1
	}
	return n
}
