package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// clock is a wall clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func mustInit(t testing.TB, o Options) (*Identity, *MemFiles) {
	t.Helper()
	files := new(MemFiles)
	id, err := Init(files, o)
	if err != nil {
		t.Fatal(err)
	}
	return id, files
}

// port is a cluster port without RPC: what remains after the handshake is one byte each way, or a
// join.
type port struct {
	listener net.Listener
	door     *Door
	wg       sync.WaitGroup
}

func openPort(t *testing.T, door *Door) *port {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &port{listener: l, door: door}
	config := door.Identity.ServerTLS()
	p.wg.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(tls.Server(raw, config)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.wg.Wait()
	})
	return p
}

func (p *port) serve(c *tls.Conn) {
	defer c.Close()
	if err := c.Handshake(); err != nil {
		return
	}
	if c.ConnectionState().NegotiatedProtocol == JoinProtocol {
		p.door.Serve(context.Background(), c)
		return
	}
	_, _ = c.Write([]byte{1}) // the client learns by it that its certificate was accepted
}

func (p *port) addr() string { return p.listener.Addr().String() }

// greet connects with that configuration and reports whether the port let it in: in TLS 1.3 a
// client learns of a refusal with its first read.
func (p *port) greet(config *tls.Config) error {
	c, err := tls.Dial("tcp", p.addr(), config)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	return err
}

// join makes a new node by a token, over a port that it opens for that.
func join(t *testing.T, issuer *Identity, o Options) (*Identity, error) {
	t.Helper()
	p := openPort(t, &Door{Identity: issuer})
	token, err := issuer.IssueToken([]string{p.addr()}, 0)
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := Join(t.Context(), new(MemFiles), token, JoinOptions{Options: o})
	return id, err
}

func mustJoin(t *testing.T, issuer *Identity, o Options) *Identity {
	t.Helper()
	id, err := join(t, issuer, o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// logTo gives a logger that writes to a buffer, of which one reads after all is done.
func logTo(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func wantKind(t *testing.T, what string, err error, kind cluster.Kind) {
	t.Helper()
	var e *cluster.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("%s = %v, want an error of kind %v", what, err, kind)
	}
}
