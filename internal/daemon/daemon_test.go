package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback is a configuration of a node that listens on free loopback ports.
func loopback(t *testing.T) config.Config {
	t.Helper()
	c := config.Default("one.example", filepath.Join(t.TempDir(), "data"))
	c.Cluster.Listen, c.HTTP.Listen = "127.0.0.1:0", "127.0.0.1:0"
	c.SMTP.Listen, c.SMTP.LMTPListen, c.SMTP.SubmissionListen, c.SMTP.SubmissionsListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.POP3.Listen, c.POP3.TLSListen = "127.0.0.1:0", "127.0.0.1:0"
	c.IMAP.Listen, c.IMAP.TLSListen = "127.0.0.1:0", "127.0.0.1:0"
	c.Auth.SCRAMIterations = -1 // quick passwords
	c.Store.MinFree = 16 << 20
	return c
}

// assembled is a daemon of a store that is there already, put together up to its node, without front ends, until the test ends.
func assembled(t *testing.T) *daemon {
	t.Helper()
	cfg := loopback(t)
	_, _, stop := start(t, cfg)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	d := newDaemon(cfg, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	for _, step := range []func() error{d.openSubstrate, d.openMail, d.openUpkeep, d.startNode} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// text is a writer for logs that a test may read while they are written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a node until the test ends or stop is called.
func start(t *testing.T, cfg config.Config) (client *admin.Client, logs *text, stop func() error) {
	t.Helper()
	if _, err := identity.Init(identity.Dir(cfg.DataDir), identity.Options{}); err != nil && !cluster.IsKind(err, cluster.KindExists) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	logs = &text{}
	go func() { ended <- Run(ctx, cfg, logs) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	client = admin.NewClient(filepath.Join(cfg.DataDir, admin.SocketName))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if s, err := client.Status(ctx); err == nil && s.Ready {
			return client, logs, stop
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("Run = %v; its log:\n%s", err, logs)
		case <-tick.C:
		}
	}
}

// One node's life: it starts, serves the admin socket, refuses a second process on its directory
// without being disturbed, and stops without a trace but its data.
func TestLife(t *testing.T) {
	cfg := loopback(t)
	client, logs, stop := start(t, cfg)
	second := Run(t.Context(), cfg, &text{})
	if second == nil || !strings.Contains(second.Error(), "runs already, as process") {
		t.Errorf("a second Run on the directory = %v, want an error that names the process", second)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("after the second Run, Status of the first = %v", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, pidName)); err != nil {
		t.Errorf("after the second Run: %v", err)
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Run = %v after its context ended", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an idle node took %v to stop", took)
	}
	for _, name := range []string{pidName, admin.SocketName} {
		if _, err := os.Stat(filepath.Join(cfg.DataDir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after the end, %s: %v, want none", name, err)
		}
	}
	err := filepath.WalkDir(cfg.DataDir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && strings.Count(path, "/") == strings.Count(cfg.DataDir, "/")+1 && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others than its owner can use it", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, line := range []string{`msg="node is up" node=`, `msg="node is stopping" node=`, `msg="node has stopped" node=`} {
		if !strings.Contains(logs.String(), line) {
			t.Errorf("the log lacks %q:\n%s", line, logs)
		}
	}
}

// A failure of the disk or of a listener ends Run with its reason, and quickly, whatever the grace.
func TestFatalEndsRun(t *testing.T) {
	cfg := loopback(t)
	if _, err := identity.Init(identity.Dir(cfg.DataDir), identity.Options{}); err != nil {
		t.Fatal(err)
	}
	log, logs := slog.New(slog.DiscardHandler), &text{}
	d := newDaemon(cfg, log)
	d.fatal(errors.New("first"))
	d.fatal(errors.New("second"))
	if !d.hasFailed() || d.failure.Error() != "first" || d.grace() != 0 {
		t.Errorf("after fatal: failed %v, failure %v, grace %v", d.hasFailed(), d.failure, d.grace())
	}
	// A socket in the place of a directory: the step fails, what was opened is undone.
	if err := os.Mkdir(filepath.Join(cfg.DataDir, admin.SocketName), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.DataDir, admin.SocketName, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), cfg, logs)
	if err == nil || !strings.Contains(err.Error(), "open the doors: admin socket") {
		t.Errorf("Run = %v, want an error of the admin socket", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, pidName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after a failed start the pid file: %v, want none", err)
	}
}

// A part that hangs is left behind, and the others are still stopped.
func TestStopLeavesBehindWhatHangs(t *testing.T) {
	cfg := loopback(t)
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(cfg, slog.New(slog.DiscardHandler))
		var order []string
		release := make(chan struct{})
		d.atEnd("first", func(context.Context) error { order = append(order, "first"); return errors.New("sad") })
		d.atEnd("hangs", func(context.Context) error { <-release; return nil })
		d.fatal(errors.New("disk"))
		began := time.Now()
		err := d.stop()
		if err == nil || !strings.Contains(err.Error(), "stop hangs: it did not end within") || !strings.Contains(err.Error(), "stop first: sad") {
			t.Errorf("stop = %v", err)
		}
		if took := time.Since(began); took != stopTimeoutFailed+abandonAfterExpiry {
			t.Errorf("stop took %v", took)
		}
		if len(order) != 1 || d.stop() != nil {
			t.Errorf("stop ran %v, and again something", order)
		}
		close(release)
	})
}

func TestBusyPortsGiveAdvice(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for field, change := range map[string]func(*config.Config){
		"cluster.listen":          func(c *config.Config) { c.Cluster.Listen = ln.Addr().String() },
		"smtp.submissions_listen": func(c *config.Config) { c.SMTP.SubmissionsListen = ln.Addr().String() },
		"pop3.tls_listen":         func(c *config.Config) { c.POP3.TLSListen = ln.Addr().String() },
		"http.listen":             func(c *config.Config) { c.HTTP.Listen = ln.Addr().String() },
	} {
		cfg := loopback(t)
		change(&cfg)
		if _, err := identity.Init(identity.Dir(cfg.DataDir), identity.Options{}); err != nil {
			t.Fatal(err)
		}
		if err := Run(t.Context(), cfg, &text{}); err == nil || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), "another program listens there") {
			t.Errorf("Run with a busy %s = %v", field, err)
		}
	}
}

func TestAdvice(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{syscall.EACCES, "CAP_NET_BIND_SERVICE"},
		{&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}, "another program"},
		{errors.New("other"), ""},
	}
	for _, tt := range tests {
		if got := advice(tt.err); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("advice(%v) = %q, want %q in it", tt.err, got, tt.want)
		}
	}
}

func TestAdvertised(t *testing.T) {
	network := func(cidrs ...string) func() ([]net.Addr, error) {
		var addrs []net.Addr
		for _, c := range cidrs {
			ip, n, err := net.ParseCIDR(c)
			if err != nil {
				t.Fatal(err)
			}
			n.IP = ip
			addrs = append(addrs, n)
		}
		return func() ([]net.Addr, error) { return addrs, nil }
	}
	all := network("127.0.0.1/8", "fe80::1/64", "2001:db8::5/64", "192.0.2.7/24")
	tests := []struct {
		listen, advertise string
		interfaces        func() ([]net.Addr, error)
		want              string
	}{
		{":7190", "mail1.example:99", all, "mail1.example:99"},
		{"192.0.2.9:0", "", all, "192.0.2.9:4321"},
		{"node1.example:7190", "", all, "node1.example:4321"},
		{":7190", "", all, "[2001:db8::5]:4321"},
		{"[::]:7190", "", all, "[2001:db8::5]:4321"},
		{"0.0.0.0:7190", "", all, "192.0.2.7:4321"},
		{":7190", "", network("127.0.0.1/8", "::1/128"), "127.0.0.1:4321"},
		{":7190", "", func() ([]net.Addr, error) { return nil, errors.New("no interfaces") }, "cluster.advertise"},
	}
	bound := &net.TCPAddr{IP: net.IPv4zero, Port: 4321}
	for _, tt := range tests {
		got, err := advertised(config.Cluster{Listen: tt.listen, Advertise: tt.advertise}, bound, tt.interfaces)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("advertised(%q, %q) = %q, want %q", tt.listen, tt.advertise, got, tt.want)
		}
	}
}

// suspect_after is kept: the pings until doubt and those in doubt last as long.
func TestTimings(t *testing.T) {
	for _, tt := range []struct{ ping, suspect time.Duration }{
		{200 * time.Millisecond, time.Second}, {time.Second, 10 * time.Second}, {50 * time.Millisecond, 400 * time.Millisecond},
	} {
		m := timings(config.Cluster{PingInterval: config.Duration(tt.ping), SuspectAfter: config.Duration(tt.suspect)})
		total := time.Duration(m.PingMissesDoubt)*m.PingPeriod + time.Duration(m.DoubtMissesMax)*m.DoubtPeriod
		if d := total - tt.suspect; d < -20*time.Millisecond || d > 20*time.Millisecond {
			t.Errorf("timings(ping %v, suspect %v) take %v until a silent node is lost", tt.ping, tt.suspect, total)
		}
	}
	if m := timings(config.Cluster{PingInterval: config.Duration(time.Second), SuspectAfter: config.Duration(2 * time.Second)}); m.DoubtPeriod != 10*time.Millisecond {
		t.Errorf("the shortest pause of pings in doubt = %v", m.DoubtPeriod)
	}
}

func TestPeersFile(t *testing.T) {
	dir := t.TempDir()
	if got, err := rememberedPeers(dir); got != nil || err != nil {
		t.Errorf("rememberedPeers of nothing = %v, %v", got, err)
	}
	want := []string{"192.0.2.1:7190", "node2.example:7190"}
	if err := RememberPeers(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := rememberedPeers(dir)
	if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("rememberedPeers = %v, %v, want %v", got, err, want)
	}
	if info, err := os.Stat(filepath.Join(dir, peersName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of %s = %v, %v", peersName, info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, peersName), []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rememberedPeers(dir); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("rememberedPeers of half a file = %v, want advice", err)
	}
	if err := RememberPeers(filepath.Join(dir, peersName), want); err == nil || !strings.Contains(err.Error(), `peers = ["192.0.2.1:7190", "node2.example:7190"]`) {
		t.Errorf("RememberPeers where it cannot write = %v, want what to write into the configuration", err)
	}
}

func TestNewLogger(t *testing.T) {
	for _, tt := range []struct {
		cfg  config.Log
		want string
	}{
		{config.Log{Level: "info", Format: "text"}, `level=INFO msg=hello user="a\r\nlevel=ERROR msg=fake"`},
		{config.Log{Level: "info", Format: "json"}, `"msg":"hello","user":"a\r\nlevel=ERROR msg=fake"`},
		{config.Log{Level: "warn", Format: "text"}, ""},
	} {
		var b bytes.Buffer
		log, err := newLogger(tt.cfg, &b)
		if err != nil {
			t.Fatal(err)
		}
		// Attack 20: a line end in a value does not make a line.
		log.Info("hello", "user", "a\r\nlevel=ERROR msg=fake")
		if got := b.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" || strings.Count(got, "\n") > 1 {
			t.Errorf("newLogger(%+v) wrote %q, want %q in one line", tt.cfg, got, tt.want)
		}
	}
	if _, err := newLogger(config.Log{Level: "loud"}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "log.level") {
		t.Errorf("newLogger of a bad level = %v", err)
	}
}

func TestIsLoopback(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:25": true, "[::1]:25": true, "localhost:25": true, "127.9.9.9:1": true,
		":25": false, "0.0.0.0:25": false, "192.0.2.1:25": false, "mail.example:25": false, "25": false} {
		if got := isLoopback(addr); got != want {
			t.Errorf("isLoopback(%q) = %v, want %v", addr, got, want)
		}
	}
}

// The door's listener keeps connections waiting beyond its limit, and its end wakes who waits.
func TestLimit(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := limit(inner, 1)
	accepted, ended := make(chan net.Conn), make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 2 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	select {
	case <-accepted:
		t.Error("a second connection was accepted beside the first")
	case <-time.After(20 * time.Millisecond):
	}
	if err := errors.Join(first.Close(), closeTwice(first)); err != nil {
		t.Error(err)
	}
	second := <-accepted
	if err := errors.Join(ln.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close = %v", err)
	}
}

func closeTwice(c net.Conn) error {
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func TestVersion(t *testing.T) {
	if got := Version(); !strings.HasPrefix(got, release) {
		t.Errorf("Version = %q, want it to begin with %q", got, release)
	}
}

// The status speaks JSON with ids as text: a number would lose digits on the way.
func TestStatusJSON(t *testing.T) {
	client, _, _ := start(t, loopback(t))
	s, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(b), `"id":"`+s.Node.String()+`"`) {
		t.Errorf("status = %s, %v; want the id %s as text", b, err, s.Node)
	}
}
