package transport

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// Limits of the tracks of one connection that wait for a call.
const (
	tracksIdleMax  = 64               // more are given up when their call is over
	trackIdleAfter = 15 * time.Second // without a call; what waits for longer is given up with the next sweep
)

// track is a stream to a peer on which small calls follow one another, a frame there and a frame back. It
// carries one call at a time, so none waits behind another, and who gives up a call ends its track.
//
// A stream for each call would have headers at its beginning and its end, and a goroutine and contexts of its own at both
// sides: that is half of what a call costs (BenchmarkCall).
type track struct {
	stream grpc.ClientStream
	cancel context.CancelFunc // ends the stream, here and at the peer
	used   time.Time
}

// tracks are those of one connection that wait for a call.
type tracks struct {
	mu         sync.Mutex
	idle       []*track // the last one used is the next one
	generation uint64   // of the connection: a track of an earlier one does not come back
	missing    bool     // the peer knows no tracks: it is of an older version
}

// take gives a track that waits, nil for none, and the generation of one that is made now.
func (ts *tracks) take() (t *track, generation uint64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if k := len(ts.idle) - 1; k >= 0 {
		t, ts.idle[k] = ts.idle[k], nil
		ts.idle = ts.idle[:k]
	}
	return t, ts.generation
}

// put has a track wait for the next call.
func (ts *tracks) put(t *track, generation uint64) {
	t.used = time.Now()
	ts.mu.Lock()
	kept := generation == ts.generation && len(ts.idle) < tracksIdleMax
	if kept {
		ts.idle = append(ts.idle, t)
	}
	ts.mu.Unlock()
	if !kept {
		t.cancel()
	}
}

// trim gives up what has waited since then, or before.
func (ts *tracks) trim(since time.Time) {
	ts.mu.Lock()
	k := 0
	for k < len(ts.idle) && ts.idle[k].used.Before(since) {
		k++
	}
	old := slices.Clone(ts.idle[:k])
	ts.idle = slices.Delete(ts.idle, 0, k)
	ts.mu.Unlock()
	end(old)
}

// renew gives up all: their connection is another one now, or none.
func (ts *tracks) renew() {
	ts.mu.Lock()
	old := ts.idle
	ts.idle, ts.missing = nil, false
	ts.generation++
	ts.mu.Unlock()
	end(old)
}

func end(list []*track) {
	for _, t := range list {
		t.cancel()
	}
}

// lacks reports that the peer is known to have no tracks.
func (ts *tracks) lacks() bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.missing
}

// lack notes that the peer has no tracks.
func (ts *tracks) lack() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.missing = true
}

// watch gives up the tracks whenever their connection breaks, and when the peer wants it to end: a port
// that closes waits for the streams that stand. It returns when the connection has been closed.
func (ts *tracks) watch(cc *grpc.ClientConn) {
	for state := cc.GetState(); state != connectivity.Shutdown; state = cc.GetState() {
		cc.WaitForStateChange(context.Background(), state) // Close is a change, too
		if state == connectivity.Ready {
			ts.renew()
		}
	}
}

// onTrack sends a request on a track that waits, or on a new one, and gives the answer. The error is gRPC's;
// isClosing: the peer has not executed it.
func (c *outgoing) onTrack(ctx context.Context, e encoded) (*frame, error) {
	ts := &c.conns.tracks[c.line]
	t, generation := ts.take()
	if t != nil {
		out, sent, err := t.exchange(ctx, e)
		if sent || ctx.Err() != nil {
			ts.settle(t, generation, err)
			return out, err
		}
		t.cancel() // it had ended while it waited
	}
	t, err := c.lay(ctx)
	if err != nil {
		return nil, err
	}
	out, _, err := t.exchange(ctx, e)
	ts.settle(t, generation, err)
	return out, err
}

// settle ends a call: its track waits for the next one if there was an answer.
func (ts *tracks) settle(t *track, generation uint64, err error) {
	if err == nil {
		ts.put(t, generation)
		return
	}
	t.cancel()
	if status.Code(err) == codes.Unimplemented {
		ts.lack()
	}
}

// lay makes a track.
func (c *outgoing) lay(ctx context.Context) (*track, error) {
	life, cancel := context.WithCancel(context.Background()) // longer than the call
	stop := context.AfterFunc(ctx, cancel)
	stream, err := c.cc.NewStream(life, &grpc.StreamDesc{StreamName: trackName, ServerStreams: true, ClientStreams: true}, trackPath)
	if !stop() {
		err = status.FromContextError(ctx.Err()).Err()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &track{stream: stream, cancel: cancel}, nil
}

// closingText is how a track of a port that is closing ends, in the place of an answer: the last request was not executed, nor
// seen perhaps. With its code it is part of the protocol: older nodes take it for a peer that is gone.
const closingText = "the port is closing"

// isClosing reports whether a track has ended so.
func isClosing(err error) bool {
	s := status.Convert(err)
	return s.Code() == codes.Unavailable && s.Message() == closingText
}

// exchange sends a request and waits for its answer. When the context ends first, so does the track. Without sent
// the peer has executed nothing of the request.
func (t *track) exchange(ctx context.Context, e encoded) (out *frame, sent bool, err error) {
	stop := context.AfterFunc(ctx, t.cancel)
	defer stop()
	e.buf.Ref() // gRPC frees it
	switch err := t.stream.SendMsg(e); {
	case err == nil:
		sent = true
	case !errors.Is(err, io.EOF): // else the track has ended, and RecvMsg says why
		return nil, false, within(ctx, err)
	}
	out = new(frame)
	err = t.stream.RecvMsg(out)
	switch {
	case err == nil && stop():
		return out, sent, nil
	case err == nil: // the context has just ended, and the track with it
		out.free()
	case errors.Is(err, io.EOF):
		err = status.Error(codes.Unavailable, "the peer has ended the call without an answer")
	case isClosing(err):
		sent = false
	}
	return nil, sent, within(ctx, err)
}

// within gives the error of a call whose context may be the reason.
func within(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return err
}

// serveTrack answers the requests of a track, one after the other, until its caller gives it up or the
// port closes: then it ends with closingText, and only while no request is executed that has no answer yet.
func (p *Port) serveTrack(_ any, stream grpc.ServerStream) error {
	for p.life.Err() == nil {
		var in frame
		if err := stream.RecvMsg(&in); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if p.life.Err() != nil {
			in.free()
			break
		}
		if err := p.serveOne(stream, &in); err != nil {
			return err
		}
	}
	return status.Error(codes.Unavailable, closingText)
}

// serveOne answers one request of a track.
func (p *Port) serveOne(stream grpc.ServerStream, in *frame) error {
	ctx := stream.Context()
	if in.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, in.timeout)
		defer cancel()
	}
	e, err := p.respond(ctx, in)
	if err != nil {
		return err
	}
	return stream.SendMsg(e)
}
