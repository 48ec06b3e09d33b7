package listener_test

import (
	"context"
	"net"
	"runtime"
	"testing"

	"porcupine/internal/mail/listener"
)

// deep uses a stack as a session does that stores a message.
func deep(n int) byte {
	var frame [512]byte
	if n == 0 {
		return frame[0]
	}
	frame[n] = deep(n - 1)
	return frame[n] + 1
}

// Q2: goroutines that wait for the next connection are few, and none is left when the server is closed.
func TestCrewIsBounded(t *testing.T) {
	before := runtime.NumGoroutine()
	const clients = 200
	all, release := make(chan struct{}, clients), make(chan struct{})
	s := newServer(t, listener.Config{Gate: newGate(t, listener.GateConfig{PerNetworkMax: 2 * clients}), Handler: func(context.Context, *listener.Conn) {
		all <- struct{}{}
		<-release
	}})
	ln := start(t, s)
	for range clients {
		dial(t, ln, "192.0.2.1")
	}
	for range clients {
		<-all
	}
	close(release)
	again := dial(t, ln, "192.0.2.1") // some hand takes it
	<-all
	expectEnd(t, again)
	s.Close()
	if n := runtime.NumGoroutine(); n > before+10 {
		t.Errorf("%d goroutines after Close, %d before the start", n, before)
	}
}

// BenchmarkConnection is what the door costs, for a session that goes as deep as one that stores a message.
func BenchmarkConnection(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s, err := listener.New(listener.Config{Service: "echo", Handler: func(_ context.Context, c *listener.Conn) {
		_, _ = c.Write([]byte{deep(20)})
	}})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		one := make([]byte, 1)
		for pb.Next() {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := c.Read(one); err != nil {
				b.Error(err)
			}
			c.Close()
		}
	})
	s.Close()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
