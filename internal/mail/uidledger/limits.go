package uidledger

// Numbers of the ledger. All replicas and managers of a cluster must agree on them: they do not change.
const (
	ChunkSlots  = 64      // UIDs of one chunk
	LanesMax    = 8       // replicas of a set: cluster.ReplicaSetMax
	UIDLease    = 256     // L: UIDs of a lane lease, and the unit of dense ones
	ModSeqLease = 1 << 20 // the same for modification sequences
	BudgetMax   = 64      // Q: superblocks that a replica may grant since a majority last knew of it (L9)

	// UIDMax is the largest UID that is given (L8). Many clients keep UIDs in signed integers.
	UIDMax = 1<<31 - 1<<24
	// ModSeqMax is the largest modification sequence that is given: they have 63 bits (RFC 7162 §3.1).
	ModSeqMax = 1<<63 - 1<<40

	// DenseMax is how many units of L one dense lease can have: enough for a folder of 100,000 new messages.
	DenseMax = 1024

	// KeywordsMax bounds the flags and keywords of one folder, as one manager gives them. Two sides of a partition
	// may together come to more: they are kept.
	KeywordsMax   = 128
	KeywordLenMax = 128 // octets of one

	ChunkSizeMax = 4 << 20 // octets of a chunk: larger ones are refused as damaged
	HeadSizeMax  = 4 << 20 // octets of a head
	RangesMax    = 1 << 17 // ranges in one list of a head
	RangesGood   = 512     // above it, the lists are compacted
)
