package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/wire/call"
)

// A listing of owners has every owner once, whatever the size of its pages and at whichever node it
// goes on, over a change of view too; other types and tombstones are not in it.
func TestOwners_EveryOwnerOnce(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		var want []string
		for i := range 100 {
			owner := fmt.Sprintf("owner-%03d", i)
			m := w.machines[i%3]
			m.put(typeCard, owner, "x", "card of "+owner, m.id, w.machines[(i+1)%3].id)
			m.put(typeNote, owner, "x", "note", m.id)
			if i%10 == 0 { // two objects of one owner stand together
				m.put(typeCard, owner, "y", "second card of "+owner, m.id, w.machines[(i+1)%3].id)
			}
			want = append(want, owner)
		}
		gone, _ := newObject(typeCard, "gone", "x", "", ids(w.machines...)...)
		gone.Object.Deleted, gone.Object.Sum = true, [32]byte{}
		if err := w.machines[0].node.Update(context.Background(), gone, nil); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{1, 7, 64, 0} {
			if got := listOwners(t, w.machines, limit); !slices.Equal(got, want) {
				t.Errorf("pages of %d: %d owners, want %d: %v", limit, len(got), len(want), got)
			}
		}
		// The order is the same in another view.
		first := page(t, w.machines[0].node, "", 40)
		w.machines[2].kill()
		w.settle(w.machines[:2]...)
		if again := page(t, w.machines[1].node, "", 40); !slices.Equal(first, again) {
			t.Errorf("after a change of view the list is %v, before %v", again, first)
		}
	})
}

// listOwners lists all owners of cards, each page at the next machine, sorted for comparison.
func listOwners(t *testing.T, machines []*machine, limit int) []string {
	t.Helper()
	var all []string
	after := ""
	for i := 0; ; i++ {
		list, err := machines[i%len(machines)].node.Owners(context.Background(), typeCard, after, limit)
		if err != nil {
			t.Fatalf("Owners(after %q, %d) = %v", after, limit, err)
		}
		if len(list) == 0 {
			slices.Sort(all)
			return all
		}
		for _, o := range list {
			if !strings.HasSuffix(string(o.Contents), o.Object.ID.Owner) {
				t.Errorf("Owners gives %v with contents %q", o.Object.ID, o.Contents)
			}
			if o.Object.ID.ID == "x" {
				all = append(all, o.Object.ID.Owner)
			}
		}
		after = list[len(list)-1].Object.ID.Owner
	}
}

func page(t *testing.T, n *Node, after string, limit int) (owners []string) {
	t.Helper()
	list, err := n.Owners(context.Background(), typeCard, after, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		owners = append(owners, o.Object.ID.Owner)
	}
	return owners
}

// V2: a listing is never silently partial.
func TestV2_OwnersOfIncompleteBuckets(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 2)
		a, b := w.machines[0], w.machines[1]
		b.failCalls(func(method string, _ cluster.NodeID) error {
			if method == call.MethodPush { // what b holds, a never hears
				return cluster.Errorf(cluster.KindUnavailable, "test", "refused")
			}
			return nil
		})
		a.start()
		b.start()
		w.await("one view", settleMax, func() error {
			if len(a.node.View().Members)+len(b.node.View().Members) != 4 {
				return errors.New("not yet")
			}
			return nil
		})
		for _, m := range w.machines {
			if list, err := m.node.Owners(context.Background(), typeCard, "", 10); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("node %v: Owners = %v, %v; want kind unavailable", m.id, list, err)
			}
		}
		if e := b.lookup(a.managed(1)[0]); e.Knowledge != cluster.Partial {
			t.Errorf("Knowledge = %v, want partial", e.Knowledge)
		}
		b.failCalls(nil)
		w.settle(a, b)
		if _, err := a.node.Owners(context.Background(), typeCard, "", 10); err != nil {
			t.Errorf("afterwards Owners = %v", err)
		}
	})
}

// Pages stay within what one message can carry, and end between owners.
func TestCutPage(t *testing.T) {
	n := &Node{cfg: Config{Cluster: testCluster}}
	object := func(owner string, size int) cluster.CachedObject {
		return cluster.CachedObject{Object: cluster.Object{ID: cluster.ObjectID{Type: typeCard, Owner: owner}}, Contents: make([]byte, size)}
	}
	const large = cluster.CachedSizeMax
	tests := []struct {
		name    string
		objects []cluster.CachedObject
		want    int
	}{
		{"empty", nil, 0},
		{"small", []cluster.CachedObject{object("a", 1), object("b", 1)}, 2},
		{"large", []cluster.CachedObject{object("a", large), object("b", large), object("c", large), object("d", large), object("e", large)}, 3},
		{"one owner is never cut", []cluster.CachedObject{object("a", large), object("a", large), object("a", large), object("a", large), object("a", large), object("b", 1)}, 5},
	}
	for _, tt := range tests {
		p := softstate.ListPage{Objects: tt.objects}
		n.cutPage(&p)
		if len(p.Objects) != tt.want || p.More != (tt.want < len(tt.objects)) {
			t.Errorf("%s: %d objects, more %v; want %d of %d", tt.name, len(p.Objects), p.More, tt.want, len(tt.objects))
		}
		if p.More && p.Next != (softstate.Cursor{Bucket: testCluster.BucketOf(p.Objects[tt.want-1].Object.ID.Owner), Owner: p.Objects[tt.want-1].Object.ID.Owner}) {
			t.Errorf("%s: the next page begins at %+v", tt.name, p.Next)
		}
	}
}

// A mailbox larger than a page is listed across nodes whole and in order.
func TestList_ManyPages(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		const count = 300
		for i := range count {
			u, body := newObject(typeNote, "o", fmt.Sprintf("%05d", i), "contents", b.id)
			u.Object.Attr = make([]byte, cluster.AttrSizeMax)
			if err := b.node.Update(context.Background(), u, body); err != nil {
				t.Fatal(err)
			}
		}
		list, err := a.node.List(context.Background(), b.id, "o", typeNote)
		if err != nil || len(list) != count {
			t.Fatalf("List = %d objects, %v; want %d", len(list), err, count)
		}
		for i := range list {
			if list[i].ID.ID != fmt.Sprintf("%05d", i) {
				t.Fatalf("object %d is %v", i, list[i].ID)
			}
		}
	})
}
