package smtpserver_test

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/smtpserver"
	"porcupine/internal/mail/smtpserver/spool"
)

// heldFiles counts the octets that spool files hold.
type heldFiles struct{ held *atomic.Int64 }

type heldFile struct {
	held *atomic.Int64
	size int64
}

func (f heldFiles) Create() (spool.File, error) { return &heldFile{held: f.held}, nil }
func (f *heldFile) Write(p []byte) (int, error) {
	f.size += int64(len(p))
	f.held.Add(int64(len(p)))
	return len(p), nil
}
func (f *heldFile) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (f *heldFile) Close() error                      { f.held.Add(-f.size); return nil }

// withRoom gives a server files that are counted, and a room for them.
func withRoom(held *atomic.Int64, octets int64) option {
	return func(c *smtpserver.Config, _ *listener.Config) {
		c.Spool, c.Room = heldFiles{held}, spool.NewRoom(spool.RoomConfig{OctetsMax: octets})
	}
}

// lines is text of about so many octets.
func lines(octets int) string { return strings.Repeat(strings.Repeat("x", 998)+"\r\n", octets/1000) }

// Q3: what strangers have on the disk without having ended a message is bounded, like what they have in memory, and
// one network does not have all of it.
func TestAttack28_UnendedMessagesOnDisk(t *testing.T) {
	const each, room = 2 << 20, 16 << 20
	begin := map[string]func(c *client){
		"DATA": func(c *client) {
			c.do("DATA", "354 ")
			c.send(lines(each))
		},
		"BDAT": func(c *client) {
			text := lines(each / 2)
			for range 2 {
				c.send(fmt.Sprintf("BDAT %d\r\n%s", len(text), text))
				c.reply()
			}
		},
	}
	for name, attack := range begin {
		t.Run(name, func(t *testing.T) {
			var held atomic.Int64
			h := start(t, smtpserver.MX, withRoom(&held, room))
			for i := range 20 {
				h.ln.from = clientAddr
				c := h.connect().hello().envelope("u0@example.test")
				attack(c)
				if got := held.Load(); got > room/4 {
					t.Fatalf("after %d messages one address has %d MiB of %d on the disk", i+1, got>>20, room>>20)
				}
			}
			h.ln.from = netip.MustParseAddrPort("198.51.100.1:40000")
			c := h.connect().hello()
			c.envelope("u0@example.test").do("DATA", "354 ")
			c.do(lines(each)+".", "250 ")
			h.stop()
			if got := held.Load(); got != 0 {
				t.Errorf("%d octets are held after the end", got)
			}
		})
	}
}

// Without room a message that says how big it is is put off at MAIL, any other at its end, and small ones are taken.
func TestNoRoomOnDisk(t *testing.T) {
	var held atomic.Int64
	h := start(t, smtpserver.MX, withRoom(&held, 4<<20))
	c := h.connect().hello()
	c.do("MAIL FROM:<a@b.example> SIZE=2000000", "452 4.3.2 ")
	c.do("MAIL FROM:<a@b.example> SIZE=200000", "250 ")
	c.do("RCPT TO:<u0@example.test>", "250 ")
	c.do("DATA", "354 ")
	c.do(lines(2<<20)+".", "452 4.3.2 ")
	c.envelope("u0@example.test").do("DATA", "354 ")
	c.do("small\r\n.", "250 ")
	if got := held.Load(); got != 0 {
		t.Errorf("%d octets of a message that was refused are held", got)
	}
}

// Who brings the mail of many has no share, but may have all: a mail server in front of this one.
func TestRoomOfThisSite(t *testing.T) {
	var held atomic.Int64
	h := start(t, smtpserver.MX, withRoom(&held, 4<<20))
	h.ln.from = netip.MustParseAddrPort("10.1.2.3:40000")
	c := h.connect().hello()
	c.envelope("u0@example.test").do("DATA", "354 ")
	c.do(lines(2<<20)+".", "250 ")
}

// A session has two hours (SessionMax), and a message. One that has sent 40 MiB, and then an octet now and then, has what
// it may save up.
func TestAttack28_HoldingAMessageOpen(t *testing.T) {
	tests := []struct {
		name  string
		first int           // octets sent at once
		text  string        // sent every
		every time.Duration // then
		after time.Duration // when the session is over
	}{
		{"an octet now and then", 40 << 20, "x", 170 * time.Second, 13 * time.Minute},
		{"silence", 40 << 20, "x", time.Hour, 3 * time.Minute},
		{"fast enough, for ever", 1 << 20, strings.Repeat("x", 120<<10) + "\r\n", time.Minute, 2 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var held atomic.Int64
				h := start(t, smtpserver.MX, withRoom(&held, 1<<30))
				c := h.connect().hello()
				c.envelope("u0@example.test").do("DATA", "354 ")
				c.send(lines(tt.first))
				began := time.Now()
				ended := make(chan string, 1)
				go func() { ended <- c.reply() }()
				if last := dribble(c, tt.text, tt.every, ended); last != "" {
					t.Errorf("the session ended with %q, want it closed without a word", last)
				}
				if took := time.Since(began).Round(time.Minute); took != tt.after {
					t.Errorf("the session held its message for %v, want %v", took, tt.after)
				}
				h.stop()
			})
		})
	}
}
