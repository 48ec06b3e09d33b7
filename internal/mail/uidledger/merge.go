package uidledger

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// HeadID is the id of the head object of a folder.
func HeadID(f mail.FolderID) string { return f.String() + "h" }

// ChunkID is the id of a chunk: 8 hexadecimal digits of its number.
func ChunkID(f mail.FolderID, n uint32) string { return fmt.Sprintf("%sc%08x", f, n) }

// GrantID is the id of the grant object of a replica. It lies on that replica alone.
func GrantID(f mail.FolderID, node cluster.NodeID) string { return f.String() + "g" + node.String() }

// ParseID says what an object of a ledger is: its folder, the kind 'h', 'c' or 'g', and the number of a chunk or the
// node of a grant.
func ParseID(id string) (f mail.FolderID, kind byte, n uint64, err error) {
	bad := func(err error) (mail.FolderID, byte, uint64, error) {
		return mail.FolderID{}, 0, 0, &cluster.Error{Kind: cluster.KindInvalid, Op: fmt.Sprintf("read the id of a ledger object %q", id), Err: err}
	}
	const folder = 2 * len(f)
	if len(id) <= folder {
		return bad(nil)
	}
	if f, err = mail.ParseFolderID(id[:folder]); err != nil {
		return bad(err)
	}
	if hex.EncodeToString(f[:]) != id[:folder] {
		return bad(nil)
	}
	rest := id[folder+1:]
	switch kind = id[folder]; {
	case kind == 'h' && rest == "":
		return f, kind, 0, nil
	case kind == 'c':
		n, err = strconv.ParseUint(rest, 16, 32)
		if err != nil || ChunkID(f, uint32(n)) != id {
			return bad(err)
		}
	case kind == 'g':
		n, err = strconv.ParseUint(rest, 16, 64)
		if err != nil || GrantID(f, cluster.NodeID(n)) != id {
			return bad(err)
		}
	default:
		return bad(nil)
	}
	return f, kind, n, nil
}

// Merge joins two versions of one ledger object: the cluster.TypeSpec.Merge of the type. It is commutative, associative
// and idempotent, and gives the same bytes everywhere. Errors are of KindInvalid, or KindLimit for what is too large
// together.
func Merge(a, b []byte) ([]byte, error) {
	if len(a) == 0 || len(b) == 0 || a[0] != b[0] {
		return nil, cluster.Errorf(cluster.KindInvalid, "join ledger objects", "they are of different kinds, or empty")
	}
	switch a[0] {
	case 'H':
		return mergeHeads(a, b)
	case 'C':
		return mergeChunks(a, b)
	case 'G':
		return mergeGrants(a, b)
	}
	return nil, cluster.Errorf(cluster.KindInvalid, "join ledger objects", "unknown kind %q", a[0])
}

func mergeHeads(a, b []byte) ([]byte, error) {
	h, err := ParseHead(a)
	if err != nil {
		return nil, err
	}
	g, err := ParseHead(b)
	if err != nil {
		return nil, err
	}
	j := h.Join(g)
	for c := range j.Shown {
		if n := len(j.Shown[c].Skipped); n > RangesMax {
			return nil, cluster.Errorf(cluster.KindLimit, "join heads of a UID ledger", "%d ranges of skipped %v together, at most %d allowed", n, Counter(c), RangesMax)
		}
	}
	return j.Marshal(), nil
}

// mergeGrants joins two copies of one replica's grant object. There is only one, as long as its disk is not put back.
func mergeGrants(a, b []byte) ([]byte, error) {
	g, err := ParseGrant(a)
	if err != nil {
		return nil, err
	}
	h, err := ParseGrant(b)
	if err != nil {
		return nil, err
	}
	j := g
	if cmpSets(&h.Set, &g.Set) > 0 {
		j = h
	}
	if !g.Set.equal(&h.Set) {
		return j.Marshal(), nil
	}
	for c := range j.Counters {
		j.Counters[c] = Ceiling{max(g.Counters[c].Ceil, h.Counters[c].Ceil), max(g.Counters[c].Base, h.Counters[c].Base)}
	}
	if j.Promised = g.Promised; g.Promised.less(h.Promised) {
		j.Promised = h.Promised
	}
	j.Accepted, j.Next = g.Accepted, g.Next
	if g.Accepted.less(h.Accepted) || g.Accepted == h.Accepted && cmpSets(&g.Next, &h.Next) < 0 {
		j.Accepted, j.Next = h.Accepted, h.Next
	}
	return j.Marshal(), nil
}
