package imapserver_test

import (
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestGoImap is a round trip of go-imap's client, written by others: with UIDs, IDLE, and what
// extensions it knows.
func TestGoImap(t *testing.T) {
	m := standard()
	addr, _ := socketServer(t, m, false)
	told := make(chan uint32, 16)
	c, err := imapclient.DialInsecure(addr, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				told <- *d.NumMessages
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("login", c.Login(alice, password).Wait())
	sel, err := c.Select("INBOX", &goimap.SelectOptions{CondStore: true}).Wait()
	check("select", err)
	if sel.NumMessages != 4 || sel.UIDNext != 6 || sel.HighestModSeq == 0 {
		t.Errorf("SELECT gives %+v", sel)
	}
	list, err := c.List("", "*", &goimap.ListOptions{ReturnStatus: &goimap.StatusOptions{NumMessages: true}}).Collect()
	check("list", err)
	if len(list) != 7 || list[2].Mailbox != "Grüße" || list[3].Status == nil || *list[3].Status.NumMessages != 4 {
		t.Errorf("LIST gives %d folders", len(list))
	}
	// It writes names in UTF-8 as soon as IMAP4rev2 is offered, asked for or not (RFC 9051 §5.1).
	check("create", c.Create("Räder/Größe", nil).Wait())
	st, err := c.Status("Räder/Größe", &goimap.StatusOptions{NumMessages: true}).Wait()
	check("status", err)
	list, err = c.List("", "Räder/*", nil).Collect()
	check("list", err)
	if st.Mailbox != "Räder/Größe" || len(list) != 1 || list[0].Mailbox != st.Mailbox {
		t.Errorf("a name in UTF-8 comes back as %q and %+v", st.Mailbox, list)
	}
	copied, err := c.Copy(goimap.UIDSetNum(1), st.Mailbox).Wait()
	check("copy", err)
	if copied.DestUIDs.String() != "1" {
		t.Errorf("COPYUID gives %+v", copied)
	}
	msgs, err := c.Fetch(goimap.UIDSetNum(1, 2), &goimap.FetchOptions{Envelope: true, Flags: true, UID: true, InternalDate: true, RFC822Size: true,
		BodyStructure: &goimap.FetchItemBodyStructure{Extended: true}, BodySection: []*goimap.FetchItemBodySection{{Specifier: goimap.PartSpecifierText, Peek: true}}}).Collect()
	check("fetch", err)
	if len(msgs) != 2 || msgs[0].Envelope.Subject != "afternoon meeting" || msgs[0].RFC822Size != int64(len(plain)) ||
		msgs[1].Envelope.From[0].Name != "Grüße" || len(msgs[1].BodyStructure.(*goimap.BodyStructureMultiPart).Children) != 3 {
		t.Errorf("FETCH gives %+v", msgs)
	}
	binary, err := c.Fetch(goimap.UIDSetNum(2), &goimap.FetchOptions{BinarySection: []*goimap.FetchItemBinarySection{{Part: []int{2}, Peek: true}}}).Collect()
	check("fetch binary", err)
	if len(binary) != 1 || string(binary[0].FindBinarySection(&goimap.FetchItemBinarySection{Part: []int{2}, Peek: true})) != "\x00\x01\x02\xff" {
		t.Errorf("BINARY gives %+v", binary)
	}
	up := c.Append("Sent", int64(len(plain)), &goimap.AppendOptions{Flags: []goimap.Flag{goimap.FlagSeen}, Time: time.Unix(1e9, 0)})
	_, err = up.Write([]byte(plain))
	check("append", err)
	check("append", up.Close())
	placed, err := up.Wait()
	check("append", err)
	if placed.UID != 1 {
		t.Errorf("APPENDUID gives %+v", placed)
	}
	moved, err := c.Move(goimap.UIDSetNum(2), "Work/2026").Wait()
	check("move", err)
	if moved.DestUIDs == nil || moved.DestUIDs.String() != "1" {
		t.Errorf("COPYUID gives %+v", moved)
	}
	check("store", c.Store(goimap.UIDSetNum(1), &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Flags: []goimap.Flag{goimap.FlagDeleted}}, nil).Close())
	check("expunge", c.UIDExpunge(goimap.UIDSetNum(1)).Close())
	idle, err := c.Idle()
	check("idle", err)
	m.Deliver(alice, "INBOX", strings.Repeat("x", 10), clock)
	for n := range told {
		if n == 3 {
			break
		}
	}
	check("idle", idle.Close())
	check("idle", idle.Wait())
	check("logout", c.Logout().Wait())
}
