// Package call holds the methods that nodes call on each other and the payloads of their requests
// and answers, as value structs that write and read themselves (schema: wirepb/call.proto).
//
// Marshal never fails: what a node sends it has made itself, within the limits below. Unmarshal
// refuses what exceeds them with KindLimit and what is malformed with KindInvalid, and reads into
// a zero value; nothing it returns refers to the bytes given. Requests and answers without a
// payload have no struct. Those of MethodOwners are the soft state's own structs.
package call

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// The methods of a node.
const (
	MethodMembership = "membership" // wire.MarshalMessage, one way: the answer is empty
	MethodPush       = "push"       // PushRequest; empty answer: all of it was taken
	MethodLookup     = "lookup"     // LookupRequest; LookupAnswer
	MethodApply      = "apply"      // ApplyRequest with body; ApplyAnswer
	MethodOffer      = "offer"      // ApplyRequest without contents; ApplyAnswer
	MethodRetire     = "retire"     // RetireRequest; empty answer, of which nothing depends
	MethodList       = "list"       // ListRequest; ListAnswer
	MethodOpen       = "open"       // OpenRequest; OpenAnswer with body
	// MethodWhole takes an OpenRequest and gives an OpenAnswer without body: the copy was read to the end, and is whole.
	// Or the replica set is one without the node that answers: it has no copy, and that is where the object lies.
	MethodWhole    = "whole"
	MethodRange    = "range"    // RangeRequest; OpenAnswer with body: the part that was asked for
	MethodDerived  = "derived"  // DerivedRequest; DerivedAnswer
	MethodPieces   = "pieces"   // PiecesRequest; PiecesAnswer
	MethodContents = "contents" // ContentsRequest; ContentsAnswer
	MethodService  = "service"  // ServiceRequest; the service's own answer
	MethodOwners   = "owners"   // MarshalListQuery; MarshalListPage
	MethodStatus   = "status"   // no payload, in any epoch; StatusAnswer
	MethodConfirm  = "confirm"  // no payload; empty answer: the node is in the caller's epoch
)

// Limits of one payload. A sender splits what is larger.
const (
	UpdatesMax       = 1024    // in one ApplyRequest or ApplyAnswer
	RetirementsMax   = 1024    // in one RetireRequest
	ListMax          = 4096    // objects in one ListAnswer
	DerivedMax       = 1024    // ids in one DerivedRequest, and items in one DerivedAnswer
	PiecesMax        = 256     // pieces in one PiecesRequest, and items in one PiecesAnswer
	ContentsMax      = 4096    // copies in one ContentsAnswer
	ServiceMethodMax = 64      // bytes
	ServiceSizeMax   = 1 << 20 // bytes of ServiceRequest.Payload
	VersionLengthMax = 64      // bytes of StatusAnswer.Version
)

// PushRequest is a softstate.Push as it travels: without its sender, who is whom the connection
// proves it to be, and without its number, which is the sender's alone (Porcupine §4.3).
type PushRequest struct {
	Epoch    cluster.Epoch     // of the view by which the receiver is the manager
	Holdings []cluster.Holding // at most softstate.PushHoldingsMax
	Complete []cluster.Bucket  // the markers, at most softstate.PushCompleteMax
}

// LookupRequest asks an owner's manager what it knows of the owner.
type LookupRequest struct {
	Owner string
}

// LookupAnswer is the manager's knowledge of an owner.
type LookupAnswer struct {
	Entry cluster.Entry
}

// ApplyRequest asks a target to apply updates, durably and all at once. An update with contents goes
// alone, and they are the body; updates without contents go many in a request. In an offer no
// update has its contents with it, and the target says which it wants.
type ApplyRequest struct {
	Updates []cluster.Update // at most UpdatesMax
}

// ApplyAnswer has a reply for each update of the request, in their order. What it says was applied
// is durable.
type ApplyAnswer struct {
	Replies []replication.Reply // at most UpdatesMax
}

// RetireRequest tells a target that updates have been applied by all of their targets (thesis ch. 5).
type RetireRequest struct {
	Retirements []cluster.Retirement // at most RetirementsMax
}

// ListRequest asks a node for the objects of one owner and type that it holds, ascending by id,
// tombstones not included.
type ListRequest struct {
	Owner string
	Type  cluster.ObjectType
	After string // ids up to and including this one are left out
	Max   int    // objects in the answer; 0 and more than ListMax mean ListMax
}

// ListAnswer is one page of a listing.
type ListAnswer struct {
	Objects []cluster.Object // all of the request's owner and type
	More    bool             // there are objects after the last one
}

// OpenRequest asks for the contents of one object: they are the body of the answer.
type OpenRequest struct {
	ID cluster.ObjectID
}

// OpenAnswer goes with the contents.
type OpenAnswer struct {
	Object cluster.Object
}

// RangeRequest asks for a part of the contents of one object: it is the body of an OpenAnswer.
type RangeRequest struct {
	ID     cluster.ObjectID
	Offset int64
	Length int64 // negative: all behind the offset
}

// DerivedRequest asks a node for what is derived from objects of one owner and type.
type DerivedRequest struct {
	Owner string
	Type  cluster.ObjectType
	IDs   []string // 1 to DerivedMax
}

// DerivedAnswer has an item for each of the first ids of the request, in their order.
type DerivedAnswer struct {
	Items []cluster.Derived // 1 to DerivedMax
}

// PiecesRequest asks a node for short stretches of the contents of objects of one owner and type.
type PiecesRequest struct {
	Owner  string
	Type   cluster.ObjectType
	Pieces []cluster.Piece // 1 to PiecesMax
}

// PiecesAnswer has an item for each of the first pieces of the request, in their order.
type PiecesAnswer struct {
	Items []cluster.Derived // 1 to PiecesMax: the bytes, or why there are none
}

// ContentsRequest asks a node for an owner's objects of an inline type, with contents, ascending by id,
// tombstones not included.
type ContentsRequest struct {
	Owner string
	Type  cluster.ObjectType
	After string // ids up to and including this one are left out; "": none is
}

// ContentsAnswer is one page of copies.
type ContentsAnswer struct {
	Copies []cluster.Copy // at most ContentsMax, all of the request's owner and type
	More   bool           // there are objects after the last one
}

// ServiceRequest is a call of a service (mail is one) to its own code at an owner's manager. The
// answer's payload is the service's own.
type ServiceRequest struct {
	Owner   string
	Method  string // at most ServiceMethodMax bytes
	Payload []byte // at most ServiceSizeMax bytes; the service's own
}

// StatusAnswer is a node's own word on how it is.
type StatusAnswer struct {
	Version    string
	Epoch      cluster.Epoch
	Load       cluster.Load
	Buckets    int // managed
	Incomplete int // of them, not told in full by every member
	Pending    int // reports to managers not acknowledged yet
	// Counted is the number of cached objects managed, of the type that the service wants counted.
	Counted int64
	Machine string // the name of the node's machine; empty: it is one of its own
}
