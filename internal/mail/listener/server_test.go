package listener_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
)

// echo is the smallest front end: it greets, repeats lines, and says "bye" when it is to end.
func echo(_ context.Context, c *listener.Conn) {
	io.WriteString(c, "hello\r\n")
	b := make([]byte, 256)
	for {
		if c.AwaitInput(time.Hour) != nil {
			io.WriteString(c, "bye\r\n")
			return
		}
		n, err := c.Read(b)
		c.Busy()
		if err != nil {
			if c.Interrupted() {
				io.WriteString(c, "bye\r\n")
			}
			return
		}
		switch string(b[:n]) {
		case "panic\r\n":
			panic("poison \x1b[31m")
		case "slow\r\n":
			time.Sleep(time.Minute)
		}
		c.Write(b[:n])
	}
}

// counts is an Observer.
type counts struct {
	mu                                           sync.Mutex
	opened, closed, panicked, handshakes, failed int
	refused                                      map[listener.Reason]int
}

func (o *counts) Opened(string)                { o.mu.Lock(); o.opened++; o.mu.Unlock() }
func (o *counts) Closed(string, time.Duration) { o.mu.Lock(); o.closed++; o.mu.Unlock() }
func (o *counts) Panicked(string)              { o.mu.Lock(); o.panicked++; o.mu.Unlock() }
func (o *counts) Refused(_ string, why listener.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refused == nil {
		o.refused = map[listener.Reason]int{}
	}
	o.refused[why]++
}
func (o *counts) Handshake(_ string, _ time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handshakes++
	if err != nil {
		o.failed++
	}
}

func newServer(t *testing.T, cfg listener.Config) *listener.Server {
	t.Helper()
	if cfg.Service == "" {
		cfg.Service = "echo"
	}
	if cfg.Handler == nil {
		cfg.Handler = echo
	}
	cfg.Refusal = func(r listener.Reason) string { return "no: " + string(r) + "\r\n" }
	s, err := listener.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return s
}

func newGate(t *testing.T, cfg listener.GateConfig) *listener.Gate {
	t.Helper()
	g, err := listener.NewGate(cfg)
	if err != nil {
		t.Fatalf("NewGate(%+v): %v", cfg, err)
	}
	return g
}

// start serves on an in-memory listener until the test ends.
func start(t *testing.T, s *listener.Server) *listenertest.Listener {
	t.Helper()
	ln := listenertest.NewListener()
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil after Close", err)
		}
	})
	return ln
}

func dial(t *testing.T, ln *listenertest.Listener, from string) *listenertest.Conn {
	t.Helper()
	c, _, err := ln.Dial(netip.MustParseAddr(from))
	if err != nil {
		t.Fatalf("dial from %s: %v", from, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// expect reads one line.
func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for len(got) == 0 || got[len(got)-1] != '\n' {
		var b [1]byte // no more than the line is taken
		if _, err := c.Read(b[:]); err != nil {
			t.Fatalf("read %q, %v, want %q", got, err, want)
		}
		got = append(got, b[0])
	}
	if string(got) != want {
		t.Fatalf("read %q, want %q", got, want)
	}
}

func expectEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
		t.Fatalf("read %q, %v, want the end", b, err)
	}
}

func TestAttack29_ConnectionFlood(t *testing.T) {
	tests := []struct {
		name string
		gate listener.GateConfig
		from []string // in order, all kept open
		want []string // first line of each
	}{
		{"one IPv4 address", listener.GateConfig{PerNetworkMax: 2},
			[]string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"},
			[]string{"hello", "hello", "no: " + string(listener.ReasonAddress), "hello"}},
		{"mapped is the same", listener.GateConfig{PerNetworkMax: 1},
			[]string{"192.0.2.1", "::ffff:192.0.2.1"},
			[]string{"hello", "no: " + string(listener.ReasonAddress)}},
		{"one IPv6 /64", listener.GateConfig{PerNetworkMax: 1},
			[]string{"2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"},
			[]string{"hello", "no: " + string(listener.ReasonAddress), "hello"}},
		{"one IPv6 /48", listener.GateConfig{PerNetworkMax: 1},
			[]string{"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1", "2001:db8:0:4::1", "2001:db8:1::1"},
			[]string{"hello", "hello", "hello", "hello", "no: " + string(listener.ReasonAddress), "hello"}},
		{"total", listener.GateConfig{ConnectionsMax: 2},
			[]string{"192.0.2.1", "192.0.2.2", "192.0.2.3"},
			[]string{"hello", "hello", "no: " + string(listener.ReasonTotal)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gate := newGate(t, tt.gate)
			ln := start(t, newServer(t, listener.Config{Gate: gate}))
			for i, from := range tt.from {
				expect(t, dial(t, ln, from), tt.want[i]+"\r\n")
			}
		})
	}
}

func TestGateCountsConnectionsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := newGate(t, listener.GateConfig{PerNetworkMax: 1})
		o := &counts{}
		ln := start(t, newServer(t, listener.Config{Gate: gate, Observer: o}))
		for i := range 10 {
			c := dial(t, ln, []string{"192.0.2.1", "2001:db8::1"}[i%2])
			expect(t, c, "hello\r\n")
			c.Close()
			synctest.Wait()
			if n := gate.Connections(); n != 0 {
				t.Fatalf("Connections() = %d after the client left, want 0", n)
			}
		}
		if o.opened != 10 || o.closed != 10 {
			t.Errorf("opened %d, closed %d, want 10 and 10", o.opened, o.closed)
		}
	})
}

func TestAdmitHook(t *testing.T) {
	bad := netip.MustParseAddr("192.0.2.66")
	ln := start(t, newServer(t, listener.Config{Admit: func(a netip.Addr) bool { return a != bad }}))
	expect(t, dial(t, ln, "192.0.2.66"), "no: connecting too fast\r\n")
	expect(t, dial(t, ln, "192.0.2.1"), "hello\r\n")
}

func TestAttack26_ZeroLimitMeansDefault(t *testing.T) {
	if _, err := listener.NewGate(listener.GateConfig{ConnectionsMax: -1}); err == nil {
		t.Error("NewGate with a negative limit succeeded")
	}
	gate := newGate(t, listener.GateConfig{})
	ln := start(t, newServer(t, listener.Config{Gate: gate}))
	for i := range listener.PerNetworkMaxDefault + 1 {
		want := "hello\r\n"
		if i == listener.PerNetworkMaxDefault {
			want = "no: " + string(listener.ReasonAddress) + "\r\n"
		}
		expect(t, dial(t, ln, "192.0.2.1"), want)
	}
}

func TestAttack40_PanicEndsOneSession(t *testing.T) {
	var logs bytes.Buffer
	o := &counts{}
	s := newServer(t, listener.Config{Observer: o, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	ln := start(t, s)
	good, poisoned := dial(t, ln, "192.0.2.1"), dial(t, ln, "192.0.2.2")
	expect(t, good, "hello\r\n")
	expect(t, poisoned, "hello\r\n")
	io.WriteString(poisoned, "panic\r\n")
	expectEnd(t, poisoned)
	io.WriteString(good, "still here\r\n")
	expect(t, good, "still here\r\n")
	s.Close()
	if o.panicked != 1 || o.closed != 2 {
		t.Errorf("panicked %d, closed %d, want 1 and 2", o.panicked, o.closed)
	}
	// Attack 20: the escape sequence is quoted, the record is one line.
	if n := strings.Count(logs.String(), "\n"); n != 1 || strings.Contains(logs.String(), "\x1b") {
		t.Errorf("log is %d lines: %q", n, logs.String())
	}
}

func TestFault37_AcceptBacksOffWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := start(t, newServer(t, listener.Config{}))
		began := time.Now()
		for range 12 {
			ln.Fail(&net.OpError{Op: "accept", Err: syscall.EMFILE})
		}
		expect(t, dial(t, ln, "192.0.2.1"), "hello\r\n")
		// 5+10+20+...+640 ms, then 1 s each.
		if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("12 failures took %v, want between 5 s and 6 s", took)
		}
	})
}

func TestServeReturnsWhatCannotPass(t *testing.T) {
	ln := listenertest.NewListener()
	cause := errors.New("socket is gone")
	go ln.Fail(cause)
	s := newServer(t, listener.Config{})
	if err := s.Serve(ln); !errors.Is(err, cause) {
		t.Errorf("Serve = %v, want %v", err, cause)
	}
	s.Close()
	if err := s.Serve(listenertest.NewListener()); err != nil {
		t.Errorf("Serve after Close = %v, want nil", err)
	}
}

func TestShutdownWakesIdleAndWaitsForBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, listener.Config{})
		ln := start(t, s)
		idle, busy := dial(t, ln, "192.0.2.1"), dial(t, ln, "192.0.2.2")
		expect(t, idle, "hello\r\n")
		expect(t, busy, "hello\r\n")
		io.WriteString(busy, "slow\r\n")
		synctest.Wait()
		began := time.Now()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		expect(t, idle, "bye\r\n")
		expectEnd(t, idle)
		if d := time.Since(began); d != 0 {
			t.Errorf("the idle session was woken after %v, want at once", d)
		}
		if _, _, err := ln.Dial(netip.MustParseAddr("192.0.2.3")); err == nil {
			t.Error("a connection was accepted during Shutdown")
		}
		expect(t, busy, "slow\r\n")
		expect(t, busy, "bye\r\n")
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
		if d := time.Since(began); d != time.Minute {
			t.Errorf("Shutdown took %v, want the busy session's minute", d)
		}
	})
}

func TestShutdownClosesByForceAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, listener.Config{Handler: func(ctx context.Context, c *listener.Conn) {
			<-ctx.Done() // deaf to Interrupt
		}})
		ln := start(t, s)
		c := dial(t, ln, "192.0.2.1")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v, want the deadline's error", err)
		}
		expectEnd(t, c)
	})
}

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  listener.Config
	}{
		{"no service", listener.Config{Handler: echo}},
		{"no handler", listener.Config{Service: "echo"}},
		{"implicit TLS without certificate", listener.Config{Service: "echo", Handler: echo, ImplicitTLS: true}},
		{"negative timeout", listener.Config{Service: "echo", Handler: echo, HandshakeTimeout: -1}},
	} {
		if _, err := listener.New(tt.cfg); err == nil {
			t.Errorf("New(%s) succeeded, want an error", tt.name)
		}
	}
}

func TestAttack08_EarlyInputIsSeen(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	early := make(chan bool, 1)
	sent := make(chan struct{})
	s := newServer(t, listener.Config{Handler: func(_ context.Context, c *listener.Conn) {
		quiet := c.EarlyInput()
		c.Write([]byte("go\r\n"))
		<-sent
		b := make([]byte, 1)
		c.Read(b) // now the rest of the line is in the socket
		early <- !quiet && c.EarlyInput()
	}})
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expect(t, c, "go\r\n")
	io.WriteString(c, "early\r\n")
	close(sent)
	if !<-early {
		t.Error("EarlyInput did not tell a quiet client from one that has sent")
	}
	s.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A client that has closed its end is seen to be gone, also behind what it has sent before.
func TestGone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	look := make(chan struct{})
	gone := make(chan bool)
	s := newServer(t, listener.Config{Handler: func(_ context.Context, c *listener.Conn) {
		for range look {
			gone <- c.Gone()
		}
	}})
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "QUIT\r\n")
	look <- struct{}{}
	if <-gone {
		t.Error("a client that is there is gone")
	}
	c.Close()
	if runtime.GOOS == "linux" {
		for seen := false; !seen; seen = <-gone { // the close is on its way
			look <- struct{}{}
		}
	}
	close(look)
	s.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Fault 38: a service with too much to do turns new clients away before anything else.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &counts{}
		room := false
		s := newServer(t, listener.Config{Observer: o, HasRoom: func() bool { return room }})
		ln := start(t, s)
		c := dial(t, ln, "192.0.2.1")
		expect(t, c, "no: too busy\r\n")
		expectEnd(t, c)
		synctest.Wait()
		room = true
		expect(t, dial(t, ln, "192.0.2.1"), "hello\r\n")
		if o.refused[listener.ReasonBusy] != 1 || o.opened != 1 {
			t.Errorf("%d turned away, %d let in; want 1 and 1", o.refused[listener.ReasonBusy], o.opened)
		}
	})
}
