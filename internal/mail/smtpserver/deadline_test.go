package smtpserver_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/smtpserver"
)

func TestAttack28_Deadlines(t *testing.T) {
	envelope := func(c *client) { c.hello().envelope("u0@example.test").do("DATA", "354 ") }
	tests := []struct {
		name    string
		prepare func(c *client)
		dribble string        // sent a byte at a time, over and over
		every   time.Duration // between two bytes; 0: nothing is sent
		reply   string        // "": closed without one
		after   time.Duration // when that happens, at the latest
	}{
		{"silent after the greeting", func(*client) {}, "", 0, "421 4.4.2 ", 30 * time.Second},
		{"dribbles the first command", func(*client) {}, "N", 5 * time.Second, "421 4.4.2 ", 30 * time.Second},
		{"silent later", func(c *client) { c.hello() }, "", 0, "421 4.4.2 ", 5 * time.Minute},
		{"dribbles a command", func(c *client) { c.hello() }, "N", time.Minute, "421 4.4.2 ", 5 * time.Minute},
		{"silent in DATA", envelope, "", 0, "", 3 * time.Minute},
		{"dribbles DATA", envelope, "x", time.Second, "", 4 * time.Minute},
		{"silent in AUTH", func(c *client) { c.hello().do("AUTH PLAIN", "334 ") }, "", 0, "421 4.4.2 ", 5 * time.Minute},
		{"keeps it alive with NOOP", func(c *client) { c.hello() }, "NOOP\r\n", time.Minute, "421 4.7.0 ", 2 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, smtpserver.Submission)
				c := h.connect()
				if strings.Contains(tt.name, "DATA") {
					c.hello().do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
					c.envelopeFrom("u0@example.test", "u0@example.test").do("DATA", "354 ")
				} else {
					tt.prepare(c)
				}
				began := time.Now()
				ended := make(chan string)
				go func() {
					last := ""
					for got := c.reply(); got != ""; got = c.reply() {
						last = got
					}
					ended <- last
				}()
				last := dribble(c, tt.dribble, tt.every, ended)
				took := time.Since(began)
				if !strings.HasPrefix(last, tt.reply) || tt.reply == "" && last != "" {
					t.Errorf("last reply %q, want %q", last, tt.reply)
				}
				if took > tt.after+time.Second || took < tt.after/2 {
					t.Errorf("ended after %v, want %v", took, tt.after)
				}
				h.stop()
			})
		})
	}
}

// dribble sends a byte (a line at its end in one piece) now and then until the session is over.
func dribble(c *client, text string, every time.Duration, ended chan string) string {
	if every == 0 {
		return <-ended
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case last := <-ended:
			return last
		case <-tick.C:
			_, _ = io.WriteString(c.Conn, text)
		}
	}
}

// CommandTimeout is for the time between two chunks; it is not taken off the time of the next one.
func TestPauseBetweenChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, smtpserver.MX)
		c := h.connect().hello().envelope("u0@example.test")
		c.do("BDAT 12\r\nSubject: x", "250 ")
		time.Sleep(4 * time.Minute)
		c.send("BDAT 2 LAST\r\n")
		time.Sleep(2 * time.Minute)
		c.do("", "250 2.0.0 message is stored")
		h.stop()
	})
}

// Chunks of one message share its time: whoever dribbles gains nothing by many of them.
func TestAttack28_DribbledChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, smtpserver.MX)
		c := h.connect().hello().envelope("u0@example.test")
		took := time.Duration(0)
		for took < 10*time.Minute {
			began := time.Now()
			c.send("BDAT 2\r\n")
			time.Sleep(time.Minute)
			if _, err := io.WriteString(c.Conn, "xx"); err != nil {
				break
			}
			if took += time.Since(began); c.reply() == "" {
				break
			}
			time.Sleep(time.Minute)
		}
		if took < 3*time.Minute || took > 4*time.Minute {
			t.Errorf("the chunks took %v until the connection was closed, want 3 min", took)
		}
		h.stop()
	})
}

func TestAttack28_SlowRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &observer{ended: make(chan smtpserver.SessionStats, 1)}
		h := start(t, smtpserver.MX, func(c *smtpserver.Config, _ *listener.Config) {
			c.Observer, c.Limits.IdleCommandsMax = o, 1e6
		})
		conn := h.connect()
		began := time.Now()
		go func() {
			_, _ = io.WriteString(conn, strings.Repeat("HELP\r\n", 5000))
		}()
		if end := (<-o.ended).End; end != "timeout" {
			t.Errorf("session ended by %q, want timeout", end)
		}
		if took := time.Since(began); took < 59*time.Second || took > 62*time.Second {
			t.Errorf("a client that does not read was let go after %v, want 1 min", took)
		}
		conn.Close()
		h.stop()
	})
}

// A delivery may take as long as clients wait for its answer (RFC 5321 §4.5.3.2.6), and no longer.
func TestSlowDelivery(t *testing.T) {
	for after, want := range map[time.Duration]string{9 * time.Minute: "250 ", 10 * time.Minute: "451 "} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, smtpserver.MX)
			h.delivery.hold = make(chan struct{})
			time.AfterFunc(after, func() { close(h.delivery.hold) })
			began := time.Now()
			c := h.connect().hello().envelope("u0@example.test")
			c.do("DATA", "354 ")
			c.do("x\r\n.", want)
			if took := time.Since(began); took >= 10*time.Minute {
				t.Errorf("the client was answered after %v", took)
			}
			c.Close()
			h.stop()
			time.Sleep(after)
		})
	}
}

// An error of the connection inside DATA closes it without a reply, and stores nothing.
func TestConnectionLostInData(t *testing.T) {
	h := start(t, smtpserver.MX)
	c := h.connect().hello().envelope("u0@example.test")
	c.do("DATA", "354 ")
	c.send("half a message\r\nMAIL FROM:<evil@example.test>\r\n")
	c.Close()
	h.stop()
	if got := h.delivery.got(); len(got) != 0 {
		t.Errorf("stored %+v", got)
	}
	if got := h.server.SpoolMemory(); got != 0 {
		t.Errorf("%d bytes of spool memory are not given back", got)
	}
}

func TestShutdown(t *testing.T) {
	h := start(t, smtpserver.MX)
	idle := h.connect().hello()
	busy := h.connect().hello().envelope("u0@example.test")
	busy.do("DATA", "354 ")
	busy.send("first half\r\n")
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { done <- h.door.Shutdown(ctx) }()
	idle.want("421 4.3.2 ")
	idle.wantClosed()
	busy.send("second half\r\n.\r\n")
	busy.want("250 2.0.0 message is stored")
	busy.want("421 4.3.2 ")
	busy.wantClosed()
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if n := len(h.delivery.got()); n != 1 {
		t.Errorf("%d messages stored, want 1", n)
	}
}

func TestShutdownByForce(t *testing.T) {
	h := start(t, smtpserver.MX)
	h.delivery.hold = make(chan struct{})
	c := h.connect().hello().envelope("u0@example.test")
	c.do("DATA", "354 ")
	c.send("x\r\n.\r\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.door.Shutdown(ctx); err == nil {
		t.Error("Shutdown with no patience = nil, want an error")
	}
	if n := len(h.delivery.got()); n != 0 {
		t.Errorf("%d messages stored, want none", n)
	}
}
