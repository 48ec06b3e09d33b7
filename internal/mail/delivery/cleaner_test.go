package delivery

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

// D6: of a set of nodes one stores and another refuses. The copy of the first is removed, whatever
// the other said.
func TestD6_SetPartlyStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Copies: 2})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go w.Run(ctx)
		w.SetFaults(4, clustertest.Faults{Behind: true})
		want := map[string]int{}
		for i := range 20 {
			u := fmt.Sprintf("u%d@x.test", i)
			if got := kinds(w.Deliver(ctx, w.envelope(t, u), body)); got == "ok" {
				want[u] = 2
			}
		}
		time.Sleep(time.Minute)
		for i := range 20 {
			u := fmt.Sprintf("u%d@x.test", i)
			if got := len(w.messages(u)); got != want[u] {
				t.Errorf("%s has %d copies, want %d", u, got, want[u])
			}
		}
	})
}

// What could not be undone at once is undone later.
func TestUndoLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{FreshFor: time.Nanosecond})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go w.Run(ctx)
		id := mail.NewMessageID().Object("a@x.test")
		w.Put(2, cluster.Object{ID: id, Replicas: cluster.NewReplicaSet(2)}, []byte("x"))
		w.SetFaults(2, clustertest.Faults{Hung: true})
		w.cleaner.add(id, cluster.NewReplicaSet(2))
		time.Sleep(time.Minute)
		if got := w.messages("a@x.test"); len(got) != 1 {
			t.Errorf("%d copies on a node that does not answer, want 1", len(got))
		}
		w.SetFaults(2, clustertest.Faults{})
		time.Sleep(10 * time.Second)
		if got := w.messages("a@x.test"); len(got) != 0 {
			t.Errorf("%d copies on a node that answers again, want 0", len(got))
		}
		// The call that failed may come even later.
		w.Put(2, cluster.Object{ID: id, Replicas: cluster.NewReplicaSet(2)}, []byte("x"))
		time.Sleep(time.Minute)
		if got := w.messages("a@x.test"); len(got) != 0 {
			t.Errorf("%d copies that came late, want 0", len(got))
		}
		w.SetFaults(3, clustertest.Faults{Hung: true})
		w.cleaner.add(id, cluster.NewReplicaSet(3))
		time.Sleep(time.Hour)
		if w.Leftovers() != 0 {
			t.Error("a leftover is tried for ever")
		}
	})
}

// A leftover that finds no room, new or tried before, is not forgotten in silence.
func TestTooManyLeftovers(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	id := mail.NewMessageID().Object("a@x.test")
	for range leftoversMax {
		w.cleaner.add(id, cluster.NewReplicaSet(2))
	}
	if log.Len() > 0 {
		t.Fatalf("logged before the list was full: %s", log.String())
	}
	w.cleaner.add(id, cluster.NewReplicaSet(3))
	w.cleaner.keep(leftover{id: id, on: 4, tries: 1})
	if n := strings.Count(log.String(), "too many leftovers"); n != 2 || w.Leftovers() != leftoversMax {
		t.Errorf("%d warnings and %d leftovers, want 2 and %d", n, w.Leftovers(), leftoversMax)
	}
}
