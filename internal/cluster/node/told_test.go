package node

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/wire/call"
)

// Node a cannot tell the manager, c, that a note which lies on a and b will lie on a and c. As long as
// that is so, c sends readers to b for all that lies on a and b: so b keeps its copy (V2).
func TestV2_ManagerDoesNotHearOfAMove(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		owner := c.managed(1)[0]
		u, body := newObject(typeNote, owner, "x", "contents", a.id, b.id)
		if err := c.node.Update(context.Background(), u, body); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		a.failCalls(func(method string, to cluster.NodeID) error {
			if method == call.MethodPush && to == c.id {
				return cluster.Errorf(cluster.KindUnavailable, "test", "refused")
			}
			return nil
		})
		u, body = newObject(typeNote, owner, "x", "contents", a.id, c.id)
		u.Previous = ids(a, b)
		var short *cluster.Shortfall
		if err := c.node.Update(context.Background(), u, body); !errors.As(err, &short) || !slices.Equal(short.Durable, ids(c)) {
			t.Errorf("the move = %v, want a shortfall: only node %v is known to have it", err, c.id)
		}
		pass(5 * replication.TakeOverAfter)
		if _, err := b.store.Get(u.Object.ID); err != nil {
			t.Errorf("the copy at b while the manager does not know of the one at a: %v", err)
		}
		a.failCalls(nil)
		w.settle(a, b, c)
		pass(2 * replication.RetryMax)
		if _, err := b.store.Get(u.Object.ID); !cluster.IsKind(err, cluster.KindNotFound) {
			t.Errorf("the copy at b when the manager knows: %v, want kind not found", err)
		}
		if e := a.lookup(owner); len(e.Fragments) != 1 || !slices.Equal(holders(e, typeNote), ids(a, c)) {
			t.Errorf("Lookup = %+v, want the note at a and c", e)
		}
	})
}

// V2, decision 0015: two notes move to the same nodes, which cannot reach the manager. The first makes the fragment there, and is
// refused. The second finds it, and is refused too: the manager has not heard of the fragment yet, and sends readers to where both were.
func TestV2_ManagerDoesNotHearOfTheSecondMove(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 4)
		a, b, c, m := w.machines[0], w.machines[1], w.machines[2], w.machines[3]
		owner := m.managed(1)[0]
		for _, id := range []string{"x", "y", "stays"} {
			m.put(typeNote, owner, id, "contents", a.id, b.id)
		}
		w.awaitQuiet(a, b, c, m)
		for _, from := range []*machine{a, c} {
			from.failCalls(func(method string, to cluster.NodeID) error {
				if method == call.MethodPush && to == m.id {
					return cluster.Errorf(cluster.KindUnavailable, "test", "refused")
				}
				return nil
			})
		}
		for _, id := range []string{"x", "y"} {
			u, body := newObject(typeNote, owner, id, "contents", a.id, c.id)
			u.Previous = ids(a, b)
			if err := b.node.Update(context.Background(), u, body); err == nil {
				t.Errorf("the move of %s = nil, and the manager has not heard of it", id)
			}
		}
		pass(time.Second)
		for _, id := range []string{"x", "y"} {
			if b.has(noteID(owner, id)) == "" {
				t.Errorf("%s is gone from b, and the manager knows of these fragments only: %v", id, m.lookup(owner).Fragments)
			}
		}
	})
}
