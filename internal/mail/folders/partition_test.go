package folders

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// The stories of L12: what two sides of a partition do, and what is left when they have met. Each is told from both ends:
// whoever merges gets the same.

// meets has two sides meet in both directions, and checks that they have the same.
func meets(t *testing.T, a, b *hand) []Conflict {
	t.Helper()
	one, two := *a, *b
	conflicts := a.meet(b)
	two.meet(&one)
	if x, y := show(a.tree), show(two.tree); x != y {
		t.Errorf("the sides differ:\n%s\n%s", x, y)
	}
	return conflicts
}

func (h *hand) id(name string) mail.FolderID {
	h.Helper()
	f, err := h.tree.Find(name)
	if err != nil {
		h.Fatal(err)
	}
	return f.ID
}

func (h *hand) wantHome(from, want mail.FolderID) {
	h.Helper()
	if got := h.tree.Home(from); got != want {
		h.Errorf("messages of folder %v are at home in %v, want %v", from, got, want)
	}
}

// The same name on both sides: the greater UIDVALIDITY survives, and the other's messages are to come into it.
func TestL12_CreatedOnBothSides(t *testing.T) {
	a, b := newHand(t, 1), newHand(t, 2)
	mine, theirs := a.create("x", ""), b.create("x", "")
	conflicts := meets(t, a, b)
	if len(conflicts) != 1 || conflicts[0] != (Conflict{Name: "x", From: mine.ID, Into: theirs.ID}) {
		t.Errorf("conflicts = %+v", conflicts)
	}
	a.wantHome(mine.ID, theirs.ID)
	tree, err := a.tree.Absorbed(conflicts[0], a.stamp())
	a.take(tree, err)
	if again, err := a.tree.Absorbed(conflicts[0], a.stamp()); err != nil || again != a.tree {
		t.Errorf("absorbed twice: %v", err)
	}
	a.wantHome(mine.ID, theirs.ID)
	if a.tree.IsGone(mine.ID) {
		t.Error("a folder that was merged into another counts as deleted")
	}
	a.delete("x")
	a.wantHome(mine.ID, mail.Inbox)
}

// With equal UIDVALIDITY the survivor has a greater one than either: a client that saw one of them must notice.
func TestL12_EqualUIDValidity(t *testing.T) {
	a, b := newHand(t, 1), newHand(t, 2)
	b.now = a.now
	mine, theirs := a.create("x", ""), b.create("x", "")
	if mine.UIDValidity != theirs.UIDValidity {
		t.Fatalf("UIDVALIDITY %d and %d: want the same", mine.UIDValidity, theirs.UIDValidity)
	}
	conflicts := meets(t, a, b)
	if len(conflicts) != 1 || conflicts[0].Into != theirs.ID { // the larger id
		t.Errorf("conflicts = %+v", conflicts)
	}
	if f, err := a.tree.Find("x"); err != nil || f.UIDValidity <= mine.UIDValidity {
		t.Errorf("the survivor: %+v, %v", f, err)
	}
}

// A default folder is one and the same on both sides, whoever uses it first.
func TestL12_DefaultFolderOnBothSides(t *testing.T) {
	a, b := newHand(t, 1), newHand(t, 2)
	id := a.id("Sent")
	a.rename("Sent", "Sent mail")
	b.subscribe("Sent", true)
	b.create("Sent/old", "")
	if conflicts := meets(t, a, b); len(conflicts) > 0 {
		t.Errorf("conflicts = %+v", conflicts)
	}
	if a.id("Sent mail") != id || a.id("Sent/old") == id {
		t.Error("the folder has another id")
	}
	a.want("INBOX s", `Archive s \Archive`, `Drafts s \Drafts`, `Junk s \Junk`, "Sent - + s", "Sent/old", `Sent mail \Sent`, `Trash s \Trash`)
}

// Deleted on one side, and a message put into it on the other: that is found in INBOX.
func TestL12_DeletedAndDeliveredTo(t *testing.T) {
	a, b := newHand(t, 1), newHand(t, 2)
	id := a.create("x", "").ID
	meets(t, a, b)
	a.delete("x")
	b.wantHome(id, id)
	meets(t, a, b)
	b.wantHome(id, mail.Inbox)
}

func TestL12_Renames(t *testing.T) {
	for name, c := range map[string]struct {
		a, b func(h *hand) // b is later
		want []string      // the names at the end, of the folders made as "x", "y" and "x/below"
	}{
		"to two names":               {func(h *hand) { h.rename("x", "a") }, func(h *hand) { h.rename("x", "b") }, []string{"b", "y", "b/below"}},
		"each below the other":       {func(h *hand) { h.rename("x", "y/x") }, func(h *hand) { h.rename("y", "x/y") }, []string{"y/x", "x/y", "y/x/below"}},
		"renamed, then deleted":      {func(h *hand) { h.rename("y", "a") }, func(h *hand) { h.delete("y") }, []string{"x", "", "x/below"}},
		"deleted, then renamed":      {func(h *hand) { h.delete("y") }, func(h *hand) { h.rename("y", "a") }, []string{"x", "a", "x/below"}},
		"a folder made below":        {func(h *hand) { h.rename("x", "a") }, func(h *hand) { h.create("x/new", "") }, []string{"a", "y", "a/below"}},
		"a part of what was renamed": {func(h *hand) { h.rename("x", "a") }, func(h *hand) { h.rename("x/below", "y/below") }, []string{"a", "y", "y/below"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newHand(t, 1), newHand(t, 2)
			made := []Folder{a.create("x", ""), a.create("y", ""), a.create("x/below", "")}
			meets(t, a, b)
			c.a(a)
			b.now = a.now + 500
			c.b(b)
			meets(t, a, b)
			for i, name := range c.want {
				f, ok := a.tree.Folder(made[i].ID)
				if ok != (name != "") || f.Name != name {
					t.Errorf("%s is %q, %t, want %q", made[i].Name, f.Name, ok, name)
				}
				if name == "" {
					a.wantHome(made[i].ID, mail.Inbox)
				} else {
					a.wantHome(made[i].ID, made[i].ID)
				}
			}
		})
	}
}

// Two folders that end with one name are merged as if both had been created with it.
func TestL12_RenamedToOneName(t *testing.T) {
	a, b := newHand(t, 1), newHand(t, 2)
	x, y := a.create("x", ""), a.create("y", "")
	meets(t, a, b)
	a.rename("x", "z")
	b.rename("y", "z")
	conflicts := meets(t, a, b)
	if len(conflicts) != 1 || conflicts[0] != (Conflict{Name: "z", From: x.ID, Into: y.ID}) {
		t.Errorf("conflicts = %+v", conflicts)
	}
	a.wantHome(x.ID, y.ID)
	// Renamed or deleted before they are merged, they stay together.
	a.rename("z", "w")
	a.wantHome(x.ID, y.ID)
	a.delete("w")
	a.wantHome(x.ID, mail.Inbox)
	if _, err := a.tree.Absorbed(conflicts[0], a.stamp()); err != nil {
		t.Errorf("absorbed after all: %v", err)
	}
}

// U4: a name that was deleted on one side does not go back to the other side's smaller UIDVALIDITY.
func TestU4_DeletedOnTheSideThatWasAhead(t *testing.T) {
	a, b := newHand(t, 1), newHand(t, 2)
	b.create("x", "")
	a.now += 5000
	shown := a.create("x", "")
	a.delete("x")
	meets(t, a, b)
	if f, err := a.tree.Find("x"); err != nil || f.UIDValidity <= shown.UIDValidity {
		t.Errorf("x = %+v, %v, after UIDVALIDITY %d", f, err, shown.UIDValidity)
	}
}

// U4, L12: a folder that was bumped under another name is shown under its own with that UIDVALIDITY; who has the name later has a greater one.
func TestU4_BumpedUnderAnotherName(t *testing.T) {
	at := func(s int64, node cluster.NodeID) cluster.Timestamp {
		return cluster.Timestamp{Time: (1_710_000_000 + s) * int64(time.Second), Node: node}
	}
	ids := byte(0)
	draw := func() mail.FolderID { ids++; return mail.FolderID{0xf0, ids} }
	must := func(tree *Tree, err error) *Tree {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return tree
	}
	rename := func(tree *Tree, from, to string, when cluster.Timestamp) *Tree {
		after, _, err := tree.Rename(from, to, draw, when)
		return must(after, err)
	}
	meet := func(a, b *Tree, when cluster.Timestamp) *Tree {
		joined, err := Merge(a.Marshal(), b.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		after, _, err := must(Parse(joined)).Settle(when)
		return must(after, err)
	}
	first, old, err := must(Parse(nil)).Create("c", "", draw, at(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	one := rename(rename(first, "c", "b", at(2, 1)), "b", "c", at(6, 1))
	two, _, err := rename(first, "c", "a", at(3, 2)).Bump(old.ID, at(5, 2))
	if err != nil {
		t.Fatal(err)
	}
	three, _, err := first.Delete("c", at(7, 3))
	if err != nil {
		t.Fatal(err)
	}
	if three, _, err = three.Create("c", "", draw, at(4, 3)); err != nil { // by a clock that is behind
		t.Fatal(err)
	}
	one = meet(one, two, at(8, 1))
	shown, err := one.Find("c")
	if err != nil {
		t.Fatal(err)
	}
	after, err := meet(one, three, at(9, 1)).Find("c")
	if err != nil || after.ID == shown.ID || after.UIDValidity <= shown.UIDValidity {
		t.Errorf("c is %+v after %+v, %v", after, shown, err)
	}
}
