package imapserver_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/imaptest"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtpserver/spool"
)

// socketServer serves on a loopback socket until the test ends.
func socketServer(t testing.TB, m *imaptest.Mail, implicitTLS bool) (addr string, client *tls.Config) {
	t.Helper()
	auth, err := sasl.New(sasl.Config{Backend: users{}, AllowPlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := imapserver.New(imapserver.Config{Auth: auth, Mailboxes: m, Spool: spool.New(spool.Dir(t.TempDir()), 64<<10, 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := listener.NewGate(listener.GateConfig{PerNetworkMax: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	cert, roots, err := listenertest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	front, err := listener.New(listener.Config{Service: "imap", Handler: srv.Serve, Gate: gate, ImplicitTLS: implicitTLS,
		ALPN: imapserver.ALPN, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close) // after the front
	return listenertest.ServeSocket(t, front), &tls.Config{RootCAs: roots, ServerName: listenertest.ServerName}
}

// TestTargetMemoryOfAnIdleSession measures heap and stacks of both ends in this process, sockets included, and holds
// them against the target for a session inside IDLE with TLS: 30 KiB.
func TestTargetMemoryOfAnIdleSession(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes the sizes")
	}
	each := idleMemory(t, 150)
	t.Logf("%d octets a session, client's socket included", each)
	if each > 30<<10 {
		t.Errorf("%d octets a session, want at most 30 KiB", each)
	}
}

// BenchmarkIdleSessions opens 8,000 sessions with TLS, each inside IDLE on a folder of 1,000 messages.
func BenchmarkIdleSessions(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(float64(idleMemory(b, 8000)), "octets/session")
	}
}

// idleMemory gives the octets that a session inside IDLE costs.
func idleMemory(t testing.TB, n int) int64 {
	m := standard()
	for range 1000 {
		m.Deliver(alice, "INBOX", "x", clock)
	}
	addr, client := socketServer(t, m, true)
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	open := func() {
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, raw)
		c := tls.Client(raw, client)
		r := bufio.NewReader(c)
		// The commands of a phone; a header is fetched, so that all buffers were in use once.
		for _, command := range []string{"1 LOGIN " + alice + ` "` + password + `"`, "2 ENABLE QRESYNC", "3 SELECT INBOX",
			"4 UID FETCH 1:5 (FLAGS ENVELOPE BODY.PEEK[HEADER.FIELDS (Subject)])", "5 IDLE"} {
			if _, err := io.WriteString(c, command+"\r\n"); err != nil {
				t.Fatal(err)
			}
			for want := command[:2]; ; {
				l, err := r.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(l, want) || l == "+ idling\r\n" {
					break
				}
			}
		}
		// Only the socket is kept: the client's TLS state is garbage.
	}
	open() // what is made once
	before := listenertest.Memory()
	for range n {
		open()
	}
	return (listenertest.Memory() - before) / int64(n)
}

// python is a round trip of Python's imaplib, a client written by others.
const python = `
import imaplib, ssl, sys
port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
c = imaplib.IMAP4("127.0.0.1", port)
assert "IMAP4REV1" in c.capabilities, c.capabilities
ctx = ssl.create_default_context(); ctx.check_hostname = False; ctx.verify_mode = ssl.CERT_NONE
c.starttls(ctx)
assert c.login(user, password)[0] == "OK"
typ, data = c.select("INBOX"); assert (typ, data) == ("OK", [b"4"]), (typ, data)
typ, data = c.fetch("1:2", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"); assert typ == "OK", data
assert data[0][1] == b"Subject: afternoon meeting\r\n\r\n", data
typ, data = c.uid("FETCH", "1", "(RFC822)"); assert data[0][1].startswith(b"From: Fred"), data
body = b"Subject: from python\r\n\r\n" + b"line\r\n" * 30000
assert c.append("Drafts", "\\Draft", imaplib.Time2Internaldate(1700000000), body)[0] == "OK"
assert c.create("Made")[0] == "OK"
assert c.copy("1", "Made")[0] == "OK"
assert c.rename("Made", "Remade")[0] == "OK"
typ, data = c.list('""', "*"); assert any(b"Remade" in d for d in data), data
assert c.subscribe("Remade")[0] == "OK"
typ, data = c.lsub('""', "Rem*"); assert b"Remade" in data[0], data
typ, data = c.status("Remade", "(MESSAGES UIDNEXT)"); assert b"MESSAGES 1" in data[0], data
typ, data = c.store("2", "+FLAGS", "\\Deleted"); assert b"Deleted" in data[0], data
typ, data = c.expunge(); assert sorted(data) == [b"2", b"4"], data
typ, data = c.select("Drafts"); assert data == [b"1"], data
typ, data = c.fetch("1", "(FLAGS INTERNALDATE BODY[])"); assert data[0][1] == body
assert c.noop()[0] == "OK"
assert c.delete("Remade")[0] == "OK"
assert c.unselect()[0] == "OK"
try:
    c.select("nothing"); c.fetch("1", "FLAGS"); sys.exit("a folder that is not there was selected")
except imaplib.IMAP4.error: pass
assert c.logout()[0] == "BYE"
print("done")
`

func TestPythonImaplib(t *testing.T) {
	program, err := exec.LookPath("python3")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("no python3 here")
	}
	addr, _ := socketServer(t, standard(), false)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-c", python, port, alice, password)
	cmd.Env, cmd.WaitDelay = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
