package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// A part of contents comes from the node that has them, and no more than that of large ones.
func TestOpenRange(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		large := strings.Repeat("0123456789abcdef", 40<<10) // ten chunks
		a.put(typeNote, "o", "large", large, b.id)
		a.put(typeNote, "o", "small", "contents", b.id)
		a.put(typeSet, "o", "set", "abc", b.id)
		ctx := context.Background()
		for _, c := range []struct {
			typ            cluster.ObjectType
			id             string
			offset, length int64
			want           string
		}{
			{typeNote, "small", 0, 3, "con"}, {typeNote, "small", 3, -1, "tents"}, {typeNote, "small", 8, 5, ""}, {typeNote, "small", 99, -1, ""},
			{typeNote, "large", 0, -1, large}, {typeNote, "large", 65530, 12, large[65530:65542]}, {typeNote, "large", 200_000, 300_000, large[200_000:500_000]},
			{typeNote, "large", int64(len(large)) - 3, 10, "def"}, {typeNote, "large", 65536, 0, ""}, {typeSet, "set", 1, 1, "b"},
		} {
			for _, m := range w.machines {
				o, r, err := m.node.OpenRange(ctx, b.id, cluster.ObjectID{Type: c.typ, Owner: "o", ID: c.id}, c.offset, c.length)
				if err != nil {
					t.Fatalf("OpenRange(%s, %d, %d) by way of %v = %v", c.id, c.offset, c.length, m.id, err)
				}
				got, err := io.ReadAll(r)
				if closeErr := r.Close(); err != nil || closeErr != nil || string(got) != c.want || o.ID.ID != c.id {
					t.Errorf("OpenRange(%s, %d, %d) by way of %v = %d bytes of %v, %v, %v, want %d", c.id, c.offset, c.length, m.id, len(got), o.ID, err, closeErr, len(c.want))
				}
			}
		}
		for _, m := range w.machines {
			if _, _, err := m.node.OpenRange(ctx, b.id, noteID("o", "small"), -1, 2); !cluster.IsKind(err, cluster.KindInvalid) {
				t.Errorf("OpenRange from -1 = %v, want kind invalid", err)
			}
			if _, _, err := m.node.OpenRange(ctx, a.id, noteID("o", "small"), 0, 2); !cluster.IsKind(err, cluster.KindNotFound) {
				t.Errorf("OpenRange where it does not lie = %v, want kind not found", err)
			}
		}
	})
}

// What is derived comes in the order of the question, as much as goes into an answer, with what is wrong with each.
func TestDerived(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		var ids []string
		for i := range 30 {
			ids = append(ids, fmt.Sprint(i))
			a.put(typeNote, "o", ids[i], strings.Repeat("x", i), b.id)
		}
		ids[7] = "not there"
		for _, m := range w.machines {
			got, err := m.node.Derived(context.Background(), b.id, "o", typeNote, ids)
			if err != nil || len(got) != len(ids) {
				t.Fatalf("Derived by way of %v = %d, %v, want %d", m.id, len(got), err, len(ids))
			}
			for i, d := range got {
				switch {
				case i == 7:
					if !cluster.IsKind(d.Err, cluster.KindNotFound) {
						t.Errorf("Derived of what is not there = %+v, want kind not found", d)
					}
				case d.Err != nil || string(d.Data) != fmt.Sprint(i):
					t.Errorf("Derived of %d = %q, %v", i, d.Data, d.Err)
				}
			}
			if _, err := m.node.Derived(context.Background(), b.id, "o", typeCard, ids); !cluster.IsKind(err, cluster.KindInvalid) {
				t.Errorf("Derived of a type without = %v, want kind invalid", err)
			}
			many, err := m.node.Derived(context.Background(), b.id, "o", typeNote, make([]string, call.DerivedMax+1))
			if err != nil || len(many) != call.DerivedMax {
				t.Errorf("Derived of too many = %d, %v, want %d", len(many), err, call.DerivedMax)
			}
			if none, err := m.node.Derived(context.Background(), b.id, "o", typeNote, nil); err != nil || len(none) != 0 {
				t.Errorf("Derived of nothing = %d, %v", len(none), err)
			}
		}
	})
}

// The contents of an owner's objects of an inline type come in pages, in order, none left out.
func TestContents_ManyPages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		const count = 40
		letters := strings.Repeat("z", 30<<10)
		a.put(typeSet, "o", "", letters, b.id) // the empty id is one too
		for i := range count {
			a.put(typeSet, "o", fmt.Sprintf("%03d", i), fmt.Sprint(i, letters), b.id)
		}
		u := deletionOf(cluster.ObjectID{Type: typeSet, Owner: "o", ID: "007"}, b.id)
		u.Object.Replicas = cluster.NewReplicaSet(b.id) // a tombstone
		if err := a.node.Update(context.Background(), u, nil); err != nil {
			t.Fatal(err)
		}
		for _, m := range w.machines {
			var got []string
			pages := 0
			for after, more := "", true; more; pages++ {
				var page []cluster.Copy
				var err error
				if page, more, err = m.node.Contents(context.Background(), b.id, "o", typeSet, after); err != nil {
					t.Fatal(err)
				}
				size := 0
				for _, c := range page {
					after = c.Object.ID.ID
					got = append(got, after)
					size += len(c.Contents)
					if want := strings.TrimLeft(after, "0"); c.Err != nil || !strings.HasPrefix(string(c.Contents), want) || int64(len(c.Contents)) != c.Object.Size {
						t.Errorf("copy %q: %d bytes, %v", after, len(c.Contents), c.Err)
					}
				}
				if size > contentsPageBytes {
					t.Errorf("a page of %d bytes", size)
				}
			}
			if len(got) != count || got[0] != "" || got[count-1] != "039" || pages < 3 {
				t.Errorf("by way of %v: %d copies in %d pages: %v", m.id, len(got), pages, got)
			}
			if _, _, err := m.node.Contents(context.Background(), b.id, "o", typeNote, ""); !cluster.IsKind(err, cluster.KindInvalid) {
				t.Errorf("Contents of a type that is not inline = %v, want kind invalid", err)
			}
		}
		if e := a.lookup("o"); len(e.Cached) != 0 || len(e.Fragments) != 1 {
			t.Errorf("the manager has %+v, want one fragment", e)
		}
	})
}

// Pages that another node got wrong do not send the reader round in a circle.
func TestCheckCopies(t *testing.T) {
	page := func(more bool, ids ...string) *call.ContentsAnswer {
		a := &call.ContentsAnswer{More: more}
		for _, id := range ids {
			a.Copies = append(a.Copies, cluster.Copy{Object: cluster.Object{ID: cluster.ObjectID{Type: typeSet, Owner: "o", ID: id}}})
		}
		return a
	}
	for _, c := range []struct {
		page  *call.ContentsAnswer
		after string
		ok    bool
	}{
		{page(false), "", true}, {page(false, "", "a"), "", true}, {page(true, "b"), "a", true}, {page(false, "b", "c"), "a", true},
		{page(true), "a", false}, {page(true, ""), "", false}, {page(false, "a"), "a", false}, {page(false, "c", "b"), "a", false},
	} {
		if err := checkCopies(c.page, c.after); (err == nil) != c.ok {
			t.Errorf("checkCopies(%+v, %q) = %v", c.page, c.after, err)
		}
	}
}

// A node of an older version says nothing final about what it does not know (V1), and what other nodes send is
// checked.
func TestV1_ReadingMethodsAreRefused(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		m := boot(t, 1).machines[0]
		for _, method := range []string{call.MethodWhole, call.MethodRange, call.MethodDerived, call.MethodPieces, call.MethodContents} {
			for _, payload := range [][]byte{nil, bytes.Repeat([]byte{0xff}, 9)} {
				if _, err := m.node.Handle(context.Background(), 0x99, &transport.Incoming{Method: method, Payload: payload}); !cluster.IsKind(err, cluster.KindInvalid) {
					t.Errorf("%s of %x = %v, want kind invalid", method, payload, err)
				}
			}
		}
		if _, err := m.node.Derived(context.Background(), 0x77, "o", typeNote, []string{"x"}); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Derived of a node that is not there = %v, want kind unavailable", err)
		}
	})
}
