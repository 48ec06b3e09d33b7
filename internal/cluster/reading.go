package cluster

// Derived is the data derived from one object's contents (TypeSpec.Derive), as one node has it.
type Derived struct {
	Data []byte // the reader's own
	// Err says why there is none: KindNotFound, the node holds no such object; KindInvalid, nothing
	// can be derived from its contents, by this version of the program; KindCorrupt, the contents are
	// damaged there; KindUnavailable, not now. nil: Data is all of it.
	Err error
}

// PieceSizeMax is the size in bytes of the longest piece.
const PieceSizeMax = DerivedSizeMax

// Piece is a short stretch of the contents of one of an owner's objects, to be read together with others. What is
// read is a Derived: Data is the bytes, fewer where the contents end.
type Piece struct {
	ID     string
	Offset int64
	Length int64 // at most PieceSizeMax
}

// Copy is one node's copy of an object of an inline type (TypeSpec.Inline).
type Copy struct {
	Object   Object
	Contents []byte // the reader's own
	// Err is KindCorrupt if the copy is damaged: of Object only the ID is sure then. Another
	// replica may have it.
	Err error
}
