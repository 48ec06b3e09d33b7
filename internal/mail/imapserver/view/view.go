// Package view is what the client of one session knows of its selected folder: which messages there are,
// hence what each sequence number means, and how far it has been told of the folder's state.
//
// A View begins with the UIDs that SELECT told. It changes only by Update, at a moment when the client may be
// told, and what Update gives must be told at once, in the order of the fields of News: expunges, arrivals,
// changed flags. Between two updates every sequence number keeps its meaning, whatever happens in the
// folder (U7; RFC 9051 §5.5, §7.5.1).
//
// It keeps UIDs as ranges: a folder of 100,000 messages with few gaps costs some octets. The table that
// makes looking up sequence numbers fast is made when it is first needed, and given back by Rest.
//
// A View is the last guard of U3, U4 and C1: news that would rewind what the client was told is an
// error, and the session must end.
package view

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"porcupine/internal/mail"
)

// SeqRange is the sequence numbers from First to Last, both included; First >= 1.
type SeqRange struct{ First, Last uint32 }

// Mark is how far a client has been told of a folder.
type Mark struct {
	UIDValidity   uint32
	UIDNext       mail.UID
	HighestModSeq mail.ModSeq
}

// View maps sequence numbers to UIDs. It belongs to one session and is not safe for concurrent use.
type View struct {
	uids mail.UIDSet
	len  int
	high mail.UID // every UID that was ever in the view is at most this
	mark Mark
	// before[i] is the number of messages before range i; nil: not made.
	before []uint32
	// own are changes of this session that its client has been told, since the last Update.
	own []change
}

// change is a modification sequence that a message got.
type change struct {
	uid    mail.UID
	modseq mail.ModSeq
}

// New makes the view of a client that was told of those UIDs. The set is not copied and must not be
// changed afterwards.
func New(uids mail.UIDSet, mark Mark) *View {
	v := &View{uids: uids, len: uids.Len(), mark: mark}
	if n := len(uids); n > 0 {
		v.high = uids[n-1].Last
	}
	return v
}

// Len is the number of messages that the client knows: the highest sequence number.
func (v *View) Len() int { return v.len }

// UIDs gives the UIDs that the client knows. The set must not be changed.
func (v *View) UIDs() mail.UIDSet { return v.uids }

// Mark gives what the client was told last.
func (v *View) Mark() Mark { return v.mark }

// Max gives the highest UID in the view, 0 if it is empty.
func (v *View) Max() mail.UID {
	if n := len(v.uids); n > 0 {
		return v.uids[n-1].Last
	}
	return 0
}

// UID gives the UID of a sequence number.
func (v *View) UID(seq uint32) (mail.UID, bool) {
	if seq == 0 || int64(seq) > int64(v.len) {
		return 0, false
	}
	i := v.rangeOf(seq)
	return v.uids[i].First + mail.UID(seq-1-v.before[i]), true
}

// Seq gives the sequence number of a UID.
func (v *View) Seq(uid mail.UID) (uint32, bool) {
	i := sort.Search(len(v.uids), func(i int) bool { return v.uids[i].Last >= uid })
	if i == len(v.uids) || v.uids[i].First > uid {
		return 0, false
	}
	v.index()
	return v.before[i] + uint32(uid-v.uids[i].First) + 1, true
}

// rangeOf gives the index of the range that holds a sequence number of the view.
func (v *View) rangeOf(seq uint32) int {
	v.index()
	return sort.Search(len(v.before), func(i int) bool { return v.before[i] >= seq }) - 1
}

// index makes the table for sequence numbers.
func (v *View) index() {
	if v.before != nil {
		return
	}
	v.before = make([]uint32, len(v.uids))
	n := uint32(0)
	for i, r := range v.uids {
		v.before[i] = n
		n += uint32(r.Last-r.First) + 1
	}
}

// Rest gives back what can be made again: the session is going to wait.
func (v *View) Rest() {
	v.before = nil
	v.uids = slices.Clip(v.uids)
}

// BySeq gives the UIDs of sequence numbers, and whether all of them mean a message. The ranges may
// come in any order and overlap.
func (v *View) BySeq(ranges []SeqRange) (uids mail.UIDSet, all bool) {
	all = true
	for _, r := range ranges {
		if r.First == 0 || r.Last < r.First || int64(r.Last) > int64(v.len) {
			all = false
		}
		r.First, r.Last = max(r.First, 1), uint32(min(int64(r.Last), int64(v.len)))
		if r.First > r.Last {
			continue
		}
		uids = uids.Union(v.slice(r))
	}
	return uids, all
}

// slice gives the UIDs of a range of sequence numbers within the view.
func (v *View) slice(r SeqRange) mail.UIDSet {
	i, j := v.rangeOf(r.First), v.rangeOf(r.Last)
	s := slices.Clone(v.uids[i : j+1])
	// The end first: with one range, both are the same.
	s[j-i].Last = v.uids[j].First + mail.UID(r.Last-1-v.before[j])
	s[0].First = v.uids[i].First + mail.UID(r.First-1-v.before[i])
	return s
}

// Seqs gives the sequence numbers of UIDs, ascending; UIDs that are not in the view are left out.
func (v *View) Seqs(uids mail.UIDSet) []SeqRange {
	v.index()
	var seqs []SeqRange
	i := 0
	for _, r := range uids.Intersect(v.uids) {
		for v.uids[i].Last < r.First {
			i++
		}
		first := v.before[i] + uint32(r.First-v.uids[i].First) + 1
		last := first + uint32(r.Last-r.First)
		if n := len(seqs); n > 0 && seqs[n-1].Last+1 == first {
			seqs[n-1].Last = last
			continue
		}
		seqs = append(seqs, SeqRange{first, last})
	}
	return seqs
}

// ownSlack is how many changes are noted, beside two a message, before old ones are forgotten.
const ownSlack = 64

// Own notes that the client was told of a change that this session made, so that Update does not
// tell it again. Of many changes of one message the last one is kept.
func (v *View) Own(uid mail.UID, modseq mail.ModSeq) {
	if len(v.own) >= 2*v.len+ownSlack {
		slices.SortFunc(v.own, compare)
		last := v.own[:0]
		for i, c := range v.own {
			if i+1 == len(v.own) || v.own[i+1].uid != c.uid {
				last = append(last, c)
			}
		}
		v.own = last
	}
	v.own = append(v.own, change{uid, modseq})
}

// News is what a client must be told, in this order.
type News struct {
	// Vanished are the messages that are gone: for VANISHED (RFC 7162 §3.2.10).
	Vanished mail.UIDSet
	// Expunged are the same as sequence numbers of the view before, ascending. Told one at a time from the
	// highest down, each number is right when it is told (RFC 9051 §7.5.1).
	Expunged []SeqRange
	// Exists says that messages came: the client is told View.Len.
	Exists bool
	// Changed are messages whose flags changed, and not by this session.
	Changed []mail.Summary
}

// IsEmpty reports whether there is nothing to tell.
func (n News) IsEmpty() bool {
	return len(n.Vanished) == 0 && !n.Exists && len(n.Changed) == 0
}

// Update brings the view to a new state and gives what the client must be told. An error says that
// the state is no later one than what the client was told (C1): the view is as before, and the session
// must end.
func (v *View) Update(vanished, arrived mail.UIDSet, changed []mail.Summary, mark Mark) (News, error) {
	arrived = arrived.Without(vanished)
	if err := v.check(arrived, mark); err != nil {
		return News{}, err
	}
	own := v.own
	slices.SortFunc(own, compare)
	v.own, v.mark = nil, mark
	for _, c := range own {
		if c.modseq > mark.HighestModSeq { // its page of news has still to come
			v.own = append(v.own, c)
		}
	}
	var n News
	if n.Vanished = vanished.Intersect(v.uids); len(n.Vanished) > 0 {
		n.Expunged = v.Seqs(n.Vanished)
		v.uids = v.uids.Without(n.Vanished)
	}
	if n.Exists = len(arrived) > 0; n.Exists {
		v.uids = v.uids.Union(arrived)
		v.high = arrived[len(arrived)-1].Last
	}
	if len(n.Vanished) > 0 || n.Exists {
		v.len, v.before = v.uids.Len(), nil
	}
	for _, s := range changed {
		if v.uids.Contains(s.UID) && !arrived.Contains(s.UID) && !isOwn(own, s) {
			n.Changed = append(n.Changed, s)
		}
	}
	return n, nil
}

// isOwn finds a change among ordered ones.
func isOwn(own []change, s mail.Summary) bool {
	_, found := slices.BinarySearchFunc(own, change{s.UID, s.ModSeq}, compare)
	return found
}

// compare orders changes.
func compare(a, b change) int {
	if c := cmp.Compare(a.uid, b.uid); c != 0 {
		return c
	}
	return cmp.Compare(a.modseq, b.modseq)
}

// check finds out whether news go forward from what the client was told.
func (v *View) check(arrived mail.UIDSet, mark Mark) error {
	switch {
	case mark.UIDValidity != v.mark.UIDValidity:
		return fmt.Errorf("folder's UIDVALIDITY is %d, the client was told %d", mark.UIDValidity, v.mark.UIDValidity)
	case mark.UIDNext < v.mark.UIDNext:
		return fmt.Errorf("folder's UIDNEXT is %d, the client was told %d (U4)", mark.UIDNext, v.mark.UIDNext)
	case mark.HighestModSeq < v.mark.HighestModSeq:
		return fmt.Errorf("folder's HIGHESTMODSEQ is %d, the client was told %d (U6)", mark.HighestModSeq, v.mark.HighestModSeq)
	case len(arrived) > 0 && (arrived[0].First <= v.high || arrived[0].First < v.mark.UIDNext):
		return fmt.Errorf("new message has UID %d, the client was told UIDs up to %d and UIDNEXT %d (U3)", arrived[0].First, v.high, v.mark.UIDNext)
	}
	return nil
}
