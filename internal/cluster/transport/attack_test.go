package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
)

// quietHost answers everything with its payload, unless handle says otherwise.
type quietHost struct {
	stamp  cluster.Stamp
	calls  atomic.Int32
	handle func(*Incoming) (*Response, error)
	within func(context.Context) // sees what a request is handled within
}

func (h *quietHost) Stamp() cluster.Stamp                               { return h.stamp }
func (h *quietHost) Admit(context.Context, cluster.Stamp, string) error { return nil }
func (h *quietHost) Observe(cluster.Stamp)                              {}
func (h *quietHost) Handle(ctx context.Context, _ cluster.NodeID, r *Incoming) (*Response, error) {
	h.calls.Add(1)
	if h.within != nil {
		h.within(ctx)
	}
	if h.handle != nil {
		return h.handle(r)
	}
	return &Response{Payload: bytes.Clone(r.Payload)}, nil
}

func newIdentity(t testing.TB, id cluster.NodeID) *identity.Identity {
	t.Helper()
	i, err := identity.Init(new(identity.MemFiles), identity.Options{Node: id})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// handshakeTimeout is that of the ports in tests: long for a loaded machine, short for a flood.
const handshakeTimeout = time.Second

// serve opens a port of that identity.
func serve(t testing.TB, i *identity.Identity, h *quietHost) *Port {
	t.Helper()
	p, err := Open(Config{Credentials: i, Listen: "127.0.0.1:0", HandshakeTimeout: handshakeTimeout})
	if err != nil {
		t.Fatal(err)
	}
	h.stamp.From = i.Node()
	p.Serve(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

// wantClosed checks that the port closes the connection, after it has sent at most a TLS alert.
func wantClosed(t *testing.T, name string, c net.Conn) {
	t.Helper()
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || len(data) > 16 {
		t.Errorf("%s: got %d bytes, %v; want the connection closed", name, len(data), err)
	}
}

// TestAttack38_NothingBeforeTLS: bytes that are no TLS, of any protocol, end the connection; none
// of them reaches the RPC server (A3).
func TestAttack38_NothingBeforeTLS(t *testing.T) {
	h := new(quietHost)
	p := serve(t, newIdentity(t, 1), h)
	for _, hello := range []string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "EHLO x\r\n",
		"\x16\x03\x01\xff\xff" + strings.Repeat("a", 1<<16), strings.Repeat("\x00", 1<<16),
	} {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, hello) // may be cut short by the port
		wantClosed(t, hello[:4], c)
	}
	// A TLS client without a certificate: what it writes after the handshake is not read.
	c, err := tls.Dial("tcp", p.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // an attacker does not care
	if err == nil {
		_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		wantClosed(t, "no certificate", c)
	}
	if n := h.calls.Load(); n != 0 {
		t.Errorf("%d calls were executed", n)
	}
}

// TestAttack38_OtherCluster: two ports of different clusters do not speak, and say why.
func TestAttack38_OtherCluster(t *testing.T) {
	a, b := newIdentity(t, 1), newIdentity(t, 2)
	ha, hb := new(quietHost), new(quietHost)
	pa, pb := serve(t, a, ha), serve(t, b, hb)
	for _, id := range []cluster.NodeID{cluster.NoNode, 2} {
		_, err := pa.Call(t.Context(), cluster.Endpoint{ID: id, Addr: pb.Addr()}, &Request{Method: "m"})
		if !Unreachable(err) || !strings.Contains(err.Error(), "cluster") {
			t.Errorf("call of another cluster = %v, want unreachable, with both clusters named", err)
		}
	}
	if hb.calls.Load() != 0 {
		t.Error("the call was executed")
	}
}

// TestAttack38_HandshakeFlood: strangers who connect and stay silent leave room for others, and
// are thrown out in time.
func TestAttack38_HandshakeFlood(t *testing.T) {
	h := new(quietHost)
	i := newIdentity(t, 1)
	p := serve(t, i, h)
	flood := make([]net.Conn, HandshakesPerHostMax+8)
	for n := range flood {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		flood[n] = c
	}
	start := time.Now()
	for _, c := range flood {
		wantClosed(t, "silent connection", c)
	}
	if took := time.Since(start); took > handshakeTimeout+5*time.Second {
		t.Errorf("silent connections stood for %v, want at most %v", took, handshakeTimeout)
	}
	if _, err := p.Call(t.Context(), cluster.Endpoint{ID: 1, Addr: p.Addr()}, &Request{Method: "m"}); err != nil {
		t.Errorf("call after the flood = %v", err)
	}
}

func TestGate(t *testing.T) {
	g := &gate{perHost: make(map[string]int)}
	addr := func(host string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(host), Port: 1} }
	var leaves []func()
	for range HandshakesPerHostMax {
		leave, err := g.enter(addr("10.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if _, err := g.enter(addr("10.0.0.1")); err == nil {
		t.Error("one handshake too many from one host was let in")
	}
	other, err := g.enter(addr("10.0.0.2"))
	if err != nil {
		t.Errorf("handshake from another host = %v", err)
	}
	other()
	other() // counts once
	for _, leave := range leaves {
		leave()
	}
	if g.handshakes != 0 || len(g.perHost) != 0 {
		t.Errorf("after all have left %d handshakes, hosts %v; want none", g.handshakes, g.perHost)
	}
}

// TestAttack39_SpeakingForAnother: a node cannot speak in the name of another than its
// certificate's.
func TestAttack39_SpeakingForAnother(t *testing.T) {
	i := newIdentity(t, 1)
	h := new(quietHost)
	p := serve(t, i, h)
	h.stamp.From = 2 // both as caller and as answerer, since the port calls itself
	_, err := p.Call(t.Context(), cluster.Endpoint{ID: 1, Addr: p.Addr()}, &Request{Method: "m"})
	if err == nil || h.calls.Load() != 0 {
		t.Errorf("call in another node's name = %v, executed %d times; want a refusal", err, h.calls.Load())
	}
}

// raw sends a frame of any content over an authenticated connection.
func raw(t *testing.T, p *Port, f *frame) (*frame, error) {
	t.Helper()
	cc, conns, err := p.peers.acquire(cluster.Endpoint{ID: p.creds.Node(), Addr: p.Addr()}, control)
	if err != nil {
		t.Fatal(err)
	}
	defer p.peers.release(conns)
	e, err := f.encode(p.pool, bytes.NewReader(f.body), 0, len(f.body))
	if err != nil {
		t.Fatal(err)
	}
	out := new(frame)
	err = cc.Invoke(t.Context(), unaryPath, e, out)
	if err == nil {
		onTrack(t, cc, p, f, out)
	}
	return out, err
}

// TestVersions: nodes that cannot understand each other say so, and execute nothing.
func TestVersions(t *testing.T) {
	h := new(quietHost)
	p := serve(t, newIdentity(t, 1), h)
	for _, test := range []struct {
		version, oldest uint64
		want            string // in the refusal; empty: accepted
	}{
		{Version, VersionOldest, ""},
		{Version + 1, Version, ""},
		{Version + 5, Version + 1, "upgrade this node"},
		{0, 0, "upgrade that node"},
	} {
		f := head(h)
		f.version, f.oldest, f.method = test.version, test.oldest, "m"
		before := h.calls.Load()
		out, err := raw(t, p, &f)
		if err != nil {
			t.Fatal(err)
		}
		refused := out.failure != nil
		if refused != (test.want != "") || refused && (!strings.Contains(out.failure.Text, test.want) || out.failure.Kind != cluster.KindInvalid) {
			t.Errorf("version %d, oldest %d: failure %v, want %q", test.version, test.oldest, out.failure, test.want)
		}
		if executed := h.calls.Load() > before; executed == refused {
			t.Errorf("version %d, oldest %d: executed %v, refused %v", test.version, test.oldest, executed, refused)
		}
	}
}

// TestAttack38_FramesThatLie: an authenticated peer that breaks the frame's rules is refused.
func TestAttack38_FramesThatLie(t *testing.T) {
	h := new(quietHost)
	p := serve(t, newIdentity(t, 1), h)
	for name, change := range map[string]func(*frame){
		"no stamp":                func(f *frame) { f.hasStamp = false },
		"body longer than said":   func(f *frame) { f.body, f.bodySize = []byte("abc"), 2 },
		"body shorter than said":  func(f *frame) { f.body, f.bodySize = []byte("abc"), 4 },
		"body not announced":      func(f *frame) { f.body = []byte("abc") },
		"body to follow in unary": func(f *frame) { f.bodySize = 4 },
	} {
		f := head(h)
		f.method = "m"
		change(&f)
		out, err := raw(t, p, &f)
		if err != nil || out.failure == nil {
			t.Errorf("%s: answer %+v, %v; want a refusal", name, out, err)
		}
	}
	f := head(h)
	f.method = strings.Repeat("m", MethodLengthMax+1)
	if _, err := raw(t, p, &f); err == nil {
		t.Error("long method was not refused")
	}
	if n := h.calls.Load(); n != 0 {
		t.Errorf("%d of these calls were executed", n)
	}
}

// TestPanicIsAnError: a request over which the host panics does not take the node down.
func TestPanicIsAnError(t *testing.T) {
	h := &quietHost{handle: func(*Incoming) (*Response, error) { panic("poison") }}
	p := serve(t, newIdentity(t, 1), h)
	self := cluster.Endpoint{ID: 1, Addr: p.Addr()}
	for _, large := range []bool{false, true} {
		_, err := p.Call(t.Context(), self, &Request{Method: "m", Large: large})
		if !cluster.IsKind(err, cluster.KindInternal) || Unreachable(err) || strings.Contains(err.Error(), "poison") {
			t.Errorf("call over which the host panics = %v, want an internal error without details", err)
		}
	}
}

// TestPeersAreForgotten: peers that nobody calls cost nothing for long, and never more than the
// limit.
func TestPeersAreForgotten(t *testing.T) {
	p := newPeers(newIdentity(t, 1), func(context.Context, string) (net.Conn, error) {
		return nil, errors.New("not dialled in this test")
	}, new(pool))
	defer p.close()
	_, busy, err := p.acquire(cluster.Endpoint{ID: 1, Addr: "a:1"}, control)
	if err != nil {
		t.Fatal(err)
	}
	_, idle, err := p.acquire(cluster.Endpoint{ID: 2, Addr: "a:2"}, bulk)
	if err != nil {
		t.Fatal(err)
	}
	p.release(idle)
	past := time.Now().Add(-2 * peerIdleMax)
	idle.used, busy.used, p.swept = past, past, past
	_, again, err := p.acquire(cluster.Endpoint{Addr: "a:3"}, control)
	if err != nil {
		t.Fatal(err)
	}
	if p.known[peerKey{node: 1}] != busy || len(p.known) != 2 || len(p.retired) != 0 {
		t.Errorf("known %v, retired %v; want the busy one and the new one, and none", p.known, p.retired)
	}
	// A busy peer that moves keeps its old connection until its calls are over.
	_, moved, err := p.acquire(cluster.Endpoint{ID: 1, Addr: "b:1"}, control)
	if _, retired := p.retired[busy]; err != nil || moved == busy || !retired {
		t.Errorf("moved peer: new connections %v, old retired %v, %v", moved != busy, retired, err)
	}
	for _, c := range []*peerConns{busy, again} {
		p.release(c)
	}
	if len(p.retired) != 0 {
		t.Errorf("after the last call %d retired, want none", len(p.retired))
	}
	p.close()
	p.release(moved) // a call that outlives the port
	if _, _, err := p.acquire(cluster.Endpoint{ID: 1, Addr: "b:1"}, control); !errors.Is(err, net.ErrClosed) {
		t.Errorf("acquire after close = %v, want %v", err, net.ErrClosed)
	}
}

// TestAttack38_JoinersReachNoRPC: while a token is open a peer without a certificate gets as far as
// the join exchange, and not a byte of its gets further.
func TestAttack38_JoinersReachNoRPC(t *testing.T) {
	i := newIdentity(t, 1)
	h := new(quietHost)
	h.stamp.From = 1
	door := &identity.Door{Identity: i}
	p, err := Open(Config{Credentials: i, Listen: "127.0.0.1:0", Join: door.Serve})
	if err != nil {
		t.Fatal(err)
	}
	p.Serve(h)
	if _, err := i.IssueToken([]string{p.Addr()}, 0); err != nil {
		t.Fatal(err)
	}
	for name, protocols := range map[string][]string{"join": {identity.JoinProtocol}, "both": {"h2", identity.JoinProtocol}} {
		c, err := tls.Dial("tcp", p.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}) //nolint:gosec // an attacker does not care
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := c.ConnectionState().NegotiatedProtocol; got != identity.JoinProtocol {
			t.Errorf("%s: negotiated %q", name, got)
		}
		_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		wantClosed(t, name, c)
	}
	c, err := tls.Dial("tcp", p.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{identity.JoinProtocol}}) //nolint:gosec // an attacker does not care
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := p.Close(ctx); err != nil { // does not wait for a joiner that is silent
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Error("Close waited for a silent joiner")
	}
	wantClosed(t, "silent joiner", c)
	if h.calls.Load() != 0 {
		t.Error("a call was executed")
	}
}

// TestAttack38_JoinersMustEnd: a joiner that is silent is cut off, whatever the door does.
func TestAttack38_JoinersMustEnd(t *testing.T) {
	i := newIdentity(t, 1)
	ended := make(chan error, 1)
	p, err := Open(Config{Credentials: i, Listen: "127.0.0.1:0", Join: func(_ context.Context, c *tls.Conn) {
		_, err := io.ReadAll(c) // waits for ever
		ended <- err
	}})
	if err != nil {
		t.Fatal(err)
	}
	p.joinTimeout = 200 * time.Millisecond
	p.Serve(new(quietHost))
	defer p.Close(t.Context())
	if _, err := i.IssueToken([]string{p.Addr()}, 0); err != nil {
		t.Fatal(err)
	}
	c, err := tls.Dial("tcp", p.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{identity.JoinProtocol}}) //nolint:gosec // an attacker does not care
	if err != nil {
		t.Fatal(err)
	}
	wantClosed(t, "silent joiner", c)
	if err := <-ended; err == nil {
		t.Error("the door's read ended without an error")
	}
}
