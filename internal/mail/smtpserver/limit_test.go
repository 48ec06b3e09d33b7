package smtpserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/smtpserver"
	"porcupine/internal/mail/smtpserver/spool"
)

type listenerConfig = listener.Config

func TestAttack10_RcptEnumeration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, smtpserver.MX)
		c := h.connect().hello().envelope("u0@example.test")
		var took []time.Duration
		for i := range 20 {
			began := time.Now()
			c.send(fmt.Sprintf("RCPT TO:<guess%d@example.test>\r\n", i))
			c.want("550 5.1.1 ")
			took = append(took, time.Since(began))
		}
		c.want("421 4.7.0 ")
		c.wantClosed()
		for i, want := range []time.Duration{0, 0, 0, time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
			if took[i] != want {
				t.Errorf("guess %d took %v, want %v", i, took[i], want)
			}
		}
		h.stop()
	})
}

func TestAttack09_AuthFailuresCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, smtpserver.Submission).connect().hello()
		for range 3 {
			c.do("AUTH PLAIN "+plain("u0@example.test", "wrong"), "535 5.7.8 ")
		}
		c.want("421 4.7.0 ")
		c.wantClosed()
	})
}

func TestAttack11_AuthParser(t *testing.T) {
	long := strings.Repeat("A", 13000)
	tests := []struct{ line, want string }{
		{"AUTH PLAIN =", "501 5.5.2"}, {"AUTH PLAIN !!!", "501 5.5.2"}, {"AUTH PLAIN " + plain("", ""), "501 5.5.2"},
		{"AUTH PLAIN AHUwAHNlY3JldAA=", "501 5.5.2"}, {"AUTH PLAIN a b", "501 5.5.4"}, {"AUTH \x00", "500 5.5.2"},
		{"AUTH PLAIN " + long, "500 5.5.2 line too long"}, {"AUTH " + strings.Repeat("X", 21), "501 5.5.4"},
	}
	for _, tt := range tests {
		start(t, smtpserver.Submission).connect().hello().do(tt.line, tt.want)
	}
	c := start(t, smtpserver.Submission).connect().hello()
	c.do("AUTH PLAIN", "334 ")
	c.send("AAAA\r\nQUIT\r\n")
	c.want("554 5.5.0 ")
	c.wantClosed()
}

// V1 for logins: what cannot be checked is not wrong, and not counted against the client.
func TestAuthTemporaryFailure(t *testing.T) {
	for _, err := range []error{errors.New("manager is gone"), cluster.Errorf(cluster.KindLimit, "verify login", "too many logins at once")} {
		h := start(t, smtpserver.Submission, func(c *smtpserver.Config, _ *listener.Config) {
			c.Auth = newAuth(t, passwords{err: err}, true)
		})
		c := h.connect().hello()
		for range 5 {
			c.do("AUTH PLAIN "+plain("u0@example.test", "secret"), "454 4.7.0 ")
		}
	}
}

// endless gives a byte for ever, as far as its length.
type endless struct {
	c byte
	n int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.n))
	for i := range p[:n] {
		p[i] = e.c
	}
	e.n -= int64(n)
	return n, nil
}

func TestAttack25_GiantLine(t *testing.T) {
	const giant = 1 << 30
	for _, before := range []string{"", "EHLO ", "MAIL FROM:<", "RCPT TO:<", "NOOP ", "AUTH PLAIN ", "BDAT ", "\x00"} {
		h := start(t, smtpserver.MX)
		c := h.connect()
		base := listenertest.Heap()
		sent := make(chan int64, 1)
		go func() {
			_, _ = io.WriteString(c.Conn, before)
			n, _ := io.Copy(c.Conn, &endless{'x', giant})
			sent <- n
		}()
		c.want("500 5.5.2 line too long")
		h.stop()
		if n := <-sent; n >= giant {
			t.Errorf("%q: all of the line was read", before)
		}
		if now := listenertest.Heap(); now > base+4<<20 {
			t.Errorf("%q: heap grew from %d to %d", before, base, now)
		}
	}
}

func TestAttack25_GiantLineInData(t *testing.T) {
	h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) { l.MessageSizeMax = 1 << 20; l.LingerMax = time.Millisecond }))
	c := h.connect().hello().envelope("u0@example.test")
	c.do("DATA", "354 ")
	base := listenertest.Heap()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(c.Conn, &endless{'x', 1 << 30})
	}()
	c.want("552 5.3.4 ")
	h.stop()
	<-done
	if now := listenertest.Heap(); now > base+4<<20 {
		t.Errorf("heap grew from %d to %d", base, now)
	}
}

func TestAttack26_ZeroIsNotUnlimited(t *testing.T) {
	// A server with all limits zero, or below, behaves as one with none set: spot checks over
	// the wire, and every field by reflection in limits_internal_test.go.
	h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) {
		v := reflect.ValueOf(l).Elem()
		for i := range v.NumField() {
			v.Field(i).SetInt(-1)
		}
	}))
	c := h.connect()
	if got := c.do("EHLO c.example", "250-"); !strings.Contains(got, "SIZE 52428800\r\n") || !strings.Contains(got, "RCPTMAX=100\r\n") {
		t.Errorf("EHLO = %q, want the default limits", got)
	}
}

func TestAttack27_CommandBudgets(t *testing.T) {
	tests := []struct {
		name, command string
		envelope      bool
		most          int
		last          string
	}{
		{"noop", "NOOP\r\n", false, 300, "421 4.7.0 "},
		{"rset", "RSET\r\n", false, 300, "421 4.7.0 "},
		{"unknown", "FOO\r\n", false, 30, "421 4.7.0 "},
		{"empty", "\r\n", false, 30, "421 4.7.0 "},
		{"mail", "MAIL FROM:<a@b.example>\r\n", false, 30, "421 4.7.0 "},
		{"tiny chunks", "BDAT 1\r\nx", true, 10_100, "421 4.7.0 "},
		{"empty chunks", "BDAT 0\r\n", true, 10_100, "421 4.7.0 "},
		{"repeated rcpt", "RCPT TO:<u0@example.test>\r\n", true, 10_100, "421 4.7.0 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, smtpserver.MX)
			c := h.connect().hello()
			if tt.envelope {
				c.envelope("u0@example.test")
			}
			base := listenertest.Heap()
			go func() {
				for range 1_000_000 {
					if _, err := io.WriteString(c.Conn, tt.command); err != nil {
						return
					}
				}
			}()
			n, last := 0, ""
			for got := c.reply(); got != ""; got = c.reply() {
				n, last = n+1, got
			}
			if n > tt.most || !strings.HasPrefix(last, tt.last) {
				t.Errorf("%d replies, the last %q; want at most %d and %s", n, last, tt.most, tt.last)
			}
			h.stop()
			if now := listenertest.Heap(); now > base+4<<20 {
				t.Errorf("heap grew from %d to %d", base, now)
			}
		})
	}
}

// Attack 30: handshakes are bounded by the door, and it is the door that does them.
func TestAttack29_30_RefusedBeforeTLS(t *testing.T) {
	gate, err := listener.NewGate(listener.GateConfig{ConnectionsMax: 2})
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, smtpserver.MX, func(_ *smtpserver.Config, l *listener.Config) {
		l.Gate = gate
		l.Refusal = func(r listener.Reason) string { return smtpserver.Refusal(string(r)) }
	})
	a, b := h.connect(), h.connect()
	c := h.connectEarly("")
	c.want("421 4.7.0 ")
	c.wantClosed()
	a.do("QUIT", "221 ")
	a.wantClosed()
	b.hello()
}

func TestMessageTooBig(t *testing.T) {
	h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) { l.MessageSizeMax = 1000 }))
	c := h.connect()
	if got := c.do("EHLO c.example", "250-"); !strings.Contains(got, "SIZE 1000\r\n") {
		t.Errorf("EHLO = %q, want SIZE 1000", got)
	}
	c.do("MAIL FROM:<a@b.example> SIZE=1001", "552 5.3.4 ")
	line := strings.Repeat("x", 98) + "\r\n"
	for n, want := range map[int]string{10: "250 ", 11: "552 5.3.4 "} {
		c.envelope("u0@example.test").do("DATA", "354 ")
		c.do(strings.Repeat(line, n)+".", want)
	}
	c.envelope("u0@example.test")
	c.do("BDAT 800\r\n"+strings.Repeat(line, 8)[:798], "250 ")
	// The chunk that is too much fails the transaction; what was sent along is read over.
	c.send("BDAT 500\r\n" + strings.Repeat(line, 5) + "BDAT 5\r\nNOOP\nBDAT 4 LAST\r\nQUITNOOP\r\n")
	c.want("552 5.3.4 ")
	c.want("503 ")
	c.want("503 ")
	c.want("250 ")
	if n := len(h.delivery.got()); n != 1 {
		t.Errorf("%d messages stored, want 1", n)
	}
}

func TestTooManyRecipients(t *testing.T) {
	h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) { l.RecipientsMax = 2 }))
	c := h.connect().hello().envelope("u0@example.test", "u1@example.test")
	c.do("RCPT TO:<u2@example.test>", "452 4.5.3 ")
	c.do("DATA", "354 ")
	c.do("x\r\n.", "250 ")
	if got := h.delivery.got()[0].env.Recipients; len(got) != 2 {
		t.Errorf("%d recipients, want 2", len(got))
	}
}

func TestTooManyMessages(t *testing.T) {
	h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) { l.MessagesMax = 2 }))
	c := h.connect().hello()
	for range 2 {
		c.envelope("u0@example.test").do("DATA", "354 ")
		c.do("x\r\n.", "250 ")
	}
	c.do("MAIL FROM:<a@b.example>", "421 4.7.0 ")
	c.wantClosed()
}

// brokenFiles fails as a disk does.
type brokenFiles struct{ create, write error }

type brokenFile struct {
	*os.File
	err error
}

func (f brokenFile) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.File.Write(p)
}

func (b brokenFiles) Create() (spool.File, error) {
	if b.create != nil {
		return nil, b.create
	}
	return brokenFile{nil, b.write}, nil
}

func (brokenFile) Close() error { return nil }

// Q3: a full disk is no acknowledgement and no permanent error, and the session goes on.
func TestSpoolFull(t *testing.T) {
	tests := []struct {
		name  string
		files spool.Files
		want  string
	}{
		{"create", brokenFiles{create: syscall.ENOSPC}, "452 4.3.1 "},
		{"write", brokenFiles{write: fmt.Errorf("write: %w", syscall.ENOSPC)}, "452 4.3.1 "},
		{"quota", brokenFiles{write: syscall.EDQUOT}, "452 4.3.1 "},
		{"I/O error", brokenFiles{write: syscall.EIO}, "451 4.3.0 "},
	}
	big := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 10_000)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, smtpserver.MX, func(c *smtpserver.Config, _ *listener.Config) { c.Spool = tt.files })
			c := h.connect().hello().envelope("u0@example.test")
			c.do("DATA", "354 ")
			c.do(big+".", tt.want)
			c.envelope("u0@example.test").do("DATA", "354 ")
			c.do("small\r\n.", "250 ")
			c.envelope("u0@example.test").do(fmt.Sprintf("BDAT %d LAST\r\n%s", len(big), big[:len(big)-2]), tt.want)
			c.envelope("u0@example.test").do("DATA", "354 ")
			c.do("small\r\n.", "250 ")
			if got := h.server.SpoolMemory(); got != 0 {
				t.Errorf("%d bytes of spool memory are not given back", got)
			}
		})
	}
}

func TestSpilledMessage(t *testing.T) {
	h := start(t, smtpserver.MX)
	c := h.connect().hello().envelope("u0@example.test")
	var b bytes.Buffer
	for i := range 40_000 {
		fmt.Fprintf(&b, "line %d\r\n", i)
	}
	c.do("DATA", "354 ")
	c.do(b.String()+".", "250 ")
	if got := without(t, h.delivery.got()[0].body); got != b.String() {
		t.Errorf("a message of %d bytes came out as %d bytes", b.Len(), len(got))
	}
}
