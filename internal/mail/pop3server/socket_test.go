package pop3server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/pop3server"
	"porcupine/internal/mail/sasl"
)

// many is a Maildrops where every login has a mailbox of its own.
type many struct{ texts []string }

func (m many) Open(context.Context, mail.User, mail.Client) (pop3server.Maildrop, error) {
	return &drop{d: &drops{}, texts: m.texts, lost: make(chan struct{})}, nil
}

// socketServer serves on a loopback socket until the test ends.
func socketServer(t testing.TB, drops pop3server.Maildrops, implicitTLS bool) (addr string, pool *tls.Config) {
	t.Helper()
	auth, err := sasl.New(sasl.Config{Backend: users{}, AllowPlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := pop3server.New(pop3server.Config{Auth: auth, Maildrops: drops})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := listener.NewGate(listener.GateConfig{PerNetworkMax: 5000})
	if err != nil {
		t.Fatal(err)
	}
	cert, roots, err := listenertest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	front, err := listener.New(listener.Config{Service: "pop3", Handler: srv.Serve, Gate: gate, ImplicitTLS: implicitTLS,
		ALPN: pop3server.ALPN, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return listenertest.ServeSocket(t, front), &tls.Config{RootCAs: roots, ServerName: listenertest.ServerName}
}

// TestTargetMemoryOfAnIdleConnection measures heap and stacks of both ends in this process, takes
// off what a bare client costs, and holds the rest against the targets for connections that have
// not logged in: 8 KiB in clear, 32 KiB with TLS.
func TestTargetMemoryOfAnIdleConnection(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes the sizes")
	}
	for _, tt := range []struct {
		name  string
		tls   bool
		limit int64
	}{{"clear", false, 8 << 10}, {"TLS", true, 32 << 10}} {
		t.Run(tt.name, func(t *testing.T) {
			each := idleMemory(t, tt.tls, 300)
			t.Logf("%s: %d octets a connection, client's socket included", tt.name, each)
			if each > tt.limit {
				t.Errorf("%s: %d octets a connection, want at most %d", tt.name, each, tt.limit)
			}
		})
	}
}

// BenchmarkIdleConnections opens 4,000 connections that have read the greeting and say nothing.
func BenchmarkIdleConnections(b *testing.B) {
	for name, secure := range map[string]bool{"clear": false, "TLS": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(idleMemory(b, secure, 4000)), "octets/connection")
			}
		})
	}
}

// idleMemory gives the octets that a connection costs which has read the greeting.
func idleMemory(t testing.TB, secure bool, n int) int64 {
	addr, client := socketServer(t, many{}, secure)
	conns := make([]net.Conn, 0, n+1)
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
		c := raw
		if secure {
			c = tls.Client(raw, client)
		}
		if _, err := io.ReadFull(c, make([]byte, len("+OK Porcupine POP3 server ready\r\n"))); err != nil {
			t.Fatal(err)
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

func TestThousandParallelLogins(t *testing.T) {
	addr, _ := socketServer(t, many{texts: []string{one}}, false)
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for range 1000 {
		wg.Go(func() { errs <- session(addr, 1) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// session logs in, retrieves message 1 n times and quits.
func session(addr string, n int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "USER %s\r\nPASS %s\r\n%sQUIT\r\n", alice, password, strings.Repeat("RETR 1\r\n", n)); err != nil {
		return err
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(string(b), "+OK bye\r\n") || strings.Contains(string(b), "-ERR") {
		return errors.New("session went wrong: " + string(b))
	}
	return nil
}

// poplib is a session with Python's POP3 client.
const poplib = `
import poplib, ssl, sys
host, port, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
p = poplib.POP3(host, port, timeout=20)
caps = p.capa()
assert 'STLS' in caps and 'PIPELINING' in caps and 'UIDL' in caps, caps
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
p.stls(context)
assert 'STLS' not in p.capa()
p.user(user)
p.pass_(password)
assert p.stat() == (3, 87), p.stat()
assert p.list()[1] == [b'1 36', b'2 33', b'3 18'], p.list()
assert p.uidl(2) == b'+OK 2 idx', p.uidl(2)
assert p.retr(1)[1] == [b'Subject: one', b'', b'first', b'.dot', b'third'], p.retr(1)
assert p.top(1, 1)[1] == [b'Subject: one', b'', b'first'], p.top(1, 1)
p.dele(1)
try:
    p.retr(1)
    assert False, 'a marked message was retrieved'
except poplib.error_proto as e:
    assert b'no such message' in e.args[0], e
p.rset()
p.noop()
p.dele(3)
assert p.quit() == b'+OK bye'
print('fine')
`

func TestThirdPartyClient_poplib(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3, whose poplib is the client, is not installed")
	}
	d := newDrops(one, two, three)
	addr, _ := socketServer(t, d, false)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, python, "-c", poplib, host, port, alice, password).CombinedOutput()
	if err != nil {
		t.Fatalf("poplib: %v\n%s", err, out)
	}
	if left := d.left(); len(left) != 2 || left[0] != one || left[1] != two {
		t.Errorf("mailbox afterwards %q, want the first two", left)
	}
}

func BenchmarkRetrieve5KB(b *testing.B) {
	text := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 70)
	addr, _ := socketServer(b, many{texts: []string{text}}, false)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	const group = 50
	for i := 0; i < b.N; i += group {
		if err := session(addr, group); err != nil {
			b.Fatal(err)
		}
	}
}
