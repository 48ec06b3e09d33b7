package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/dev"
)

// Time limits: generous, since a shared machine may be slow. Nothing here measures.
const (
	readyWithin = 60 * time.Second
	stopWithin  = 60 * time.Second
)

// program is the binary under test, built once by TestMain.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "porcupine-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "porcupine")
		build := exec.Command("go", "build", "-o", program, "porcupine/cmd/porcupine")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// clusterUnderTest is a development cluster run by `porcupine dev`.
type clusterUnderTest struct {
	t     *testing.T
	dir   string
	base  int
	state dev.State
	procs []*proc
}

// proc is one process that the test started.
type proc struct {
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// freeBase finds a port base whose ports are free, below the ports that systems give to clients: a
// client of ours must not sit on the port of a node that is about to start again. It listens at the base
// itself, which no node uses, until the test ends: so no other test takes these ports, of this process or another.
func freeBase(t *testing.T) int {
	t.Helper()
	const lowest, highest = 11000, 31000
	bases := rand.Perm((highest - lowest) / 1000)
	for _, i := range bases {
		base := lowest + 1000*i
		mine, err := net.Listen("tcp", at(base))
		if err != nil {
			continue
		}
		if allFree(base) {
			t.Cleanup(func() { mine.Close() })
			return base
		}
		mine.Close()
	}
	t.Skip("no thousand ports in a row are free on this machine")
	return 0
}

func allFree(base int) bool {
	for n := 1; n <= 4; n++ {
		p := dev.PortsOf(base, n)
		for _, port := range []int{p.SMTP, p.LMTP, p.Submission, p.Submissions, p.POP3, p.POP3S, p.IMAP, p.IMAPS, p.HTTP, p.Cluster} {
			ln, err := net.Listen("tcp", net.JoinHostPort(dev.Host, strconv.Itoa(port)))
			if err != nil {
				return false
			}
			ln.Close()
		}
	}
	return true
}

// run starts the program and kills it, by its id, when the test ends.
func (c *clusterUnderTest) run(args ...string) *proc {
	c.t.Helper()
	p := &proc{cmd: exec.Command(program, args...), out: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit status is judged by whoever waits for done
	}()
	c.procs = append(c.procs, p)
	c.t.Cleanup(func() { p.stop(c.t) })
	return p
}

// stop asks the process to end, and kills it if it does not.
func (p *proc) stop(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.done
		t.Errorf("%v did not stop within %v; its output:\n%s", p.cmd.Args[1:], stopWithin, p.out)
	}
}

// awaitLine waits until the process has printed that line.
func (p *proc) awaitLine(t *testing.T, line string) {
	t.Helper()
	deadline := time.After(readyWithin)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains("\n"+p.out.String(), "\n"+line+"\n") {
		select {
		case <-p.done:
			t.Fatalf("%v ended before %q; its output:\n%s", p.cmd.Args[1:], line, p.out)
		case <-deadline:
			t.Fatalf("%v: no line %q within %v; its output:\n%s", p.cmd.Args[1:], line, readyWithin, p.out)
		case <-tick.C:
		}
	}
}

// startCluster runs `porcupine dev` until it says ready.
func startCluster(t *testing.T, nodes, users int) *clusterUnderTest {
	t.Helper()
	c := &clusterUnderTest{t: t, dir: t.TempDir(), base: freeBase(t)}
	c.resume(nodes, users)
	return c
}

func (c *clusterUnderTest) resume(nodes, users int) *proc {
	c.t.Helper()
	p := c.run("dev", "--dir", c.dir, "--port-base", strconv.Itoa(c.base), "--nodes", strconv.Itoa(nodes), "--users", strconv.Itoa(users))
	p.awaitLine(c.t, "ready")
	c.load()
	return p
}

func (c *clusterUnderTest) load() {
	c.t.Helper()
	state, err := dev.LoadState(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	c.state = state
}

func (c *clusterUnderTest) node(n int) dev.Node { return c.state.Nodes[n-1] }

func (c *clusterUnderTest) addrs(port func(dev.Ports) int) []string {
	var all []string
	for _, n := range c.state.Nodes {
		all = append(all, at(port(n.Ports)))
	}
	return all
}

func smtpPort(p dev.Ports) int { return p.SMTP }
func popPort(p dev.Ports) int  { return p.POP3 }

func at(port int) string { return net.JoinHostPort(dev.Host, strconv.Itoa(port)) }

// pid reads a node's pid file.
func (c *clusterUnderTest) pid(n int) int {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.node(n).Dir, "pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		c.t.Fatal(err)
	}
	return pid
}

// kill ends a node with SIGKILL, by the id in its pid file.
func (c *clusterUnderTest) kill(n int) { c.signal(n, syscall.SIGKILL) }

func (c *clusterUnderTest) signal(n int, sig syscall.Signal) {
	c.t.Helper()
	if err := syscall.Kill(c.pid(n), sig); err != nil {
		c.t.Fatalf("signal %v to node %d: %v", sig, n, err)
	}
}

// serve starts a node by hand, as an administrator would.
func (c *clusterUnderTest) serve(n int) *proc {
	c.t.Helper()
	return c.run("serve", "--config", c.node(n).Config)
}

// status asks a node through the command line.
func (c *clusterUnderTest) status(n int) (admin.Status, error) {
	var s admin.Status
	out, err := exec.Command(program, "status", "--json", "--config", c.node(n).Config).Output()
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// await polls a node's status until ok.
func (c *clusterUnderTest) await(n int, what string, ok func(admin.Status) bool) admin.Status {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), readyWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := c.status(n)
		if err == nil && ok(s) {
			return s
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("node %d: %s did not happen within %v; last status %+v, %v", n, what, readyWithin, s, err)
		case <-tick.C:
		}
	}
}

// settled is a status of a cluster at rest with that many members.
func settled(members int) func(admin.Status) bool {
	return func(s admin.Status) bool {
		return len(s.Members) == members && s.IncompleteBuckets == 0 && s.PendingUpdates == 0
	}
}

// popSession is a POP3 client of a few lines.
type popSession struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func popDial(t *testing.T, addr, user, password string) *popSession {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	p := &popSession{t: t, conn: conn, r: bufio.NewReader(conn)}
	p.ok("")
	p.ok("USER " + user)
	p.ok("PASS " + password)
	return p
}

// ok sends a command and demands +OK.
func (p *popSession) ok(command string) string {
	p.t.Helper()
	if command != "" {
		if _, err := io.WriteString(p.conn, command+"\r\n"); err != nil {
			p.t.Fatalf("pop3 %s: %v", command, err)
		}
	}
	line, err := p.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "+OK") {
		p.t.Fatalf("pop3 %s: %q, %v", command, line, err)
	}
	return strings.TrimSpace(line)
}

// count is the number of messages.
func (p *popSession) count() int {
	p.t.Helper()
	var n, size int
	if _, err := fmt.Sscanf(p.ok("STAT"), "+OK %d %d", &n, &size); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// retr fetches a message, byte-stuffing removed.
func (p *popSession) retr(n int) []byte {
	p.t.Helper()
	p.ok("RETR " + strconv.Itoa(n))
	var b []byte
	for {
		line, err := p.r.ReadBytes('\n')
		if err != nil {
			p.t.Fatalf("pop3 RETR %d: %v", n, err)
		}
		if string(line) == ".\r\n" {
			return b
		}
		b = append(b, bytes.TrimPrefix(line, []byte("."))...)
	}
}
