package listener_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
)

// clientOf begins a handshake over a connection.
func clientOf(c net.Conn, pool *x509.CertPool) *tls.Conn {
	return tls.Client(c, &tls.Config{RootCAs: pool, ServerName: listenertest.ServerName})
}

// Clients that say nothing, half a record, or a hello and nothing more have no slot; they are cut off in time.
func TestAttack30_SilentClientsHoldNoSlot(t *testing.T) {
	hello := func(t *testing.T, c *listenertest.Conn, pool *x509.CertPool) {
		first := make(chan struct{})
		go func() {
			if err := clientOf(&firstWrite{Conn: c, done: first}, pool).Handshake(); err == nil {
				t.Error("a client that hears nothing ended its handshake")
			}
		}()
		<-first
	}
	for name, begin := range map[string]func(*testing.T, *listenertest.Conn, *x509.CertPool){
		"silent": func(*testing.T, *listenertest.Conn, *x509.CertPool) {},
		"half a record": func(t *testing.T, c *listenertest.Conn, _ *x509.CertPool) {
			if _, err := c.Write([]byte{22, 3, 1, 2, 0, 1}); err != nil {
				t.Error(err)
			}
		},
		"hello and silence": hello,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, pool := secure(t, "pop3", true)
				o := &counts{}
				cfg.Observer = o
				cfg.HandshakeTimeout = 10 * time.Second
				cfg.Gate = newGate(t, listener.GateConfig{HandshakesMax: 4})
				ln := start(t, newServer(t, cfg))
				var silent []*listenertest.Conn
				for i := range 8 {
					c := dial(t, ln, fmt.Sprintf("192.0.2.%d", i+1))
					begin(t, c, pool)
					silent = append(silent, c)
				}
				synctest.Wait()
				began := time.Now()
				c := clientOf(dial(t, ln, "192.0.2.1"), pool)
				expect(t, c, "hello\r\n")
				if d := time.Since(began); d != 0 {
					t.Errorf("a client was served after %v, want at once", d)
				}
				c.Close()
				time.Sleep(cfg.HandshakeTimeout + time.Second)
				synctest.Wait()
				if o.handshakes != 9 || o.failed != 8 {
					t.Errorf("%d handshakes, %d failed after %v, want 9 and 8", o.handshakes, o.failed, cfg.HandshakeTimeout)
				}
				for _, s := range silent {
					s.Close()
				}
			})
		})
	}
}

// firstWrite is a client that hears nothing after its first flight is sent.
type firstWrite struct {
	net.Conn
	done chan struct{}
}

func (f *firstWrite) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p)
	close(f.done)
	return n, err
}

func (f *firstWrite) Read([]byte) (int, error) { return 0, net.ErrClosed }

// busyHandshakes makes a server whose handshakes take as long as they are held; entered counts them.
func busyHandshakes(t *testing.T, handshakes int) (ln *listenertest.Listener, pool *x509.CertPool, entered chan struct{}, hold chan struct{}) {
	cfg, pool := secure(t, "pop3", true)
	entered, hold = make(chan struct{}, 100), make(chan struct{})
	inner := cfg.Certificate
	cfg.Certificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		entered <- struct{}{}
		<-hold
		return inner(h)
	}
	cfg.Gate = newGate(t, listener.GateConfig{HandshakesMax: handshakes})
	return start(t, newServer(t, cfg)), pool, entered, hold
}

// So many handshakes compute at once: of one network, of one site, and of all. The others have their turn after them.
func TestAttack30_HandshakeLimits(t *testing.T) {
	for _, tt := range []struct {
		name string
		from func(i int) string
		want int // of 16
	}{
		{"one network", func(int) string { return "192.0.2.1" }, 4},
		{"one site", func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) }, 8},
		{"many networks", func(i int) string { return fmt.Sprintf("192.0.2.%d", i+1) }, 16},
		{"very many networks", func(i int) string { return fmt.Sprintf("192.0.%d.1", i) }, 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln, pool, entered, hold := busyHandshakes(t, 16)
				var clients []*tls.Conn
				for i := range 20 {
					c := clientOf(dial(t, ln, tt.from(i)), pool)
					clients = append(clients, c)
					go func() { _ = c.Handshake() }()
				}
				synctest.Wait()
				if got := len(entered); got != tt.want {
					t.Errorf("%d handshakes at once, want %d", got, tt.want)
				}
				close(hold)
				for _, c := range clients {
					expect(t, c, "hello\r\n")
					c.Close()
				}
			})
		})
	}
}

// A handshake that does not get its turn in time ends.
func TestAttack30_WaitingForASlotHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, pool, _, hold := busyHandshakes(t, 4)
		first := clientOf(dial(t, ln, "192.0.2.1"), pool)
		go func() { _ = first.Handshake() }()
		synctest.Wait()
		began := time.Now()
		if err := clientOf(dial(t, ln, "192.0.2.1"), pool).Handshake(); err == nil {
			t.Error("a second handshake of a network that may have one ended well")
		}
		if d := time.Since(began); d != listener.HandshakeTimeoutDefault {
			t.Errorf("it waited for %v, want %v", d, listener.HandshakeTimeoutDefault)
		}
		close(hold)
	})
}
