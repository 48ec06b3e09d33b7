package test

import (
	"fmt"
	"testing"

	"porcupine/internal/dev"
)

// A1 over the wire: whatever a user says, the mail of another is neither shown nor changed.
func TestIMAP_NobodyElsesMail(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	c := startCluster(t, 1, 2)
	addr, mine, theirs := at(c.node(1).Ports.IMAP), "u0@"+dev.Domain, "u1@"+dev.Domain
	sendIMAP(t, at(c.node(1).Ports.SMTP), theirs, "theirs")
	b := dialIMAP(t, addr, theirs)
	b.must(t, "CREATE Secret")
	b.must(t, "APPEND Secret", imapMessage("secret"))
	a := dialIMAP(t, addr, mine)
	a.must(t, "APPEND INBOX", imapMessage("mine"))
	a.must(t, "SELECT INBOX")
	for _, name := range []string{"Secret", theirs, theirs + "/Secret", "user/" + theirs + "/Secret", "#user/u1/Secret", "../u1/Secret"} {
		for _, command := range []string{"STATUS %q (MESSAGES)", "DELETE %q", "RENAME %q Taken", "UID COPY 1:* %q"} {
			a.refuses(t, fmt.Sprintf(command, name))
		}
	}
	if _, err := a.ask("UID STORE 2:1000 +FLAGS (\\Deleted)"); err != nil {
		t.Log(err)
	}
	a.refuses(t, "SELECT Secret")
	b.requireFolder(t, "Secret", "secret")
	b.requireFolder(t, "INBOX", "theirs")
	a.requireFolder(t, "INBOX", "mine")
}
