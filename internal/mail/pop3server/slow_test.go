package pop3server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/pop3server"
)

// counted is a Maildrops of one message, which counts the mailboxes that are open.
type counted struct {
	text string

	mu   sync.Mutex
	open int
}

func (c *counted) Open(context.Context, mail.User, mail.Client) (pop3server.Maildrop, error) {
	c.add(1)
	return &countedDrop{drop{d: &drops{}, texts: []string{c.text}, lost: make(chan struct{})}, c}, nil
}

func (c *counted) add(n int) int { c.mu.Lock(); defer c.mu.Unlock(); c.open += n; return c.open }

type countedDrop struct {
	drop
	all *counted
}

func (d *countedDrop) Close() { d.all.add(-1) }

// TestAttack28_ManySlowReaders: two hundred clients RETR a large message and read an octet a second. None keeps another waiting, each
// holds its piece of the message and no more, and all are cut off by WriteTimeout.
func TestAttack28_ManySlowReaders(t *testing.T) {
	const slow = 200
	synctest.Test(t, func(t *testing.T) {
		d := &counted{text: "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 30_000)}
		r := newRig(t, d, options{})
		heapBefore := listenertest.Heap()
		stop := make(chan struct{})
		defer close(stop)
		for i := range slow {
			c := dialFrom(t, r.ln, i)
			playOn(t, c, login+"C: RETR 1")
			go func() {
				var b [1]byte
				for err := error(nil); err == nil; {
					select {
					case <-time.After(time.Second):
						_, err = c.Read(b[:])
					case <-stop:
						return
					}
				}
			}()
		}
		synctest.Wait()
		if n := d.add(0); n != slow {
			t.Fatalf("%d mailboxes are open, want %d", n, slow)
		}
		began := time.Now()
		good := dialFrom(t, r.ln, slow+1)
		playOn(t, good, login+"C: RETR 1\nS: +OK message follows")
		if _, err := io.CopyN(io.Discard, good, int64(len(d.text))); err != nil {
			t.Fatal(err)
		}
		playOn(t, good, "S: .\nC: QUIT\nS: +OK bye")
		if took := time.Since(began); took > 0 {
			t.Errorf("a client that reads waited %v for the others", took)
		}
		// What the network in memory holds, grown to twice its length perhaps, and the session's buffers.
		if each := (listenertest.Heap() - heapBefore) / slow; each > 2*listenertest.BufferMax+96<<10 {
			t.Errorf("a client that hardly reads takes %d octets", each)
		}
		for d.add(0) > 0 {
			time.Sleep(time.Second) //nolint // in a bubble
			if time.Since(began) > 2*pop3server.WriteTimeoutDefault {
				t.Fatalf("%d slow readers hold their mailboxes after %v", d.add(0), time.Since(began))
			}
		}
	})
}

// dialFrom connects from an address of its own.
func dialFrom(t *testing.T, ln *listenertest.Listener, i int) net.Conn {
	t.Helper()
	c, _, err := ln.Dial(netip.MustParseAddr(fmt.Sprintf("198.51.%d.%d", i/250, 1+i%250)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestAttack28And29_SilentAtTheLimit: connections that say nothing fill the limits of one network and of the node. Who comes from
// elsewhere is served, or told plainly, and LoginTimeout makes room again.
func TestAttack28And29_SilentAtTheLimit(t *testing.T) {
	const perNetwork, total = 30, 40
	synctest.Test(t, func(t *testing.T) {
		gate, err := listener.NewGate(listener.GateConfig{ConnectionsMax: total, PerNetworkMax: perNetwork})
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, newDrops(one), options{gate: gate})
		for range perNetwork {
			r.play(greeting)
		}
		r.play("S: -ERR [SYS/TEMP] too many connections from your network; try again later\nS: (end)")
		playOn(t, dialFrom(t, r.ln, 0), login+"C: QUIT\nS: +OK bye\nS: (end)")
		synctest.Wait()
		for i := range total - perNetwork {
			playOn(t, dialFrom(t, r.ln, i), greeting)
		}
		playOn(t, dialFrom(t, r.ln, total), "S: -ERR [SYS/TEMP] too many connections; try again later\nS: (end)")
		time.Sleep(pop3server.LoginTimeoutDefault) //nolint // in a bubble
		synctest.Wait()
		if n := gate.Connections(); n != 0 {
			t.Errorf("%d silent connections are left after LoginTimeout", n)
		}
		r.play(login + "C: QUIT\nS: +OK bye\nS: (end)")
	})
}
