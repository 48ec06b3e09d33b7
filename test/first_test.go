package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"porcupine/internal/admin"
	"porcupine/internal/dev"
)

const sender = "someone@sender.example"

func send(t *testing.T, addr, to, body string) {
	t.Helper()
	if err := trySend(addr, to, body); err != nil {
		t.Fatalf("message to %s at %s: %v", to, addr, err)
	}
}

// trySend is net/smtp's SendMail without STARTTLS: the certificates are self-signed.
func trySend(addr, to, body string) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail(sender); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// The first five minutes: a cluster, a message in at one node and out at another, a node killed,
// and all of it stopped and resumed.
func TestFirstSteps(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, 5)
	send(t, at(c.node(1).Ports.SMTP), "u0@example.test", "Subject: first\r\n\r\nHello.\r\n")
	pop := popDial(t, at(c.node(3).Ports.POP3), "u0@example.test", dev.Password)
	if got := pop.retr(1); !bytes.HasSuffix(got, []byte("Subject: first\r\n\r\nHello.\r\n")) {
		t.Errorf("RETR at node 3 of what node 1 took = %q", got)
	}
	pop.ok("QUIT")

	s := c.await(2, "a cluster at rest", settled(3))
	buckets := 0
	for _, m := range s.Members {
		buckets += m.Buckets
		if m.Buckets < 1365 || m.Buckets > 1366 {
			t.Errorf("node %s manages %d buckets, want 1365 or 1366", m.Name, m.Buckets)
		}
	}
	if buckets != 4096 {
		t.Errorf("the members manage %d buckets in all, want 4096", buckets)
	}

	c.procs[0].stop(t)
	c.resume(3, 5)
	pop = popDial(t, at(c.node(2).Ports.POP3), "u0@example.test", dev.Password)
	if n := pop.count(); n != 1 {
		t.Errorf("after stop and resume the mailbox has %d messages, want 1", n)
	}
	pop.ok("DELE 1")
	pop.ok("QUIT")
	if n := popDial(t, at(c.node(1).Ports.POP3), "u0@example.test", dev.Password).count(); n != 0 {
		t.Errorf("after DELE and QUIT the mailbox has %d messages, want 0", n)
	}
}

// Monitoring: every node answers; a node that is up is ready; metrics are there for each room.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, 1)
	send(t, at(c.node(1).Ports.SMTP), "u0@example.test", "Subject: x\r\n\r\nx\r\n")
	for n := 1; n <= 2; n++ {
		base := "http://" + at(c.node(n).Ports.HTTP)
		for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/status": `"incomplete_buckets":0`} {
			if got := get(t, base+path); !strings.Contains(got, want) {
				t.Errorf("node %d: GET %s = %q, want %q in it", n, path, got, want)
			}
		}
		metrics := get(t, base+"/metrics")
		for _, name := range []string{"porcupine_members 2", "porcupine_buckets_incomplete 0", "porcupine_store_commits_total", "porcupine_connections", "go_goroutines"} {
			if !strings.Contains(metrics, name) {
				t.Errorf("node %d: /metrics lacks %q", n, name)
			}
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The whole command line on two machines' worth of directories: init, serve, domains, users,
// aliases, token, join. No password on any command line (attack table, row 13: no password in
// any file or log either).
func TestCommandLine(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one cluster is enough with -short")
	}
	c := startCluster(t, 1, 0)
	conf := c.node(1).Config
	const canary = "canary-7f3a91-password"
	steps := []struct {
		args  []string
		stdin string
		want  string
	}{
		{[]string{"domain", "add", "second.example"}, "", ""},
		{[]string{"domain", "list"}, "", "second.example"},
		{[]string{"user", "add", "ann@second.example"}, canary + "\n", ""},
		{[]string{"user", "list"}, "", "ann@second.example"},
		{[]string{"alias", "add", "info@second.example", "ann@second.example"}, "", ""},
		{[]string{"alias", "list"}, "", "info@second.example: ann@second.example"},
		{[]string{"node", "list"}, "", "node1"},
		{[]string{"store", "verify"}, "", "0 faults"},
		{[]string{"store", "dump"}, "", "ann@second.example"},
	}
	for _, s := range steps {
		if out := command(t, s.stdin, append(s.args, "--config", conf)...); !strings.Contains(out, s.want) {
			t.Errorf("porcupine %s printed %q, want %q in it", strings.Join(s.args, " "), out, s.want)
		}
	}
	send(t, at(c.node(1).Ports.SMTP), "Info@Second.Example", "Subject: alias\r\n\r\nx\r\n")
	pop := popDial(t, at(c.node(1).Ports.POP3), "ann@second.example", canary)
	if n := pop.count(); n != 1 {
		t.Errorf("the alias's target has %d messages, want 1", n)
	}
	pop.ok("QUIT")
	command(t, canary+"2\n", "user", "passwd", "ann@second.example", "--config", conf)
	popDial(t, at(c.node(1).Ports.POP3), "ann@second.example", canary+"2").ok("QUIT")

	added := c.run("dev", "--add", "--dir", c.dir)
	added.awaitLine(t, "ready")
	c.load()
	c.await(2, "two members", settled(2))
	popDial(t, at(c.node(2).Ports.POP3), "ann@second.example", canary+"2").ok("QUIT")
	command(t, "", "user", "remove", "ann@second.example", "--config", c.node(2).Config)
	if out := command(t, "", "user", "list", "--config", conf); strings.Contains(out, "ann@") {
		t.Errorf("a removed user is still listed: %q", out)
	}
	c.procs[1].stop(t)
	c.procs[0].stop(t)
	if out := command(t, "", "store", "verify", "--config", conf); !strings.Contains(out, "0 faults") {
		t.Errorf("store verify of a stopped node = %q", out)
	}
	noSecretIn(t, c.dir, canary)
}

func command(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("porcupine %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func noSecretIn(t *testing.T, dir, secret string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s contains a password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Errors say what to do.
func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf := filepath.Join(dir, "porcupine.toml")
	if err := os.WriteFile(conf, []byte("data_dir = \"data\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.toml")
	if err := os.WriteFile(bad, []byte("[smtp]\nport = 25\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--config", conf}, "porcupine init"},
		{[]string{"serve", "--config", bad}, "no such field: smtp.port (line 2)"},
		{[]string{"status", "--config", conf}, "porcupine serve"},
		{[]string{"status", "--config", filepath.Join(dir, "none.toml")}, "--config"},
		{[]string{"user", "add"}, "expected \"<address>\""},
		{[]string{"join", "--config", conf}, "porcupine token"},
		{[]string{"store", "verify", "--config", conf}, "holds no node"},
		{[]string{"frobnicate"}, "--help"},
	}
	for _, tt := range tests {
		cmd := exec.Command(program, tt.args...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("porcupine %s = %v, %q; want an error with %q", strings.Join(tt.args, " "), err, out, tt.want)
		}
	}
}

// The status has every field that monitoring was promised.
func TestStatusFields(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one cluster is enough with -short")
	}
	c := startCluster(t, 1, 3)
	send(t, at(c.node(1).Ports.SMTP), "u1@example.test", "Subject: x\r\n\r\nx\r\n")
	out := command(t, "", "status", "--json", "--config", c.node(1).Config)
	for _, field := range []string{"epoch", "members", "id", "name", "address", "since", "buckets", "load", "disk_free", "objects", "users", "incomplete_buckets", "pending_updates"} {
		if !strings.Contains(out, fmt.Sprintf("%q:", field)) {
			t.Errorf("status --json lacks %q: %s", field, out)
		}
	}
	s := c.await(1, "one message", func(s admin.Status) bool { return s.Members[0].Objects == 1 })
	if s.Members[0].Users != 3 {
		t.Errorf("status: %d users, want 3", s.Members[0].Users)
	}
}
