package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"porcupine/internal/cluster"
)

// The gRPC names. All methods of the node travel under these two: their own name is in the frame.
const (
	serviceName = "porcupine.cluster.v1.Node"
	unaryName   = "Call"
	streamName  = "Stream"
	trackName   = "Track"
)

// serveUnary answers a request that came in one message with one message.
func (p *Port) serveUnary(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var in frame
	if err := dec(&in); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return p.respond(ctx, &in)
}

// respond executes a request that came in one frame, gives the answer, and frees the request. An error is gRPC's: there is no
// answer.
func (p *Port) respond(ctx context.Context, in *frame) (encoded, error) {
	defer in.free()
	var body io.Reader
	if in.bodySize != noBody {
		body = bytes.NewReader(in.body)
	}
	host, response, err := p.execute(ctx, in, body, false)
	if outOfTime(ctx, err) {
		return encoded{}, status.FromContextError(ctx.Err()).Err()
	}
	return p.answer(host, response, err)
}

// serveStream answers a request that may come in many messages, and whose answer may need many.
func (p *Port) serveStream(_ any, stream grpc.ServerStream) error {
	var in frame
	if err := stream.RecvMsg(&in); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	defer in.free()
	var body io.Reader
	if in.bodySize != noBody {
		if in.isWhole() {
			body = bytes.NewReader(in.body)
		} else {
			chunks := &chunkReader{size: in.bodySize, recv: stream.RecvMsg}
			defer chunks.free()
			body = chunks
		}
	}
	host, response, err := p.execute(stream.Context(), &in, body, true)
	if outOfTime(stream.Context(), err) {
		return status.FromContextError(stream.Context().Err()).Err()
	}
	if err != nil || response.Body == nil || response.BodySize <= InlineBodyMax {
		e, err := p.answer(host, response, err)
		if err != nil {
			return err
		}
		return stream.SendMsg(e)
	}
	return p.stream(stream, host, response)
}

// outOfTime reports whether a call failed for want of time. That is no answer: the caller, whose own
// clock may be a moment behind, must not take it for one that this node gave in time.
func outOfTime(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// execute checks a request and has the host execute it. The response is not nil if there is no
// error; its limits are checked.
func (p *Port) execute(ctx context.Context, in *frame, body io.Reader, large bool) (Host, *Response, error) {
	host := *p.host.Load() // set before the first connection is taken
	if err := ctx.Err(); err != nil {
		p.expired.Add(1)
		return host, nil, err // its time went by on the way: nobody waits for what it asks for
	}
	from, err := callerOf(ctx)
	if err == nil {
		err = in.checkSender(from)
	}
	if err == nil {
		err = in.checkBody(large)
	}
	if err == nil {
		err = host.Admit(ctx, in.stamp, in.method)
	}
	if err != nil {
		return host, nil, err
	}
	response, err := p.handle(ctx, host, from, &Incoming{
		Method: in.method, Payload: in.payload, Body: body, BodySize: max(in.bodySize, 0),
	})
	if err != nil {
		closeBody(response)
		return host, nil, err
	}
	if response == nil {
		response = new(Response)
	}
	if err := checkResponse(in.method, response, large); err != nil {
		closeBody(response)
		return host, nil, err
	}
	return host, response, nil
}

// handle calls the host. A panic over one request must not take the node down: the caller would
// try the next node with it.
func (p *Port) handle(ctx context.Context, host Host, from cluster.NodeID, r *Incoming) (_ *Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("panic in a call from another node", "method", r.Method, "from", from, "panic", v, "stack", string(debug.Stack()))
			err = cluster.Errorf(cluster.KindInternal, "handle "+r.Method, "the node failed on this request; its log says where")
		}
	}()
	return host.Handle(ctx, from, r)
}

func callerOf(ctx context.Context) (cluster.NodeID, error) {
	if pr, ok := peer.FromContext(ctx); ok {
		if auth, ok := pr.AuthInfo.(authInfo); ok {
			return auth.node, nil
		}
	}
	return cluster.NoNode, cluster.Errorf(cluster.KindDenied, "take call", "the connection has no node")
}

// checkSender refuses a frame whose sender speaks another protocol, or in another node's name than
// its certificate's.
func (f *frame) checkSender(node cluster.NodeID) error {
	switch {
	case f.oldest > Version:
		return cluster.Errorf(cluster.KindInvalid, "speak with node "+node.String(),
			"it needs protocol version %d, this node speaks up to %d: upgrade this node", f.oldest, Version)
	case f.version < VersionOldest:
		return cluster.Errorf(cluster.KindInvalid, "speak with node "+node.String(),
			"it speaks protocol version %d, this node needs %d: upgrade that node", f.version, VersionOldest)
	case !f.hasStamp || f.stamp.From != node:
		return cluster.Errorf(cluster.KindDenied, "speak with node "+node.String(),
			"it speaks in the name of node %s", f.stamp.From)
	}
	return nil
}

// isWhole reports whether the body came with the frame.
func (f *frame) isWhole() bool { return int64(len(f.body)) == max(f.bodySize, 0) }

// checkBody refuses a body that is neither whole nor, where that is possible, to follow in chunks.
func (f *frame) checkBody(stream bool) error {
	if f.isWhole() || stream && len(f.body) == 0 {
		return nil
	}
	return cluster.Errorf(cluster.KindInvalid, "read "+f.method, "%d bytes of a body of %d", len(f.body), f.bodySize)
}

// head is a frame that begins what this node has to say.
func head(h Host) frame {
	return frame{version: Version, oldest: VersionOldest, stamp: h.Stamp(), hasStamp: true, bodySize: noBody}
}

// answer writes an answer with a small body, or an error.
func (p *Port) answer(h Host, response *Response, err error) (encoded, error) {
	f := head(h)
	if err == nil {
		f.payload = response.Payload
		if response.Body == nil {
			return f.encode(p.pool, nil, 0, 0)
		}
		f.bodySize = response.BodySize
		var e encoded
		e, err = f.encode(p.pool, sequential{response.Body}, 0, int(response.BodySize))
		if closeErr := response.Body.Close(); err == nil {
			err = closeErr
		}
		if err == nil {
			return e, nil
		}
		f.payload, f.bodySize = nil, noBody
	}
	f.failure = failureOf(err)
	return f.encode(p.pool, nil, 0, 0)
}

// stream writes an answer with a large body.
func (p *Port) stream(stream grpc.ServerStream, h Host, response *Response) (err error) {
	defer func() {
		if closeErr := response.Body.Close(); err == nil && closeErr != nil {
			err = status.Error(codes.DataLoss, closeErr.Error())
		}
	}()
	f := head(h)
	f.payload, f.bodySize = response.Payload, response.BodySize
	e, err := f.encode(p.pool, nil, 0, 0)
	if err == nil {
		err = stream.SendMsg(e)
	}
	body := sequential{response.Body}
	part := frame{bodySize: noBody}
	for at := int64(0); err == nil && at < response.BodySize; at += chunkSize {
		e, err = part.encode(p.pool, body, at, int(min(chunkSize, response.BodySize-at)))
		if err != nil {
			return status.Error(codes.DataLoss, fmt.Sprintf("of %d: %v", response.BodySize, err))
		}
		err = stream.SendMsg(e)
	}
	return err
}
