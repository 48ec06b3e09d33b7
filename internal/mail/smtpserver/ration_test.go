package smtpserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
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

// A mail server that brings the mail of many is not held up, nor cut off, for addresses that strangers
// made up. Who may be guessing is, and users who submit mail are so wherever they are.
func TestAttack10_MailServersOfTheSiteAreNotHeldUp(t *testing.T) {
	for _, tt := range []struct {
		role smtpserver.Role
		from string
		free bool
	}{
		{smtpserver.LMTP, "192.0.2.1:4000", true},
		{smtpserver.LMTP, "[::1]:4000", true},
		{smtpserver.MX, "10.1.2.3:4000", true},
		{smtpserver.MX, "[::ffff:127.0.0.1]:4000", true},
		{smtpserver.MX, "[fd00::1]:4000", true},
		{smtpserver.MX, "192.0.2.1:4000", false},
		{smtpserver.Submission, "10.1.2.3:4000", false},
		{smtpserver.Submission, "127.0.0.1:4000", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, tt.role)
			defer h.stop()
			h.ln.from = netip.MustParseAddrPort(tt.from)
			c := h.connect()
			switch tt.role {
			case smtpserver.LMTP:
				c.do("LHLO front.example.test", "250-")
			case smtpserver.Submission:
				c.hello().do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
			default:
				c.hello()
			}
			c.do("MAIL FROM:<u0@example.test>", "250 ")
			began, said := time.Now(), 0
			for ; said < 40; said++ {
				c.send(fmt.Sprintf("RCPT TO:<guess%d@example.test>\r\n", said))
				if !strings.HasPrefix(c.reply(), "550 5.1.1 ") {
					break
				}
				if !tt.free && said == 19 { // the reply to the last, and that this was too much
					c.want("421 4.7.0 ")
					c.wantClosed()
					said++
					break
				}
			}
			if free := said == 40 && time.Since(began) == 0; free != tt.free {
				t.Errorf("%v from %s: %d addresses in %v, want no limit: %v", tt.role, tt.from, said, time.Since(began), tt.free)
			}
		})
	}
}

// A recipient without room for the message, as large as it is said to be, is refused before it is sent (RFC 1870 §6),
// so that the others get it.
func TestRcptAsksForRoomForTheSize(t *testing.T) {
	h := start(t, smtpserver.MX)
	h.delivery.room = map[string]int64{"u1": 1000}
	c := h.connect().hello()
	for _, tt := range []struct{ mail, reply string }{
		{"MAIL FROM:<a@b.example> SIZE=5000", "452 4.2.2 "},
		{"MAIL FROM:<a@b.example> SIZE=1000", "250 "},
		{"MAIL FROM:<a@b.example>", "250 "},
	} {
		c.do(tt.mail, "250 ")
		c.do("RCPT TO:<u1@example.test>", tt.reply)
		c.do("RCPT TO:<u0@example.test>", "250 ")
		c.do("RSET", "250 ")
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
