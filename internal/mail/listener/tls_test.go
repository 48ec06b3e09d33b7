package listener_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/netip"
	"strings"
	"testing"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
)

// secure gives a config with a certificate and the pool that trusts it.
func secure(t *testing.T, alpn string, implicit bool) (listener.Config, *x509.CertPool) {
	t.Helper()
	cert, pool, err := listenertest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return listener.Config{
		ALPN: alpn, ImplicitTLS: implicit,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil },
	}, pool
}

func TestAttack05_ALPNMismatchIsAnAlert(t *testing.T) {
	cfg, pool := secure(t, "pop3", true)
	ln := start(t, newServer(t, cfg))
	for _, tt := range []struct {
		name  string
		offer []string
		want  string // part of the error; empty: success
	}{
		{"none", nil, ""},
		{"right", []string{"pop3"}, ""},
		{"one of them", []string{"imap", "pop3"}, ""},
		{"browser", []string{"h2", "http/1.1"}, "no application protocol"},
		{"old browser", []string{"http/1.1"}, "no application protocol"},
		{"other mail", []string{"smtp"}, "no application protocol"},
	} {
		c := tls.Client(dial(t, ln, "192.0.2.1"), &tls.Config{RootCAs: pool, ServerName: listenertest.ServerName, NextProtos: tt.offer})
		err := c.Handshake()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: handshake: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: handshake = %v, want %q", tt.name, err, tt.want)
		case tt.want == "":
			expect(t, c, "hello\r\n")
		}
	}
}

// TestChannelBinding: both ends of a TLS 1.3 connection derive the same (RFC 9266); in TLS 1.2 there is none.
func TestChannelBinding(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg, pool := secure(t, "pop3", true)
		seen := make(chan string, 1)
		cfg.Handler = func(_ context.Context, c *listener.Conn) { seen <- c.Client().Exporter }
		c := tls.Client(dial(t, start(t, newServer(t, cfg)), "192.0.2.1"), &tls.Config{RootCAs: pool, ServerName: listenertest.ServerName, MaxVersion: version})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		want := ""
		if version == tls.VersionTLS13 {
			state := c.ConnectionState()
			b, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
			if err != nil {
				t.Fatal(err)
			}
			want = string(b)
		}
		if got := <-seen; got != want {
			t.Errorf("%s: server derives %x, client %x", tls.VersionName(version), got, want)
		}
	}
}

func TestAttack06_TicketIsGoodAtItsListenerOnly(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg, pool := secure(t, "pop3", true)
		one, other := start(t, newServer(t, cfg)), start(t, newServer(t, cfg))
		client := &tls.Config{RootCAs: pool, ServerName: listenertest.ServerName, MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		resumed := func(ln *listenertest.Listener) bool {
			c := tls.Client(dial(t, ln, "192.0.2.1"), client)
			expect(t, c, "hello\r\n") // the ticket of TLS 1.3 comes with it
			c.Close()
			return c.ConnectionState().DidResume
		}
		if resumed(one) || !resumed(one) {
			t.Errorf("%s: no resumption at the same listener", tls.VersionName(version))
		}
		if resumed(other) {
			t.Errorf("%s: a ticket of one listener was good at another", tls.VersionName(version))
		}
	}
}

func TestAttack07_WeakTLS(t *testing.T) {
	cfg, pool := secure(t, "pop3", true)
	ln := start(t, newServer(t, cfg))
	weak := []uint16{ // RSA key exchange, CBC, 3DES, RC4
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA,
	}
	for _, tt := range []struct {
		name     string
		min, max uint16
		suites   []uint16
		want     uint16 // version; 0: refused
	}{
		{"TLS 1.0", tls.VersionTLS10, tls.VersionTLS10, nil, 0},
		{"TLS 1.1", tls.VersionTLS11, tls.VersionTLS11, nil, 0},
		{"TLS 1.2 weak suites", tls.VersionTLS12, tls.VersionTLS12, weak, 0},
		{"TLS 1.2", tls.VersionTLS12, tls.VersionTLS12, nil, tls.VersionTLS12},
		{"both: 1.3 wins", tls.VersionTLS12, tls.VersionTLS13, nil, tls.VersionTLS13},
	} {
		c := tls.Client(dial(t, ln, "192.0.2.1"), &tls.Config{RootCAs: pool, ServerName: listenertest.ServerName,
			MinVersion: tt.min, MaxVersion: tt.max, CipherSuites: tt.suites})
		err := c.Handshake()
		if got := c.ConnectionState().Version; (err == nil) != (tt.want != 0) || err == nil && got != tt.want {
			t.Errorf("%s: version %#x, error %v, want version %#x", tt.name, got, err, tt.want)
		}
		c.Close()
	}
}

// upgrade greets, waits for a line and puts TLS on, whatever the line was; then it greets again.
func upgrade(ctx context.Context, c *listener.Conn) {
	io.WriteString(c, "hello\r\n")
	b := make([]byte, len("starttls\r\n"))
	if _, err := io.ReadFull(c, b); err != nil {
		return
	}
	io.WriteString(c, "go\r\n")
	if c.StartTLS(ctx) != nil {
		return
	}
	if !c.Client().TLS || c.CanStartTLS() {
		panic("TLS is on and does not show")
	}
	io.WriteString(c, "hello again\r\n")
}

func TestAttack03_BytesBehindSTARTTLSBreakTheHandshake(t *testing.T) {
	cfg, pool := secure(t, "pop3", false)
	cfg.Handler = upgrade
	ln := start(t, newServer(t, cfg))
	for _, tt := range []struct {
		name, send string
		ok         bool
	}{
		{"clean", "starttls\r\n", true},
		{"injected", "starttls\r\nNOOP\r\n", false},
	} {
		raw := dial(t, ln, "192.0.2.1")
		expect(t, raw, "hello\r\n")
		io.WriteString(raw, tt.send)
		expect(t, raw, "go\r\n")
		c := tls.Client(raw, &tls.Config{RootCAs: pool, ServerName: listenertest.ServerName})
		if err := c.Handshake(); (err == nil) != tt.ok {
			t.Errorf("%s: handshake = %v, want success %v", tt.name, err, tt.ok)
		}
		if tt.ok {
			expect(t, c, "hello again\r\n")
		}
	}
}

func TestTLSNotOffered(t *testing.T) {
	errs := make(chan error, 1)
	ln := start(t, newServer(t, listener.Config{Handler: func(ctx context.Context, c *listener.Conn) { errs <- c.StartTLS(ctx) }}))
	dial(t, ln, "192.0.2.1")
	if err := <-errs; err == nil {
		t.Error("StartTLS without a certificate succeeded")
	}
}

func TestRefusalOfImplicitTLSIsAnAlert(t *testing.T) {
	cfg, pool := secure(t, "pop3", true)
	cfg.Admit = func(netip.Addr) bool { return false }
	ln := start(t, newServer(t, cfg))
	c := tls.Client(dial(t, ln, "192.0.2.1"), &tls.Config{RootCAs: pool, ServerName: listenertest.ServerName})
	if err := c.Handshake(); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("handshake = %v, want the alert", err)
	}
}
