package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porcupine/internal/dev"
	"porcupine/internal/mail"
	files "porcupine/internal/mail/maildir"
	"porcupine/internal/mail/mbox"
)

// letter is the text of one generated message, its lines ended with CR LF.
func letter(i int) string {
	return fmt.Sprintf("From: a@sender.example\r\nSubject: letter %d\r\n\r\nFrom here on\r\n>From there\r\n.\r\n\r\nline %d\r\n%s", i, i, strings.Repeat("text\r\n", i%50))
}

var letterDay = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

func letterFlags(i int) (flags []mail.Flag) {
	for bit, f := range []mail.Flag{mail.FlagAnswered, mail.FlagFlagged, mail.FlagSeen, "work"} {
		if i>>bit&1 == 1 {
			flags = append(flags, f)
		}
	}
	return flags
}

// writeMbox writes letters as this program would.
func writeMbox(t *testing.T, path string, count int) {
	t.Helper()
	var b bytes.Buffer
	w := mbox.NewWriter(&b)
	for i := range count {
		if err := w.Write(letterDay.Add(time.Duration(i)*time.Minute), letterFlags(i), strings.NewReader(letter(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// readMbox gives what a file says of each message, and its text.
func readMbox(t *testing.T, path string) (all []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := mbox.NewReader(f, 0)
	for {
		var text bytes.Buffer
		m, err := r.Read(&text)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintln(m.Date, m.Flags)+text.String())
	}
}

// writeMaildir writes letters into INBOX, and into a folder of a folder with a name that is not ASCII.
func writeMaildir(t *testing.T, dir string) {
	t.Helper()
	sub, err := files.DirName("Lists/Grüße")
	if err != nil {
		t.Fatal(err)
	}
	keywords := []mail.Flag{"work"}
	for n, folder := range []string{dir, filepath.Join(dir, sub)} {
		for _, d := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(folder, d), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(folder, "dovecot-keywords"), files.Keywords(keywords), 0o600); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			path := filepath.Join(folder, "cur", files.FileName(fmt.Sprintf("%d.letter", i), letterFlags(i), keywords))
			at := letterDay.Add(time.Duration(i) * time.Minute)
			text := strings.ReplaceAll(letter(100*n+i), "\r\n", "\n")
			if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, at, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "subscriptions"), []byte("V\t2\n\nLists\tGrüße\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readMaildir gives all messages as text, with folder, flags and date.
func readMaildir(t *testing.T, dir string) (all []string) {
	t.Helper()
	fsys := os.DirFS(dir)
	folders, err := files.Folders(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		found, err := files.Files(fsys, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range found {
			text, err := os.ReadFile(filepath.Join(dir, m.Path))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintln(f.Name, f.Subscribed && f.Name != "INBOX", m.Flags, m.Received)+strings.ReplaceAll(string(text), "\r\n", "\n"))
		}
	}
	slices.Sort(all)
	return all
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	t.Errorf("%s: %d messages, want %d", what, len(got), len(want))
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: message %d is\n%q, want\n%q", what, i, got[i], want[i])
			return
		}
	}
}

// Mail goes in from files and comes out as it was, with folders, flags and dates; what is imported again is there
// already; and an import that is killed is run again and neither loses a message nor stores one twice.
func TestImportAndExport(t *testing.T) {
	needTime(t)
	if testing.Short() {
		t.Skip("one cluster is enough with -short")
	}
	c := startCluster(t, 2, 4)
	dir := t.TempDir()

	in, out := filepath.Join(dir, "in.mbox"), filepath.Join(dir, "out.mbox")
	writeMbox(t, in, 100)
	for _, want := range []string{"100 messages stored", "100 there already"} {
		if got := c.on(1, "import", "--user", "u0@example.test", "--folder", "Old/Mail", in); !strings.Contains(got, want) {
			t.Errorf("import = %q, want %q in it", got, want)
		}
	}
	c.on(2, "export", "--user", "u0@example.test", "--folder", "Old/Mail", out)
	same(t, "mbox", readMbox(t, out), readMbox(t, in))
	a, errA := os.ReadFile(in)
	b, errB := os.ReadFile(out)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("the file that came out differs from that which went in: %v, %v", errA, errB)
	}

	tree, copied := filepath.Join(dir, "tree"), filepath.Join(dir, "copied")
	writeMaildir(t, tree)
	c.on(1, "import", "--user", "u1@example.test", "--format", "maildir", tree)
	for _, want := range []string{"40 messages written", "40 there already"} {
		if got := c.on(2, "export", "--user", "u1@example.test", "--format", "maildir", copied); !strings.Contains(got, want) {
			t.Errorf("export = %q, want %q in it", got, want)
		}
	}
	same(t, "Maildir", readMaildir(t, copied), readMaildir(t, tree))

	c.killedImport(dir)
}

// killedImport kills an import as soon as some of its messages are there.
func (c *clusterUnderTest) killedImport(dir string) {
	c.t.Helper()
	const count = 600
	in, out := filepath.Join(dir, "long.mbox"), filepath.Join(dir, "long-out.mbox")
	writeMbox(c.t, in, count)
	args := []string{"import", "--user", "u2@example.test", in, "--config", c.node(1).Config}
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < readyWithin; wait(c.t, 20*time.Millisecond) {
		p := popDial(c.t, at(c.node(2).Ports.POP3), "u2@example.test", dev.Password)
		there := p.count()
		p.ok("QUIT") // or the next one finds the maildrop in use
		if there > 0 {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		c.t.Log("the import had ended before it was killed")
	}
	got := c.on(1, "import", "--user", "u2@example.test", in)
	c.t.Logf("after it was killed: %s", got)
	c.on(1, "export", "--user", "u2@example.test", "--folder", "INBOX", out)
	a, b := readMbox(c.t, in), readMbox(c.t, out)
	slices.Sort(a)
	slices.Sort(b)
	same(c.t, "an import that was killed and run again", b, a)
}

// migrate runs an import from another server, whose user has that password.
func (c *clusterUnderTest) migrate(user, remote, password, source string, more ...string) string {
	c.t.Helper()
	args := append([]string{"import", "--user", user, "--format", "imap", "--remote-user", remote, "--password-env", "REMOTE_PASSWORD", "--tls-insecure", "--config", c.node(1).Config}, more...)
	cmd := exec.Command(program, append(args, source)...)
	cmd.Env = append(os.Environ(), "REMOTE_PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("import from %s: %v\n%s", source, err, out)
	}
	return string(out)
}

// A mailbox is copied from another IMAP server: here from another user of the cluster, as a client sees it.
func TestMigration(t *testing.T) {
	if testing.Short() {
		t.Skip("one cluster is enough with -short")
	}
	c := startCluster(t, 1, 2)
	dir := t.TempDir()
	tree, copied := filepath.Join(dir, "tree"), filepath.Join(dir, "copied")
	writeMaildir(t, tree)
	c.on(1, "import", "--user", "u0@example.test", "--format", "maildir", tree)
	for _, step := range []struct{ source, want string }{
		{"imaps://" + at(c.node(1).Ports.IMAPS), "40 messages stored"},
		{"imaps://" + at(c.node(1).Ports.IMAPS), "40 there already"},
	} {
		if got := c.migrate("u1@example.test", "u0@example.test", dev.Password, step.source); !strings.Contains(got, step.want) {
			t.Errorf("import from %s = %q, want %q in it", step.source, got, step.want)
		}
	}
	c.on(1, "export", "--user", "u1@example.test", "--format", "maildir", copied)
	same(t, "migrated", readMaildir(t, copied), readMaildir(t, tree))
	wrong := exec.Command(program, "import", "--user", "u1@example.test", "--format", "imap", "--remote-user", "u0@example.test",
		"--password-env", "REMOTE_PASSWORD", "--tls-insecure", "--config", c.node(1).Config, "imap://"+at(c.node(1).Ports.IMAP))
	wrong.Env = append(os.Environ(), "REMOTE_PASSWORD=wrong")
	if out, err := wrong.CombinedOutput(); err == nil || !strings.Contains(string(out), "AUTHENTICATE") {
		t.Errorf("import with a wrong password, by STARTTLS = %v, %s", err, out)
	}
}

// dovecot starts a server of its own, as root, with a user "old" whose mail is the Maildir, and gives its address.
func dovecot(t *testing.T, dir, tree string) string {
	t.Helper()
	path := "/usr/sbin/dovecot"
	if !exists(path) || os.Getuid() != 0 {
		t.Skip("needs Dovecot, and root")
	}
	if version, err := exec.Command(path, "--version").Output(); err != nil || !strings.HasPrefix(string(version), "2.3.") {
		t.Skipf("the configuration is for Dovecot 2.3, this is %s, %v", version, err)
	}
	port := freeBase(t) + 1
	run := filepath.Join(dir, "run")
	must(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", filepath.Join(dir, "key.pem"), "-out", filepath.Join(dir, "cert.pem"))
	must(t, "chown", "-R", "mail:mail", tree)
	for d := tree; d != filepath.Dir(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		if d != os.TempDir() && strings.HasPrefix(d, os.TempDir()+"/") {
			must(t, "chmod", "a+x", d)
		}
	}
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf(`protocols = imap
listen = %s
base_dir = %s
state_dir = %s/state
log_path = %s/log
ssl = yes
ssl_cert = <%s/cert.pem
ssl_key = <%s/key.pem
auth_mechanisms = plain
first_valid_uid = 1
mail_uid = mail
mail_gid = mail
mail_location = maildir:%s
namespace inbox {
  inbox = yes
  separator = /
}
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=mail gid=mail home=%s
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = %d
  }
}
`, dev.Host, run, run, dir, dir, dir, tree, tree, port)
	if err := errors.Join(os.MkdirAll(filepath.Join(run, "state"), 0o755), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-F", "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	address := at(port)
	for began := time.Now(); ; wait(t, 50*time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return address
		}
		if time.Since(began) > readyWithin {
			t.Fatalf("Dovecot did not listen: %v", err)
		}
	}
}

// A mailbox is copied from Dovecot.
func TestMigrationFromDovecot(t *testing.T) {
	if testing.Short() {
		t.Skip("one cluster is enough with -short")
	}
	dir := t.TempDir()
	tree, copied := filepath.Join(dir, "tree"), filepath.Join(dir, "copied")
	writeMaildir(t, tree)
	want := readMaildir(t, tree) // Dovecot may rename its files
	address := dovecot(t, dir, tree)
	c := startCluster(t, 1, 1)
	for _, expected := range []string{"40 messages stored", "40 there already"} {
		if got := c.migrate("u0@example.test", "old", "secret", "imaps://"+address); !strings.Contains(got, expected) {
			t.Errorf("import from Dovecot = %q, want %q in it", got, expected)
		}
	}
	c.on(1, "export", "--user", "u0@example.test", "--format", "maildir", copied)
	same(t, "migrated", readMaildir(t, copied), want)
}
