package uidledger

import (
	"cmp"
	"encoding/binary"
	"slices"

	"porcupine/internal/cluster"
)

// Head is the head object of a folder's ledger.
//
// Form, after the octets 'H' 1, integers big-endian:
//
//	set: version u64, UIDVALIDITY u32, two floors u64, two leases u32, members u8, each: node u64, lane u8; ascending by node
//	UIDVALIDITY u32 of what follows
//	UIDs shown, modification sequences shown: each next uvarint, ranges uvarint, of each range the distance of its
//	    first number from the last of the one before and the distance of its last from its first, uvarint
//	set version u64 of the levels; levels u8, each: node u64, modification sequence u64; ascending by node
type Head struct {
	Set Set // the newest known; version 0: none

	// UIDValidity is that of the following. A head with a greater one replaces all of it (L12).
	UIDValidity uint32
	Shown       [counters]Shown

	// Levels are facts about nodes: when a head that says so was written, the chunks of the node had all changes with
	// modification sequences up to ModSeq that are not skipped. True for ever, since chunks only grow. They are kept
	// for the members of one set, that of LevelsVersion.
	LevelsVersion uint64
	Levels        []Level // ascending by node
}

// Level is one fact of Head.Levels.
type Level struct {
	Node   cluster.NodeID
	ModSeq uint64
}

// Marshal writes the head in its one form.
func (h *Head) Marshal() []byte {
	b := make([]byte, 0, 128+4*(len(h.Shown[UIDs].Skipped)+len(h.Shown[ModSeqs].Skipped))+16*len(h.Levels))
	b = append(b, 'H', formVersion)
	b = appendSet(b, &h.Set)
	b = binary.BigEndian.AppendUint32(b, h.UIDValidity)
	for c := range h.Shown {
		b = appendShown(b, &h.Shown[c])
	}
	b = binary.BigEndian.AppendUint64(b, h.LevelsVersion)
	b = append(b, byte(len(h.Levels)))
	for _, l := range h.Levels {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(l.Node)), l.ModSeq)
	}
	return b
}

// ParseHead reads what Marshal writes, and no other form. Errors are of KindInvalid. Nothing it returns refers to b.
func ParseHead(b []byte) (*Head, error) {
	p := newParser("read the head of a UID ledger", b, 'H', HeadSizeMax)
	h := &Head{Set: p.set(), UIDValidity: p.U32()}
	for c := range h.Shown {
		h.Shown[c] = p.shown(Counter(c))
	}
	h.LevelsVersion = p.U64()
	n := int(p.U8())
	if n > 2*LanesMax {
		p.Fail("%d levels", n)
	}
	for i := range n {
		l := Level{cluster.NodeID(p.U64()), p.U64()}
		if p.Err() == nil && i > 0 && l.Node <= h.Levels[i-1].Node {
			p.Fail("levels are out of order")
		}
		if p.Err() != nil {
			return nil, p.Err()
		}
		h.Levels = append(h.Levels, l)
	}
	if err := p.End(); err != nil {
		return nil, err
	}
	return h, nil
}

// Join gives all that either head says. It changes neither.
func (h *Head) Join(g *Head) *Head {
	j := &Head{Set: h.Set}
	if cmpSets(&g.Set, &h.Set) > 0 {
		j.Set = g.Set
	}
	j.UIDValidity = max(h.UIDValidity, g.UIDValidity)
	for _, x := range []*Head{h, g} {
		if x.UIDValidity != j.UIDValidity {
			continue
		}
		for c := range j.Shown {
			j.Shown[c] = j.Shown[c].join(&x.Shown[c])
		}
		if x.LevelsVersion > j.LevelsVersion {
			j.LevelsVersion, j.Levels = x.LevelsVersion, nil
		}
		if x.LevelsVersion == j.LevelsVersion {
			j.Levels = joinLevels(j.Levels, x.Levels)
		}
	}
	return j
}

func joinLevels(a, b []Level) []Level {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y Level) int { return cmp.Or(cmp.Compare(x.Node, y.Node), cmp.Compare(y.ModSeq, x.ModSeq)) })
	all = slices.CompactFunc(all, func(x, y Level) bool { return x.Node == y.Node })
	return all[:min(len(all), 2*LanesMax)]
}

// level is what is known of a node's chunks.
func (h *Head) level(node cluster.NodeID) uint64 {
	for _, l := range h.Levels {
		if l.Node == node {
			return l.ModSeq
		}
	}
	return 0
}

func (h *Head) equal(g *Head) bool {
	return h.Set.equal(&g.Set) && h.UIDValidity == g.UIDValidity && h.Shown[UIDs].equal(&g.Shown[UIDs]) && h.Shown[ModSeqs].equal(&g.Shown[ModSeqs]) &&
		h.LevelsVersion == g.LevelsVersion && slices.Equal(h.Levels, g.Levels)
}
