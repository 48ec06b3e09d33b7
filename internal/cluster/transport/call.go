package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"porcupine/internal/cluster"
)

// The full names of the two gRPC methods.
const (
	unaryPath  = "/" + serviceName + "/" + unaryName
	streamPath = "/" + serviceName + "/" + streamName
	trackPath  = "/" + serviceName + "/" + trackName
)

// Call makes a call. See Caller.
func (p *Port) Call(ctx context.Context, to cluster.Endpoint, r *Request) (*Response, error) {
	response, err := p.call(ctx, to, r)
	p.meter.count(r, response)
	return response, err
}

func (p *Port) call(ctx context.Context, to cluster.Endpoint, r *Request) (*Response, error) {
	if err := checkRequest(to, r); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, expired(ctx, opName(to, r.Method))
	}
	host := p.host.Load()
	if host == nil {
		return nil, cluster.Errorf(cluster.KindUnavailable, opName(to, r.Method), "this node does not serve yet")
	}
	line := control
	if r.Body != nil || r.Large {
		line = bulk
	}
	cc, conns, err := p.peers.acquire(to, line)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindUnavailable, opName(to, r.Method), "%w", err)
	}
	c := &outgoing{port: p, host: *host, conns: conns, line: line, cc: cc, to: to, ctx: ctx, request: r}
	if r.Large || r.Body != nil && r.Body.Size() > InlineBodyMax {
		return c.stream()
	}
	defer p.peers.release(conns)
	return c.brief()
}

// outgoing is a call under way.
type outgoing struct {
	port    *Port
	host    Host
	conns   *peerConns
	line    int
	cc      *grpc.ClientConn
	to      cluster.Endpoint
	ctx     context.Context // the caller's
	request *Request
}

// op names the call in errors.
func (c *outgoing) op() string { return opName(c.to, c.request.Method) }

// head is the first frame. A body goes with it if it is small. left is the time that the call has, where gRPC does not tell
// the peer; else 0.
func (c *outgoing) head(left time.Duration) (encoded, error) {
	f := head(c.host)
	f.timeout = left
	f.method, f.payload = c.request.Method, c.request.Payload
	inline := 0
	if body := c.request.Body; body != nil {
		f.bodySize = body.Size()
		if f.bodySize <= InlineBodyMax {
			inline = int(f.bodySize)
		}
	}
	e, err := f.encode(c.port.pool, c.request.Body, 0, inline)
	if err != nil {
		return e, cluster.Errorf(cluster.KindInternal, c.op(), "%w", err)
	}
	return e, nil
}

// brief makes a call whose request and answer are one frame each: on a track, if the peer is a node that knows them.
func (c *outgoing) brief() (*Response, error) {
	ctx := c.ctx
	deadline, ok := ctx.Deadline()
	if !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, CallTimeoutDefault)
		defer cancel()
		deadline, _ = ctx.Deadline()
	}
	e, err := c.head(max(1, time.Until(deadline)))
	if err != nil {
		return nil, err
	}
	defer e.buf.Free()
	ts := &c.conns.tracks[c.line]
	if c.to.ID == cluster.NoNode || ts.lacks() {
		return c.unary(ctx, e)
	}
	out, err := c.onTrack(ctx, e)
	switch {
	case err == nil:
		return c.accept(out, nil, false)
	case status.Code(err) == codes.Unimplemented: // this very request was not executed: what the peer is known to lack by now says nothing of it
		return c.unary(ctx, e)
	case isClosing(err): // nor was this one: gRPC knows which streams the peer still serves, and who serves at its address next
		return c.unary(ctx, e)
	}
	return nil, rpcError(c.ctx, c.op(), err)
}

// unary makes such a call on a stream of its own.
func (c *outgoing) unary(ctx context.Context, e encoded) (*Response, error) {
	e.buf.Ref() // gRPC frees it
	var out frame
	var answerer peer.Peer
	var opts []grpc.CallOption
	if c.to.ID == cluster.NoNode {
		opts = append(opts, grpc.Peer(&answerer))
	}
	if err := c.cc.Invoke(ctx, unaryPath, e, &out, opts...); err != nil {
		return nil, rpcError(c.ctx, c.op(), err)
	}
	return c.accept(&out, &answerer, false)
}

// accept checks an answer's first frame, and makes the response of it, or the error it holds. The
// frame is freed, or passes to the body of the response. If the body is to follow in chunks, the
// response has none yet.
func (c *outgoing) accept(out *frame, answerer *peer.Peer, stream bool) (*Response, error) {
	node := c.to.ID
	if node == cluster.NoNode {
		if auth, ok := answerer.AuthInfo.(authInfo); ok {
			node = auth.node
		}
	}
	err := out.checkSender(node)
	if err == nil {
		err = out.checkBody(stream)
	}
	if err != nil {
		out.free()
		return nil, unreachable(c.op(), err)
	}
	c.host.Observe(out.stamp)
	if out.failure != nil {
		err := answered(c.op(), out.failure, out.stamp)
		out.free()
		return nil, err
	}
	response := &Response{Payload: bytes.Clone(out.payload), From: node, BodySize: max(out.bodySize, 0)}
	switch {
	case out.bodySize == noBody || !out.isWhole():
		out.free()
	default:
		response.Body = &inlineBody{rest: out.body, frame: *out}
	}
	return response, nil
}

// inlineBody is a body that came with its answer.
type inlineBody struct {
	rest  []byte
	frame frame
}

func (b *inlineBody) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// WriteTo writes what is left of the body in one piece.
func (b *inlineBody) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.rest)
	b.rest = b.rest[n:]
	return int64(n), err
}

func (b *inlineBody) Close() error {
	b.rest = nil
	b.frame.free()
	return nil
}

var errSilent = errors.New("the peer was silent for too long")

// stream makes a call with a large body in the request, the answer or both.
func (c *outgoing) stream() (*Response, error) {
	var size int64
	if c.request.Body != nil {
		size = c.request.Body.Size()
	}
	ctx, cancel := context.WithCancelCause(c.ctx)
	w := newWatch(c.ctx, uploadTimeout(size), cancel)
	finish := sync.OnceFunc(func() {
		w.pause()
		cancel(nil)
		c.port.peers.release(c.conns)
	})
	var answerer peer.Peer
	s, out, err := c.send(ctx, size, &answerer)
	if err != nil {
		err = c.streamError(ctx, err)
		finish()
		return nil, err
	}
	w.pause()
	whole := out.isWhole()
	response, err := c.accept(out, &answerer, true)
	if err != nil || whole {
		finish()
		return response, err
	}
	if !c.request.Large {
		finish()
		return nil, errNotLarge(c.op(), response.BodySize)
	}
	response.Body = &streamedBody{
		call: c, ctx: ctx, finish: finish,
		chunks: chunkReader{size: response.BodySize, recv: func(f any) error {
			w.start(StallTimeout)
			defer w.pause()
			return s.RecvMsg(f)
		}},
	}
	return response, nil
}

// send sends the request and receives the answer's first frame.
func (c *outgoing) send(ctx context.Context, size int64, answerer *peer.Peer) (grpc.ClientStream, *frame, error) {
	e, err := c.head(0)
	if err != nil {
		return nil, nil, err
	}
	desc := &grpc.StreamDesc{StreamName: streamName, ServerStreams: true, ClientStreams: size > InlineBodyMax}
	s, err := c.cc.NewStream(ctx, desc, streamPath, grpc.Peer(answerer))
	if err != nil {
		return nil, nil, err
	}
	if err = s.SendMsg(e); err == nil && size > InlineBodyMax {
		err = c.sendBody(s, size)
	}
	// io.EOF: the peer has answered without waiting for the rest, or is gone; RecvMsg tells.
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, nil, err
	}
	out := new(frame)
	if err := s.RecvMsg(out); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, nil, err
	}
	return s, out, nil
}

// sendBody sends a large body in chunks.
func (c *outgoing) sendBody(s grpc.ClientStream, size int64) error {
	part := frame{bodySize: noBody}
	for at := int64(0); at < size; at += chunkSize {
		e, err := part.encode(c.port.pool, c.request.Body, at, int(min(chunkSize, size-at)))
		if err != nil {
			return cluster.Errorf(cluster.KindInternal, c.op(), "%v", err) // not %w: an io.EOF of the body's is not the stream's
		}
		if err := s.SendMsg(e); err != nil {
			return err
		}
	}
	return nil
}

// streamError is the error of a stream that failed.
func (c *outgoing) streamError(ctx context.Context, err error) error {
	var local *cluster.Error
	switch {
	case errors.As(err, &local):
		return err
	case errors.Is(context.Cause(ctx), errSilent):
		return unreachable(c.op(), fmt.Errorf("no answer in time: %w", errSilent))
	}
	return rpcError(c.ctx, c.op(), err)
}

// streamedBody is a body that comes in chunks after its answer.
type streamedBody struct {
	chunks chunkReader
	call   *outgoing
	ctx    context.Context // of the stream
	finish func()
}

var errBodyClosed = errors.New("body is closed")

func (b *streamedBody) Read(p []byte) (int, error) {
	n, err := b.chunks.Read(p)
	return n, b.wrap(err)
}

// WriteTo writes what is left of the body, chunk by chunk.
func (b *streamedBody) WriteTo(w io.Writer) (int64, error) {
	n, err := b.chunks.WriteTo(w)
	if b.chunks.err != nil {
		err = b.wrap(err)
	}
	return n, err
}

func (b *streamedBody) wrap(err error) error {
	if err == nil || err == errBodyClosed || err == io.EOF { //nolint:errorlint // a reader's end is io.EOF itself
		return err
	}
	return b.call.streamError(b.ctx, err)
}

func (b *streamedBody) Close() error {
	b.finish()
	b.chunks.free()
	b.chunks.err = errBodyClosed
	return nil
}

// watch cancels a stream whose peer is silent, where the caller has set no deadline. The peer learns
// of it by the cancelled stream, or by the keepalive if this node is gone.
type watch struct{ timer *time.Timer }

// newWatch begins with the wait for the answer.
func newWatch(ctx context.Context, first time.Duration, cancel context.CancelCauseFunc) watch {
	if _, ok := ctx.Deadline(); ok {
		return watch{}
	}
	return watch{time.AfterFunc(first, func() { cancel(errSilent) })}
}

func (w watch) start(d time.Duration) {
	if w.timer != nil {
		w.timer.Reset(d)
	}
}

func (w watch) pause() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
