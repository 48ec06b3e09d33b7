package membership

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
)

func anyEpoch(t *rapid.T, label string) cluster.Epoch {
	return cluster.Epoch{Counter: rapid.Uint64Range(0, 3).Draw(t, label), Coordinator: cluster.NodeID(rapid.Uint64Range(0, 2).Draw(t, label+" by"))}
}

func anyContact(t *rapid.T) Contact {
	return Contact{
		Known: cluster.Known{
			Endpoint: cluster.Endpoint{ID: cluster.NodeID(rapid.Uint64Range(0, 4).Draw(t, "id")), Addr: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "addr")},
			Sole:     rapid.Bool().Draw(t, "sole"),
		},
		Heard:   anyEpoch(t, "heard"),
		Removed: rapid.IntRange(0, 3).Draw(t, "removed") == 0,
		Life:    Life{Boot: rapid.Uint64Range(0, 2).Draw(t, "boot"), Process: rapid.Uint64Range(1, 2).Draw(t, "process"), In: anyEpoch(t, "in")},
	}
}

// Contacts are a join: whatever order they are passed on in, and however often, all nodes end with
// the same; and whoever was struck once is struck in all of them.
func TestContactsAreAJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(anyContact), 0, 12).Draw(t, "contacts")
		first := newContacts(4, list)
		shuffled := append(append([]Contact(nil), list...), list...)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1)).Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
		})
		other := newContacts(4, shuffled)
		other.joinAll(first.list())
		if !maps.Equal(first.byID, other.byID) {
			t.Fatalf("in one order %v, in another %v", first.list(), other.list())
		}
		for _, c := range list {
			if known, ok := first.byID[c.ID]; ok && c.Addr != "" && (c.Removed && !known.Removed || known.Life.compare(c.Life) < 0) {
				t.Fatalf("%+v joined is %+v: a strike or a life was forgotten", c, known)
			}
		}
		for _, c := range list { // what the node itself says does not undo it either
			first.meet(c.Endpoint, true, cluster.Epoch{Counter: 9})
			first.install(&cluster.View{Epoch: cluster.Epoch{Counter: 9}, Members: []cluster.Member{{Endpoint: c.Endpoint}}})
		}
		for id, c := range other.byID {
			if known := first.byID[id]; c.Removed && (!known.Removed || known.Sole) || known.Life != c.Life {
				t.Fatalf("%+v became %+v by what the node said itself", c, known)
			}
		}
	})
}

// The tombstones are bounded, and all nodes keep the same ones: those of the largest epochs.
func TestTombstonesAreBounded(t *testing.T) {
	tombstone := func(i int) Contact {
		e := cluster.Endpoint{ID: cluster.NodeID(i + 1), Addr: fmt.Sprint(i)}
		return Contact{Known: cluster.Known{Endpoint: e}, Heard: cluster.Epoch{Counter: uint64(i + 1)}, Removed: true}
	}
	const more = 100
	up, down := newContacts(1<<40, nil), newContacts(1<<40, nil)
	for i := range RemovedMax + more {
		up.join(tombstone(i))
		down.join(tombstone(RemovedMax + more - 1 - i))
	}
	if len(up.byID) != RemovedMax || !maps.Equal(up.byID, down.byID) || up.byID[1].Removed || !up.byID[more+1].Removed {
		t.Errorf("%d and %d tombstones, want %d, the newest, whatever the order", len(up.byID), len(down.byID), RemovedMax)
	}
	up.dirty = false
	up.join(tombstone(0))
	if up.dirty || up.removed != RemovedMax {
		t.Errorf("a tombstone that was forgotten is taken in again: dirty %v, %d tombstones", up.dirty, up.removed)
	}
	live := Contact{Known: cluster.Known{Endpoint: cluster.Endpoint{ID: 1 << 30, Addr: "x"}}}
	up.join(live)
	if _, ok := up.byID[live.ID]; !ok {
		t.Error("no room for a node that lives")
	}
}
