package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/dev"
)

// watchMemory samples a process's memory until stop is called, which gives the growth at its peak.
func watchMemory(t *testing.T, pid int, dataDir string) (stop func() int64) {
	t.Helper()
	collectGarbage(t, dataDir)
	before := residentMemory(t, pid)
	peak := before
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				peak = max(peak, residentMemory(t, pid))
			}
		}
	}()
	return func() int64 {
		close(done)
		<-ended
		return max(peak, residentMemory(t, pid)) - before
	}
}

// TestAttack25_GiantLine: 200 MiB without a line end, to a command, to a login and into a message:
// the connection ends early, the memory stays flat.
func TestAttack25_GiantLine(t *testing.T) {
	n := startNode(t, "")
	const giant, growthMax = 200 << 20, 48 << 20
	inData := func(t *testing.T) net.Conn {
		l := dialLine(t, "", n.ports.SMTP)
		l.must("EHLO client.example", "250")
		l.must("MAIL FROM:<a@sender.example>", "250")
		l.must("RCPT TO:<postmaster>", "250")
		l.must("DATA", "354")
		return l.conn
	}
	n.users(1)
	if err := n.admin.AddAlias(t.Context(), "postmaster@"+dev.Domain, []string{"u0@" + dev.Domain}); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(*testing.T) net.Conn{
		"SMTP command": func(t *testing.T) net.Conn { return dialLine(t, "", n.ports.SMTP).conn },
		"LMTP command": func(t *testing.T) net.Conn { return dialLine(t, "", n.ports.LMTP).conn },
		"POP3 command": func(t *testing.T) net.Conn { return dialLine(t, "", n.ports.POP3).conn },
		"SMTP over TLS": func(t *testing.T) net.Conn {
			l := dialLine(t, "", n.ports.SMTP)
			l.must("EHLO client.example", "250")
			return l.startTLS("STARTTLS", "220").conn
		},
		"message": inData,
	} {
		t.Run(name, func(t *testing.T) {
			conn := open(t)
			growth := watchMemory(t, n.pid(), n.dir)
			chunk := bytes.Repeat([]byte("a"), 64<<10)
			sent := 0
			for sent < giant {
				k, err := conn.Write(chunk)
				sent += k
				if err != nil {
					break
				}
			}
			got := growth()
			t.Logf("%d MiB sent before the end, the node's memory grew by %d KiB", sent>>20, got>>10)
			if got > growthMax {
				t.Errorf("memory grew by %d MiB, want at most %d", got>>20, growthMax>>20)
			}
		})
	}
	n.requireAlive()
}

// hold opens count connections and keeps them until the test ends; errors are counted.
func hold(t *testing.T, count int, open func(i int) (net.Conn, error)) (held int) {
	t.Helper()
	conns := make([]net.Conn, count)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				if c, err := open(i); err == nil {
					conns[i] = c
				}
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	})
	for _, c := range conns {
		if c != nil {
			held++
		}
	}
	return held
}

// TestAttack28And29_FloodFromOneAddress: thousands of connections from one address, that dribble a
// byte now and then or try to, keep nobody else out.
func TestAttack28And29_FloodFromOneAddress(t *testing.T) {
	needManyAddresses(t)
	const flood, perIP, visits = 3000, 60, 200
	n := startNode(t, fmt.Sprintf("[limits]\nconnections = 2000\nconnections_per_ip = %d\n", perIP))
	n.users(1)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for i := range flood {
		port := []int{n.ports.SMTP, n.ports.POP3, n.ports.Submissions}[i%3]
		wg.Go(func() { dribble(ctx, port) })
	}
	times := make([]time.Duration, 0, visits)
	failed := 0
	for i := range visits {
		began := time.Now()
		if err := visit(ctx, fmt.Sprintf("127.0.1.%d", 1+i%200), n.ports.SMTP); err != nil {
			failed++
			t.Logf("visit %d: %v", i, err)
		}
		times = append(times, time.Since(began))
		wait(t, 10*time.Millisecond)
	}
	slices.Sort(times)
	inside := metric(t, n.ports.HTTP, `porcupine_connections{service="smtp"}`) + metric(t, n.ports.HTTP, `porcupine_connections{service="pop3"}`)
	t.Logf("%d dribbling connections, %v of them inside; %d of %d visits from other addresses failed; p50 %v, p99 %v",
		flood, inside, failed, visits, times[visits/2], times[visits*99/100])
	if failed*100 > visits {
		t.Errorf("%d of %d visits failed, want at most 1 of 100", failed, visits)
	}
	n.requireAlive()
}

// dribble connects again and again from one address and sends a byte now and then.
func dribble(ctx context.Context, port int) {
	for ctx.Err() == nil {
		conn, err := dialFrom(ctx, "127.0.0.66", port)
		if err == nil {
			tick := time.NewTicker(500 * time.Millisecond)
			for err == nil && ctx.Err() == nil {
				_, err = conn.Write([]byte("x"))
				if err == nil {
					err = gone(conn)
				}
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
			tick.Stop()
			conn.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// gone gives an error if the other side has closed the connection.
func gone(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return errors.Join(io.EOF, err)
}

// visit delivers a message as an honest client.
func visit(ctx context.Context, from string, port int) error {
	conn, err := dialFrom(ctx, from, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	return deliver(conn, "u0@"+dev.Domain, []byte("Subject: visit\r\n\r\nx\r\n"))
}

// TestMemoryPerConnection measures what a connection costs that has not logged in (attack table,
// row 24; the targets are 8 KiB in clear and 32 KiB with TLS).
func TestMemoryPerConnection(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of connections")
	}
	count := 1000
	if manyClusters() {
		count = 3000
	}
	open := func(port int, secure bool) (net.Conn, error) {
		c, err := dialFrom(t.Context(), "", port)
		if err != nil {
			return nil, err
		}
		if secure {
			c = tls.Client(c, tlsClient())
		}
		_, err = c.Read(make([]byte, 512)) // the greeting
		return c, err
	}
	for _, tt := range []struct {
		name   string
		port   func(dev.Ports) int
		secure bool
		target int64
	}{
		{"SMTP in clear", smtpPort, false, 8 << 10},
		{"POP3 in clear", popPort, false, 8 << 10},
		{"submission over TLS", func(p dev.Ports) int { return p.Submissions }, true, 32 << 10},
		{"POP3 over TLS", func(p dev.Ports) int { return p.POP3S }, true, 32 << 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// A node of its own: memory that an earlier flood left behind would be used again.
			n := startNode(t, "[limits]\nconnections = 20000\nconnections_per_ip = 20000\n")
			dial := func(int) (net.Conn, error) { return open(tt.port(n.ports), tt.secure) }
			hold(t, 100, dial) // what is made once is made
			collectGarbage(t, n.dir)
			before := residentMemory(t, n.pid())
			held := hold(t, count, dial)
			collectGarbage(t, n.dir)
			each := (residentMemory(t, n.pid()) - before) / int64(max(1, held))
			t.Logf("%d connections, %.1f KiB each", held, float64(each)/1024)
			if held < count*99/100 {
				t.Errorf("only %d of %d connections were taken", held, count)
			}
			if each > 2*tt.target {
				t.Errorf("%d bytes each; the target is %d", each, tt.target)
			} else if each > tt.target {
				t.Logf("over the target of %d bytes", tt.target)
			}
			n.requireAlive()
		})
	}
}
