package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// wantDerived asks for what is derived from a message of a@b: data, or an error of a kind.
func wantDerived(t testing.TB, s *Store, id, data string, kind *cluster.Kind) {
	t.Helper()
	d, err := s.Derived(context.Background(), "a@b", "message", []string{id}, 1<<20)
	switch {
	case err != nil || len(d) != 1:
		t.Errorf("Derived(%s) = %d, %v", id, len(d), err)
	case kind != nil:
		wantKind(t, "Derived of "+id, d[0].Err, *kind)
	case d[0].Err != nil || string(d[0].Data) != data:
		t.Errorf("Derived(%s) = %q, %v, want %q", id, d[0].Data, d[0].Err, data)
	}
}

// derivedKeys counts what lies under layout.PrefixDerive.
func derivedKeys(t testing.TB, s *Store) (n int) {
	t.Helper()
	lower, upper := layout.Bounds(layout.PrefixDerive)
	if err := s.each(s.db, lower, upper, func(_, _ []byte) error { n++; return nil }); err != nil {
		t.Error(err)
	}
	return n
}

// TestDerived: what is derived is there when the contents are, small and large; an error or a panic does not
// stop the message; it goes with the contents.
func TestDerived(t *testing.T) {
	cfg := testConfig(vfs.NewMem())
	cfg.Types[0].Vault, cfg.VaultFor = true, time.Hour
	s := mustOpen(t, cfg)
	large := noise(seeded(1), 3*layout.ChunkSize+5)
	copy(large, "larg")
	invalid, absent := cluster.KindInvalid, cluster.KindNotFound
	for _, c := range []struct {
		id, contents, want string
		kind               *cluster.Kind
	}{
		{"small", "contents", "cont", nil}, {"short", "ab", "ab", nil}, {"empty", "", "", nil}, {"large", string(large), "larg", nil},
		{"error", "! nothing", "", &invalid}, {"panic", "? crash", "", &invalid}, {"absent", "", "", &absent},
	} {
		if c.id != "absent" {
			u, body := put("message", "a@b", c.id, 1, []byte(c.contents), self)
			mustApply(t, s, u, body)
			if got := readBody(t, s, u.Object.ID); string(got) != c.contents {
				t.Errorf("%s: contents differ", c.id)
			}
		}
		wantDerived(t, s, c.id, c.want, c.kind)
	}
	if m := s.Metrics(); m.Late != 1 || m.Underived != 2 || m.Derived != 4 { // of no contents nothing is kept
		t.Errorf("Metrics = %d late, %d underived, %d derived", m.Late, m.Underived, m.Derived)
	}
	if n := derivedKeys(t, s); n != 5 {
		t.Errorf("%d derived records, want 5", n)
	}
	mustVerify(t, s)
	other, _ := put("message", "a@b", "small", 2, []byte("contents"), self, other) // the contents stay
	mustApply(t, s, other, nil)
	wantDerived(t, s, "small", "cont", nil)
	u, body := put("message", "a@b", "short", 2, []byte("changed"), self)
	mustApply(t, s, u, body)
	wantDerived(t, s, "short", "chan", nil)
	if err := s.Heal(context.Background(), u.Object, body); err != nil {
		t.Error(err)
	}
	wantDerived(t, s, "short", "chan", nil)
	if m := s.Metrics(); m.Late != 1 {
		t.Errorf("%d late, want none more", m.Late)
	}
	mustVerify(t, s)
	for _, id := range []string{"small", "short", "empty", "large", "error", "panic"} {
		mustApply(t, s, remove("message", "a@b", id, 3), nil)
		wantDerived(t, s, id, "", &absent)
	}
	if n := derivedKeys(t, s); n != 0 {
		t.Errorf("%d derived records are left", n)
	}
	mustVerify(t, s) // the vault has all of them
	if _, err := s.Collect(context.Background(), time.Now().Add(2*time.Hour), time.Now()); err != nil {
		t.Error(err)
	}
	if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Error(err)
	}
	mustVerify(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A newer program derives something else: it is computed when it is asked for, once, and kept over a restart. So is
// what was lost or damaged.
func TestDerivedLate(t *testing.T) {
	mem := vfs.NewMem()
	cfg := testConfig(mem)
	s := mustOpen(t, cfg)
	large := noise(seeded(1), 2*layout.ChunkSize+5)
	copy(large, "larg")
	for id, contents := range map[string][]byte{"a": []byte("contents"), "b": large, "c": []byte("! nothing")} {
		u, body := put("message", "a@b", id, 1, contents, self)
		mustApply(t, s, u, body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Types[0].DeriveVersion = 2
	cfg.Types[0].Derive = func(contents io.ReaderAt, size int64) ([]byte, error) {
		b := make([]byte, 3)
		_, err := contents.ReadAt(b, size-3)
		return b, err
	}
	want := map[string]string{"a": "nts", "b": string(large[len(large)-3:]), "c": "ing"}
	ask := func(s *Store, late int64) {
		t.Helper()
		for range 2 {
			for id, data := range want {
				wantDerived(t, s, id, data, nil)
			}
		}
		if m := s.Metrics(); m.Late != late {
			t.Errorf("%d were derived late, want %d", m.Late, late)
		}
		mustVerify(t, s)
	}
	s = mustOpen(t, cfg)
	ask(s, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	ask(s, 0)
	r, _, err := s.read(cluster.ObjectID{Type: "message", Owner: "a@b", ID: "a"}, false)
	if err != nil || !r.Derived {
		t.Fatalf("record = %+v, %v", r, err)
	}
	key := layout.AppendDerivedKey(nil, r.Number)
	for i, spoil := range []func() error{
		func() error { return s.db.Delete(key, pebble.Sync) },
		func() error { return s.db.Set(key, []byte("damage"), pebble.Sync) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		ask(s, int64(i+1))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// What is derived from damaged contents is never served as if it were whole, and says nothing for ever.
func TestD5_DerivedFromDamage(t *testing.T) {
	for _, size := range []int{100, 3 * layout.ChunkSize} {
		cfg := testConfig(vfs.NewMem())
		s := mustOpen(t, cfg)
		contents := noise(seeded(2), size)
		copy(contents, "text")
		u, body := put("message", "a@b", "x", 1, contents, self)
		mustApply(t, s, u, body)
		r, _, err := s.read(u.Object.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		key, lost := layout.AppendDerivedKey(nil, r.Number), layout.AppendBodyKey(nil, r.Number)
		if r.Chunked {
			lost = layout.AppendChunkKey(nil, r.Number, 0)
		}
		for _, k := range [][]byte{key, lost} {
			if err := s.db.Delete(k, pebble.Sync); err != nil {
				t.Fatal(err)
			}
		}
		corrupt := cluster.KindCorrupt
		wantDerived(t, s, "x", "", &corrupt)
		if n := derivedKeys(t, s); n != 0 {
			t.Errorf("%d derived records of damaged contents", n)
		}
		if err := s.Heal(context.Background(), u.Object, bytes.NewReader(contents)); err != nil {
			t.Fatal(err)
		}
		wantDerived(t, s, "x", "text", nil)
		mustVerify(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Answers are bounded in bytes: the first items come, and more when asked for the rest.
func TestDerivedPages(t *testing.T) {
	cfg := testConfig(vfs.NewMem())
	size := 0
	cfg.Types[0].Derive = func(_ io.ReaderAt, _ int64) ([]byte, error) { return bytes.Repeat([]byte{'x'}, size), nil }
	s := mustOpen(t, cfg)
	var ids []string
	for i := range 200 {
		size = 1000
		switch i {
		case 150:
			size = cluster.DerivedSizeMax
		case 151:
			size = cluster.DerivedSizeMax + 1
		}
		ids = append(ids, fmt.Sprint(i))
		u, body := put("message", "a@b", ids[i], 1, []byte("text"), self)
		mustApply(t, s, u, body)
	}
	ctx, rest, calls := context.Background(), ids, 0
	for len(rest) > 0 {
		d, err := s.Derived(ctx, "a@b", "message", rest, 70_000)
		if err != nil || len(d) == 0 || len(d) > len(rest) {
			t.Fatalf("Derived = %d, %v", len(d), err)
		}
		sum := 0
		for i := range d {
			sum += len(d[i].Data)
			if tooLarge := rest[i] == "151"; (d[i].Err != nil) != tooLarge {
				t.Errorf("%s: %v", rest[i], d[i].Err)
			}
		}
		if sum > 70_000 {
			t.Errorf("an answer of %d bytes", sum)
		}
		rest = rest[len(d):]
		calls++
	}
	if calls < 4 {
		t.Errorf("%d calls", calls)
	}
	if d, err := s.Derived(ctx, "a@b", "message", ids[150:], 1); err != nil || len(d) != 1 || len(d[0].Data) != cluster.DerivedSizeMax {
		t.Errorf("the first is always there: %d, %v", len(d), err)
	}
	for _, typ := range []cluster.ObjectType{"user", "unknown"} {
		_, err := s.Derived(ctx, "a@b", typ, ids, 1)
		wantKind(t, "Derived of "+string(typ), err, cluster.KindInvalid)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenRange: parts of small contents and of large ones, of every kind of type.
func TestOpenRange(t *testing.T) {
	cfg := testConfig(vfs.NewMem())
	cfg.Types = append(cfg.Types, cluster.TypeSpec{Name: "set", Inline: true})
	s := mustOpen(t, cfg)
	rng := seeded(3)
	for _, c := range []struct {
		typ  cluster.ObjectType
		size int
	}{{"message", 0}, {"message", 100}, {"message", layout.ChunkSize}, {"message", 4*layout.ChunkSize + 77}, {"user", 200_000}, {"set", 200_000}} {
		contents := noise(rng, c.size)
		u, body := put(c.typ, "a@b", fmt.Sprint(c.size), 1, contents, self)
		mustApply(t, s, u, body)
		for range 60 {
			offset, length := rng.Int64N(int64(c.size)+10), rng.Int64N(int64(c.size)+10)-3
			from := min(offset, int64(c.size))
			want := contents[from:]
			if length >= 0 && length < int64(len(want)) {
				want = want[:length]
			}
			o, r, err := s.OpenRange(u.Object.ID, offset, length)
			if err != nil {
				t.Fatalf("OpenRange(%d, %d) of %d = %v", offset, length, c.size, err)
			}
			got, err := io.ReadAll(r)
			if closeErr := r.Close(); err != nil || closeErr != nil || !bytes.Equal(got, want) || o.Size != int64(c.size) {
				t.Errorf("OpenRange(%d, %d) of %d %s = %d bytes, %v, want %d", offset, length, c.size, c.typ, len(got), err, len(want))
			}
		}
	}
	id := cluster.ObjectID{Type: "message", Owner: "a@b", ID: "100"}
	_, _, err := s.OpenRange(id, -1, 5)
	wantKind(t, "OpenRange from -1", err, cluster.KindInvalid)
	mustApply(t, s, remove("message", "a@b", "100", 2), nil)
	_, _, err = s.OpenRange(id, 0, 5)
	wantKind(t, "OpenRange of what is gone", err, cluster.KindNotFound)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// D5: a range that touches damage is never given out; one beside it is.
func TestD5_OpenRange(t *testing.T) {
	s := openMem(t)
	contents := noise(seeded(4), 3*layout.ChunkSize)
	u, body := put("message", "a@b", "large", 1, contents, self)
	mustApply(t, s, u, body)
	r, _, err := s.read(u.Object.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	key := layout.AppendChunkKey(nil, r.Number, 1)
	v := append(make([]byte, layout.ChunkHeadSize), contents[layout.ChunkSize:2*layout.ChunkSize]...)
	layout.SealChunk(key, v)
	v[100] ^= 1
	if err := s.db.Set(key, v, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	read := func(offset, length int64) ([]byte, error) {
		_, r, err := s.OpenRange(u.Object.ID, offset, length)
		if err != nil {
			return nil, err
		}
		defer func() { _ = r.Close() }()
		return io.ReadAll(r)
	}
	if got, err := read(2*layout.ChunkSize, 10); err != nil || !bytes.Equal(got, contents[2*layout.ChunkSize:][:10]) {
		t.Errorf("the whole chunk behind the damaged one = %x, %v", got, err)
	}
	got, err := read(layout.ChunkSize-5, 10)
	wantKind(t, "a range into the damaged chunk", err, cluster.KindCorrupt)
	if len(got) > 5 {
		t.Errorf("%d bytes of it came", len(got))
	}
}

// D5: a damaged copy among others of an inline type does not hide them.
func TestD5_Contents(t *testing.T) {
	cfg := testConfig(vfs.NewMem())
	cfg.Types = append(cfg.Types, cluster.TypeSpec{Name: "set", Inline: true})
	s := mustOpen(t, cfg)
	for _, id := range []string{"", "a", "b", "c"} {
		u, body := put("set", "a@b", id, 1, []byte("contents of "+id), self)
		mustApply(t, s, u, body)
	}
	key := func(id string) []byte {
		return s.objectKey(s.types["set"], cluster.ObjectID{Type: "set", Owner: "a@b", ID: id})
	}
	if err := s.db.Set(key("a"), []byte("damage"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	r, rest, err := s.read(cluster.ObjectID{Type: "set", Owner: "a@b", ID: "b"}, true)
	if err != nil {
		t.Fatal(err)
	}
	rest[0] ^= 1
	if err := s.db.Set(key("b"), append(layout.AppendRecord(nil, key("b"), &r), rest...), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	page, more, err := s.Contents("a@b", "set", "", 100, 1<<20)
	if err != nil || more || len(page) != 4 {
		t.Fatalf("Contents = %d, %t, %v", len(page), more, err)
	}
	for i, id := range []string{"", "a", "b", "c"} {
		c := page[i]
		switch {
		case c.Object.ID != cluster.ObjectID{Type: "set", Owner: "a@b", ID: id}:
			t.Errorf("copy %d is %v", i, c.Object.ID)
		case id == "a" || id == "b":
			wantKind(t, "the damaged copy "+id, c.Err, cluster.KindCorrupt)
		case c.Err != nil || string(c.Contents) != "contents of "+id || !strings.HasPrefix(string(c.Object.Attr), "attr"):
			t.Errorf("copy %s = %+v", id, c)
		}
	}
	problems := 0
	if err := s.Verify(context.Background(), func(Problem) { problems++ }); err != nil || problems < 2 {
		t.Errorf("Verify finds %d problems, %v", problems, err)
	}
	_ = s.Close()
}

// TestPages: bounded by number and by bytes, in order, none left out.
func TestPages(t *testing.T) {
	s := openMem(t)
	fill := func(owner string, n, attr int) {
		for i := range n {
			u, body := put("message", owner, fmt.Sprintf("%05d", i), 1, nil, self)
			u.Object.Attr = make([]byte, attr)
			mustApply(t, s, u, body)
		}
	}
	fill("few", 10, 0)
	fill("more", 11, 0)
	fill("large", 150, cluster.AttrSizeMax)
	fill("large+", 150, cluster.AttrSizeMax)
	u, body := put("message", "large+", "", 1, nil, self)
	u.Object.Attr = make([]byte, cluster.AttrSizeMax)
	mustApply(t, s, u, body)
	for _, c := range []struct {
		owner           string
		max, want, page int
	}{
		{"nobody", 10, 0, 1}, {"few", 10, 10, 1}, {"more", 10, 11, 2}, {"more", 2, 11, 6},
		{"large", 1000, 150, 3}, {"large+", 1000, 151, 3},
	} {
		var got []string
		pages, after := 0, ""
		for more := true; more; pages++ {
			var list []cluster.Object
			var err error
			if list, more, err = s.ListPage(c.owner, "message", after, c.max, 1<<20); err != nil {
				t.Fatal(err)
			}
			size := 0
			for i := range list {
				size += len(list[i].Attr)
				after = list[i].ID.ID
				got = append(got, after)
			}
			if size > 1<<20 || pages > 200 {
				t.Fatalf("%s: page %d has %d bytes", c.owner, pages, size)
			}
		}
		if len(got) != c.want || pages != c.page {
			t.Errorf("%s: %d objects in %d pages, want %d in %d", c.owner, len(got), pages, c.want, c.page)
		}
	}
	_, _, err := s.ListPage("few", "unknown", "", 1, 1)
	wantKind(t, "ListPage of an unknown type", err, cluster.KindInvalid)
	_, _, err = s.Contents("few", "message", "", 1, 1)
	wantKind(t, "Contents of a type that is not inline", err, cluster.KindInvalid)
}
