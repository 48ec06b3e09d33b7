package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porcupine/internal/config"
)

// The ports are a promise to scripts.
func TestPorts(t *testing.T) {
	want := Ports{SMTP: 10325, LMTP: 10324, Submission: 10387, Submissions: 10365, POP3: 10310, POP3S: 10395, IMAP: 10343, IMAPS: 10393, HTTP: 10380, Cluster: 10390}
	if got := PortsOf(10000, 3); got != want {
		t.Errorf("PortsOf(10000, 3) = %+v, want %+v", got, want)
	}
	if p := PortsOf(portBaseMax, NodesMax); p.POP3S > 65535 {
		t.Errorf("the last port of the largest base is %d", p.POP3S)
	}
}

func options(t *testing.T, nodes int) (Options, *bytes.Buffer) {
	t.Helper()
	out := &bytes.Buffer{}
	return Options{Dir: t.TempDir(), Nodes: nodes, PortBase: 20000, Users: 4, Program: os.Args[0], Out: out}, out
}

func mustPlan(t *testing.T, o *Options) State {
	t.Helper()
	if err := o.prepare(); err != nil {
		t.Fatal(err)
	}
	s, err := o.plan()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A node's configuration parses, keeps to loopback, and permits logins in clear; the defaults do
// not (attack 4).
func TestConfigText(t *testing.T) {
	o, _ := options(t, 3)
	s := mustPlan(t, &o)
	for _, n := range s.Nodes {
		c, err := config.Load(n.Config)
		if err != nil {
			t.Fatal(err)
		}
		if c.DataDir != n.Dir || c.Name != n.Name || len(c.Cluster.Peers) != 2 || !c.Auth.AllowPlaintext {
			t.Errorf("%s: configuration = %+v", n.Name, c)
		}
		listens := map[string]int{c.SMTP.Listen: n.Ports.SMTP, c.SMTP.LMTPListen: n.Ports.LMTP, c.SMTP.SubmissionListen: n.Ports.Submission,
			c.SMTP.SubmissionsListen: n.Ports.Submissions, c.POP3.Listen: n.Ports.POP3, c.POP3.TLSListen: n.Ports.POP3S,
			c.HTTP.Listen: n.Ports.HTTP, c.Cluster.Listen: n.Ports.Cluster}
		for addr, port := range listens {
			if want := fmt.Sprintf("127.0.0.1:%d", port); addr != want {
				t.Errorf("%s listens on %q, want %q", n.Name, addr, want)
			}
		}
		if info, err := os.Stat(n.Config); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", n.Config, info.Mode(), err)
		}
	}
	if config.Default("h", "d").Auth.AllowPlaintext {
		t.Error("the default configuration permits logins in clear")
	}
}

func TestPlanResumes(t *testing.T) {
	o, out := options(t, 2)
	first := mustPlan(t, &o)
	if err := os.WriteFile(first.Nodes[0].Config, []byte("# edited\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := update(o.Dir, func(s *State) error { s.Nodes[1].PID = 99; return nil }); err != nil {
		t.Fatal(err)
	}

	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(o.Dir, moved); err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Nodes, o.PortBase, o.Users = moved, 4, 0, 1
	second := mustPlan(t, &o)
	if len(second.Nodes) != 4 || second.PortBase != 20000 || second.Users != 4 || second.Nodes[1].PID != 0 {
		t.Errorf("resumed with more nodes: %+v", second)
	}
	if n := second.Nodes[0]; !strings.HasPrefix(n.Config, moved) || n.Ports != first.Nodes[0].Ports {
		t.Errorf("after the move node 1 is %+v", n)
	}
	if text, err := os.ReadFile(second.Nodes[0].Config); err != nil || !strings.HasPrefix(string(text), "# edited\n\n[imap]\nlisten = ") {
		t.Errorf("an edited configuration of a version without IMAP became %q, %v", text, err)
	} else if again := mustPlan(t, &o); len(again.Nodes) == 4 {
		if twice, err := os.ReadFile(again.Nodes[0].Config); err != nil || string(twice) != string(text) {
			t.Errorf("an edited configuration became %q, %v", twice, err)
		}
	}

	o.Nodes = 1
	if third := mustPlan(t, &o); len(third.Nodes) != 4 || !strings.Contains(out.String(), "has 4 nodes; all of them are started") {
		t.Errorf("resumed with fewer nodes: %d nodes, and it says %q", len(third.Nodes), out)
	}
	o.PortBase = 30000
	if _, err := o.plan(); err == nil || !strings.Contains(err.Error(), "ports from 20000 on, and the base of a directory cannot be changed") {
		t.Errorf("resumed with other ports = %v", err)
	}
	if s, err := LoadState(moved); err != nil || len(s.Nodes) != 4 {
		t.Errorf("a refused plan left %d nodes, %v", len(s.Nodes), err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for flag, change := range map[string]func(*Options){
		"--nodes 0":          func(o *Options) { o.Nodes = 0 },
		"--nodes 10":         func(o *Options) { o.Nodes = NodesMax + 1 },
		"--users -1":         func(o *Options) { o.Users = -1 },
		"--users 100001":     func(o *Options) { o.Users = UsersMax + 1 },
		"--port-base -5":     func(o *Options) { o.PortBase = -5 },
		"--port-base 65000:": func(o *Options) { o.PortBase = 65000 },
	} {
		o, _ := options(t, 1)
		change(&o)
		if err := o.prepare(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s = %v", flag, err)
		}
	}
}

func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadState(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadState of nothing = %v", err)
	}
	want := State{PortBase: 20000, Domain: Domain, Users: 3, Password: Password, Nodes: []Node{newNode(dir, 20000, 1), newNode(dir, 20000, 2)}}
	if err := want.save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := LoadState(dir)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("LoadState = %v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"", "{", `{"nodes":[{"number":2}]}`, `{"nodes":[{"number":1},{"number":3}]}`} {
		if err := os.WriteFile(filepath.Join(dir, StateName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadState(dir); err == nil || !strings.Contains(err.Error(), StateName) {
			t.Errorf("LoadState of %q = %v, want an error that names the file", text, err)
		}
	}
}

// Changes of several processes at once are all kept, and each new node gets a number of its own.
func TestReserveAtOnce(t *testing.T) {
	o, _ := options(t, 1)
	mustPlan(t, &o)
	var wg sync.WaitGroup
	for range NodesMax - 1 {
		wg.Go(func() {
			if _, err := o.reserve(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s, err := LoadState(o.Dir)
	if err != nil || len(s.Nodes) != NodesMax {
		t.Fatalf("%d nodes, %v, want %d", len(s.Nodes), err, NodesMax)
	}
	if _, err := o.reserve(); err == nil || !strings.Contains(err.Error(), "the most for one") {
		t.Errorf("one more = %v", err)
	}
	if err := o.giveBack(2); err != nil {
		t.Error(err)
	}
	if err := o.giveBack(NodesMax); err != nil {
		t.Error(err)
	}
	if s, err = LoadState(o.Dir); err != nil || len(s.Nodes) != NodesMax-1 {
		t.Errorf("after the last was given back, %d nodes, %v", len(s.Nodes), err)
	}
	none := Options{Dir: t.TempDir()}
	if _, err := none.reserve(); err == nil || !strings.Contains(err.Error(), "start the cluster first") || strings.Contains(err.Error(), "no such file") {
		t.Errorf("a node for no cluster = %v", err)
	}
}

func TestOnlyOneRuns(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockRunning(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockRunning(dir); !errors.Is(err, errRunning) {
		t.Errorf("a second lock = %v, want %v", err, errRunning)
	}
	unlock()
	again, err := lockRunning(dir)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	again()
}

func TestRequireFree(t *testing.T) {
	ln, err := net.Listen("tcp", Host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	n := Node{Name: "node7", Ports: Ports{POP3: ln.Addr().(*net.TCPAddr).Port}} // the others: 0, any
	if err := n.requireFree(); err == nil || !strings.Contains(err.Error(), "node7") || !strings.Contains(err.Error(), "--port-base") {
		t.Errorf("requireFree with a busy port = %v", err)
	}
}

func TestPIDFile(t *testing.T) {
	n := Node{Dir: t.TempDir()}
	for text, want := range map[string]int{"": 0, "12\n": 12, "x": 0, "-4": 0, "0": 0} {
		if err := os.WriteFile(filepath.Join(n.Dir, "pid"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := n.pid(); got != want {
			t.Errorf("pid of %q = %d, want %d", text, got, want)
		}
	}
	if !isAlive(os.Getpid()) || isAlive(0) {
		t.Error("isAlive does not know this process, or knows process 0")
	}
}

// child is this test binary in the part of a node: porcupine serve --config .../<what it does>.
func child(config string) {
	switch filepath.Base(config) {
	case "fails":
		fmt.Fprintln(os.Stderr, "porcupine: it is broken")
		os.Exit(3)
	case "stubborn":
		<-time.After(time.Minute) // SIGTERM ends it before
	}
	os.Exit(0)
}

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		child(os.Args[3])
	}
	os.Exit(m.Run())
}

// A node that dies while the cluster comes up ends the wait at once, with the end of its log and
// nothing of an earlier run's.
func TestNodeDiesAtStart(t *testing.T) {
	o, _ := options(t, 1)
	s := mustPlan(t, &o)
	n := &s.Nodes[0]
	if err := os.WriteFile(n.logPath(), []byte("old words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Config = filepath.Join(n.Dir, "fails")
	c := newGroup(&o, s)
	err := c.within(t.Context(), func(ctx context.Context) error {
		if err := c.launch(ctx, n); err != nil {
			return err
		}
		return c.settle(ctx)
	})
	if err == nil || !strings.Contains(err.Error(), "node1 has ended (exit status 3)") || !strings.Contains(err.Error(), "it is broken") || strings.Contains(err.Error(), "old words") {
		t.Errorf("settle = %v", err)
	}
	if err := c.stop(); err != nil {
		t.Errorf("stop of what has ended = %v", err)
	}
}

// dev.json has the process id while the process runs; a process that is ended by the signal before
// it listens to it has stopped in order.
func TestLaunchAndStop(t *testing.T) {
	o, out := options(t, 1)
	s := mustPlan(t, &o)
	n := &s.Nodes[0]
	n.Config = filepath.Join(n.Dir, "stubborn")
	c := newGroup(&o, s)
	if err := c.launch(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got, err := LoadState(o.Dir)
	if err != nil || got.Nodes[0].PID != c.processes[0].cmd.Process.Pid {
		t.Errorf("dev.json has process %d, %v, want %d", got.Nodes[0].PID, err, c.processes[0].cmd.Process.Pid)
	}
	if err := c.stop(); err != nil {
		t.Errorf("stop = %v", err)
	}
	if !c.processes[0].endedBy(syscall.SIGTERM) {
		t.Errorf("it ended by %s", c.processes[0].ended())
	}
	if got, err = LoadState(o.Dir); err != nil || got.Nodes[0].PID != 0 {
		t.Errorf("after stop dev.json has process %d, %v", got.Nodes[0].PID, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.watch(ctx)
	if text := c.howTo(); !strings.Contains(text, "u0@example.test to u3@example.test") || !strings.Contains(text, "20125") || !strings.Contains(text, "Ctrl-C stops the nodes that this command has started") {
		t.Errorf("howTo = %s%s", text, out)
	}
}

// A node that was drained ends in order, and nobody is sent to start it again as if it had failed.
func TestFarewell(t *testing.T) {
	o, _ := options(t, 1)
	s := mustPlan(t, &o)
	for config, drained := range map[string]bool{"fails": false, "ends": true} {
		n := s.Nodes[0]
		n.Config = filepath.Join(n.Dir, config)
		p, err := start(o.Program, n)
		if err != nil {
			t.Fatal(err)
		}
		<-p.done
		text := p.farewell("porcupine")
		if !strings.Contains(text, "start it again with: porcupine serve --config "+n.Config) || strings.Contains(text, "'porcupine dev --add' starts a new node") != drained {
			t.Errorf("farewell of one that %s: %s", config, text)
		}
	}
}
