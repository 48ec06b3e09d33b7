package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// model is the store's rule in its plainest form: a map of objects.
type model struct {
	objects map[cluster.ObjectID]modelObject
}

type modelObject struct {
	object   cluster.Object
	contents []byte
}

// apply is the Thomas write rule on the map.
func (m *model) apply(u cluster.Update, contents []byte) (applied bool) {
	old, held := m.objects[u.Object.ID]
	mine := u.Object.Replicas.Contains(self)
	switch {
	case held && u.Object.Timestamp.Compare(old.object.Timestamp) <= 0, !held && !mine:
		return false
	case mine:
		m.objects[u.Object.ID] = modelObject{u.Object, contents}
	default:
		delete(m.objects, u.Object.ID)
	}
	return true
}

// holding counts an owner's objects from scratch.
func (m *model) holding(owner string) cluster.Holding {
	h := cluster.Holding{Owner: owner}
	var header layout.Header
	for id, o := range m.objects {
		switch {
		case id.Owner != owner:
		case id.Type == "user":
			h.Cached = append(h.Cached, cluster.CachedObject{Object: o.object, Contents: o.contents})
		case !o.object.Deleted:
			header.Add(id.Type, o.object.Replicas, 1, o.object.Size)
		}
	}
	h.Fragments = header.Fragments
	slices.SortFunc(h.Cached, func(a, b cluster.CachedObject) int { return a.Object.ID.Compare(b.Object.ID) })
	return h
}

func show(h cluster.Holding) string {
	h.Seq = 0
	return strings.ReplaceAll(fmt.Sprintf("%+v", h), "[]", "")
}

// check compares the whole store with the model.
func (m *model) check(t *testing.T, s *Store) {
	t.Helper()
	var live, sole int64
	for id, want := range m.objects {
		got, err := s.Get(id)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want.object) {
			t.Errorf("Get(%v) = %+v, %v, want %+v", id, got, err, want.object)
		}
		if want.object.Deleted {
			continue
		}
		switch {
		case id.Type != "user":
			live++
		case len(want.object.Replicas) == 1:
			sole++
		}
		if b := readBody(t, s, id); !bytes.Equal(b, want.contents) {
			t.Errorf("contents of %v differ", id)
		}
	}
	seen := map[string]string{}
	buckets := []cluster.Bucket{0, cluster.BucketCount - 1}
	for i := range modelOwners {
		buckets = append(buckets, testCluster.BucketOf(userName(i)))
	}
	for _, b := range buckets {
		if _, err := s.ScanBucket(b, func(h cluster.Holding) error {
			seen[h.Owner] = show(h)
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	for i := range modelOwners {
		owner := userName(i)
		want := m.holding(owner)
		if h, err := s.Holding(owner); err != nil || show(h) != show(want) {
			t.Errorf("Holding = %s, %v, want %s", show(h), err, show(want))
		}
		if got := seen[owner]; want.IsEmpty() != (got == "") || got != "" && got != show(want) {
			t.Errorf("ScanBucket gives %s, want %s", got, show(want))
		}
		m.checkList(t, s, owner)
	}
	if l := s.Load(); l.Objects != live || l.Sole != (sole > 0) {
		t.Errorf("Load = %+v, want %d objects, %d sole", l, live, sole)
	}
	mustVerify(t, s)
}

func (m *model) checkList(t *testing.T, s *Store, owner string) {
	t.Helper()
	for _, typ := range []cluster.ObjectType{"message", "user"} {
		var want []cluster.Object
		for id, o := range m.objects {
			if id.Owner == owner && id.Type == typ {
				want = append(want, o.object)
			}
		}
		slices.SortFunc(want, func(a, b cluster.Object) int { return cmp.Compare(a.ID.ID, b.ID.ID) })
		got, err := s.List(owner, typ)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("List(%s, %s) = %+v, %v, want %+v", owner, typ, got, err, want)
		}
	}
}

const modelOwners = 4

// step makes one random operation on both.
func (m *model) step(t *testing.T, s *Store, rng *rand.Rand) {
	id := cluster.ObjectID{
		Type:  []cluster.ObjectType{"message", "message", "user"}[rng.IntN(3)],
		Owner: userName(rng.IntN(modelOwners)),
		ID:    strconv.Itoa(rng.IntN(6)),
	}
	time := 1 + rng.Int64N(1+int64(len(m.objects))*20)
	nodes := [][]cluster.NodeID{{self}, {self}, {self, other}, {self, other, third}, {other}}[rng.IntN(5)]
	var u cluster.Update
	var body cluster.Body
	var contents []byte
	switch kind := rng.IntN(12); {
	case kind < 2:
		m.deleteSome(t, s, rng, time)
		return
	case kind == 2:
		u = remove(id.Type, id.Owner, id.ID, time, nodes...)
	case kind == 3:
		u = remove(id.Type, id.Owner, id.ID, time)
	case kind == 4 && id.Type == "message":
		contents = noise(rng, layout.ChunkSize-2+rng.IntN(layout.ChunkSize))
		u, body = put(id.Type, id.Owner, id.ID, time, contents, nodes...)
	case kind == 5 && id.Type == "message" && m.objects[id].object.Size > 0: // contents stay
		old := m.objects[id]
		contents = old.contents
		u, _ = put(id.Type, id.Owner, id.ID, time, contents, nodes...)
	default:
		contents = noise(rng, rng.IntN(3000))
		u, body = put(id.Type, id.Owner, id.ID, time, contents, nodes...)
	}
	r := mustApply(t, s, u, body)
	if want := m.apply(u, contents); r.Applied != want {
		t.Errorf("Apply(%+v) Applied = %v, want %v", u, r.Applied, want)
	}
}

// deleteSome applies several deletions, tombstones among them, in one commit.
func (m *model) deleteSome(t *testing.T, s *Store, rng *rand.Rand, time int64) {
	var updates []cluster.Update
	for range 1 + rng.IntN(5) {
		var nodes []cluster.NodeID
		if rng.IntN(2) == 0 {
			nodes = []cluster.NodeID{self, other}
		}
		typ := []cluster.ObjectType{"message", "user"}[rng.IntN(2)]
		updates = append(updates, remove(typ, userName(rng.IntN(modelOwners)), strconv.Itoa(rng.IntN(6)), time+rng.Int64N(3), nodes...))
	}
	results, err := s.Accept(context.Background(), updates)
	if err != nil {
		t.Errorf("Accept() = %v", err)
		return
	}
	for i, u := range updates {
		if want := m.apply(u, nil); results[i].Applied != want {
			t.Errorf("Accept()[%d] Applied = %v, want %v (%+v)", i, results[i].Applied, want, u)
		}
	}
}

// TestModel runs random operations on a store and on a map, with restarts, flushes and
// compactions between them, so that single deletions meet what they remove in every way.
// STORE_SEED repeats a run.
func TestModel(t *testing.T) {
	seeds := []uint64{1, 2}
	if v := os.Getenv("STORE_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{n}
	}
	for _, seed := range seeds {
		rng := seeded(seed)
		fs := vfs.NewMem()
		cfg := testConfig(fs)
		cfg.MemTableSize = 128 << 10
		s := mustOpen(t, cfg)
		m := &model{objects: map[cluster.ObjectID]modelObject{}}
		for i := range 600 {
			m.step(t, s, rng)
			switch rng.IntN(60) {
			case 0:
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = mustOpen(t, cfg)
			case 1, 2:
				if err := s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			case 3:
				if err := s.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
					t.Fatal(err)
				}
			}
			if i%50 == 49 {
				m.check(t, s)
			}
			if t.Failed() {
				t.Fatalf("after step %d; repeat with STORE_SEED=%d", i, seed)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzModel lets the fuzzer choose the seed.
func FuzzModel(f *testing.F) {
	f.Add(uint64(4))
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := seeded(seed)
		s := openMem(t)
		m := &model{objects: map[cluster.ObjectID]modelObject{}}
		for range 40 {
			m.step(t, s, rng)
		}
		for i := range modelOwners {
			if h, err := s.Holding(userName(i)); err != nil || show(h) != show(m.holding(userName(i))) {
				t.Errorf("Holding = %s, %v, want %s", show(h), err, show(m.holding(userName(i))))
			}
		}
		mustVerify(t, s)
	})
}

func TestVerifyFinds(t *testing.T) {
	record := func(s *Store, id string) (key []byte, number uint64) {
		r, _, err := s.read(cluster.ObjectID{Type: "message", Owner: "a@b", ID: id}, false)
		if err != nil {
			t.Fatal(err)
		}
		return s.objectKey(cluster.TypeSpec{Name: "message"}, r.Object.ID), r.Number
	}
	header := layout.AppendHeaderKey(nil, testCluster.BucketOf("a@b"), "a@b")
	for _, c := range []struct {
		name  string
		spoil func(s *Store) error
		want  string
	}{
		{"nothing", func(*Store) error { return nil }, ""},
		{"header lost", func(s *Store) error { return s.db.Delete(header, nil) }, "no header"},
		{"header miscounts", func(s *Store) error {
			return s.db.Set(header, layout.AppendHeader(nil, header, &layout.Header{Cached: 5}), nil)
		}, "recount"},
		{"header damaged", func(s *Store) error { return s.db.Set(header, []byte("damage"), nil) }, "checksum"},
		{"record lost", func(s *Store) error { k, _ := record(s, "1"); return s.db.Delete(k, nil) }, "belong to no object"},
		{"record damaged", func(s *Store) error { k, _ := record(s, "1"); return s.db.Set(k, []byte("damage"), nil) }, "value version"},
		{"contents lost", func(s *Store) error { _, n := record(s, "1"); return s.db.Delete(layout.AppendBodyKey(nil, n), nil) }, "missing"},
		{"orphaned contents", func(s *Store) error {
			return s.db.Set(layout.AppendBodyKey(nil, 5), layout.AppendBody(nil, []byte("O"), nil), nil)
		}, "belong to no object"},
		{"orphaned chunk", func(s *Store) error { return s.db.Set(layout.AppendChunkKey(nil, 5, 0), []byte("x"), nil) }, "belong to nothing"},
		{"state miscounts", func(s *Store) error {
			return s.db.Set(layout.StateKey(), layout.AppendState(nil, &layout.State{Objects: 99}), nil)
		}, "recount"},
		{"meta damaged", func(s *Store) error { return s.db.Set(layout.MetaKey("m"), []byte("damage"), nil) }, "checksum"},
	} {
		s := openMem(t)
		for _, id := range []string{"1", "2"} {
			u, body := put("message", "a@b", id, 1, []byte("text"), self)
			mustApply(t, s, u, body)
		}
		if err := c.spoil(s); err != nil {
			t.Fatal(err)
		}
		var found []string
		if err := s.Verify(context.Background(), func(p Problem) { found = append(found, p.String()) }); err != nil {
			t.Errorf("%s: Verify() = %v", c.name, err)
		}
		all := strings.Join(found, "; ")
		if (c.want == "") != (len(found) == 0) || !strings.Contains(all, c.want) {
			t.Errorf("%s: Verify reports %q, want %q", c.name, all, c.want)
		}
	}
	s := openMem(t)
	u, body := put("message", "a@b", "1", 1, []byte("text"), self)
	mustApply(t, s, u, body)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantKind(t, "Verify, cancelled", s.Verify(ctx, func(Problem) {}), cluster.KindUnavailable)
	wantKind(t, "Dump, cancelled", s.Dump(ctx, &bytes.Buffer{}), cluster.KindUnavailable)
}

func TestDump(t *testing.T) {
	s := openMem(t)
	for _, size := range []int{10, 2 * layout.ChunkSize} {
		u, body := put("message", "a@b", fmt.Sprint(size), 1, bytes.Repeat([]byte("secret"), size)[:size], self)
		mustApply(t, s, u, body)
	}
	u, body := put("user", "a@b", "profile", 1, []byte("secret hash"), self)
	mustApply(t, s, u, body)
	if err := s.PutMeta(context.Background(), "epoch", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Set([]byte("Zdamage"), []byte("?"), nil); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := s.Dump(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(out.String()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("line %q: %v", line, err)
		}
		counts[v["record"].(string)]++
	}
	want := map[string]int{"format": 1, "state": 1, "meta": 1, "header": 1, "object": 3, "contents": 2, "chunk": 2, "unreadable": 1}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("Dump has %v, want %v", counts, want)
	}
	if strings.Contains(out.String(), "secret") || strings.Contains(out.String(), "attr of") {
		t.Error("Dump shows contents or attributes")
	}
}
