package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/call"
)

// R5: a call that was under way for longer than deletions are remembered is refused, but not for good.
func TestR5_LateCallIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		s := b.node.Stamp()
		pass(LateCallMax - time.Second)
		if err := a.node.Admit(context.Background(), s, call.MethodApply); err != nil {
			t.Errorf("a call that is not too old: %v", err)
		}
		pass(2 * time.Second)
		for _, method := range []string{call.MethodApply, call.MethodOffer} {
			if err := a.node.Admit(context.Background(), s, method); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("late %s: %v, want kind unavailable", method, err)
			}
		}
		if err := a.node.Admit(context.Background(), s, call.MethodLookup); err != nil {
			t.Errorf("a late call that changes nothing: %v", err)
		}
		if k := a.node.Metrics().LateCalls; k != 2 {
			t.Errorf("%d late calls counted, want 2", k)
		}
	})
}

// D5: damaged contents are reported, and never served: another replica has them.
func TestD5_DamageIsReported(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		a.put(typeNote, "o", "x", "contents", a.id, b.id)
		rot := func(cluster.ObjectID) error {
			return cluster.Errorf(cluster.KindCorrupt, "open", "bits have flipped")
		}
		b.hooks.open.Store(&rot)
		for _, m := range w.machines {
			if _, err := m.read(b.id, noteID("o", "x")); !cluster.IsKind(err, cluster.KindCorrupt) {
				t.Errorf("node %v reads %v from a damaged copy, want kind corrupt", m.id, err)
			}
		}
		if k := b.hooks.damaged.Load(); k != 2 {
			t.Errorf("%d reports of damage, want 2", k)
		}
		if got, err := b.read(a.id, noteID("o", "x")); got != "contents" {
			t.Errorf("the other replica gives %q, %v", got, err)
		}
	})
}

// A node that is being emptied takes no new objects; what it has can be changed and deleted.
func TestSetDraining(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		a.put(typeCard, "o", "", "first", b.id)
		a.put(typeNote, "o", "x", "contents", b.id)
		b.node.SetDraining(true)
		if err := a.tryPut(typeNote, "o", "y", "contents", b.id); !cluster.IsKind(err, cluster.KindFull) {
			t.Errorf("a new object at a draining node: %v, want kind full", err)
		}
		u, body := newObject(typeCard, "o", "", "second", b.id)
		u.Previous = u.Object.Replicas
		if err := a.node.Update(context.Background(), u, body); err != nil {
			t.Errorf("change what a draining node has: %v", err)
		}
		if err := a.node.Update(context.Background(), deletionOf(noteID("o", "x"), b.id), nil); err != nil {
			t.Errorf("delete at a draining node: %v", err)
		}
		if !a.node.Loads()[b.id].Draining || a.node.Loads()[a.id].Draining {
			t.Errorf("loads: %+v", a.node.Loads())
		}
		if err := b.node.Ready(); err != nil {
			t.Errorf("a draining node serves: %v", err)
		}
		b.node.SetDraining(false)
		a.put(typeNote, "o", "y", "contents", b.id)
	})
}

// Tell reaches the node that it names, whoever manages what.
func TestTell(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.register = func(n *Node) {
			n.Serve("who", func(_ context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
				return fmt.Appendf(nil, "%v to %v: %s", from, n.ID(), payload), nil
			})
		}
		a, b := w.machines[0], w.machines[1]
		a.start()
		b.start()
		w.settle(a, b)
		for _, to := range w.machines {
			want := fmt.Sprintf("%v to %v: hello", a.id, to.id)
			if got, err := a.node.Tell(context.Background(), to.id, "who", []byte("hello")); string(got) != want || err != nil {
				t.Errorf("Tell(%v) = %q, %v; want %q", to.id, got, err, want)
			}
		}
		if _, err := a.node.Tell(context.Background(), 0x99, "who", nil); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Tell of a stranger = %v, want kind unavailable", err)
		}
		if _, err := a.node.Tell(context.Background(), b.id, "who", make([]byte, call.ServiceSizeMax+1)); !cluster.IsKind(err, cluster.KindLimit) {
			t.Errorf("Tell of too much = %v, want kind limit", err)
		}
		if _, err := a.node.Tell(context.Background(), b.id, strings.Repeat("x", 5), nil); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Tell of an unknown method = %v, want kind unavailable", err)
		}
		begun := time.Now()
		b.kill()
		w.settle(a)
		pass(time.Second)
		since, ok := a.node.Absent()[b.id]
		if !ok || since.Before(begun) || since.After(time.Now()) {
			t.Errorf("Absent = %v", a.node.Absent())
		}
		b.start()
		w.settle(a, b)
		if len(a.node.Absent()) != 0 {
			t.Errorf("Absent = %v after it is back", a.node.Absent())
		}
	})
}
