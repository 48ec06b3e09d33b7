package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"porcupine/internal/dev"
)

// clientMax is the longest that one run of another's client may take.
const clientMax = 60 * time.Second

// another is a user whose mail one third-party client works on: delivered at node 1, read by the client at
// node 2, checked at node 3.
type another struct {
	t     *testing.T
	c     *clusterUnderTest
	user  string
	dir   string
	ports dev.Ports // of node 2
}

// run runs a client and demands success.
func (a *another) run(name string, args ...string) string {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), clientMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, needCommand(a.t, name), args...)
	cmd.Env = append(os.Environ(), "HOME="+a.dir, "TERM=xterm")
	cmd.Dir = a.dir
	if name == "script" { // a terminal whose keyboard is silent, not gone
		keys, err := cmd.StdinPipe()
		if err != nil {
			a.t.Fatal(err)
		}
		defer keys.Close()
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		a.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// file writes a file for the client.
func (a *another) file(name, text string) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// check is our own client at node 3.
func (a *another) check() *imapTalk {
	a.t.Helper()
	return dialIMAP(a.t, at(a.c.node(3).Ports.IMAP), a.user)
}

func (a *another) send(names ...string) {
	a.t.Helper()
	sendIMAP(a.t, at(a.c.node(1).Ports.SMTP), a.user, names...)
}

// IMAP clients that other people wrote, each a full round trip: mail comes in at node 1, the client works at
// node 2, and node 3 shows what it did.
func TestIMAP_ThirdPartyClients(t *testing.T) {
	needClients(t)
	trips := []struct {
		name string
		trip func(a *another)
	}{
		{"python", pythonTrip}, {"curl", curlTrip}, {"fetchmail", fetchmailTrip}, {"go-imap", goIMAPTrip},
		{"mbsync", mbsyncTrip}, {"offlineimap", offlineimapTrip}, {"mutt", muttTrip}, {"neomutt", neomuttTrip},
	}
	c := startCluster(t, 3, len(trips))
	for i, x := range trips {
		t.Run(x.name, func(t *testing.T) {
			x.trip(&another{t: t, c: c, user: fmt.Sprintf("u%d@%s", i, dev.Domain), dir: t.TempDir(), ports: c.node(2).Ports})
		})
	}
}

// pythonTrip is imaplib of Python, over STARTTLS and over TLS.
func pythonTrip(a *another) {
	a.send("one", "two", "three")
	a.file("mine", imapMessage("mine"))
	a.run("python3", "-c", pythonIMAP, fmt.Sprint(a.ports.IMAP), fmt.Sprint(a.ports.IMAPS), a.user, dev.Password, filepath.Join(a.dir, "mine"))
	c := a.check()
	inbox := c.requireFolder(a.t, "INBOX", "one")
	requireEnds(a.t, inbox)
	if len(inbox) == 1 && !slices.Equal(inbox[0].flags, []string{`$Forwarded`, `\Flagged`}) {
		a.t.Errorf("flags %q", inbox[0].flags)
	}
	requireEnds(a.t, c.requireFolder(a.t, "Work/2026", "mine", "one", "three"))
	c.refuses(a.t, "SELECT Work/Old")
}

const pythonIMAP = `
import imaplib, ssl, sys
port, tlsport = map(int, sys.argv[1:3])
user, password, mine = sys.argv[3:]
text = open(mine, "rb").read()
ctx = ssl._create_unverified_context()
def ok(reply):
    assert reply[0] == "OK", reply
    return reply[1]
m = imaplib.IMAP4("127.0.0.1", port)
m.starttls(ctx)
m.login(user, password)
ok(m.create("Work/Old"))
ok(m.rename("Work/Old", "Work/2026"))
ok(m.subscribe("Work/2026"))
assert any(b"Work/2026" in l for l in ok(m.lsub())), m.lsub()
assert any(b"INBOX" in l for l in ok(m.list()))
assert ok(m.select("INBOX")) == [b"3"]
assert ok(m.search(None, "SUBJECT", "two")) == [b"2"]
got = ok(m.fetch("1:3", "(UID RFC822.SIZE BODY.PEEK[])"))
assert len([p for p in got if isinstance(p, tuple)]) == 3
assert b"Subject: one\r\n" in got[0][1] and got[0][1].endswith(b"\r\n.dot\r\nFrom the body of one\r\n\r\nend \t\r\n"), got[0]
ok(m.append("Work/2026", r"(\Seen \Draft)", imaplib.Time2Internaldate(1e9), text))
ok(m.store("1", "+FLAGS", r"(\Flagged $Forwarded)"))
ok(m.copy("1", "Work/2026"))
ok(m.uid("MOVE", "3", "Work/2026"))
m.logout()
m = imaplib.IMAP4_SSL("127.0.0.1", tlsport, ssl_context=ctx)
m.authenticate("PLAIN", lambda _: b"\0" + user.encode() + b"\0" + password.encode())
ok(m.select("INBOX"))
ok(m.store("2", "+FLAGS", r"\Deleted"))
assert ok(m.expunge()) == [b"2"]
assert ok(m.select("Work/2026")) == [b"3"]
got = ok(m.search(None, "DRAFT"))[0]
assert ok(m.fetch(got.decode(), "(BODY.PEEK[])"))[0][1] == text
ok(m.close())
m.logout()
`

// curlTrip is curl, over STARTTLS and over TLS.
func curlTrip(a *another) {
	a.send("one", "two")
	base := []string{"-sS", "-k", "--ssl-reqd", "-u", a.user + ":" + dev.Password}
	curl := func(args ...string) string {
		a.t.Helper()
		return a.run("curl", append(slices.Clone(base), args...)...)
	}
	plain, tls := "imap://"+at(a.ports.IMAP)+"/", "imaps://"+at(a.ports.IMAPS)+"/"
	curl(plain, "-X", "CREATE Kept")
	if got := curl(tls, "-X", `LIST "" *`); !strings.Contains(got, "Kept") || !strings.Contains(got, "INBOX") {
		a.t.Errorf("LIST gives %q", got)
	}
	for _, url := range []string{plain, tls} {
		if got := curl(url + "INBOX;UID=1"); !strings.HasSuffix(got, imapMessage("one")) {
			a.t.Errorf("curl %s gives %q", url, got)
		}
	}
	curl(tls+"Kept", "-T", a.file("mine", imapMessage("mine")))
	if got := curl(plain + "Kept;MAILINDEX=1"); got != imapMessage("mine") {
		a.t.Errorf("the upload came back as %q", got)
	}
	curl(plain+"INBOX", "-X", `UID COPY 1 Kept`)
	curl(plain+"INBOX", "-X", `UID STORE 2 +FLAGS (\Deleted)`)
	curl(plain+"INBOX", "-X", `EXPUNGE`)
	if out, err := exec.Command("curl", "-sS", "-k", "--ssl-reqd", "-u", a.user+":wrong", plain).CombinedOutput(); err == nil {
		a.t.Errorf("curl logged in with a wrong password: %s", out)
	}
	c := a.check()
	requireEnds(a.t, c.requireFolder(a.t, "INBOX", "one"))
	requireEnds(a.t, c.requireFolder(a.t, "Kept", "one", "mine"))
}

// fetchmailTrip fetches and keeps, then fetches and deletes.
func fetchmailTrip(a *another) {
	a.send("one", "two")
	rc := a.file("fetchmailrc", fmt.Sprintf("poll 127.0.0.1 protocol imap port %d user %q password %q ssl sslproto \"TLS1.2+\" no sslcertck\n",
		a.ports.IMAPS, a.user, dev.Password))
	mda := func(file string) []string {
		return []string{"-f", rc, "--pidfile", filepath.Join(a.dir, "pid"), "--idfile", filepath.Join(a.dir, "ids"), "--mda", "cat >> " + filepath.Join(a.dir, file)}
	}
	a.run("fetchmail", append(mda("kept"), "--keep")...)
	c := a.check()
	for _, s := range c.requireFolder(a.t, "INBOX", "one", "two") {
		if !slices.Contains(s.flags, `\Seen`) {
			a.t.Errorf("a message that fetchmail has read has flags %q", s.flags)
		}
	}
	a.send("three")
	a.run("fetchmail", append(mda("all"), "--all", "--nokeep")...)
	c.requireFolder(a.t, "INBOX")
	for file, names := range map[string][]string{"kept": {"one", "two"}, "all": {"one", "two", "three"}} {
		text, err := os.ReadFile(filepath.Join(a.dir, file))
		if err != nil {
			a.t.Fatal(err)
		}
		for _, name := range names {
			body := strings.ReplaceAll(imapMessage(name)[strings.Index(imapMessage(name), "\r\n\r\n"):], "\r\n", "\n")
			if strings.Count(string(text), body) != 1 {
				a.t.Errorf("fetchmail fetched %s not once into %s: %q", name, file, text)
			}
		}
	}
}

// goIMAPTrip is go-imap's client, with STARTTLS.
func goIMAPTrip(a *another) {
	t := a.t
	a.send("one", "two", "three")
	c, err := imapclient.DialStartTLS(at(a.ports.IMAP), &imapclient.Options{TLSConfig: tlsClient()})
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
	check("login", c.Login(a.user, dev.Password).Wait())
	// With IMAP4rev2 before it, this client writes names in UTF-8 without having asked whether it may.
	_, err = c.Enable(goimap.CapIMAP4rev2).Wait()
	check("enable", err)
	check("create", c.Create("Grüße", nil).Wait())
	sel, err := c.Select("INBOX", nil).Wait()
	check("select", err)
	if sel.NumMessages != 3 || sel.UIDNext < 4 {
		t.Errorf("SELECT gives %+v", sel)
	}
	whole := &goimap.FetchItemBodySection{Peek: true}
	got, err := c.Fetch(goimap.UIDSetNum(1), &goimap.FetchOptions{UID: true, Envelope: true, BodySection: []*goimap.FetchItemBodySection{whole}}).Collect()
	check("fetch", err)
	if len(got) != 1 || got[0].Envelope.Subject != "one" || !strings.HasSuffix(string(got[0].FindBodySection(whole)), imapMessage("one")) {
		t.Errorf("FETCH gives %+v", got)
	}
	mine := imapMessage("mine")
	up := c.Append("Grüße", int64(len(mine)), &goimap.AppendOptions{Flags: []goimap.Flag{goimap.FlagDraft}, Time: time.Unix(1e9, 0)})
	_, err = up.Write([]byte(mine))
	check("append", err)
	check("append", up.Close())
	_, err = up.Wait()
	check("append", err)
	moved, err := c.Move(goimap.UIDSetNum(2), "Grüße").Wait()
	check("move", err)
	if moved.DestUIDs == nil || moved.DestUIDs.String() != "2" {
		t.Errorf("COPYUID gives %+v", moved)
	}
	_, err = c.Copy(goimap.UIDSetNum(1), "Grüße").Wait()
	check("copy", err)
	check("store", c.Store(goimap.UIDSetNum(3), &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Flags: []goimap.Flag{goimap.FlagDeleted}}, nil).Close())
	check("expunge", c.UIDExpunge(goimap.UIDSetNum(3)).Close())
	check("logout", c.Logout().Wait())
	own := a.check()
	requireEnds(t, own.requireFolder(t, "INBOX", "one"))
	for _, s := range own.requireFolder(t, `"Gr&APwA3w-e"`, "one", "two", "mine") {
		if s.subject() == "mine" && (s.text != mine || !slices.Equal(s.flags, []string{`\Draft`})) {
			t.Errorf("what was appended is %q with %q", s.text, s.flags)
		}
	}
}

// needClients skips where other people's mail clients are not asked for: they come in packages of Debian.
func needClients(t *testing.T) {
	t.Helper()
	if labMode() == "" {
		t.Skip("drives mail clients that Debian has packages of: make cluster")
	}
}

// needTime skips what together would make the README's command take too long.
func needTime(t *testing.T) {
	t.Helper()
	if labMode() == "" {
		t.Skip("takes longer than go test ./... should: make cluster")
	}
}
