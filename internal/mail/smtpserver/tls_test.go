package smtpserver_test

import (
	"bufio"
	"crypto/tls"
	"strings"
	"testing"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/smtpserver"
)

// withTLS gives the listener a certificate.
func withTLS(t testing.TB) option {
	return func(_ *smtpserver.Config, l *listener.Config) {
		cert, _, err := listenertest.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		l.ALPN = "smtp"
		l.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }
	}
}

// startTLS goes over to TLS after STARTTLS was answered.
func (c *client) startTLS() {
	c.t.Helper()
	conn := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.Conn, c.r = conn, bufio.NewReader(conn)
}

func TestStartTLS(t *testing.T) {
	h := start(t, smtpserver.MX, withTLS(t))
	c := h.connect().hello().envelope("u0@example.test")
	c.do("STARTTLS now", "501 ")
	c.do("STARTTLS", "220 ")
	c.startTLS()
	// RFC 3207 §4.2: all that was said before is forgotten.
	c.do("RCPT TO:<u0@example.test>", "503 5.5.1 MAIL first")
	c.do("MAIL FROM:<a@b.example>", "503 5.5.1 say hello first")
	if got := c.do("EHLO client.example", "250-"); strings.Contains(got, "STARTTLS") {
		t.Errorf("STARTTLS is offered under TLS: %q", got)
	}
	c.do("STARTTLS", "503 5.5.1 TLS is on already")
	c.envelope("u0@example.test").do("DATA", "354 ")
	c.do("x\r\n.", "250 ")
	c.do("QUIT", "221 ")
	if got := h.delivery.got()[0].body; !strings.Contains(got, " with ESMTPS (TLS 1.3 ") {
		t.Errorf("Received header lacks ESMTPS: %.300q", got)
	}
}

func TestAttack03_STARTTLSInjection(t *testing.T) {
	for _, after := range []string{"NOOP\r\n", "x", "EHLO evil.example\r\nMAIL FROM:<a@b>\r\n"} {
		h := start(t, smtpserver.MX, withTLS(t))
		c := h.connect().hello()
		c.send("STARTTLS\r\n" + after)
		c.want("554 5.5.0 ")
		c.Close() // the server reads over what else comes, and never begins TLS
		h.stop()
	}
}

func TestAttack03_STARTTLSInjectionInTheSocket(t *testing.T) {
	// Bytes that come after STARTTLS was read, before the handshake, break the handshake.
	h := start(t, smtpserver.MX, withTLS(t))
	c := h.connect().hello()
	c.do("STARTTLS", "220 ")
	c.send("NOOP\r\n")
	conn := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err == nil {
		t.Fatal("TLS handshake went on after a command in clear")
	}
}

func TestAttack04_NoLoginInClear(t *testing.T) {
	h := start(t, smtpserver.Submission, withTLS(t), func(c *smtpserver.Config, _ *listener.Config) {
		c.Auth = newAuth(t, passwords{}, false)
	})
	c := h.connect()
	if got := c.do("EHLO c.example", "250-"); strings.Contains(got, "AUTH") {
		t.Errorf("AUTH is offered in clear: %q", got)
	}
	c.do("AUTH PLAIN "+plain("u0@example.test", "secret"), "538 5.7.11 ")
	c.do("MAIL FROM:<u0@example.test>", "530 ")
	c.do("STARTTLS", "220 ")
	c.startTLS()
	if got := c.do("EHLO c.example", "250-"); !strings.Contains(got, "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\r\n") {
		t.Errorf("AUTH is not offered under TLS: %q", got)
	}
	c.do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
	c.do("MAIL FROM:<u0@example.test>", "250 ")
	c.do("RCPT TO:<u1@example.test>", "250 ")
	c.do("DATA", "354 ")
	c.do("From: u0@example.test\r\n\r\nx\r\n.", "250 ")
	if got := h.delivery.got()[0].body; !strings.Contains(got, " with ESMTPSA ") {
		t.Errorf("Received header lacks ESMTPSA: %.300q", got)
	}
}

func TestAttack05_ALPN(t *testing.T) {
	h := start(t, smtpserver.MX, withTLS(t), func(_ *smtpserver.Config, l *listener.Config) { l.ImplicitTLS = true })
	for _, tt := range []struct {
		protocols []string
		ok        bool
	}{{nil, true}, {[]string{"smtp"}, true}, {[]string{"http/1.1"}, false}, {[]string{"imap"}, false}} {
		conn := tls.Client(h.connectEarly("").Conn, &tls.Config{InsecureSkipVerify: true, NextProtos: tt.protocols})
		if err := conn.Handshake(); (err == nil) != tt.ok {
			t.Errorf("handshake with ALPN %v: %v, want success = %v", tt.protocols, err, tt.ok)
		}
		conn.Close()
	}
}
