// Package call holds the methods that nodes call on each other and the payloads of their requests
// and answers, as value structs that write and read themselves (schema: wirepb/call.proto).
//
// Marshal never fails: what a node sends it has made itself, within the limits below. Unmarshal
// refuses what exceeds them with KindLimit and what is malformed with KindInvalid, and reads into
// a zero value; nothing it returns refers to the bytes given. Requests and answers without a
// payload (the view request, the answers to push, register and apply) have no struct.
package call

import (
	"porcupine/internal/cluster"
)

// The methods of a node.
const (
	MethodMembership = "membership" // a membership.Message, one way: the answer is empty
	MethodView       = "view"       // no payload; answer: a wire view
	MethodPush       = "push"       // PushRequest; empty answer: installed
	MethodRegister   = "register"   // RegisterRequest; empty answer: installed
	MethodLookup     = "lookup"     // LookupRequest, LookupAnswer
	MethodApply      = "apply"      // ApplyRequest with body; empty answer: durable
	MethodList       = "list"       // ListRequest, ListAnswer
	MethodOpen       = "open"       // OpenRequest; OpenAnswer with body
	MethodDelete     = "delete"     // DeleteRequest, DeleteAnswer
	MethodService    = "service"    // ServiceRequest; the service's own answer
	MethodOwners     = "owners"     // OwnersRequest, OwnersAnswer
	MethodStatus     = "status"     // no payload, empty answer: its stamp says how the node is
)

// Limits of one payload. A sender splits what is larger.
const (
	HoldingsMax      = 16 << 10 // in one PushRequest
	UpdatesMax       = 1024     // in one ApplyRequest
	ListMax          = 4096     // objects in one ListAnswer
	DeleteMax        = 4096     // objects in one DeleteRequest
	OwnersMax        = 4096     // owners in one OwnersAnswer
	ServiceMethodMax = 64       // bytes
	ServiceSizeMax   = 1 << 20  // bytes of ServiceRequest.Payload
)

// PushRequest brings a manager what the sender holds for owners of the buckets it manages: soft
// state reconstruction (Porcupine §4.3). A bucket may be spread over several requests; the one that
// lists it in Complete ends it.
type PushRequest struct {
	Epoch    cluster.Epoch     // of the view by which the receiver is the manager
	Holdings []cluster.Holding // at most HoldingsMax
	// Complete lists the buckets of which the sender has now sent all it holds (the markers).
	Complete []cluster.Bucket
}

// RegisterRequest brings a manager the new holding of one owner.
type RegisterRequest struct {
	Epoch   cluster.Epoch
	Holding cluster.Holding
}

// LookupRequest asks an owner's manager what it knows of the owner.
type LookupRequest struct {
	Owner string
	// Need is how much the entry should prove. The manager may wait a bounded time for it, and
	// then answers with what it has.
	Need cluster.Knowledge
}

// LookupAnswer is the manager's knowledge of an owner.
type LookupAnswer struct {
	Entry cluster.Entry
}

// ApplyRequest asks a replica to apply updates, durably and all at once. The body holds the
// contents of the updates' objects, one after the other in the order of Updates, each
// Object.Size bytes long; deletions have none.
type ApplyRequest struct {
	Updates []cluster.Update // at most UpdatesMax
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

// DeleteRequest asks a node to remove its copies of objects without trace. An object that is
// absent counts as removed already.
type DeleteRequest struct {
	Owner     string
	Type      cluster.ObjectType
	IDs       []string // at most DeleteMax
	Timestamp cluster.Timestamp
}

// DeleteAnswer says how many of the objects were there and are removed, durably.
type DeleteAnswer struct {
	Deleted int
}

// ServiceRequest is a call of a service (mail is one) to its own code at an owner's manager or at
// another node. The answer's payload is the service's own.
type ServiceRequest struct {
	Owner   string
	Method  string // at most ServiceMethodMax bytes
	Payload []byte // at most ServiceSizeMax bytes; the service's own
}

// OwnersRequest asks a manager for the owners that have cached objects of a type, in the order of
// bucket and then owner, over the buckets that it manages.
type OwnersRequest struct {
	Type   cluster.ObjectType
	Bucket cluster.Bucket // begin in this bucket
	After  string         // and there after this owner; empty: with its first
	Max    int            // owners in the answer; 0 and more than OwnersMax mean OwnersMax
}

// OwnersAnswer is one page of owners.
type OwnersAnswer struct {
	Owners []string       // at most OwnersMax
	Bucket cluster.Bucket // of the last owner: where the next request begins
	More   bool           // there are owners after the last one
}
