package test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAttack04_NoLoginInClear: with the default configuration no login is offered or taken in
// clear, and it is offered after STARTTLS and STLS.
func TestAttack04_NoLoginInClear(t *testing.T) {
	t.Parallel()
	n := startNode(t, "")
	n.users(1)
	for name, port := range map[string]int{"smtp": n.ports.SMTP, "submission": n.ports.Submission, "lmtp": n.ports.LMTP} {
		l := dialLine(t, "", port)
		verb := map[bool]string{true: "LHLO", false: "EHLO"}[name == "lmtp"]
		if caps := l.must(verb+" client.example", "250"); strings.Contains(caps, "AUTH") || !strings.Contains(caps, "STARTTLS") {
			t.Errorf("%s in clear offers %q, want STARTTLS and no AUTH", name, caps)
		}
		if reply := l.ask("AUTH PLAIN AHUwAHB3"); !strings.HasPrefix(reply, "5") {
			t.Errorf("%s in clear: AUTH = %q, want 5xx", name, reply)
		}
		if name != "submission" {
			continue
		}
		if reply := l.ask("MAIL FROM:<u0@example.test>"); !strings.HasPrefix(reply, "530") {
			t.Errorf("submission in clear: MAIL = %q, want 530", reply)
		}
		over := l.startTLS("STARTTLS", "220")
		if caps := over.must("EHLO client.example", "250"); !strings.Contains(caps, "AUTH") || strings.Contains(caps, "STARTTLS") {
			t.Errorf("submission over TLS offers %q, want AUTH and no STARTTLS", caps)
		}
	}
	l := dialLine(t, "", n.ports.POP3)
	caps := l.multi("CAPA")
	for _, c := range caps {
		if c == "USER" || strings.HasPrefix(c, "SASL") {
			t.Errorf("POP3 in clear offers %q", c)
		}
	}
	if !slices.Contains(caps, "STLS") {
		t.Errorf("POP3 in clear does not offer STLS: %q", caps)
	}
	for _, c := range []string{"USER u0@example.test", "APOP u0 0123456789abcdef0123456789abcdef", "AUTH PLAIN AHUwAHB3"} {
		if reply := l.ask(c); !strings.HasPrefix(reply, "-ERR") {
			t.Errorf("POP3 in clear: %s = %q, want -ERR", c, reply)
		}
	}
	over := l.startTLS("STLS", "+OK")
	if caps := over.multi("CAPA"); !slices.Contains(caps, "USER") || slices.Contains(caps, "STLS") {
		t.Errorf("POP3 over TLS offers %q, want USER and no STLS", caps)
	}
	over.must("USER u0@example.test", "+OK")
	over.must("PASS porcupine", "+OK")
}

// TestAttack05_CrossProtocol: another protocol's name in ALPN ends the handshake with the alert for
// it, and a web browser that was sent to a mail port hears one line at most, with nothing of its own in it.
func TestAttack05_CrossProtocol(t *testing.T) {
	t.Parallel()
	n := startNode(t, "")
	for name, port := range map[string]int{"smtp": n.ports.Submissions, "pop3": n.ports.POP3S} {
		for offered, ok := range map[string]bool{"": true, name: true, "http/1.1": false, "h2": false, "imap": false} {
			cfg := tlsClient()
			if offered != "" {
				cfg.NextProtos = []string{offered}
			}
			conn, err := tls.Dial("tcp", at(port), cfg)
			if err == nil {
				conn.Close()
			}
			switch {
			case ok && err != nil:
				t.Errorf("%s with ALPN %q = %v", name, offered, err)
			case !ok && (err == nil || !strings.Contains(err.Error(), "no application protocol")):
				t.Errorf("%s with ALPN %q = %v, want the alert no_application_protocol", name, offered, err)
			}
		}
	}
	const canary = "canary5c1"
	request := "POST /" + canary + " HTTP/1.1\r\nHost: " + canary + "\r\nContent-Length: 30\r\n\r\nEHLO x\r\nMAIL FROM:<" + canary + "@x>\r\n"
	for name, port := range map[string]int{"smtp": n.ports.SMTP, "lmtp": n.ports.LMTP, "submission": n.ports.Submission, "pop3": n.ports.POP3} {
		conn, err := net.Dial("tcp", at(port))
		if err != nil {
			t.Fatal(err)
		}
		l := newLine(t, conn)
		greeting := l.read()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(l.r)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s does not hang up on HTTP (greeting %q)", name, greeting)
		}
		if strings.Count(string(rest), "\n") > 1 || strings.Contains(string(rest), canary) {
			t.Errorf("%s answers HTTP with %q, want one line at most and no echo", name, rest)
		}
	}
	n.requireAlive()
}

// ticketBox keeps the last session ticket, whichever server it is from.
type ticketBox struct{ state *tls.ClientSessionState }

func (b *ticketBox) Get(string) (*tls.ClientSessionState, bool) { return b.state, b.state != nil }
func (b *ticketBox) Put(_ string, s *tls.ClientSessionState)    { b.state = s }

// TestAttack06_TicketOfAnotherService: a session ticket is good where it was given, and nowhere
// else (without ALPN, which would refuse it too).
func TestAttack06_TicketOfAnotherService(t *testing.T) {
	t.Parallel()
	n := startNode(t, "")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		box := &ticketBox{}
		resumed := func(port int) bool {
			t.Helper()
			cfg := tlsClient()
			cfg.ClientSessionCache, cfg.MaxVersion = box, version
			conn, err := tls.Dial("tcp", at(port), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			newLine(t, conn).read() // TLS 1.3: tickets come with the first bytes
			return conn.ConnectionState().DidResume
		}
		name := tls.VersionName(version)
		resumed(n.ports.Submissions)
		if !resumed(n.ports.Submissions) {
			t.Errorf("%s: a ticket is not taken where it was given: this test shows nothing", name)
		}
		if resumed(n.ports.POP3S) {
			t.Errorf("%s: POP3 took a ticket of submission", name)
		}
		if resumed(n.ports.Submissions) {
			t.Errorf("%s: submission took a ticket of POP3", name)
		}
	}
}

// TestAttack07_WeakTLS scans the node's own ports with a table of client hellos.
func TestAttack07_WeakTLS(t *testing.T) {
	t.Parallel()
	n := startNode(t, "")
	hellos := []struct {
		name     string
		min, max uint16
		suites   []uint16
		ok       bool
	}{
		{"TLS 1.0", tls.VersionTLS10, tls.VersionTLS10, nil, false},
		{"TLS 1.1", tls.VersionTLS11, tls.VersionTLS11, nil, false},
		{"TLS 1.2", tls.VersionTLS12, tls.VersionTLS12, nil, true},
		{"TLS 1.3", tls.VersionTLS13, tls.VersionTLS13, nil, true},
		{"RSA key exchange", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA}, false},
		{"CBC with SHA-1", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA}, false},
		{"3DES", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA}, false},
		{"RC4", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_RC4_128_SHA}, false},
		{"ChaCha20", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}, true},
	}
	doors := map[string]func() net.Conn{
		"submissions": func() net.Conn { return dial(t, n.ports.Submissions) },
		"pop3s":       func() net.Conn { return dial(t, n.ports.POP3S) },
		"smtp STARTTLS": func() net.Conn {
			l := dialLine(t, "", n.ports.SMTP)
			l.must("EHLO client.example", "250")
			l.must("STARTTLS", "220")
			return l.conn
		},
		"pop3 STLS": func() net.Conn {
			l := dialLine(t, "", n.ports.POP3)
			l.must("STLS", "+OK")
			return l.conn
		},
	}
	for door, open := range doors {
		for _, h := range hellos {
			cfg := tlsClient()
			cfg.MinVersion, cfg.MaxVersion, cfg.CipherSuites = h.min, h.max, h.suites
			conn := tls.Client(open(), cfg)
			err := conn.Handshake()
			if (err == nil) != h.ok {
				t.Errorf("%s: %s = %v, want success %v", door, h.name, err, h.ok)
			}
			conn.Close()
		}
	}
	n.requireAlive()
}

func dial(t *testing.T, port int) net.Conn {
	t.Helper()
	conn, err := dialFrom(t.Context(), "", port)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(clientPatience)); err != nil {
		t.Fatal(err)
	}
	return conn
}
