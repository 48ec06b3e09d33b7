package transport

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"porcupine/internal/cluster"
)

// tracksTo gives what node 1's port keeps of its own control line, after a call.
func tracksTo(t *testing.T, p *Port) (*tracks, cluster.Endpoint) {
	t.Helper()
	self := cluster.Endpoint{ID: 1, Addr: p.Addr()}
	if _, err := p.Call(t.Context(), self, &Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
	p.peers.mu.Lock()
	defer p.peers.mu.Unlock()
	return &p.peers.known[peerKey{node: 1}].tracks[control], self
}

// waiting gives the tracks that wait for a call.
func (ts *tracks) waiting() []*track {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return slices.Clone(ts.idle)
}

// TestCallsFollowOneAnother: calls one after the other need one track; those at once one each, as many as may wait are kept.
func TestCallsFollowOneAnother(t *testing.T) {
	p := serve(t, newIdentity(t, 1), new(quietHost))
	ts, self := tracksTo(t, p)
	first := ts.waiting()
	for range 5 {
		if _, err := p.Call(t.Context(), self, &Request{Method: "m", Payload: []byte("p")}); err != nil {
			t.Fatal(err)
		}
	}
	if now := ts.waiting(); len(first) != 1 || len(now) != 1 || now[0] != first[0] {
		t.Errorf("tracks after one call: %v, after six %v; want the same one", first, now)
	}
	ended := 0
	for range tracksIdleMax + 3 {
		ts.put(&track{cancel: func() { ended++ }}, ts.generation)
	}
	if n := len(ts.waiting()); n != tracksIdleMax || ended != 4 {
		t.Errorf("%d tracks wait, %d were given up; want %d and 4", n, ended, tracksIdleMax)
	}
	ts.trim(time.Now().Add(time.Hour))
	if n := len(ts.waiting()); n != 0 {
		t.Errorf("%d tracks wait after all were idle for long, want 0", n)
	}
}

// TestTrackThatEndedUnseen: a call that finds its track ended, before anything was sent, takes another one.
func TestTrackThatEndedUnseen(t *testing.T) {
	h := new(quietHost)
	p := serve(t, newIdentity(t, 1), h)
	ts, self := tracksTo(t, p)
	old := ts.waiting()[0]
	old.cancel()
	if err := old.stream.RecvMsg(new(frame)); err == nil { // until it has ended
		t.Fatal("an answer without a request")
	}
	before := h.calls.Load()
	if _, err := p.Call(t.Context(), self, &Request{Method: "m"}); err != nil {
		t.Errorf("call after its track had ended = %v", err)
	}
	if n := h.calls.Load() - before; n != 1 {
		t.Errorf("executed %d times, want once", n)
	}
	if now := ts.waiting(); len(now) != 1 || now[0] == old {
		t.Errorf("tracks %v, want a new one", now)
	}
}

// TestTrackOfAnOlderConnection: what was made before the connection broke does not come back.
func TestTrackOfAnOlderConnection(t *testing.T) {
	var ts tracks
	ended := 0
	_, generation := ts.take()
	ts.renew()
	ts.put(&track{cancel: func() { ended++ }}, generation)
	if len(ts.waiting()) != 0 || ended != 1 {
		t.Errorf("%d tracks wait, %d ended; want 0 and 1", len(ts.waiting()), ended)
	}
	_, generation = ts.take()
	ts.put(&track{cancel: func() { ended++ }}, generation)
	ts.lack()
	ts.renew()
	if len(ts.waiting()) != 0 || ended != 2 || ts.lacks() {
		t.Errorf("%d tracks wait, %d ended, the peer lacks them %v; want 0, 2 and false: it may have been upgraded", len(ts.waiting()), ended, ts.lacks())
	}
}

// TestPeerWithoutTracks: a node of the version before is called in its own way.
func TestPeerWithoutTracks(t *testing.T) {
	h := new(quietHost)
	i := newIdentity(t, 1)
	p, err := Open(Config{Credentials: i, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	p.server.Stop()
	p.server = grpc.NewServer(grpc.Creds(serverCreds{p}), grpc.ForceServerCodecV2(codec{p.pool}))
	p.server.RegisterService(&grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: unaryName, Handler: p.serveUnary}}}, p)
	h.stamp.From = 1
	p.Serve(h)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	self := cluster.Endpoint{ID: 1, Addr: p.Addr()}
	for range 3 {
		if _, err := p.Call(t.Context(), self, &Request{Method: "m"}); err != nil {
			t.Fatalf("call of a node that knows no tracks = %v", err)
		}
	}
	p.peers.mu.Lock()
	ts := &p.peers.known[peerKey{node: 1}].tracks[control]
	p.peers.mu.Unlock()
	if n := h.calls.Load(); n != 3 || !ts.lacks() {
		t.Errorf("executed %d, the peer is known to lack tracks: %v; want 3, true", n, ts.lacks())
	}
}

// TestTrackBreaksUnderWay: a request that may have been executed is not sent again, though another call has found that
// the peer knows no tracks: it may have been started again as an older version.
func TestTrackBreaksUnderWay(t *testing.T) {
	h := new(quietHost)
	p := serve(t, newIdentity(t, 1), h)
	ts, self := tracksTo(t, p)
	under := ts.waiting()[0]
	before := h.calls.Load()
	h.handle = func(*Incoming) (*Response, error) {
		ts.lack()
		under.cancel()
		return new(Response), nil
	}
	if _, err := p.Call(t.Context(), self, &Request{Method: "m"}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("a call whose track breaks under way = %v, want kind unavailable", err)
	}
	if n := h.calls.Load() - before; n != 1 {
		t.Errorf("executed %d times, want once", n)
	}
}

// TestStopDoesNotFailATrack: a request that reaches a port which has just begun to close was not executed, and is on a
// stream of its own: a graceful stop fails no call. It makes no difference whether the track had waited, or is a new one.
func TestStopDoesNotFailATrack(t *testing.T) {
	h := new(quietHost)
	p := serve(t, newIdentity(t, 1), h)
	_, self := tracksTo(t, p)
	before := h.calls.Load()
	p.end() // as Close begins
	for range 3 {
		if _, err := p.Call(t.Context(), self, &Request{Method: "m"}); err != nil {
			t.Errorf("a call of a port that begins to close = %v", err)
		}
	}
	if n := h.calls.Load() - before; n != 3 {
		t.Errorf("executed %d times, want 3", n)
	}
}

// Fault 38: a request on a track carries the time that is left to its caller, too.
func TestTrackCarriesTheTimeLeft(t *testing.T) {
	left := make(chan time.Duration, 1)
	p := serve(t, newIdentity(t, 1), &quietHost{within: func(ctx context.Context) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
	}})
	_, self := tracksTo(t, p)
	<-left
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := p.Call(ctx, self, &Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
	if d := <-left; d <= 50*time.Minute || d > time.Hour {
		t.Errorf("the host had %v left of an hour", d)
	}
	if _, err := p.Call(t.Context(), self, &Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
	if d := <-left; d <= 0 || d > CallTimeoutDefault {
		t.Errorf("the host had %v left of the default", d)
	}
}

// endless is a stream that never has an answer.
type endless struct {
	grpc.ClientStream
	sent, received error
}

func (s endless) SendMsg(any) error { return s.sent }
func (s endless) RecvMsg(any) error { return s.received }

// TestExchangeErrors: what may be sent again is only what was not sent.
func TestExchangeErrors(t *testing.T) {
	over, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	gone := status.Error(codes.Unavailable, "gone")
	for _, test := range []struct {
		name           string
		ctx            context.Context
		sent, received error
		isSent         bool
		code           codes.Code
	}{
		{"it broke while the peer worked", t.Context(), nil, gone, true, codes.Unavailable},
		{"it had broken", t.Context(), io.EOF, gone, false, codes.Unavailable},
		{"the peer was closing", t.Context(), nil, status.Error(codes.Unavailable, "the port is closing"), false, codes.Unavailable},
		{"the peer had closed", t.Context(), io.EOF, status.Error(codes.Unavailable, "the port is closing"), false, codes.Unavailable},
		{"the peer ended it without an answer", t.Context(), nil, io.EOF, true, codes.Unavailable},
		{"an older peer", t.Context(), io.EOF, status.Error(codes.Unimplemented, "unknown method"), false, codes.Unimplemented},
		{"no time left", over, io.EOF, status.Error(codes.Canceled, "cancelled"), false, codes.DeadlineExceeded},
		{"answered too late", over, nil, nil, true, codes.DeadlineExceeded},
		{"too large", t.Context(), status.Error(codes.ResourceExhausted, "too large"), nil, false, codes.ResourceExhausted},
	} {
		tr := &track{stream: endless{sent: test.sent, received: test.received}, cancel: func() {}}
		_, sent, err := tr.exchange(test.ctx, encoded{mem.SliceBuffer(nil)})
		if sent != test.isSent || status.Code(err) != test.code {
			t.Errorf("%s: sent %v, %v (code %v); want %v, code %v", test.name, sent, err, status.Code(err), test.isSent, test.code)
		}
	}
}

// onTrack sends a frame on a track, too, where it must have the same answer.
func onTrack(t *testing.T, cc *grpc.ClientConn, p *Port, f, want *frame) {
	t.Helper()
	e, err := f.encode(p.pool, bytes.NewReader(f.body), 0, len(f.body))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{StreamName: trackName, ServerStreams: true, ClientStreams: true}, trackPath)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := (&track{stream: stream, cancel: cancel}).exchange(ctx, e)
	if err != nil || (out.failure == nil) != (want.failure == nil) || out.failure != nil && *out.failure != *want.failure {
		t.Errorf("%+v on a track: %+v, %v; want the failure %+v, as by itself", f, out, err, want.failure)
	}
}
