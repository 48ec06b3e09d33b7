package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
)

// M1, M3: the members of an epoch have one list of members and one user map, in which each bucket
// has one manager and each member its share.
func TestM1M3_BootOfThree(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		first := w.machines[0].node.View()
		share := map[cluster.NodeID]int{}
		for _, a := range first.Map {
			share[a.Manager]++
		}
		for _, m := range w.machines {
			v := m.node.View()
			if !slices.Equal(v.Members, first.Members) || !slices.Equal(v.Map, first.Map) {
				t.Errorf("node %v: the view of epoch %v differs", m.id, v.Epoch)
			}
			if n := share[m.id]; n != 1365 && n != 1366 {
				t.Errorf("node %v manages %d buckets, want 1365 or 1366", m.id, n)
			}
			got, all := m.node.Members(context.Background())
			if got.Epoch != first.Epoch || len(all) != 3 {
				t.Fatalf("node %v: Members() = epoch %v, %d members; want %v, 3", m.id, got.Epoch, len(all), first.Epoch)
			}
			for _, s := range all {
				if s.Err != nil || s.Epoch != first.Epoch || s.Incomplete != 0 || s.Buckets != share[s.Member.ID] || s.Version != "test" {
					t.Errorf("node %v: Members() says %+v", m.id, s)
				}
			}
			synctest.Wait()
			if m.node.KnownNodes() != 3 {
				t.Errorf("node %v knows %d nodes, want 3", m.id, m.node.KnownNodes())
			}
		}
	})
}

// Any node does any task: writing, looking up, listing, reading and deleting, wherever owner and
// object are.
func TestCallsFromEveryNode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		for _, from := range w.machines {
			for _, on := range w.machines {
				for _, manager := range w.machines {
					callsFrom(t, from, on.id, fmt.Sprintf("%v-%v-", from.id, on.id)+manager.managed(1)[0])
				}
			}
		}
		w.checkS1(w.machines...)
		// What is gone is forgotten, in time.
		pass(5 * time.Minute)
		for _, m := range w.machines {
			if c := m.node.counts(); c.Owners != 0 || c.References != 0 {
				t.Errorf("node %v: still %d owners and %d references to deleted objects", m.id, c.Owners, c.References)
			}
		}
	})
}

func callsFrom(t *testing.T, m *machine, on cluster.NodeID, owner string) {
	t.Helper()
	ctx := context.Background()
	const contents = "what the note says"
	m.put(typeNote, owner, "a", contents, on)
	m.put(typeNote, owner, "b", "", on) // empty contents are contents
	if e := m.lookup(owner); !slices.Equal(holders(e, typeNote), []cluster.NodeID{on}) || e.Fragments[0].Count < 1 {
		t.Errorf("node %v: Lookup(%s) = %+v, want notes on %v", m.id, owner, e, on)
	}
	list, err := m.node.List(ctx, on, owner, typeNote)
	if err != nil || len(list) != 2 || list[0].ID.ID != "a" || list[0].Size != int64(len(contents)) {
		t.Fatalf("node %v: List(%s on %v) = %+v, %v", m.id, owner, on, list, err)
	}
	for i, want := range []string{contents, ""} {
		if got, err := m.read(on, list[i].ID); err != nil || got != want {
			t.Errorf("node %v: contents of %v = %q, %v; want %q", m.id, list[i].ID, got, err, want)
		}
	}
	deletions := make([]cluster.Update, 0, 2)
	for _, o := range list {
		deletions = append(deletions, cluster.Update{Object: cluster.Object{ID: o.ID, Deleted: true}, Previous: o.Replicas})
	}
	for i, err := range m.node.UpdateAll(ctx, deletions) {
		if err != nil {
			t.Errorf("node %v: delete %v: %v", m.id, list[i].ID, err)
		}
	}
	if e := m.lookup(owner); len(e.Fragments) != 0 {
		t.Errorf("node %v: Lookup(%s) after the deletion = %+v, want no fragments", m.id, owner, e)
	}
	if _, err := m.read(on, list[0].ID); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("node %v: Open after the deletion: %v, want kind not found", m.id, err)
	}
}

// A body above the size of one message travels in both directions, from and to any node, and what
// comes out is what went in (D5).
func TestD5_LargeBodyAcrossNodes(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		contents := strings.Repeat("0123456789abcde\n", 2<<20/16)
		for i, from := range w.machines {
			on := w.machines[(i+1)%3]
			from.put(typeNote, "large", fmt.Sprint(i), contents, on.id)
			for _, reader := range w.machines {
				got, err := reader.read(on.id, cluster.ObjectID{Type: typeNote, Owner: "large", ID: fmt.Sprint(i)})
				if err != nil || got != contents {
					t.Errorf("node %v reads %d bytes from %v (%v), want the %d stored", reader.id, len(got), on.id, err, len(contents))
				}
			}
		}
	})
}
