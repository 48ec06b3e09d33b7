package transport

import (
	"context"
	"io"
	"time"

	"porcupine/internal/cluster"
)

// Limits of one exchange. A request that exceeds one is refused with KindLimit before it is sent.
const (
	MethodLengthMax = 64
	PayloadMax      = 4 << 20        // bytes of Request.Payload and Response.Payload
	InlineBodyMax   = 256 << 10      // a body up to this size travels in one message with its payload
	BodyMax         = int64(1) << 30 // cluster.ObjectSizeMax
	ErrorTextMax    = 1 << 10        // of the text of an error that crosses nodes; cut beyond
)

// Time limits. All are the defaults used when the caller's context has no deadline.
const (
	// CallTimeoutDefault bounds a call without a large body.
	CallTimeoutDefault = 10 * time.Second
	// UploadRateMin is the slowest acceptable upload, in bytes a second: a request with a large
	// body gets CallTimeoutDefault plus the time it takes at this rate.
	UploadRateMin = 256 << 10
	// StallTimeout bounds each single wait for the peer while the body of an answer is read.
	StallTimeout = 30 * time.Second
)

// Request is a call on its way out.
type Request struct {
	Method  string // at most MethodLengthMax bytes
	Payload []byte // at most PayloadMax; the caller keeps it, and must not change it until Call returns
	// Body is the contents that go with the request; nil: none. It is read at most once, in
	// order, and not after Call has returned.
	Body cluster.Body
	// Large says that the body of the answer may exceed InlineBodyMax: the answer comes as a
	// stream. Without it a larger body is refused with KindInvalid. Set it for a read of an
	// object that is large or of unknown size; small answers are cheaper without it.
	Large bool
}

// Incoming is a request at its receiver. It is valid until Handle returns; what outlives that
// must be copied.
type Incoming struct {
	Method  string
	Payload []byte
	// Body is the contents that came with the request; nil: none. Exactly BodySize bytes come
	// before io.EOF; a shorter body ends with io.ErrUnexpectedEOF. Handle need not read it all.
	Body     io.Reader
	BodySize int64
}

// Response is an answer.
//
// At the handler: Payload and Body pass to the transport, which reads BodySize bytes of Body,
// closes it, and changes nothing. At the caller: Payload is the caller's own; Body must be closed
// (a nil Body need not), and ends with io.EOF after BodySize bytes.
type Response struct {
	Payload  []byte
	Body     io.ReadCloser // nil: none
	BodySize int64
	// From is the node that answered: useful when the endpoint called had no id. Set for the
	// caller by the transport; ignored in what a handler returns.
	From cluster.NodeID
}

// Host is what the transport needs of the node it serves. All methods are called from many
// goroutines at once, and must not call back into the transport while they hold a lock.
type Host interface {
	// Stamp gives the stamp to put on a call or an answer. It is called for each of them.
	Stamp() cluster.Stamp
	// Admit sees the stamp of a request before it is executed. The stamp's From is the node that
	// the peer's certificate names. An error refuses the request: it crosses to the caller with
	// its kind, and Handle is not called (M4).
	Admit(ctx context.Context, s cluster.Stamp, method string) error
	// Observe sees the stamp of every answer, errors and refusals included.
	Observe(s cluster.Stamp)
	// Handle executes a request. The context ends at the caller's deadline, when the caller is
	// gone, or when the port closes: every call carries the time that is left to its caller. One whose
	// time is over when it comes is not executed. An error crosses with its cluster.Kind and its text.
	Handle(ctx context.Context, from cluster.NodeID, r *Incoming) (*Response, error)
}

// Caller makes calls.
type Caller interface {
	// Call sends the request to a node and waits for its answer. An endpoint with an id gets
	// the request only if the peer proves to be that node; with NoNode, any node of the cluster
	// that listens at the address will do (a stranger).
	//
	// Three things may happen. (1) The answer. (2) The peer answered with an error: the error
	// has the peer's cluster.Kind, and AnswererStamp gives its stamp. (3) No answer: the error
	// is of KindUnavailable and Unreachable tells true, unless the context was cancelled by
	// the caller itself, or over before the call. In the last case the request may or may not
	// have been executed.
	//
	// Each call gets a deadline: the context's, or a default (CallTimeoutDefault; longer for a
	// large body). With Large set and no deadline in the context, CallTimeoutDefault bounds the
	// wait for the answer and StallTimeout each wait for more of its body; a deadline in the
	// context bounds it all until Body is closed.
	Call(ctx context.Context, to cluster.Endpoint, r *Request) (*Response, error)
}

// Link is one node's end of a transport: what Port and SwitchPort have in common.
type Link interface {
	Caller
	// Serve sets the host and begins to answer. Call it once. Calls made before it fail with
	// KindUnavailable.
	Serve(h Host)
	// Addr is the address at which other nodes reach this one.
	Addr() string
	// Close stops taking requests, waits for those being executed until the context ends, then
	// cuts what is left. After it no goroutine of the link runs. Idempotent.
	Close(ctx context.Context) error
}
