package node

import (
	"context"
	"testing"

	"porcupine/internal/cluster"
)

// R4: a crash brings back the record of a move at a node that has no copy any more. The new replicas have
// deleted the object and forgotten the deletion, so they want contents that nobody has. The record ends.
func TestR4_LeftoverOfAnUndoneRetirementEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		u, _ := newObject(typeNote, "o", "x", "contents", b.id, c.id)
		u.Object.Timestamp = cluster.Timestamp{Time: a.now().UnixNano(), Node: a.id}
		u.Previous = cluster.NewReplicaSet(a.id)
		if _, err := a.store.Accept(context.Background(), []cluster.Update{u}); err != nil {
			t.Fatal(err)
		}
		a.kill()
		w.settle(b, c)
		a.start()
		if k := a.node.Records(); k != 1 {
			t.Fatalf("%d records after the restart, want 1", k)
		}
		w.settle(a, b, c)
		w.awaitQuiet(a, b, c)
		for _, m := range []*machine{a, b, c} {
			if k := m.diskRecords(); k != 0 {
				t.Errorf("node %v has %d records on its disk", m.id, k)
			}
		}
	})
}
