package smtpserver_test

import (
	"bufio"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/smtpserver"
)

// connectFrom connects from an address.
func (h *host) connectFrom(addr string) *client {
	h.t.Helper()
	conn, server := listenertest.Pipe(netip.AddrPortFrom(netip.MustParseAddr(addr), 40000), serverAddr)
	h.ln.conns <- server
	h.t.Cleanup(func() { conn.Close() })
	return &client{t: h.t, Conn: conn, r: bufio.NewReader(conn)}
}

// TestAttack28And29_SilentAtTheLimit: connections that say nothing fill the limits of one network and of the node. Who comes from
// elsewhere is served, or told plainly, and GreetingTimeout makes room again.
func TestAttack28And29_SilentAtTheLimit(t *testing.T) {
	const perNetwork, total = 30, 40
	synctest.Test(t, func(t *testing.T) {
		gate, err := listener.NewGate(listener.GateConfig{ConnectionsMax: total, PerNetworkMax: perNetwork})
		if err != nil {
			t.Fatal(err)
		}
		h := start(t, smtpserver.MX, func(_ *smtpserver.Config, l *listener.Config) {
			l.Gate = gate
			l.Refusal = func(why listener.Reason) string { return smtpserver.Refusal(string(why)) }
		})
		defer h.stop()
		serve := func(addr string) {
			c := h.connectFrom(addr)
			c.want("220 ")
			c.hello().envelope("u0@example.test").do("DATA", "354 ")
			c.send("x\r\n.\r\n")
			c.want("250 ")
			c.do("QUIT", "221 ")
			c.wantClosed()
			synctest.Wait()
		}
		silent := func(addr string, count int) {
			for range count {
				h.connectFrom(addr).want("220 ")
			}
		}
		silent("192.0.2.1", perNetwork)
		h.connectFrom("192.0.2.1").want("421 4.7.0 too many connections from your network; try again later")
		serve("198.51.100.1")
		silent("198.51.100.1", total-perNetwork)
		h.connectFrom("198.51.100.2").want("421 4.7.0 too many connections; try again later")
		time.Sleep(31 * time.Second) //nolint // in a bubble: GreetingTimeout, and what is said for goodbye
		synctest.Wait()
		if n := gate.Connections(); n != 0 {
			t.Errorf("%d silent connections are left after GreetingTimeout", n)
		}
		serve("192.0.2.1")
	})
}
