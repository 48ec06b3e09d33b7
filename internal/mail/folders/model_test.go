package folders

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// side is one side of a partition in the model.
type side struct {
	tree     *Tree
	node     cluster.NodeID
	messages map[int]mail.FolderID // the folder that each was put into, as its attribute says for ever
	shown    map[string]uint32     // by name, the largest UIDVALIDITY shown here, or where this side has it from
}

// model is several sides, and what holds of all together.
type model struct {
	*rapid.T
	sides []*side
	now   int64
	ids   int
	count int
	names map[string]mail.FolderID // by name and UIDVALIDITY: the folder that was shown (U1)
	// old says that what others may need is forgotten: then names may go back, and only reachability is sure.
	old bool
	// same says that all sides write in the same second: folders of two sides have the same UIDVALIDITY until they meet.
	same bool
}

func newModel(t *rapid.T, sides int) *model {
	m := &model{T: t, names: map[string]mail.FolderID{}}
	for i := range sides {
		tree, err := Parse(nil)
		if err != nil {
			t.Fatal(err)
		}
		m.sides = append(m.sides, &side{tree: tree, node: cluster.NodeID(i + 1), messages: map[int]mail.FolderID{}, shown: map[string]uint32{}})
	}
	return m
}

// stamp gives a time at which no other side writes: a UIDVALIDITY of two folders is another test's.
func (m *model) stamp(s *side) cluster.Timestamp {
	m.now += 1000
	if m.same {
		return cluster.Timestamp{Time: 1_710_000_000*int64(time.Second) + m.now, Node: s.node}
	}
	return cluster.Timestamp{Time: (1_710_000_000 + m.now) * int64(time.Second), Node: s.node}
}

func (m *model) draw() mail.FolderID {
	m.ids++
	return mail.FolderID{0xf0, byte(m.ids >> 8), byte(m.ids)}
}

// name draws one of few names, so that sides meet.
func (m *model) name(label string) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "a/b", "a/c", "b/a", "b/c", "a/b/c", "Sent", "Sent/a", "INBOX", "INBOX/a"}).Draw(m.T, label)
}

func (m *model) step() {
	s := rapid.SampledFrom(m.sides).Draw(m.T, "side")
	var err error
	after := s.tree
	switch rapid.SampledFrom([]string{"create", "create", "rename", "rename", "delete", "append", "append", "subscribe", "annotate", "bump", "meet", "absorb"}).Draw(m.T, "step") {
	case "create":
		use := rapid.SampledFrom([]string{"", "", `\Sent`}).Draw(m.T, "use")
		after, _, err = s.tree.Create(m.name("name"), use, m.draw, m.stamp(s))
	case "rename":
		after, _, err = s.tree.Rename(m.name("from"), m.name("to"), m.draw, m.stamp(s))
	case "delete":
		after, _, err = s.tree.Delete(m.name("name"), m.stamp(s))
	case "append":
		if f, err := s.tree.Find(m.name("name")); err == nil {
			m.count++
			s.messages[m.count] = f.ID
		}
	case "subscribe":
		after, err = s.tree.Subscribe(m.name("name"), rapid.Bool().Draw(m.T, "on"), m.stamp(s))
	case "annotate":
		value := rapid.StringN(0, 2, 4).Draw(m.T, "value")
		after, err = s.tree.Annotate(m.name("name"), map[string]*string{"/private/comment": &value}, m.stamp(s))
	case "bump":
		if f, err := s.tree.Find(m.name("name")); err == nil && rapid.IntRange(0, 3).Draw(m.T, "rarely") == 0 {
			if after, _, err = s.tree.Bump(f.ID, m.stamp(s)); err != nil {
				m.Fatal(err)
			}
		}
	case "meet":
		m.meet(s, rapid.SampledFrom(m.sides).Draw(m.T, "with"))
		return
	case "absorb":
		m.absorb(s)
		return
	}
	if err != nil {
		switch cluster.KindOf(err) {
		case cluster.KindExists, cluster.KindNotFound, cluster.KindDenied, cluster.KindInvalid:
			return
		}
		m.Fatal(err)
	}
	m.install(s, after)
}

// install makes a tree that of a side, as if it were written and shown.
func (m *model) install(s *side, t *Tree) {
	t, err := Parse(t.Marshal())
	if err != nil {
		m.Fatal(err)
	}
	s.tree = t
	for _, f := range t.List() {
		if !f.Exists || m.old {
			continue
		}
		if f.UIDValidity < s.shown[f.Name] {
			m.Fatalf("U4: UIDVALIDITY of %s is %d after %d", f.Name, f.UIDValidity, s.shown[f.Name])
		}
		s.shown[f.Name] = f.UIDValidity
		key := fmt.Sprint(f.Name, "=", f.UIDValidity)
		if was, ok := m.names[key]; ok && was != f.ID && !m.same {
			m.Fatalf("U1: %s was folder %v, is %v", key, was, f.ID)
		}
		m.names[key] = f.ID
	}
	m.reachable(s)
}

// reachable: every message is in a folder that is listed.
func (m *model) reachable(s *side) {
	listed := map[mail.FolderID]bool{}
	for _, f := range s.tree.List() {
		if f.Exists {
			if listed[f.ID] {
				m.Fatalf("folder %v is listed twice", f.ID)
			}
			listed[f.ID] = true
			if g, ok := s.tree.Folder(f.ID); !ok || g != f {
				m.Fatalf("Folder(%v) = %+v, %t, listed is %+v", f.ID, g, ok, f)
			}
		}
	}
	for n, id := range s.messages {
		if home := s.tree.Home(id); !listed[home] {
			m.Fatalf("message %d of folder %v is lost in %v", n, id, home)
		}
	}
}

// meet brings to one side what the other has.
func (m *model) meet(s, from *side) {
	b, err := Merge(s.tree.Marshal(), from.tree.Marshal())
	if err != nil {
		m.Fatal(err)
	}
	t, err := Parse(b)
	if err == nil {
		t, _, err = t.Settle(m.stamp(s))
	}
	if err != nil {
		m.Fatal(err)
	}
	for n, id := range from.messages {
		s.messages[n] = id
	}
	for name, v := range from.shown {
		s.shown[name] = max(s.shown[name], v)
	}
	m.install(s, t)
}

// absorb does what the conflicts ask for: the messages are put into the other folder, then it is written.
func (m *model) absorb(s *side) {
	t, conflicts, err := s.tree.Settle(m.stamp(s))
	if err != nil {
		m.Fatal(err)
	}
	for _, c := range conflicts {
		if t.Home(c.From) != c.Into {
			m.Fatalf("%+v: the messages are at home in %v", c, t.Home(c.From))
		}
		if t, err = t.Absorbed(c, m.stamp(s)); err != nil {
			m.Fatal(err)
		}
		if t.Home(c.From) != c.Into {
			m.Fatalf("%+v, absorbed: the messages are at home in %v", c, t.Home(c.From))
		}
	}
	m.install(s, t)
}

// TestU4_AnyPartition: whatever several sides do and in whatever order they meet, no name goes back to a
// smaller UIDVALIDITY (U4) or means another folder with the same (U1), no message is out of reach (L12),
// and in the end all have the same tree.
func TestU4_AnyPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		anyPartition(newModel(t, 3))
	})
}

// TestL12_InOneSecond: the same, with folders of equal UIDVALIDITY on two sides: when they have met, each name has one,
// and a greater one if it was in doubt.
func TestL12_InOneSecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, 2)
		m.same = true
		anyPartition(m)
	})
}

func anyPartition(m *model) {
	t := m.T
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		m.step()
	}
	for range 3 { // a settlement is news to the others
		for _, s := range m.sides {
			for _, from := range m.sides {
				m.meet(s, from)
			}
		}
	}
	for _, s := range m.sides[1:] {
		if !bytes.Equal(s.tree.Marshal(), m.sides[0].tree.Marshal()) || show(s.tree) != show(m.sides[0].tree) {
			t.Fatalf("side %v has\n%s, side %v\n%s", s.node, show(s.tree), m.sides[0].node, show(m.sides[0].tree))
		}
	}
	m.absorb(m.sides[0])
	if _, conflicts, err := m.sides[0].tree.Settle(m.stamp(m.sides[0])); err != nil || len(conflicts) > 0 {
		t.Fatalf("after all: %v, %v", conflicts, err)
	}
}

// contents draws a tree as some side might have it, of a partition that lasted for long.
func contents(t *rapid.T, m *model) [][]byte {
	for range rapid.IntRange(0, 25).Draw(t, "steps") {
		m.step()
		if rapid.IntRange(0, 5).Draw(t, "forget") == 0 {
			s := rapid.SampledFrom(m.sides).Draw(t, "who")
			horizon := m.stamp(s).Time - rapid.Int64Range(0, 30_000).Draw(t, "age")*int64(time.Second)
			if horizon > counter(s.tree.registers, counterHorizon) {
				s.tree = s.tree.forgetBefore(horizon)
				m.reachable(s)
			}
		}
	}
	var all [][]byte
	for _, s := range m.sides {
		all = append(all, s.tree.Marshal())
	}
	return all
}

// TestR1_MergeIsASemilattice: commutative, associative, idempotent, also over forgetting.
func TestR1_MergeIsASemilattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, 3)
		m.old = true
		all := contents(t, m)
		merge := func(a, b []byte) []byte {
			joined, err := Merge(a, b)
			if err != nil {
				t.Fatal(err)
			}
			return joined
		}
		a, b, c := all[0], all[1], all[2]
		if !bytes.Equal(merge(a, b), merge(b, a)) {
			t.Error("not commutative")
		}
		if !bytes.Equal(merge(merge(a, b), c), merge(a, merge(b, c))) {
			t.Error("not associative")
		}
		if !bytes.Equal(merge(a, a), a) {
			t.Error("not idempotent")
		}
		ab := merge(a, b)
		if !bytes.Equal(merge(ab, a), ab) || !bytes.Equal(merge(b, ab), ab) {
			t.Error("a join does not have all that it was made of")
		}
	})
}

// FuzzParse: whatever comes, no panic; what is read is the only form of what it says, and every operation on it works or
// refuses.
func FuzzParse(f *testing.F) {
	tree, _ := Parse(nil)
	for _, name := range []string{"a/b", "INBOX/c", "é"} {
		tree, _, _ = tree.Create(name, "", drawer(1), at(int64(len(name))))
	}
	f.Add([]byte(nil))
	f.Add(tree.Marshal())
	tree, _, _ = tree.Delete("é", at(100))
	tree, _, _ = tree.Rename("a", "Trash/a", drawer(2), at(200))
	f.Add(tree.Marshal())
	f.Add(tree.forgetBefore(at(150).Time).Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := Parse(b)
		if err != nil {
			if k := cluster.KindOf(err); k != cluster.KindInvalid && k != cluster.KindLimit {
				t.Errorf("Parse(%x) = %v, of kind %v", b, err, k)
			}
			return
		}
		if len(b) > 0 && !bytes.Equal(tree.Marshal(), b) {
			t.Errorf("read and written, %x is %x", b, tree.Marshal())
		}
		if joined, err := Merge(b, b); err != nil || !bytes.Equal(joined, tree.Marshal()) {
			t.Errorf("merged with itself, %x is %x, %v", b, joined, err)
		}
		settled, conflicts, err := tree.Settle(at(1000))
		if err != nil {
			return // no UIDVALIDITY is left
		}
		for _, c := range conflicts {
			if settled, err = settled.Absorbed(c, at(1001)); err != nil {
				t.Fatalf("absorb %+v: %v", c, err)
			}
		}
		for _, f := range settled.List() {
			if _, err := settled.Find(f.Name); f.Exists != (err == nil) && cluster.IsKind(err, cluster.KindNotFound) {
				t.Errorf("%+v is found: %v", f, err)
			}
		}
		for id := range settled.view.folders {
			if _, ok := settled.Folder(settled.Home(id)); !ok {
				t.Errorf("home of %v is %v, which does not exist", id, settled.Home(id))
			}
		}
		settled.forgetBefore(at(2000).Time)
	})
}

// FuzzCanonical: a canonical name is one, and stays.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"inbox", "a/b/", "//", "e\u0301", "#x", "\xff", "a\x00", "\u1e9b\u0323", "\u212b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := Canonical(s)
		if err != nil {
			return
		}
		if again, err := Canonical(name); err != nil || again != name {
			t.Errorf("Canonical(%q) = %q, and of that %q, %v", s, name, again, err)
		}
		if len(name) > NameMax || fault(name) != "" {
			t.Errorf("Canonical(%q) = %q: %s", s, name, fault(name))
		}
	})
}
