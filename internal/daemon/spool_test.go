package daemon

import (
	"net"
	"net/netip"
	"net/textproto"
	"testing"

	"porcupine/internal/mail/smtpserver/spool"
)

// Q3: messages under way have a bounded part of the disk, and nothing of its reserve. Strangers cannot take what users need.
func TestQ3_RoomForMessagesUnderWay(t *testing.T) {
	d := assembled(t)
	m := spool.NewIn(d.rooms.strangers, spool.Dir(t.TempDir()), 16<<10, 1<<20).NewMessage()
	defer m.Close()
	if _, err := m.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if s := d.snapshot(); s.rooms.strangers.Octets() == 0 || s.rooms.users.Octets() != 0 {
		t.Errorf("a message from outside: %d octets of strangers, %d of users", s.rooms.strangers.Octets(), s.rooms.users.Octets())
	}
	if d.rooms.roomOf(true) != d.rooms.users || d.rooms.roomOf(false) != d.rooms.strangers {
		t.Error("the rooms are mixed up")
	}
	if err := d.imapSpool.Admits(netip.Addr{}, 1<<50); err == nil || d.rooms.users.Refused() != 1 {
		t.Errorf("APPEND without a bound: %v, %d refused", err, d.rooms.users.Refused())
	}
}

// The front ends know of it: on a disk with less than its reserve, what needs the disk is put off at MAIL.
func TestQ3_SpoolLeavesTheReserve(t *testing.T) {
	cfg := loopback(t)
	cfg.SMTP.Listen = freeAddress(t)
	cfg.Store.MinFree = 1 << 50
	start(t, cfg)
	raw, err := net.Dial("tcp", cfg.SMTP.Listen)
	if err != nil {
		t.Fatal(err)
	}
	c := textproto.NewConn(raw)
	defer c.Close()
	if _, _, err := c.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		command string
		code    int
	}{{"EHLO client.example", 250}, {"MAIL FROM:<a@b.example> SIZE=1000000", 452}, {"MAIL FROM:<a@b.example> SIZE=1000", 250}} {
		if err := c.PrintfLine("%s", step.command); err != nil {
			t.Fatal(err)
		}
		if _, text, err := c.ReadResponse(step.code); err != nil {
			t.Errorf("%s = %v %q, want %d", step.command, err, text, step.code)
		}
	}
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
