package uidledger

import (
	"math"

	"porcupine/internal/mail"
)

// Numbers of the ledger. All replicas and managers of a cluster must agree on them: they do not change.
const (
	ChunkSlots  = 64      // UIDs of one chunk
	LanesMax    = 8       // replicas of a set: cluster.ReplicaSetMax
	UIDLease    = 256     // L: UIDs of a lane lease, and of dense ones of which no more is needed; a set has it: see Set.Lease
	ModSeqLease = 1 << 20 // the same for modification sequences
	LeaseMax    = 1 << 20 // the largest that a set may have

	// BudgetMax is Q: how many superblocks (LanesMax leases) a replica's ceiling may rise above what a majority of
	// its set is known to know of, one more for the begun one (L9).
	BudgetMax = 64

	// UIDMax is the largest UID that is given (L8). Many clients keep UIDs in signed integers.
	UIDMax = 1<<31 - 1<<24
	// ModSeqMax is the largest modification sequence that is given: they have 63 bits (RFC 7162 §3.1).
	ModSeqMax = math.MaxInt64 - 1<<40

	// DenseMax is how many units of L one dense lease can have at most, LaneLeasesMax how many lane leases are granted at once.
	DenseMax      = 128
	LaneLeasesMax = 16

	// KeywordsMax bounds the keywords of one folder, as one manager gives them. Two sides of a partition, or managers of
	// versions that had another bound, may together come to more: they are kept. The system flags are beside it, so that no
	// keyword takes their place.
	KeywordsMax   = mail.KeywordsMax
	KeywordLenMax = 128 // octets of one

	// RegistersMax bounds the flags of the messages of one chunk, those that were taken away included, as one manager gives
	// them; system flags are beside it. It keeps the chunk below cluster.CachedSizeMax, also with the keywords that two sides
	// have brought: a larger one could be written nowhere.
	RegistersMax = 120 * ChunkSlots

	ChunkSizeMax = 4 << 20 // octets of a chunk: larger ones are refused as damaged
	HeadSizeMax  = 4 << 20 // octets of a head, a grant, a request or a reply
	NamesMax     = 1 << 14 // different flags in one chunk
	RangesMax    = 1 << 17 // ranges in one list of a head
	RangesGood   = 512     // above it, the lists are compacted

	// RangesFull is how many ranges of skipped UIDs a head may have before the folder needs another UIDVALIDITY. The
	// heads of two sides, which are joined, are then below cluster.CachedSizeMax: UIDs of so many ranges are close together.
	RangesFull = 1 << 14
	// ChunksOnce is how many chunks one step writes: their writing is bounded in time.
	ChunksOnce = 256
)

// Counter says which numbers are meant.
type Counter uint8

// The two counters of a folder.
const (
	UIDs Counter = iota
	ModSeqs
	counters = 2
)

// largest is the largest number that is given.
func (c Counter) largest() uint64 {
	if c == UIDs {
		return UIDMax
	}
	return ModSeqMax
}

// first is the smallest number that is given. That of the modification sequences is 2: a client of an empty folder is
// told 1, before there is anything. So nobody has missed what 1 would be, and it is never counted as skipped.
func (c Counter) first() uint64 { return uint64(c) + 1 }

func (c Counter) String() string {
	if c == UIDs {
		return "UIDs"
	}
	return "modification sequences"
}
