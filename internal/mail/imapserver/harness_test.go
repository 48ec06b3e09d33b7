package imapserver_test

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/imaptest"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtpserver/spool"
)

const (
	alice    = "alice@example.test"
	bob      = "bob@example.test"
	password = "wonder land"
)

// users is a sasl.Backend: alice and bob, with one password.
type users struct{ err error }

func (u users) Authenticate(_ context.Context, _ mail.Client, login, pw string) (mail.User, error) {
	switch {
	case u.err != nil:
		return "", u.err
	case login != alice && login != bob || pw != password:
		return "", cluster.Errorf(cluster.KindDenied, "authenticate", "no")
	}
	return mail.User(login), nil
}

func (u users) SCRAM(context.Context, mail.Client, string) (mail.User, mail.SCRAMKeys, error) {
	return "", mail.SCRAMKeys{}, cluster.Errorf(cluster.KindNotFound, "scram", "no keys")
}

// rig is a server and the network to it.
type rig struct {
	t     testing.TB
	ln    *listenertest.Listener
	front *listener.Server
	srv   *imapserver.Server
	pool  *x509.CertPool
	spool *spool.Spool
	mail  *imaptest.Mail
}

// options change a rig from the usual: login in clear allowed, a certificate there.
type options struct {
	clearRefused bool
	noTLS        bool
	implicitTLS  bool
	certificate  *tls.Certificate // nil: one with an ECDSA key
	backend      sasl.Backend
	mailboxes    imapserver.Mailboxes
	gate         *listener.Gate // nil: one with the default limits
	room         *spool.Room    // nil: one with the default limits
	cfg          imapserver.Config
}

func newRig(t testing.TB, m *imaptest.Mail, o options) *rig {
	t.Helper()
	if o.backend == nil {
		o.backend = users{}
	}
	auth, err := sasl.New(sasl.Config{Backend: o.backend, AllowPlaintext: !o.clearRefused})
	if err != nil {
		t.Fatal(err)
	}
	if o.room == nil {
		o.room = spool.NewRoom(spool.RoomConfig{})
	}
	r := &rig{t: t, ln: listenertest.NewListener(), mail: m, spool: spool.NewIn(o.room, spool.Dir(t.TempDir()), 256<<10, 1<<20)}
	o.cfg.Auth, o.cfg.Mailboxes, o.cfg.Spool = auth, m, r.spool
	if o.mailboxes != nil {
		o.cfg.Mailboxes = o.mailboxes
	}
	if r.srv, err = imapserver.New(o.cfg); err != nil {
		t.Fatal(err)
	}
	cert, pool, err := listenertest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	r.pool = pool
	if o.certificate != nil {
		cert = *o.certificate
	}
	lcfg := listener.Config{Service: "imap", Handler: r.srv.Serve, Refusal: imapserver.Refusal, Logger: o.cfg.Logger,
		ALPN: imapserver.ALPN, ImplicitTLS: o.implicitTLS, Gate: o.gate}
	if !o.noTLS {
		lcfg.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	if r.front, err = listener.New(lcfg); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.front.Serve(r.ln) }()
	t.Cleanup(func() {
		r.front.Close()
		r.srv.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
		if n := m.Sessions(); n != 0 {
			t.Errorf("%d mailboxes and folders are still open", n)
		}
		if n := r.spool.InMemory(); n != 0 {
			t.Errorf("%d octets are still spooled", n)
		}
	})
	return r
}

func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, _, err := r.ln.Dial(netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

func (r *rig) clientTLS() *tls.Config {
	return &tls.Config{RootCAs: r.pool, ServerName: listenertest.ServerName, NextProtos: []string{"imap"}}
}

// The clock of the mail in tests.
var clock = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func newMail() *imaptest.Mail { return imaptest.New(func() time.Time { return clock }) }

const (
	greeting = "S: * OK [CAPABILITY ...\n"
	login    = greeting + "C: L LOGIN " + alice + ` "` + password + "\"\nS: L OK [CAPABILITY ...\n"
)

// play plays a transcript on a new connection. It gives the connection for more.
func (r *rig) play(transcript string) net.Conn {
	r.t.Helper()
	c := r.dial()
	play(r.t, c, transcript)
	return c
}

// play plays a transcript:
//
//	C: text    is sent with CR LF; consecutive lines go out in one write
//	C- text    is sent without; \r, \n, \x00 and the like are escapes in both, as in Go
//	S: text    must come; "..." in it stands for anything, without a line end
//	S: (end)   the connection must end
//	#          is a comment, as is an empty line
func play(t testing.TB, c net.Conn, transcript string) {
	t.Helper()
	var send bytes.Buffer
	flush := func() {
		t.Helper()
		if send.Len() == 0 {
			return
		}
		if _, err := c.Write(send.Bytes()); err != nil {
			t.Fatalf("send %q: %v", send.String(), err)
		}
		send.Reset()
	}
	for line := range strings.SplitSeq(transcript, "\n") {
		line = strings.TrimLeft(line, " \t")
		kind, text := line[:min(3, len(line))], line[min(3, len(line)):]
		switch kind {
		case "C: ":
			send.WriteString(unescape(t, text) + "\r\n")
		case "C- ":
			send.WriteString(unescape(t, text))
		case "S: ":
			flush()
			if got := listenertest.ReadLine(t, c); !alike(got, unescape(t, text)) {
				t.Fatalf("server says %q, want %q", got, text)
			}
		default:
			if line != "" && line[0] != '#' {
				t.Fatalf("transcript has %q", line)
			}
		}
	}
	flush()
}

var escape = regexp.MustCompile(`\\(r|n|x[0-9a-f]{2})`)

func unescape(t testing.TB, s string) string {
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		switch e[1] {
		case 'r':
			return "\r"
		case 'n':
			return "\n"
		}
		var b byte
		if _, err := fmt.Sscanf(e[2:], "%02x", &b); err != nil {
			t.Fatal(err)
		}
		return string([]byte{b})
	})
}

// alike compares a line with a pattern in which "..." stands for anything.
func alike(got, pattern string) bool {
	parts := strings.Split(pattern, "...")
	if len(parts) == 1 {
		return got == pattern
	}
	rest, ok := strings.CutPrefix(got, parts[0])
	for _, p := range parts[1 : len(parts)-1] {
		if !ok {
			return false
		}
		_, rest, ok = strings.Cut(rest, p)
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}

// deflated is a connection on which both sides compress.
type deflated struct {
	net.Conn
	r io.Reader
	w *flate.Writer
}

func (d deflated) Read(p []byte) (int, error) { return d.r.Read(p) }

func (d deflated) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	return n, errors.Join(err, d.w.Flush())
}
