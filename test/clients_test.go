package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"porcupine/internal/dev"
)

// Clients that other people wrote, with the default configuration: TLS before any login.
func TestThirdPartyClients(t *testing.T) {
	t.Parallel()
	n := startNode(t, "")
	n.users(1)
	message := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(message, []byte("From: u0@example.test\r\nSubject: by a client\r\n\r\n.dot\r\nbody\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	user, p := "u0@"+dev.Domain, n.ports
	run := func(t *testing.T, name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(needCommand(t, name), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	// empty wants so many messages, the last of them the one above, and deletes all.
	empty := func(t *testing.T, want int) {
		t.Helper()
		l := dialLine(t, "", p.POP3).startTLS("STLS", "+OK")
		l.must("USER "+user, "+OK")
		l.must("PASS "+dev.Password, "+OK")
		for i := range want {
			text := strings.Join(l.multi(fmt.Sprintf("RETR %d", i+1)), "\n")
			if !strings.Contains(text, "body") {
				t.Errorf("message %d = %q", i+1, text)
			}
			l.must(fmt.Sprintf("DELE %d", i+1), "+OK")
		}
		l.must("QUIT", "+OK")
	}
	t.Run("curl", func(t *testing.T) {
		run(t, "curl", "-sS", "-k", "--ssl-reqd", fmt.Sprintf("smtp://%s", at(p.SMTP)), "--mail-from", sender, "--mail-rcpt", user, "-T", message)
		run(t, "curl", "-sS", "-k", "-u", user+":"+dev.Password, fmt.Sprintf("smtps://%s", at(p.Submissions)), "--mail-from", user, "--mail-rcpt", user, "-T", message)
		for _, url := range []string{"pop3s://" + at(p.POP3S) + "/1", "pop3://" + at(p.POP3) + "/2"} {
			if got := run(t, "curl", "-sS", "-k", "--ssl-reqd", "-u", user+":"+dev.Password, url); !strings.HasSuffix(got, "Subject: by a client\r\n\r\n.dot\r\nbody\r\n") {
				t.Errorf("curl %s = %q", url, got)
			}
		}
		if out, err := exec.Command("curl", "-sS", "-u", user+":"+dev.Password, "pop3://"+at(p.POP3)+"/1").CombinedOutput(); err == nil {
			t.Errorf("curl logged in without TLS: %s", out)
		}
		empty(t, 2)
	})
	t.Run("swaks", func(t *testing.T) {
		run(t, "swaks", "--server", dev.Host, "--port", fmt.Sprint(p.SMTP), "--from", sender, "--to", user, "--body", "body", "--tls")
		run(t, "swaks", "--server", dev.Host, "--port", fmt.Sprint(p.Submission), "--from", user, "--to", user, "--body", "body", "--tls",
			"--auth", "PLAIN", "--auth-user", user, "--auth-password", dev.Password)
		run(t, "swaks", "--protocol", "LMTP", "--server", dev.Host, "--port", fmt.Sprint(p.LMTP), "--from", sender, "--to", user, "--body", "body")
		if out, err := exec.Command("swaks", "--server", dev.Host, "--port", fmt.Sprint(p.SMTP), "--from", sender, "--to", "other@elsewhere.example").CombinedOutput(); err == nil {
			t.Errorf("swaks relayed (attack 15): %s", out)
		}
		empty(t, 3)
	})
	t.Run("python", func(t *testing.T) {
		run(t, "python3", "-c", pythonClient, fmt.Sprint(p.SMTP), fmt.Sprint(p.Submission), fmt.Sprint(p.POP3), fmt.Sprint(p.POP3S), user, dev.Password)
		empty(t, 1)
	})
	n.requireAlive()
}

// pythonClient sends two messages, reads both, and deletes the first.
const pythonClient = `
import poplib, smtplib, ssl, sys
smtp, submission, pop, pops = map(int, sys.argv[1:5])
user, password = sys.argv[5:]
ctx = ssl._create_unverified_context()
text = "From: u0@example.test\r\nSubject: by python\r\n\r\nbody\r\n"
with smtplib.SMTP("127.0.0.1", smtp) as s:
    s.starttls(context=ctx)
    s.sendmail("someone@sender.example", [user], text)
with smtplib.SMTP("127.0.0.1", submission) as s:
    s.starttls(context=ctx)
    s.login(user, password)
    s.sendmail(user, [user], text)
p = poplib.POP3("127.0.0.1", pop)
p.stls(ctx)
p.user(user)
p.pass_(password)
assert p.stat()[0] == 2, p.stat()
assert len(p.uidl()[1]) == 2
p.quit()
p = poplib.POP3_SSL("127.0.0.1", pops, context=ctx)
p.user(user)
p.pass_(password)
assert b"body" in p.retr(1)[1]
assert p.top(2, 0)[1]
p.dele(1)
p.quit()
`
