package delivery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/delivery/turnstile"
)

// Fault 38: when every node fails, deliveries are tried again at other nodes only as often as there
// were deliveries that earned it, and a burst; the errors stay temporary (V1).
func TestRetriesHaveABudget(t *testing.T) {
	w := newWorld(t, Config{})
	env := w.envelope(t, "a@x.test")
	for i := range 4 {
		w.SetFaults(cluster.NodeID(i+1), clustertest.Faults{Behind: true})
	}
	w.retries.left.Store(5 * retryEvery)
	const deliveries = 100
	before := w.Updates.Load()
	for range deliveries {
		if err := w.Deliver(context.Background(), env, body)[0]; !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Fatalf("Deliver = %v, want KindUnavailable", err)
		}
	}
	if tried, most := w.Updates.Load()-before, int64(2*(deliveries+5+deliveries/retryEvery)); tried > most {
		t.Errorf("%d updates for %d deliveries, want at most %d", tried, deliveries, most)
	}
	if w.RetriesRefused() == 0 {
		t.Error("no retry was refused")
	}
}

func TestBudget(t *testing.T) {
	b := newBudget()
	for range retryBurst {
		if !b.spend() {
			t.Fatal("the burst is not granted")
		}
	}
	if b.spend() {
		t.Error("a retry beyond the burst was granted")
	}
	for range retryEvery {
		b.earn()
	}
	if !b.spend() || b.spend() {
		t.Errorf("%d deliveries earn not just one retry", retryEvery)
	}
}

// Put takes a turn, and gives it back.
func TestPutTakesATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		for range 2 {
			if _, err := w.Delivery.Put(t.Context(), "a@x.test", mail.NewMessageID(), mail.MessageAttr{}, body); err != nil {
				t.Fatal(err)
			}
		}
		if f := w.Turns().Figures(); f.Inside != 0 {
			t.Errorf("%d turns not given back", f.Inside)
		}
	})
}

// Put waits for its turn longer than mail does, and not for ever (V1).
func TestPutIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		put := func() error {
			_, err := w.Delivery.Put(t.Context(), "a@x.test", mail.NewMessageID(), mail.MessageAttr{}, body)
			return err
		}
		var inside []func(bool)
		for range turnstile.LimitFirst {
			_, leave, err := w.Turns().Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			inside = append(inside, leave)
		}
		if err := put(); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Put, while nobody ends = %v, want KindUnavailable", err)
		}
		time.AfterFunc(100*turnstile.WaitMaxDefault, func() { inside[0](true) })
		if err := put(); err != nil {
			t.Errorf("Put, whose turn comes after the longest wait = %v", err)
		}
		if f := w.Turns().Figures(); f.Inside != turnstile.LimitFirst-1 || f.Waiting != 0 {
			t.Errorf("%d inside, %d waiting, want %d and 0", f.Inside, f.Waiting, turnstile.LimitFirst-1)
		}
	})
}
