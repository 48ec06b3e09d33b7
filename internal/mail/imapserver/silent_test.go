package imapserver_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/listener"
)

// TestAttack28And29_SilentAtTheLimit: connections that say nothing fill the limits of one network and of the node. Who comes from
// elsewhere is served, or told plainly, and LoginTimeout makes room again.
func TestAttack28And29_SilentAtTheLimit(t *testing.T) {
	const perNetwork, total = 30, 40
	synctest.Test(t, func(t *testing.T) {
		gate, err := listener.NewGate(listener.GateConfig{ConnectionsMax: total, PerNetworkMax: perNetwork})
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, newMail(), options{gate: gate})
		from := func(addr, transcript string) {
			c, _, err := r.ln.Dial(netip.MustParseAddr(addr))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			play(t, c, transcript)
		}
		for range perNetwork {
			r.play(greeting)
		}
		r.play("S: * BYE [UNAVAILABLE] too many connections from your network; try again later\nS: (end)")
		from("198.51.100.1", login+"C: 1 LOGOUT\nS: * BYE see you\nS: 1 OK LOGOUT completed\nS: (end)")
		synctest.Wait()
		for range total - perNetwork {
			from("198.51.100.1", greeting)
		}
		from("198.51.100.2", "S: * BYE [UNAVAILABLE] too many connections; try again later\nS: (end)")
		time.Sleep(imapserver.LoginTimeoutDefault) //nolint // in a bubble
		synctest.Wait()
		if n := gate.Connections(); n != 0 {
			t.Errorf("%d silent connections are left after LoginTimeout", n)
		}
		r.play(login + "C: 1 LOGOUT\nS: * BYE see you\nS: 1 OK LOGOUT completed\nS: (end)")
	})
}
