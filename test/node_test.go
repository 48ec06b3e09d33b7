package test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/dev"
)

// oneNode is one node with a configuration of its own: the defaults, but for addresses.
type oneNode struct {
	t     *testing.T
	dir   string // the data directory
	conf  string
	ports dev.Ports
	p     *proc
	admin *admin.Client
}

// startNode makes a cluster of one node and starts it. extra is more of the configuration; it may
// have the tables auth, limits, tls and log. The node gets the domain example.test.
func startNode(t *testing.T, extra string) *oneNode {
	t.Helper()
	n := startEmpty(t, extra)
	if err := n.admin.AddDomain(t.Context(), admin.Domain{Domain: dev.Domain}); err != nil {
		t.Fatal(err)
	}
	return n
}

// startEmpty is startNode without the domain.
func startEmpty(t *testing.T, extra string) *oneNode {
	t.Helper()
	n := &oneNode{t: t, dir: filepath.Join(t.TempDir(), "data"), ports: dev.PortsOf(freeBase(t), 1)}
	n.conf = filepath.Join(filepath.Dir(n.dir), "porcupine.toml")
	n.admin = admin.NewClient(filepath.Join(n.dir, admin.SocketName))
	p := n.ports
	text := fmt.Sprintf(`data_dir = "data"
[cluster]
listen = %q
[smtp]
listen = %q
lmtp_listen = %q
submission_listen = %q
submissions_listen = %q
[pop3]
listen = %q
tls_listen = %q
[imap]
listen = %q
tls_listen = %q
[http]
listen = %q
[store]
min_free = "64MiB"
%s`, at(p.Cluster), at(p.SMTP), at(p.LMTP), at(p.Submission), at(p.Submissions), at(p.POP3), at(p.POP3S), at(p.IMAP), at(p.IMAPS), at(p.HTTP), extra)
	if err := os.WriteFile(n.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "", "init", "--config", n.conf)
	n.serve()
	return n
}

// serve starts the node's process and waits until it is ready.
func (n *oneNode) serve() {
	n.t.Helper()
	c := &clusterUnderTest{t: n.t, dir: n.dir}
	n.p = c.run("serve", "--config", n.conf)
	awaitReady(n.t, n.p, n.admin)
}

func awaitReady(t *testing.T, p *proc, c *admin.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if s, err := c.Status(ctx); err == nil && s.Ready {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("the node ended at its start; its log:\n%s", p.out)
		case <-ctx.Done():
			t.Fatalf("the node was not ready within %v; its log:\n%s", readyWithin, p.out)
		case <-tick.C:
		}
	}
}

// users makes users u0 to u(n-1) with the demo password.
func (n *oneNode) users(count int) {
	n.t.Helper()
	addrs := make([]string, count)
	for i := range addrs {
		addrs[i] = fmt.Sprintf("u%d@%s", i, dev.Domain)
	}
	if err := n.admin.AddUsers(n.t.Context(), addrs, dev.Password); err != nil {
		n.t.Fatal(err)
	}
}

func (n *oneNode) pid() int { return n.p.cmd.Process.Pid }

// requireAlive demands that the process still runs and serves.
func (n *oneNode) requireAlive() {
	n.t.Helper()
	if s, err := n.admin.Status(n.t.Context()); err != nil || !s.Ready {
		n.t.Errorf("the node is not well: %+v, %v; its log:\n%s", s, err, n.p.out)
	}
}

// residentMemory gives a process's resident memory in bytes. A test that needs it skips where the system
// does not tell.
func residentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("this system does not tell the memory of a process: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no VmRSS of process %d", pid)
	return 0
}

// collectGarbage has a node's process collect its garbage, over the admin socket.
func collectGarbage(t *testing.T, dataDir string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dataDir, admin.SocketName))
		}}}
	resp, err := client.Get("http://node/debug/pprof/heap?gc=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// metric reads one figure from a monitoring listener.
func metric(t *testing.T, httpPort int, name string) float64 {
	t.Helper()
	return metricAt(t, at(httpPort), name)
}

func metricAt(t *testing.T, addr, name string) float64 {
	t.Helper()
	for line := range strings.Lines(get(t, "http://"+addr+"/metrics")) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no metric %s at %s", name, addr)
	return 0
}

// line is a client that speaks lines, for all of SMTP and POP3 that a test looks at closely.
type line struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

const clientPatience = 60 * time.Second

// dialLine connects, from a loopback address of its own if from is not empty, and reads the greeting.
func dialLine(t *testing.T, from string, port int) *line {
	t.Helper()
	conn, err := dialFrom(t.Context(), from, port)
	if err != nil {
		t.Fatal(err)
	}
	l := newLine(t, conn)
	l.read()
	return l
}

func newLine(t *testing.T, conn net.Conn) *line {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(clientPatience)); err != nil {
		t.Fatal(err)
	}
	return &line{t: t, conn: conn, r: bufio.NewReader(conn)}
}

func dialFrom(ctx context.Context, from string, port int) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.DialContext(ctx, "tcp", at(port))
}

// needManyAddresses skips where not all of 127/8 is this machine.
func needManyAddresses(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skipf("on %s only 127.0.0.1 is a loopback address: no clients from many addresses", runtime.GOOS)
	}
}

// read reads one reply; one of several lines is joined with newlines. It is empty at the end.
func (l *line) read() string {
	l.t.Helper()
	var reply []string
	for {
		text, err := l.r.ReadString('\n')
		if err != nil {
			return strings.Join(reply, "\n")
		}
		text = strings.TrimRight(text, "\r\n")
		reply = append(reply, text)
		if len(text) < 4 || text[3] != '-' || text[0] == '-' {
			return strings.Join(reply, "\n")
		}
	}
}

// ask sends a line and reads the reply.
func (l *line) ask(text string) string {
	l.t.Helper()
	if _, err := io.WriteString(l.conn, text+"\r\n"); err != nil {
		return ""
	}
	return l.read()
}

// must wants a reply with that beginning.
func (l *line) must(text, want string) string {
	l.t.Helper()
	reply := l.ask(text)
	if !strings.HasPrefix(reply, want) {
		l.t.Fatalf("%s: reply %q, want %s", text, reply, want)
	}
	return reply
}

// multi reads the lines of a POP3 answer after +OK.
func (l *line) multi(text string) []string {
	l.t.Helper()
	l.must(text, "+OK")
	var lines []string
	for {
		s, err := l.r.ReadString('\n')
		if err != nil {
			l.t.Fatalf("%s: %v", text, err)
		}
		if s = strings.TrimRight(s, "\r\n"); s == "." {
			return lines
		}
		lines = append(lines, strings.TrimPrefix(s, "."))
	}
}

// tlsClient is a client's configuration that takes any certificate: they are self-signed here.
func tlsClient() *tls.Config { return &tls.Config{InsecureSkipVerify: true, ServerName: dev.Host} }

// startTLS puts TLS on after STARTTLS or STLS.
func (l *line) startTLS(command, want string) *line {
	l.t.Helper()
	l.must(command, want)
	conn := tls.Client(l.conn, tlsClient())
	if err := conn.Handshake(); err != nil {
		l.t.Fatalf("TLS after %s: %v", command, err)
	}
	return newLine(l.t, conn)
}

// encode and decode are base64, as SASL wants it.
func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func decode(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// manyClusters says whether the long tests run: make cluster.
func manyClusters() bool { return labMode() != "" && labMode() != labShort }
