package test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"porcupine/internal/dev"
)

// onDisk is a message in a client's Maildir.
type onDisk struct {
	path, flags, text string
}

// maildir reads a client's folder, by subject. A subject that is there twice fails the test.
func maildir(t *testing.T, dir string) map[string]onDisk {
	t.Helper()
	found := map[string]onDisk{}
	for _, sub := range []string{"cur", "new"} {
		files, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			path := filepath.Join(dir, sub, f.Name())
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, flags, _ := strings.Cut(f.Name(), ":2,")
			crlf := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n", "\r\n")
			m := onDisk{path: path, flags: flags, text: crlf}
			subject := shown{text: crlf}.subject()
			if twice, ok := found[subject]; ok {
				t.Errorf("%s is on the client twice: %s and %s", subject, twice.path, path)
			}
			found[subject] = m
		}
	}
	return found
}

// makeMaildir makes a folder of a client.
func makeMaildir(t *testing.T, dir string) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// putOnDisk adds a message on the client's side.
func putOnDisk(t *testing.T, dir, subject string) {
	t.Helper()
	text := strings.ReplaceAll(imapMessage(subject), "\r\n", "\n")
	if err := os.WriteFile(filepath.Join(dir, "cur", "1."+subject+".client:2,S"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flagOnDisk gives a message of the client the flags.
func flagOnDisk(t *testing.T, dir, subject, flags string) {
	t.Helper()
	m, ok := maildir(t, dir)[subject]
	if !ok {
		t.Fatalf("%s is not on the client", subject)
	}
	base, _, _ := strings.Cut(filepath.Base(m.path), ":2,")
	if err := os.Rename(m.path, filepath.Join(dir, "cur", base+":2,"+flags)); err != nil {
		t.Fatal(err)
	}
}

// requireAlike demands that a client's folder and the server's hold the same messages, octet by octet, with the
// same flags \Seen, \Flagged and \Answered.
func requireAlike(t *testing.T, local map[string]onDisk, server []shown) {
	t.Helper()
	letters := map[string]string{`\Seen`: "S", `\Flagged`: "F", `\Answered`: "R", `\Draft`: "D", `\Deleted`: "T"}
	seen := map[string]bool{}
	for _, s := range server {
		if seen[s.subject()] {
			t.Errorf("%s is on the server twice", s.subject())
		}
		seen[s.subject()] = true
		m, ok := local[s.subject()]
		if !ok {
			t.Errorf("%s is on the server and not on the client", s.subject())
			continue
		}
		flags := ""
		for _, f := range s.flags {
			flags += letters[f]
		}
		if !sameLetters(flags, m.flags) {
			t.Errorf("%s has the flags %q on the server and %q on the client", s.subject(), s.flags, m.flags)
		}
		if !strings.HasSuffix(withoutMarks(m.text), imapMessage(s.subject())) || withoutMarks(m.text) != withoutMarks(s.text) {
			t.Errorf("%s differs: on the server %q, on the client %q", s.subject(), s.text, m.text)
		}
	}
	for subject := range local {
		if !seen[subject] {
			t.Errorf("%s is on the client and not on the server", subject)
		}
	}
}

// withoutMarks takes out the header by which a client finds again what it has uploaded.
func withoutMarks(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "X-TUID: ") && !strings.HasPrefix(line, "X-OfflineIMAP: ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return string(x) == string(y)
}

// mbsyncConfig is that of mbsync for all folders of a user, at an address in clear.
func mbsyncConfig(dir, host string, port int, user string) string {
	return fmt.Sprintf(`IMAPAccount server
Host %s
Port %d
User %s
Pass %s
SSLType None
AuthMechs PLAIN
Timeout 20

IMAPStore far
Account server

MaildirStore near
Path %s/mail/
Inbox %s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Sync All
SyncState *
`, host, port, user, dev.Password, dir, dir)
}

// mbsyncTrip is mbsync both ways.
func mbsyncTrip(a *another) {
	rc := a.file("mbsyncrc", strings.Replace(mbsyncConfig(a.dir, dev.Host, a.ports.IMAPS, a.user), "SSLType None", "SSLType IMAPS\nCertificateFile "+a.certificate(), 1))
	syncTrip(a, func() { a.run("mbsync", "-c", rc, "-a") })
}

// offlineimapTrip is offlineimap both ways.
func offlineimapTrip(a *another) {
	rc := a.file("offlineimaprc", fmt.Sprintf(`[general]
accounts = all
metadata = %s/meta
ui = quiet
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = %s/mail
sep = /
utime_from_header = no
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = %d
remoteuser = %s
remotepass = %s
ssl = yes
cert_fingerprint = %x
usecompression = no
`, a.dir, a.dir, a.ports.IMAPS, a.user, dev.Password, sha256.Sum256(a.shown())))
	syncTrip(a, func() { a.run("offlineimap", "-c", rc, "-o", "-u", "quiet") })
}

// shown is the certificate that the node shows.
func (a *another) shown() []byte {
	a.t.Helper()
	conn, err := tls.Dial("tcp", at(a.ports.IMAPS), tlsClient())
	if err != nil {
		a.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Raw
}

// certificate writes it to a file, for clients that want to be told whom to trust.
func (a *another) certificate() string {
	a.t.Helper()
	return a.file("certificate.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.shown()})))
}

// syncTrip changes both sides between runs of a client that keeps a copy of all folders.
func syncTrip(a *another, sync func()) {
	t := a.t
	a.send("one", "two")
	makeMaildir(t, filepath.Join(a.dir, "mail"))
	if err := os.RemoveAll(filepath.Join(a.dir, "mail", "cur")); err != nil { // the root is no folder
		t.Fatal(err)
	}
	own := a.check()
	sync()
	inbox, work := filepath.Join(a.dir, "mail", "INBOX"), filepath.Join(a.dir, "mail", "Work")
	requireAlike(t, maildir(t, inbox), own.requireFolder(t, "INBOX", "one", "two"))

	putOnDisk(t, inbox, "upload")
	flagOnDisk(t, inbox, "one", "S")
	if err := os.Remove(maildir(t, inbox)["two"].path); err != nil {
		t.Fatal(err)
	}
	makeMaildir(t, work)
	putOnDisk(t, work, "local")
	a.send("three")
	own.must(t, "SELECT INBOX")
	own.must(t, `UID STORE 1 +FLAGS (\Flagged)`)
	own.must(t, "CREATE There")
	own.must(t, `APPEND There (\Seen)`, imapMessage("there"))
	sync()
	requireAlike(t, maildir(t, inbox), own.requireFolder(t, "INBOX", "one", "three", "upload"))
	requireAlike(t, maildir(t, work), own.requireFolder(t, "Work", "local"))
	requireAlike(t, maildir(t, filepath.Join(a.dir, "mail", "There")), own.requireFolder(t, "There", "there"))
	if f := maildir(t, inbox)["one"].flags; !sameLetters(f, "FS") {
		t.Errorf("flags of both sides are not joined: %q", f)
	}

	own.must(t, "SELECT INBOX")
	own.must(t, "UID MOVE 1 There")
	sync()
	requireAlike(t, maildir(t, inbox), own.requireFolder(t, "INBOX", "three", "upload"))
	requireAlike(t, maildir(t, filepath.Join(a.dir, "mail", "There")), own.requireFolder(t, "There", "there", "one"))
}

// muttTrip is mutt in its own terminal, steered by a macro: it saves, flags, deletes, and sends a message that
// it puts into a folder.
func muttTrip(a *another) { macroTrip(a, "mutt") }

func neomuttTrip(a *another) { macroTrip(a, "neomutt") }

func macroTrip(a *another, mutt string) {
	t := a.t
	needCommand(t, mutt)
	needCommand(t, "script")
	a.send("one", "two", "three")
	own := a.check()
	own.must(t, "CREATE Kept")
	rc := a.file("muttrc", fmt.Sprintf(`set imap_user=%q imap_pass=%q
set folder="imaps://127.0.0.1:%d/" spoolfile="+INBOX" record="+Sent" from=%q realname=""
set smtp_url="smtp://127.0.0.1:%d/"
set certificate_file=%q ssl_force_tls=yes ssl_verify_host=no
set delete=yes move=no confirmappend=no confirmcreate=no wait_key=no quit=yes header_cache="" crypt_use_gpgme=no mark_old=no copy=yes imap_keepalive=900
set editor="cp %s" abort_unmodified=no
`, a.user, dev.Password, a.ports.IMAPS, sender, a.ports.SMTP, a.certificate(), a.file("text", "by "+mutt+"\n")))
	screen := func(macro string) {
		a.run("script", "-qec", fmt.Sprintf(`%s -F '%s' -e 'push "%s"'`, mutt, rc, macro), filepath.Join(a.dir, "screen"))
	}
	screen("<search>~s one<enter><save-message>=Kept<enter><search>~s two<enter><flag-message><search>~s three<enter><delete-message><sync-mailbox><quit>")
	requireEnds(t, own.requireFolder(t, "Kept", "one"))
	for _, s := range own.requireFolder(t, "INBOX", "two") {
		if !slices.Contains(s.flags, `\Flagged`) {
			t.Errorf("what %s flagged has flags %q", mutt, s.flags)
		}
	}
	if mutt == "mutt" {
		a.run("sh", "-c", fmt.Sprintf("printf 'by %s\\n' | %s -F '%s' -s sent %s", mutt, mutt, rc, a.user))
	} else { // neomutt keeps no copy at a server of what it sends without a terminal
		screen("<mail>" + a.user + "<enter>sent<enter><send-message><quit>")
	}
	own.requireFolder(t, "INBOX", "two", "sent")
	for _, s := range own.requireFolder(t, "Sent", "sent") {
		if !strings.HasSuffix(s.text, "\r\n\r\nby "+mutt+"\r\n") || !slices.Contains(s.flags, `\Seen`) {
			t.Errorf("what %s sent is in Sent as %q with %q", mutt, s.text, s.flags)
		}
	}
}
