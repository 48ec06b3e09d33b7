package test

import (
	"fmt"
	"testing"

	"porcupine/internal/admin"
	"porcupine/internal/dev"
)

// V2 with real processes: clients have made folders below others that did not exist, and never opened them. One of three nodes is
// killed: all folders of all users can be opened at once, whichever node managed them or had their ledgers.
func TestIMAP_FoldersAboveAfterAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a node")
	}
	const users = 6
	c := startCluster(t, 3, users)
	for u := range users {
		x := dialIMAP(t, at(c.node(1).Ports.IMAP), fmt.Sprintf("u%d@%s", u, dev.Domain))
		x.must(t, "CREATE Clients/Acme/2026")
		x.must(t, "CREATE Plain")
		x.must(t, "RENAME Plain Deep/er/Plain")
		x.must(t, "LOGOUT")
	}
	c.await(1, "a cluster at rest", settled(3))
	c.kill(2)
	c.await(1, "two nodes know everything", func(s admin.Status) bool { return len(s.Members) == 2 && s.IncompleteBuckets == 0 })
	for u := range users {
		x := dialIMAP(t, at(c.node(1).Ports.IMAP), fmt.Sprintf("u%d@%s", u, dev.Domain))
		for _, name := range []string{"INBOX", "Clients", "Clients/Acme", "Clients/Acme/2026", "Deep", "Deep/er", "Deep/er/Plain"} {
			x.must(t, "SELECT "+name)
		}
	}
}
