package uidledger

import "porcupine/internal/mail"

// Mark is what a session was shown, to be asked of another manager: see View.Continues.
type Mark struct {
	UIDValidity uint32
	UIDNext     mail.UID
	ModSeq      mail.ModSeq
	Sum         [counters]uint64 // of what is skipped below
	Known       uint64           // a sum of the UIDs below that are or were a message's; 0: not told, by an older version
	Life        uint64           // Config.Life of the manager that showed it
}

// Mark is that of this view.
func (v *View) Mark() Mark {
	if v.mark == (Mark{}) {
		v.mark = v.MarkAt(v.UIDNext(), v.HighestModSeq())
	}
	return v.mark
}

// MarkAt is the mark of a session that was told this UIDNEXT, and changes up to this modification sequence only, of
// this view.
func (v *View) MarkAt(next mail.UID, modseq mail.ModSeq) Mark {
	k := Mark{UIDValidity: v.uidValidity, UIDNext: next, ModSeq: modseq, Known: v.known(next), Life: v.m.config.Life}
	for c, below := range k.below() {
		k.Sum[c] = v.skipped[c].sum(below)
	}
	return k
}

// below is what a mark speaks of: of each counter, the numbers below.
func (k *Mark) below() [counters]uint64 {
	return [counters]uint64{uint64(k.UIDNext), uint64(k.ModSeq) + 1}
}

// sum is a hash of the numbers of a set that are below a number (FNV-1a of the first and last ones of each range).
func (r Ranges) sum(below uint64) uint64 {
	sum := uint64(14695981039346656037)
	for _, x := range r {
		if x.First >= below {
			break
		}
		for _, x := range [2]uint64{x.First, min(x.Last, below-1)} {
			for shift := 0; shift < 64; shift += 8 {
				sum = (sum ^ x>>shift&0xff) * 1099511628211
			}
		}
	}
	return sum
}

// known is a hash of the UIDs below a number that are or were a message's, as far as this view knows. Never 0.
func (v *View) known(below mail.UID) uint64 {
	sum := uint64(1)
	for _, c := range v.m.order {
		first := uint64(c.number) * ChunkSlots
		if first >= uint64(below) {
			break
		}
		known := c.known
		if n := uint64(below) - first; n < ChunkSlots {
			known &= 1<<n - 1
		}
		if known != 0 {
			sum = mix(mix(sum^uint64(c.number)) ^ known)
		}
	}
	return max(sum, 1)
}

// mix spreads what is in a number over all of its bits, and loses nothing (the last step of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Continues reports whether a session whose client was shown that much, by this or another manager, may go on with
// this view (C1): all that it was shown is in it, and nothing below that it was not shown. Where that cannot be proven the session
// ends. Three things prove it.
//
//   - This very manager showed it (Life). What a manager has read and given it keeps, and what it learns later of below its own
//     next numbers it shows above them (L5, L10): its view goes on from any that it was before.
//   - Of a view, all numbers below its next ones are either in it or skipped. So a later view in which exactly the same
//     numbers below are skipped has all of the earlier one. Where this manager says of more numbers that they are skipped, though it
//     knows what became of them (compact, fragmented), the numbers from before count: Manager.former.
//   - Of UIDs, exactly the same ones are known. Whichever of them are skipped besides, by a publication that lacked them or
//     by compact, they were the same messages'; what became of these is told by modification sequences.
func (v *View) Continues(k Mark) bool {
	if k.UIDValidity != v.uidValidity || k.UIDNext > v.UIDNext() || k.ModSeq > v.HighestModSeq() {
		return false
	}
	if k.Life != 0 && k.Life == v.m.config.Life {
		return true
	}
	return v.hasAll(UIDs, &k) && v.hasAll(ModSeqs, &k)
}

// hasAll reports whether this view has the same numbers of one counter as the one that a mark is of.
func (v *View) hasAll(c Counter, k *Mark) bool {
	below := k.below()[c]
	if v.skipped[c].sum(below) == k.Sum[c] {
		return true
	}
	if f := &v.former[c]; below <= f.Next && f.Skipped.sum(below) == k.Sum[c] {
		return true
	}
	return c == UIDs && k.Known != 0 && v.known(k.UIDNext) == k.Known
}
