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
	MethodPush       = "push"       // PushRequest; empty answer: all of it was taken
	MethodLookup     = "lookup"     // LookupRequest, LookupAnswer
	MethodApply      = "apply"      // ApplyRequest with body; empty answer: durable
	MethodList       = "list"       // ListRequest, ListAnswer
	MethodOpen       = "open"       // OpenRequest; OpenAnswer with body
	MethodDelete     = "delete"     // DeleteRequest, DeleteAnswer
	MethodService    = "service"    // ServiceRequest; the service's own answer
	MethodOwners     = "owners"     // MarshalListQuery, MarshalListPage
	MethodStatus     = "status"     // no payload, in any epoch; StatusAnswer
	MethodConfirm    = "confirm"    // no payload; empty answer: the node is in the caller's epoch
)

// Limits of one payload. A sender splits what is larger.
const (
	UpdatesMax       = 1024    // in one ApplyRequest
	ListMax          = 4096    // objects in one ListAnswer
	DeleteMax        = 4096    // objects in one DeleteRequest
	ServiceMethodMax = 64      // bytes
	ServiceSizeMax   = 1 << 20 // bytes of ServiceRequest.Payload
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
