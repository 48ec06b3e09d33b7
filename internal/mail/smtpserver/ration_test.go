package smtpserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/smtpserver"
)

// Attack 10: a network that goes on guessing on new connections is put off, and then learns
// nothing: an address that exists gets the same answer, and nobody is asked about it.
func TestAttack10_RcptEnumerationOverConnections(t *testing.T) {
	for role, rationed := range map[smtpserver.Role]bool{smtpserver.MX: true, smtpserver.LMTP: false} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, role, withLimits(func(l *smtpserver.Limits) {
				l.NetworkRefusedMax, l.NetworkRefusedEvery, l.TarpitAfter = 5, time.Minute, 1000
			}))
			hello := map[smtpserver.Role]string{smtpserver.MX: "EHLO c.example", smtpserver.LMTP: "LHLO c.example"}[role]
			mail := func() *client {
				c := h.connect()
				c.do(hello, "250-")
				c.do("MAIL FROM:<a@b.example>", "250 ")
				return c
			}
			for i := range 5 {
				c := mail()
				c.do(fmt.Sprintf("RCPT TO:<guess%d@example.test>", i), "550 5.1.1 ")
				c.do("QUIT", "221 ")
			}
			asked := h.delivery.asked
			want := "250 "
			if rationed {
				want = "421 4.7.0 "
			}
			c := mail()
			c.do("RCPT TO:<u0@example.test>", want)
			if rationed {
				c.wantClosed()
				if h.delivery.asked != asked {
					t.Error("an address was looked up for a network that is put off")
				}
			}
			time.Sleep(time.Minute) // one is forgiven
			c = mail()
			c.do("RCPT TO:<u0@example.test>", "250 ")
			c.do("RCPT TO:<guess@example.test>", "550 5.1.1 ")
			c.do("RCPT TO:<u1@example.test>", want)
			h.stop()
		})
	}
}

// A fault that hits every session does not fill the log.
func TestLoudLogLinesAreRationed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := start(t, smtpserver.MX, func(c *smtpserver.Config, _ *listener.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		h.delivery.verify = errors.New("disk fell off")
		c := h.connect().hello()
		c.do("MAIL FROM:<a@b.example>", "250 ")
		for range 500 {
			c.do("RCPT TO:<u0@example.test>", "451 4.3.0 ")
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 20 {
			t.Errorf("%d lines for one fault, want 20", n)
		}
		time.Sleep(20 * time.Second)
		c.do("RCPT TO:<u0@example.test>", "451 4.3.0 ")
		if !strings.Contains(log.String(), "not_logged=480") {
			t.Error("the log does not say how many lines it lacks")
		}
		h.stop()
	})
}

// RFC 3207 §4.2: a login in clear is forgotten under TLS: it may not have been the client's own.
func TestStartTLSForgetsTheLogin(t *testing.T) {
	h := start(t, smtpserver.Submission, withTLS(t)) // logins in clear are allowed here
	c := h.connect().hello()
	c.do("AUTH PLAIN "+plain("u1@example.test", "secret"), "235 ")
	c.do("STARTTLS", "220 ")
	c.startTLS()
	c.hello()
	c.do("MAIL FROM:<u1@example.test>", "530 5.7.0 ")
	c.do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
	c.do("MAIL FROM:<u0@example.test>", "250 ")
}

// Attack 27: large chunks are free only as long as they are taken.
func TestAttack27_DiscardedChunks(t *testing.T) {
	h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) { l.MessageSizeMax, l.CommandsMax = 1000, 50 }))
	c := h.connect().hello().envelope("u0@example.test")
	chunk := "BDAT 5000\r\n" + strings.Repeat("x", 5000)
	c.send(chunk)
	c.want("552 5.3.4 ")
	for n := 1; ; n++ {
		c.send(chunk)
		if strings.HasPrefix(c.reply(), "421 ") {
			break
		}
		if n > 50 {
			t.Fatalf("%d chunks were discarded and not counted", n)
		}
	}
}
