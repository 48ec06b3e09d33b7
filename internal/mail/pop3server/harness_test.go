package pop3server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/pop3server"
	"porcupine/internal/mail/sasl"
)

const (
	alice    = "alice@example.test"
	password = "wonder land"
)

// users is a sasl.Backend: alice, and nobody else. Every login with her password is hers.
type users struct{ err error }

func (u users) Authenticate(_ context.Context, _ mail.Client, login, pw string) (mail.User, error) {
	switch {
	case u.err != nil:
		return "", u.err
	case login != alice || pw != password:
		return "", cluster.Errorf(cluster.KindDenied, "authenticate", "no")
	}
	return alice, nil
}

func (u users) SCRAM(context.Context, mail.Client, string) (mail.User, mail.SCRAMKeys, error) {
	return "", mail.SCRAMKeys{}, cluster.Errorf(cluster.KindNotFound, "scram", "no keys")
}

// drops is a Maildrops: one mailbox in memory, which keeps what was deleted durably.
type drops struct {
	openErr, deleteErr error
	readErr            error // of the reader, after the text

	mu     sync.Mutex
	texts  []string
	open   bool
	opened int
	lost   chan struct{}
}

func newDrops(texts ...string) *drops { return &drops{texts: texts} }

func (d *drops) Open(_ context.Context, user mail.User, _ mail.Client) (pop3server.Maildrop, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.openErr != nil:
		return nil, d.openErr
	case user != alice:
		return nil, cluster.Errorf(cluster.KindInternal, "open", "user %q", user)
	case d.open:
		return nil, cluster.Errorf(cluster.KindUnavailable, "open", "%w", mail.ErrInUse)
	}
	d.open = true
	d.opened++
	d.lost = make(chan struct{})
	return &drop{d: d, texts: slices.Clone(d.texts), lost: d.lost}, nil
}

func (d *drops) isOpen() bool { d.mu.Lock(); defer d.mu.Unlock(); return d.open }

func (d *drops) left() []string { d.mu.Lock(); defer d.mu.Unlock(); return slices.Clone(d.texts) }

func (d *drops) lose() { d.mu.Lock(); defer d.mu.Unlock(); close(d.lost) }

type drop struct {
	d     *drops
	texts []string
	lost  chan struct{}
}

func (d *drop) Messages() []pop3server.Message {
	list := make([]pop3server.Message, len(d.texts))
	for i, t := range d.texts {
		list[i] = pop3server.Message{ID: "id" + strings.Repeat("x", i), Size: int64(len(t))}
	}
	return list
}

func (d *drop) Read(_ context.Context, i int) (io.ReadCloser, error) {
	r := io.Reader(strings.NewReader(d.texts[i]))
	switch {
	case d.texts[i] == "gone":
		return nil, cluster.Errorf(cluster.KindNotFound, "read", "gone")
	case d.texts[i] == "poison":
		panic("poison")
	case d.d.readErr != nil:
		r = io.MultiReader(r, failing{d.d.readErr})
	}
	return io.NopCloser(r), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (d *drop) Delete(_ context.Context, indexes []int) error {
	d.d.mu.Lock()
	defer d.d.mu.Unlock()
	if !slices.IsSorted(indexes) {
		return errors.New("indexes are not ascending")
	}
	if d.d.deleteErr != nil {
		return d.d.deleteErr
	}
	d.d.texts = nil
	for i, t := range d.texts {
		if !slices.Contains(indexes, i) {
			d.d.texts = append(d.d.texts, t)
		}
	}
	return nil
}

func (d *drop) Lost() <-chan struct{} { return d.lost }

func (d *drop) Close() {
	d.d.mu.Lock()
	defer d.d.mu.Unlock()
	d.d.open = false
}

// rig is a server and the network to it.
type rig struct {
	t     *testing.T
	ln    *listenertest.Listener
	front *listener.Server
	pool  *x509.CertPool
}

// options change a rig from the usual: login in clear allowed, a certificate there.
type options struct {
	clearRefused bool
	noTLS        bool
	implicitTLS  bool
	backend      sasl.Backend
	gate         *listener.Gate // nil: one with the default limits
	cfg          pop3server.Config
}

func newRig(t *testing.T, d pop3server.Maildrops, o options) *rig {
	t.Helper()
	if o.backend == nil {
		o.backend = users{}
	}
	auth, err := sasl.New(sasl.Config{Backend: o.backend, AllowPlaintext: !o.clearRefused})
	if err != nil {
		t.Fatal(err)
	}
	o.cfg.Auth, o.cfg.Maildrops = auth, d
	srv, err := pop3server.New(o.cfg)
	if err != nil {
		t.Fatal(err)
	}
	cert, pool, err := listenertest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	lcfg := listener.Config{Service: "pop3", Handler: srv.Serve, Refusal: pop3server.Refusal, Logger: o.cfg.Logger,
		ALPN: pop3server.ALPN, ImplicitTLS: o.implicitTLS, Gate: o.gate}
	if !o.noTLS {
		lcfg.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	front, err := listener.New(lcfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, ln: listenertest.NewListener(), front: front, pool: pool}
	listenertest.Serve(t, front, r.ln)
	return r
}

func (r *rig) dial() (client, server *listenertest.Conn) {
	r.t.Helper()
	c, s, err := r.ln.Dial(netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c, s
}

func (r *rig) clientTLS() *tls.Config {
	return &tls.Config{RootCAs: r.pool, ServerName: listenertest.ServerName, NextProtos: []string{"pop3"}}
}

const (
	greeting = "S: +OK Porcupine POP3 server ready"
	login    = greeting + `
C: USER ` + alice + `
S: +OK send PASS
C: PASS ` + password + `
S: +OK mailbox open
`
)

// play plays a transcript on a new connection. "C: " lines are sent, "S: " lines must come, "S:
// (end)" is the end of the connection; consecutive C lines go out in one write. It gives the
// connection for more.
func (r *rig) play(transcript string) net.Conn {
	r.t.Helper()
	c, _ := r.dial()
	return playOn(r.t, c, transcript)
}

func playOn(t *testing.T, c net.Conn, transcript string) net.Conn {
	t.Helper()
	var send bytes.Buffer
	for line := range strings.SplitSeq(transcript, "\n") {
		if line == "" {
			continue
		}
		if text, ok := strings.CutPrefix(line, "C: "); ok {
			send.WriteString(text + "\r\n")
			continue
		}
		if send.Len() > 0 {
			if _, err := c.Write(send.Bytes()); err != nil {
				t.Fatalf("send %q: %v", send.String(), err)
			}
			send.Reset()
		}
		want := strings.TrimPrefix(line, "S: ")
		got := listenertest.ReadLine(t, c)
		if got != want {
			t.Fatalf("server says %q, want %q", got, want)
		}
	}
	if send.Len() > 0 {
		if _, err := c.Write(send.Bytes()); err != nil {
			t.Fatalf("send %q: %v", send.String(), err)
		}
	}
	return c
}

// errEOF is what a broken stream may give, wrapped.
var errEOF = io.EOF
