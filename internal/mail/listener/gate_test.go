package listener_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
)

// Attack 29: many clients of one service do not keep those of another out. A tenth of all places is kept for each service, however
// many listeners it has; what no service needs is for whoever comes first.
func TestAttack29_ServicesKeepPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := newGate(t, listener.GateConfig{ConnectionsMax: 20})
		door := map[string]*listenertest.Listener{}
		for _, service := range []string{"smtp", "imap", "pop3"} {
			door[service] = start(t, newServer(t, listener.Config{Service: service, Gate: gate}))
		}
		imaps := start(t, newServer(t, listener.Config{Service: "imap", Gate: gate}))
		clients := 0
		come := func(ln *listenertest.Listener, want int) (in []*listenertest.Conn) {
			t.Helper()
			for range want {
				clients++
				c := dial(t, ln, fmt.Sprintf("192.0.2.%d", clients))
				expect(t, c, "hello\r\n")
				in = append(in, c)
			}
			expect(t, dial(t, ln, "198.51.100.1"), "no: "+string(listener.ReasonTotal)+"\r\n")
			return in
		}
		smtp := come(door["smtp"], 16)
		come(door["imap"], 2)
		come(imaps, 0)
		come(door["pop3"], 2)
		for _, c := range smtp[:5] { // the places of who leaves are for all, but for smtp's own
			c.Close()
		}
		synctest.Wait()
		come(imaps, 5)
		for _, c := range smtp[5:] {
			c.Close()
		}
		synctest.Wait()
		come(door["imap"], 9)
		come(door["smtp"], 2)
		if got := gate.Connections(); got != 20 {
			t.Errorf("%d connections inside, want 20", got)
		}
	})
}
