package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// A call to a machine that has vanished without a word ends when the others have gone on without
// it, long before its own deadline; then it is tried at the next manager.
func TestCall_EndsWithTheMembership(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		owner := c.managed(1)[0]
		a.put(typeCard, owner, "x", "contents", a.id, b.id)
		w.net.Partition(ids(a, b), ids(c))
		begun := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var work sync.WaitGroup
		work.Go(func() {
			if _, err := a.node.Lookup(ctx, owner); err != nil {
				t.Errorf("Lookup = %v", err)
			}
		})
		work.Go(func() {
			u, body := newObject(typeNote, owner, "y", "contents", c.id)
			if err := a.node.Update(ctx, u, body); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("Update on the vanished node = %v, want kind unavailable", err)
			}
		})
		work.Wait()
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("the calls took %v, want at most 3s", took)
		}
		if n := a.node.Metrics().Retries; n == 0 || n > 50 {
			t.Errorf("Metrics().Retries = %d, want a few", n)
		}
	})
}

// Errors that cross the proxies' way have one of few kinds: a caller never sees that a view is
// changing, and what depends on the moment is unavailable.
func TestKinds(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.register = func(n *Node) {
			n.Serve("fail", func(_ context.Context, _ cluster.NodeID, kind []byte) ([]byte, error) {
				return nil, cluster.Errorf(cluster.Kind(kind[0]), "fail", "as asked")
			})
		}
		a, b := w.machines[0], w.machines[1]
		a.start()
		b.start()
		w.settle(a, b)
		short := func() context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}
		for _, manager := range w.machines {
			owner := manager.managed(1)[0]
			for k := cluster.KindInternal; k <= cluster.KindLimit; k++ {
				want := k
				if k == cluster.KindStale || k == cluster.KindBehind {
					want = cluster.KindUnavailable // the node's own words
				}
				if _, err := a.node.Ask(short(), owner, "fail", []byte{byte(k)}); !cluster.IsKind(err, want) {
					t.Errorf("Ask of %v for an error of kind %v = %v, want kind %v", manager.id, k, err, want)
				}
			}
			if _, err := a.node.Ask(short(), owner, "sing", nil); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("Ask of %v for an unknown method = %v, want kind unavailable: a newer node may have it", manager.id, err)
			}
			if _, err := a.node.Ask(short(), owner, "fail", make([]byte, call.ServiceSizeMax+1)); !cluster.IsKind(err, cluster.KindLimit) {
				t.Errorf("Ask of %v with a large payload = %v, want kind limit", manager.id, err)
			}
		}
		ctx := context.Background()
		if _, err := a.node.List(ctx, 0x99, "o", typeNote); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("List on a stranger = %v, want kind unavailable", err)
		}
		for _, on := range ids(a, b) {
			if _, err := a.node.List(ctx, on, "o", "unheard"); !cluster.IsKind(err, cluster.KindInvalid) {
				t.Errorf("List of an undeclared type on %v = %v, want kind invalid", on, err)
			}
			if _, err := a.read(on, cluster.ObjectID{Type: typeNote, Owner: "o", ID: "none"}); !cluster.IsKind(err, cluster.KindNotFound) {
				t.Errorf("Open of nothing on %v = %v, want kind not found", on, err)
			}
		}
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := a.node.Lookup(canceled, b.managed(1)[0]); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Lookup with a context that is over = %v, want kind unavailable", err)
		}
	})
}

// An answer that gets lost makes Ask call again: a method is executed twice, and must be
// idempotent. The caller gets one answer.
func TestAsk_ExecutedTwice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 2)
		a, b := w.machines[0], w.machines[1]
		var calls atomic.Int64
		w.register = func(n *Node) {
			n.Serve("once", func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
				if calls.Add(1) == 1 {
					w.net.Cut(n.ID(), from) // this answer will not arrive
				} else {
					w.net.HealAll()
				}
				return append([]byte("answer to "), payload...), nil
			})
		}
		a.start()
		b.start()
		w.settle(a, b)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		got, err := a.node.Ask(ctx, b.managed(1)[0], "once", []byte("payload"))
		if err != nil || string(got) != "answer to payload" {
			t.Errorf("Ask = %q, %v", got, err)
		}
		if n := calls.Load(); n != 2 {
			t.Errorf("the method was executed %d times, want twice", n)
		}
		w.net.HealAll()
		w.settle(a, b)
	})
}

// Registrations that cannot be right fail the start, not the first client.
func TestServe_Refused(t *testing.T) {
	serve := func(context.Context, cluster.NodeID, []byte) ([]byte, error) { return nil, nil }
	tests := []struct {
		name     string
		register func(n *Node)
		want     cluster.Kind
	}{
		{"twice", func(n *Node) { n.Serve("m", serve); n.Serve("m", serve) }, cluster.KindExists},
		{"no name", func(n *Node) { n.Serve("", serve) }, cluster.KindInvalid},
		{"long name", func(n *Node) { n.Serve(strings.Repeat("m", call.ServiceMethodMax+1), serve) }, cluster.KindInvalid},
		{"no function", func(n *Node) { n.Serve("m", nil) }, cluster.KindInvalid},
		{"too many", func(n *Node) {
			for i := range ServicesMax + 1 {
				n.Serve(fmt.Sprint(i), serve)
			}
		}, cluster.KindLimit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, 1)
				w.register = tt.register
				if err := w.machines[0].tryStart(); !cluster.IsKind(err, tt.want) {
					t.Errorf("Start = %v, want kind %v", err, tt.want)
				}
			})
		})
	}
}

// However many calls fail, the loop is woken once, and the queue stays free for what has to be
// answered.
func TestNotices_NoStorm(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		release := make(chan struct{})
		held := make(chan struct{})
		a.node.answer(func(*loop) { close(held); <-release })
		<-held
		stamp := b.node.Stamp()
		stamp.Epoch.Counter++
		for i := range 10 * EventsMax {
			stamp.Load.Sole = i%2 == 0
			a.node.Observe(stamp)
			a.node.notices.suspect(b.id)
		}
		synctest.Wait()
		if n := len(a.node.loop.events); n > 100 {
			t.Errorf("%d events wait for the loop, want none of the notices among them", n)
		}
		close(release)
		w.settle(a, b)
	})
}

// A full queue makes its senders wait until their context ends, and a node with a full queue can
// be stopped.
func TestPost_FullQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 1)
		n := w.machines[0].node
		release := make(chan struct{})
		n.answer(func(*loop) { <-release })
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		posted := 0
		for n.post(ctx, func(*loop) {}) == nil {
			posted++
		}
		if posted < EventsMax/2 || posted > EventsMax+1 {
			t.Errorf("%d events were taken, want about %d", posted, EventsMax)
		}
		short, cancelShort := context.WithTimeout(context.Background(), time.Second)
		defer cancelShort()
		if err := n.Stop(short); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Stop of a node whose loop hangs = %v, want kind unavailable", err)
		}
		close(release)
		if err := n.Stop(context.Background()); err != nil {
			t.Errorf("Stop afterwards = %v", err)
		}
	})
}

// The manager does not hear of a commit. A note is durable and so it is acknowledged, a little
// later; a card is not, because who relies on it must find it (V1). As soon as the manager can be
// reached it hears of both, and trying again then succeeds.
func TestV1_ManagerDoesNotHear(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		owner := c.managed(1)[0]
		b.failCalls(func(method string, to cluster.NodeID) error {
			if method == call.MethodPush && to == c.id {
				return cluster.Errorf(cluster.KindUnavailable, "test", "refused")
			}
			return nil
		})
		begun := time.Now()
		a.put(typeNote, owner, "x", "contents", b.id)
		if took := time.Since(begun); took < RegisterWait || took > RegisterWait+time.Second {
			t.Errorf("the note was acknowledged after %v, want about %v", took, RegisterWait)
		}
		u, body := newObject(typeCard, owner, "x", "contents", a.id, b.id)
		u.Object.Timestamp = a.node.Stamp().Clock
		for range 2 { // and again: that it is stored already does not mean that the manager knows
			if err := a.node.Update(context.Background(), u, body); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("the card: %v, want kind unavailable", err)
			}
		}
		if n := b.node.Metrics().RegistrationsLate; n < 3 {
			t.Errorf("Metrics().RegistrationsLate = %d, want 3", n)
		}
		b.failCalls(nil)
		w.settle(a, b, c)
		if err := a.node.Update(context.Background(), u, body); err != nil {
			t.Errorf("the card, tried again: %v", err)
		}
		if e := a.lookup(owner); len(e.Cached) != 1 || !slices.Equal(holders(e, typeNote), ids(b)) {
			t.Errorf("Lookup = %+v, want the note and the card", e)
		}
		// The loop forgets who has given up.
		if err := b.node.ask(context.Background(), func(l *loop) {
			if l.wake(); len(l.waiters) != 0 {
				t.Errorf("%d owners still have commits waiting", len(l.waiters))
			}
		}); err != nil {
			t.Error(err)
		}
	})
}

// A commit waits for its own registration only: others for the same owner that come while it is
// under way do not keep it waiting.
func TestRegister_NotStarvedByLaterOnes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		owner := b.managed(1)[0]
		w.net.SetFaults(transport.Faults{DelayMin: 10 * time.Millisecond, DelayMax: 20 * time.Millisecond})
		ctx, stop := context.WithCancel(context.Background())
		var busy sync.WaitGroup
		busy.Go(func() { // a fragment comes or goes every few milliseconds, whoever waits for what
			for k := 0; ctx.Err() == nil; k++ {
				busy.Go(func() {
					u, body := newObject(typeNote, owner, fmt.Sprint("busy-", k), "contents", a.id, cluster.NodeID(0x1000+k))
					u.Object.Timestamp, _ = a.node.timestamp(context.Background())
					if _, err := a.node.apply(context.Background(), &u, body); err != nil {
						t.Errorf("apply = %v", err)
					}
				})
				pass(3 * time.Millisecond)
			}
		})
		for i := range 20 {
			begun := time.Now()
			a.put(typeNote, owner, fmt.Sprint(i), "contents", a.id, b.id)
			if took := time.Since(begun); took > time.Second {
				t.Errorf("a commit took %v beside others of its owner, want at most 1s", took)
			}
			pass(10 * time.Millisecond)
			deletion := cluster.Update{Object: cluster.Object{ID: cluster.ObjectID{Type: typeNote, Owner: owner, ID: fmt.Sprint(i)}, Deleted: true}, Previous: ids(a, b)}
			if err := a.node.Update(ctx, deletion, nil); err != nil {
				t.Errorf("deletion: %v", err)
			}
		}
		stop()
		busy.Wait()
		if n := a.node.Metrics().RegistrationsLate; n != 0 {
			t.Errorf("%d registrations were late", n)
		}
	})
}

// UpdateAll: an update without targets is refused, and so are a type that is not declared and an update
// whose contents are missing; they do not stop the others. A deletion that did not reach all of its
// nodes is one all the same: its record does.
func TestUpdateAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		a.put(typeNote, "one", "x", "contents", a.id)
		a.put(typeNote, "two", "x", "contents", b.id)
		a.put(typeNote, "three", "x", "contents", a.id, c.id)
		deletion := func(owner string, previous ...cluster.NodeID) cluster.Update {
			return cluster.Update{Object: cluster.Object{ID: cluster.ObjectID{Type: typeNote, Owner: owner, ID: "x"}, Deleted: true}, Previous: cluster.NewReplicaSet(previous...)}
		}
		undeclared := deletion("four", b.id)
		undeclared.Object.ID.Type = "unheard"
		full, _ := newObject(typeNote, "five", "x", "contents", b.id)
		w.net.Partition(ids(a, b), ids(c))
		w.settle(a, b)
		updates := []cluster.Update{
			deletion("one", a.id), deletion("two", b.id), deletion("three", a.id, c.id), undeclared, full, deletion("six"), deletion("never stored", b.id),
		}
		want := []cluster.Kind{0, 0, 0, cluster.KindInvalid, cluster.KindInvalid, cluster.KindInvalid, 0}
		for i, err := range a.node.UpdateAll(context.Background(), updates) {
			if err == nil && want[i] == 0 {
				continue
			}
			if want[i] == 0 || !cluster.IsKind(err, want[i]) {
				t.Errorf("UpdateAll: update %d of %s = %v, want kind %v", i, updates[i].Object.ID.Owner, err, want[i])
			}
		}
		if !updates[0].Object.Timestamp.IsZero() {
			t.Error("UpdateAll has changed the caller's updates")
		}
		for _, owner := range []string{"one", "two", "three"} {
			if e := a.lookup(owner); len(e.Fragments) != 0 {
				t.Errorf("after UpdateAll %s still has %+v", owner, e.Fragments)
			}
		}
	})
}
