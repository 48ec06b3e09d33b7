package test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"porcupine/internal/dev"
)

// RFC 1939, V2 over the wire: a POP3 client that deletes what it has downloaded empties INBOX, and no other folder, whatever
// node it speaks with.
func TestPOP3_InboxOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	c := startCluster(t, 2, 1)
	user := "u0@" + dev.Domain
	sendIMAP(t, at(c.node(1).Ports.SMTP), user, "one", "two", "three")
	first := popDial(t, at(c.node(2).Ports.POP3), user, dev.Password)
	if n := first.count(); n != 3 {
		t.Errorf("before IMAP is used STAT tells of %d messages, want 3", n)
	}
	first.ok("QUIT")
	i := dialIMAP(t, at(c.node(1).Ports.IMAP), user)
	i.must(t, "APPEND Drafts", imapMessage("draft"))
	i.must(t, "SELECT INBOX")
	i.must(t, "UID MOVE 2 Trash")
	i.requireFolder(t, "INBOX", "one", "three")
	sendIMAP(t, at(c.node(2).Ports.SMTP), user, "four") // IMAP is not asked for it before POP3 is
	for n := 1; n <= 2; n++ {
		p := popDial(t, at(c.node(n).Ports.POP3), user, dev.Password)
		size := 0
		for m, want := range []string{"one", "three", "four"} {
			body := p.retr(m + 1)
			if !bytes.Contains(body, []byte("Subject: "+want+"\r\n")) {
				t.Errorf("node %d: message %d is %q, want %s", n, m+1, body, want)
			}
			size += len(body)
		}
		if got, want := p.ok("STAT"), fmt.Sprintf("+OK 3 %d", size); got != want {
			t.Errorf("node %d: STAT = %q, want %q", n, got, want)
		}
		p.ok("QUIT")
	}
	p := popDial(t, at(c.node(2).Ports.POP3), user, dev.Password)
	i.must(t, "SELECT INBOX")
	i.must(t, "UID MOVE 3 Archive") // while it is listed by POP3
	for m := 1; m <= 3; m++ {
		p.ok(fmt.Sprintf("DELE %d", m))
	}
	p.ok("QUIT")
	if n := popDial(t, at(c.node(1).Ports.POP3), user, dev.Password).count(); n != 0 {
		t.Errorf("STAT tells of %d messages after all were deleted", n)
	}
	// IMAP hears of a deletion by the change feed; and what nodes lack that have just been started is not believed to be gone at once.
	for began := time.Now(); !slices.Contains(i.must(t, "STATUS INBOX (MESSAGES)"), "* STATUS INBOX (MESSAGES 0)") && time.Since(began) < readyWithin; {
		wait(t, 100*time.Millisecond)
	}
	i.requireFolder(t, "INBOX")
	i.requireFolder(t, "Drafts", "draft")
	i.requireFolder(t, "Trash", "two")
	i.requireFolder(t, "Archive", "three")
}
