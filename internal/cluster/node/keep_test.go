package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// D1, R8: a keeper whose disk is slow holds up the removal of copies that he keeps, and nothing that comes with it.
func TestD1_ASlowKeeperHoldsUpNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		a.put(typeNote, "o", "kept", "contents", a.id, b.id)
		a.put(typeNote, "o", "gone", "contents", a.id, b.id)
		w.awaitQuiet(a, b)
		move, _ := newObject(typeNote, "o", "kept", "contents", b.id)
		move.Object.Timestamp = cluster.Timestamp{Time: time.Now().UnixNano(), Node: b.id}
		move.Previous = cluster.NewReplicaSet(a.id, b.id)
		if replies, err := b.node.accept(context.Background(), []cluster.Update{move}, b.node.mention); err != nil || replies[0].Err != nil {
			t.Fatalf("the keeper hears of it: %v, %v", err, replies)
		}
		slow := func(cluster.ObjectID) error {
			pass(OfferTimeout)
			return nil
		}
		b.hooks.open.Store(&slow) // BEFORE the keeper's log offers it
		deletion := deletionOf(noteID("o", "gone"), a.id, b.id)
		deletion.Object.Timestamp = move.Object.Timestamp
		ctx, cancel := context.WithTimeout(context.Background(), OfferTimeout)
		defer cancel()
		replies, err := a.node.accept(ctx, []cluster.Update{move, deletion}, a.node.mention)
		if err != nil || ctx.Err() != nil {
			t.Fatalf("the batch: %v, %v; want an answer in time", err, ctx.Err())
		}
		if !cluster.IsKind(replies[0].Err, cluster.KindUnavailable) || replies[1].Err != nil {
			t.Errorf("the removal: %v, the deletion: %v; want unavailable and nil", replies[0].Err, replies[1].Err)
		}
		if kept, gone := a.has(noteID("o", "kept")), a.has(noteID("o", "gone")); kept == gone {
			t.Errorf("the copy to be removed %q, the deleted one %q: want the first to be here alone", kept, gone)
		}
		b.hooks.open.Store(nil)
		replies, err = a.node.accept(context.Background(), []cluster.Update{move}, a.node.mention)
		if err != nil || replies[0].Err != nil {
			t.Errorf("the removal when the keeper answers: %v, %v", err, replies[0].Err)
		}
	})
}

// D1: what takes longer to read than others wait is vouched for when they ask again; for a while, and no other version.
func TestD1_WhatWasReadTooLateCountsTheNextTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := boot(t, 1).machines[0]
		id := noteID("o", "large")
		m.put(typeNote, "o", "large", "contents", m.id)
		slow := func(cluster.ObjectID) error {
			pass(OfferTimeout)
			return nil
		}
		m.hooks.open.Store(&slow)
		ask := func(what string, inTime bool) {
			t.Helper()
			ctx, cancel := context.WithTimeout(context.Background(), KeepersTimeout)
			defer cancel()
			_, err := m.node.Handle(ctx, 0x99, &transport.Incoming{Method: call.MethodWhole, Payload: (&call.OpenRequest{ID: id}).Marshal()})
			if err != nil || (ctx.Err() == nil) != inTime {
				t.Errorf("%s: %v, in time: %t; want %t", what, err, ctx.Err() == nil, inTime)
			}
		}
		ask("first", false)
		ask("again", true)
		pass(VouchFor + time.Second)
		ask("a while later", false)
		ask("and again", true)
		m.hooks.open.Store(nil)
		m.put(typeNote, "o", "large", "others", m.id)
		m.hooks.open.Store(&slow)
		ask("another version", false)
	})
}

// justAfter gives a timestamp just above that of a machine's copy.
func (m *machine) justAfter(id cluster.ObjectID) cluster.Timestamp {
	m.w.Helper()
	o, err := m.store.Get(id)
	if err != nil {
		m.w.Fatal(err)
	}
	return cluster.Timestamp{Time: o.Timestamp.Time + 1, Node: m.id}
}

// D1, decision 0016: an object moved from node to node while one who had it was away, and the copy of the last one
// rotted. He is told of the first move alone, and who has it no more does not vouch: those to whom he handed it on do.
func TestD1_WhoHandedItOnDoesNotVouch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		id := noteID("o", "kept")
		a.put(typeNote, "o", "kept", "contents", a.id)
		first, _ := newObject(typeNote, "o", "kept", "contents", b.id)
		first.Object.Timestamp = a.justAfter(id)
		first.Previous = cluster.NewReplicaSet(a.id)
		second, body := newObject(typeNote, "o", "kept", "contents", c.id)
		second.Object.Timestamp = cluster.Timestamp{Time: first.Object.Timestamp.Time + 1, Node: a.id}
		second.Previous = cluster.NewReplicaSet(b.id)
		if _, err := c.node.apply(context.Background(), &second, body); err != nil {
			t.Fatal(err)
		}
		w.await("who had it hears that it was handed on", time.Minute, func() error {
			rec, found, err := b.store.Record(id)
			if err == nil && (!found || rec.Timestamp != second.Object.Timestamp) {
				err = errors.New("not yet")
			}
			return err
		})
		rotten := func(cluster.ObjectID) error { return cluster.Errorf(cluster.KindCorrupt, "open", "bits have flipped") }
		c.hooks.open.Store(&rotten)
		replies, err := a.node.accept(context.Background(), []cluster.Update{first}, a.node.mention)
		if err != nil || !cluster.IsKind(replies[0].Err, cluster.KindUnavailable) || a.has(id) == "" {
			t.Fatalf("the first move: %v, %v, a copy of %q; want unavailable, and the last whole copy there", err, replies[0].Err, a.has(id))
		}
		c.hooks.open.Store(nil)
		replies, err = a.node.accept(context.Background(), []cluster.Update{first}, a.node.mention)
		if err != nil || replies[0].Err != nil || a.has(id) != "" {
			t.Errorf("when the last one's copy is whole: %v, %v, a copy of %q; want it gone", err, replies[0].Err, a.has(id))
		}
	})
}

// D1: who has a tombstone vouches, and so does who knows nothing of the object.
func TestD1_WhatIsDeletedIsVouchedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		for _, name := range []string{"deleted", "unknown"} {
			a.put(typeNote, "o", name, "contents", a.id)
			move, _ := newObject(typeNote, "o", name, "contents", b.id)
			move.Object.Timestamp = a.justAfter(noteID("o", name))
			move.Previous = cluster.NewReplicaSet(a.id)
			if name == "deleted" {
				deletion := deletionOf(noteID("o", name), b.id)
				deletion.Object.Timestamp = cluster.Timestamp{Time: move.Object.Timestamp.Time + 1, Node: b.id}
				if _, err := b.node.apply(context.Background(), &deletion, nil); err != nil {
					t.Fatal(err)
				}
			}
			replies, err := a.node.accept(context.Background(), []cluster.Update{move}, a.node.mention)
			if err != nil || replies[0].Err != nil || a.has(noteID("o", name)) != "" {
				t.Errorf("%s: %v, %v, a copy of %q; want it gone", name, err, replies[0].Err, a.has(noteID("o", name)))
			}
		}
	})
}
