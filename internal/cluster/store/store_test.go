package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// TestApply is the rule of updates, case by case, each on what the former left.
func TestApply(t *testing.T) {
	type step struct {
		name     string
		update   func() (cluster.Update, cluster.Body)
		applied  bool
		announce bool
		want     string // contents afterwards; "-": no object, "+": a tombstone
	}
	msg := func(time int64, text string, nodes ...cluster.NodeID) func() (cluster.Update, cluster.Body) {
		return func() (cluster.Update, cluster.Body) { return put("message", "a@b", "1", time, []byte(text), nodes...) }
	}
	user := func(time int64, text string, nodes ...cluster.NodeID) func() (cluster.Update, cluster.Body) {
		return func() (cluster.Update, cluster.Body) { return put("user", "a@b", "1", time, []byte(text), nodes...) }
	}
	del := func(typ cluster.ObjectType, time int64, nodes ...cluster.NodeID) func() (cluster.Update, cluster.Body) {
		return func() (cluster.Update, cluster.Body) { return remove(typ, "a@b", "1", time, nodes...), nil }
	}
	for _, c := range []struct {
		typ   cluster.ObjectType
		steps []step
	}{
		{"message", []step{
			{"new", msg(10, "ten", self), true, true, "ten"},
			{"the same again", msg(10, "ten", self), false, false, "ten"},
			{"older", msg(9, "nine", self), false, false, "ten"},
			{"newer contents, same nodes", msg(11, "eleven", self), true, false, "eleven"},
			{"another replica set", msg(12, "eleven", self, other), true, true, "eleven"},
			{"empty contents", msg(13, "", self, other), true, false, ""},
			{"moved away", msg(14, "gone", other), true, true, "-"},
			{"moved away again", msg(15, "gone", other), false, false, "-"},
			{"deletion of nothing", del("message", 16), false, false, "-"},
			{"new again", msg(17, "again", self), true, true, "again"},
			{"older deletion", del("message", 16), false, false, "again"},
			{"deletion without trace", del("message", 18), true, true, "-"},
			{"and once more", msg(19, "x", self), true, true, "x"},
			{"tombstone", del("message", 20, self), true, true, "+"},
			{"loses to the tombstone", msg(19, "x", self), false, false, "+"},
			{"beats the tombstone", msg(21, "y", self), true, true, "y"},
			{"tombstone elsewhere", del("message", 22, other), true, true, "-"},
		}},
		{"user", []step{
			{"new", user(10, "ten", self), true, true, "ten"},
			{"the same again", user(10, "ten", self), false, false, "ten"},
			{"newer", user(11, "eleven", self), true, true, "eleven"},
			{"tombstone", del("user", 12, self, other), true, true, "+"},
			{"older", user(11, "eleven", self), false, false, "+"},
			{"without trace", del("user", 13), true, true, "-"},
			{"tombstone of what was never seen", del("user", 14, self), true, true, "+"},
			{"new", user(15, "fifteen", self, other, third), true, true, "fifteen"},
			{"moved away", user(16, "gone", other), true, true, "-"},
		}},
	} {
		s := openMem(t)
		id := cluster.ObjectID{Type: c.typ, Owner: "a@b", ID: "1"}
		var last uint64
		for _, st := range c.steps {
			u, body := st.update()
			r := mustApply(t, s, u, body)
			if r.Applied != st.applied || r.Announce != st.announce {
				t.Errorf("%s: %s: Applied, Announce = %v, %v, want %v, %v", c.typ, st.name, r.Applied, r.Announce, st.applied, st.announce)
			}
			if r.Applied && r.Seq <= last {
				t.Errorf("%s: %s: Seq = %d after %d", c.typ, st.name, r.Seq, last)
			}
			last = r.Seq
			o, err := s.Get(id)
			switch {
			case st.want == "-":
				wantKind(t, st.name+": Get", err, cluster.KindNotFound)
			case err != nil:
				t.Errorf("%s: %s: Get = %v", c.typ, st.name, err)
			case o.Deleted != (st.want == "+"):
				t.Errorf("%s: %s: Deleted = %v", c.typ, st.name, o.Deleted)
			case !o.Deleted:
				if got := readBody(t, s, id); string(got) != st.want {
					t.Errorf("%s: %s: contents = %q, want %q", c.typ, st.name, got, st.want)
				}
			default:
				_, _, err := s.OpenBody(id)
				wantKind(t, st.name+": OpenBody", err, cluster.KindNotFound)
			}
		}
		mustVerify(t, s)
	}
}

func TestApplyRefuses(t *testing.T) {
	s := openMem(t)
	good := func() (cluster.Update, cluster.Body) { return put("message", "a@b", "1", 10, []byte("text"), self) }
	for _, c := range []struct {
		name   string
		change func(u *cluster.Update, body *cluster.Body)
	}{
		{"type not declared", func(u *cluster.Update, _ *cluster.Body) { u.Object.ID.Type = "queue" }},
		{"no owner", func(u *cluster.Update, _ *cluster.Body) { u.Object.ID.Owner = "" }},
		{"owner too long", func(u *cluster.Update, _ *cluster.Body) {
			u.Object.ID.Owner = strings.Repeat("o", cluster.OwnerLengthMax+1)
		}},
		{"zero byte in the owner", func(u *cluster.Update, _ *cluster.Body) { u.Object.ID.Owner = "a\x00b" }},
		{"id too long", func(u *cluster.Update, _ *cluster.Body) {
			u.Object.ID.ID = strings.Repeat("i", cluster.ObjectIDLenMax+1)
		}},
		{"attributes too long", func(u *cluster.Update, _ *cluster.Body) { u.Object.Attr = make([]byte, cluster.AttrSizeMax+1) }},
		{"no replicas", func(u *cluster.Update, _ *cluster.Body) { u.Object.Replicas = nil }},
		{"replicas out of order", func(u *cluster.Update, _ *cluster.Body) { u.Object.Replicas = cluster.ReplicaSet{8, 7} }},
		{"too many replicas", func(u *cluster.Update, _ *cluster.Body) {
			u.Object.Replicas = cluster.NewReplicaSet(1, 2, 3, 4, 5, 6, 7, 8, 9)
		}},
		{"no timestamp", func(u *cluster.Update, _ *cluster.Body) { u.Object.Timestamp = cluster.Timestamp{} }},
		{"size does not match", func(u *cluster.Update, _ *cluster.Body) { u.Object.Size++ }},
		{"checksum does not match", func(u *cluster.Update, _ *cluster.Body) { u.Object.Sum[0]++ }},
		{"negative size", func(u *cluster.Update, body *cluster.Body) { u.Object.Size, *body = -1, nil }},
		{"too large", func(u *cluster.Update, body *cluster.Body) { u.Object.Size, *body = cluster.ObjectSizeMax+1, nil }},
		{"cached too large", func(u *cluster.Update, body *cluster.Body) {
			*u, *body = put("user", "a@b", "1", 10, make([]byte, cluster.CachedSizeMax+1), self)
		}},
		{"cached without contents", func(u *cluster.Update, body *cluster.Body) { u.Object.ID.Type, *body = "user", nil }},
		{"contents are not stored", func(_ *cluster.Update, body *cluster.Body) { *body = nil }},
		{"deletion with contents", func(u *cluster.Update, _ *cluster.Body) { u.Object.Deleted = true }},
		{"large, checksum does not match", func(u *cluster.Update, body *cluster.Body) {
			*u, *body = put("message", "a@b", "1", 10, make([]byte, 3*layout.ChunkSize), self)
			u.Object.Sum[0]++
		}},
	} {
		u, body := good()
		c.change(&u, &body)
		_, err := s.Apply(context.Background(), u, body)
		wantKind(t, c.name, err, cluster.KindInvalid)
	}
	if n := s.Load().Objects; n != 0 {
		t.Errorf("Objects = %d, want 0", n)
	}
	mustVerify(t, s) // no chunks are left behind
	u, _ := good()
	if _, err := s.ApplyAll(context.Background(), []cluster.Update{u}); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("ApplyAll of contents = %v, want KindInvalid", err)
	}
	_, err := s.ApplyAll(context.Background(), make([]cluster.Update, ApplyAllMax+1))
	wantKind(t, "ApplyAll of too many", err, cluster.KindLimit)
}

// A change of attributes or replicas need not bring the contents that are there already.
func TestKeepContents(t *testing.T) {
	for _, size := range []int{10, layout.ChunkSize + 1} {
		s := openMem(t)
		contents := noise(seeded(1), size)
		u, body := put("message", "a@b", "1", 10, contents, self)
		mustApply(t, s, u, body)
		u.Object.Timestamp.Time, u.Object.Attr, u.Object.Replicas = 11, []byte("seen"), cluster.NewReplicaSet(self, other)
		if r := mustApply(t, s, u, nil); !r.Applied || !r.Announce {
			t.Errorf("size %d: keep = %+v, want Applied and Announce", size, r)
		}
		o, err := s.Get(u.Object.ID)
		if err != nil || string(o.Attr) != "seen" || !o.Replicas.Contains(other) {
			t.Errorf("size %d: Get = %+v, %v", size, o, err)
		}
		if !bytes.Equal(readBody(t, s, o.ID), contents) {
			t.Errorf("size %d: contents changed", size)
		}
		mustVerify(t, s)
		mustApply(t, s, remove("message", "a@b", "1", 12), nil)
		mustVerify(t, s)
	}
}

func TestLargeContents(t *testing.T) {
	s := openMem(t)
	rng := seeded(2)
	for i, size := range []int{layout.ChunkSize - 1, layout.ChunkSize, layout.ChunkSize + 1, 3 * layout.ChunkSize, 3*layout.ChunkSize + 77} {
		id := fmt.Sprint(i)
		contents := noise(rng, size)
		u, _ := put("message", "a@b", id, 10, contents, self)
		mustApply(t, s, u, &meteredBody{Reader: bytes.NewReader(contents), t: t})
		if !bytes.Equal(readBody(t, s, u.Object.ID), contents) {
			t.Errorf("%d bytes come back changed", size)
		}
		if r := mustApply(t, s, u, bytes.NewReader(contents)); r.Applied {
			t.Errorf("%d bytes: the same again is applied", size)
		}
		mustVerify(t, s)
		u, body := put("message", "a@b", id, 11, contents[:100], self)
		mustApply(t, s, u, body)
		mustVerify(t, s)
	}
	if n := s.Load().Objects; n != 5 {
		t.Errorf("Objects = %d, want 5", n)
	}
}

// meteredBody fails the test if more than one chunk is asked for at a time: memory stays flat.
type meteredBody struct {
	*bytes.Reader
	t *testing.T
}

func (m *meteredBody) ReadAt(p []byte, off int64) (int, error) {
	if len(p) > layout.ChunkSize {
		m.t.Errorf("%d bytes are read at once, want at most %d", len(p), layout.ChunkSize)
	}
	return m.Reader.ReadAt(p, off)
}

// A reader of large contents that are removed meanwhile gets an error, never other bytes.
func TestRemovedWhileRead(t *testing.T) {
	s := openMem(t)
	contents := noise(seeded(3), 4*layout.ChunkSize)
	u, body := put("message", "a@b", "1", 10, contents, self)
	mustApply(t, s, u, body)
	_, r, err := s.OpenBody(u.Object.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, layout.ChunkSize)
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, contents[:len(got)]) {
		t.Fatalf("first chunk: %v", err)
	}
	mustApply(t, s, remove("message", "a@b", "1", 11), nil)
	_, err = io.ReadAll(r)
	wantKind(t, "read after removal", err, cluster.KindNotFound)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

type brokenBody struct{ size int64 }

func (b brokenBody) Size() int64 { return b.size }
func (b brokenBody) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		return 0, errors.New("the spool file is gone")
	}
	return len(p) / 2, errors.New("the spool file is gone")
}

func TestBodyThatCannotBeRead(t *testing.T) {
	s := openMem(t)
	for _, size := range []int64{10, 3 * layout.ChunkSize} {
		u, _ := put("message", "a@b", "1", 10, make([]byte, size), self)
		_, err := s.Apply(context.Background(), u, brokenBody{size})
		wantKind(t, fmt.Sprintf("Apply of %d bytes", size), err, cluster.KindUnavailable)
	}
	mustVerify(t, s)
}

func TestHoldingAndScanBucket(t *testing.T) {
	s := openMem(t)
	for i := range 50 {
		owner := userName(i)
		u, body := put("user", owner, "profile", 10, []byte("profile of "+owner), self, other)
		mustApply(t, s, u, body)
		for m := range i % 4 {
			set := [][]cluster.NodeID{{self}, {self, other}}[m%2]
			u, body := put("message", owner, fmt.Sprint(m), 10, []byte("text"), set...)
			mustApply(t, s, u, body)
		}
	}
	mustApply(t, s, remove("user", userName(3), "alias", 10, self), nil)
	byBucket := map[string]cluster.Holding{}
	for b := range cluster.Bucket(cluster.BucketCount) {
		last := ""
		seq, err := s.ScanBucket(b, func(h cluster.Holding) error {
			if h.Owner <= last || testCluster.BucketOf(h.Owner) != b || h.IsEmpty() {
				t.Errorf("bucket %d: owner %q after %q", b, h.Owner, last)
			}
			last = h.Owner
			byBucket[h.Owner] = h
			return nil
		})
		if err != nil || seq == 0 {
			t.Fatalf("ScanBucket(%d) = %d, %v", b, seq, err)
		}
	}
	for i := range 50 {
		h, err := s.Holding(userName(i))
		if err != nil {
			t.Fatal(err)
		}
		wantCached := 1
		if i == 3 {
			wantCached = 2
		}
		if want := min(i%4, 2); len(h.Fragments) != want || len(h.Cached) != wantCached {
			t.Errorf("Holding(%s) = %+v, want %d fragments, %d cached", h.Owner, h, want, wantCached)
		}
		last := h.Cached[len(h.Cached)-1]
		if string(last.Contents) != "profile of "+h.Owner || last.Object.ID.ID != "profile" {
			t.Errorf("Holding(%s): cached %v %q", h.Owner, last.Object.ID, last.Contents)
		}
		if got, want := fmt.Sprintf("%+v", byBucket[h.Owner]), fmt.Sprintf("%+v", h); got != want {
			t.Errorf("ScanBucket gives %s, Holding %s", got, want)
		}
	}
	if len(byBucket) != 50 {
		t.Errorf("%d owners, want 50", len(byBucket))
	}
	stop := errors.New("stop")
	if _, err := s.ScanBucket(testCluster.BucketOf(userName(1)), func(cluster.Holding) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("ScanBucket with an error of fn = %v, want that error", err)
	}
	h, err := s.Holding("nobody@example.test")
	if err != nil || !h.IsEmpty() || h.Seq == 0 {
		t.Errorf("Holding(nobody) = %+v, %v, want an empty one with a Seq", h, err)
	}
}

// An empty id is an id: that of the one object of its type that an owner has.
func TestEmptyID(t *testing.T) {
	s := openMem(t)
	for _, typ := range []cluster.ObjectType{"message", "user"} {
		for _, id := range []string{"", "x"} {
			u, body := put(typ, "a@b", id, 1, []byte(id+"!"), self)
			mustApply(t, s, u, body)
		}
		list, err := s.List("a@b", typ)
		if err != nil || len(list) != 2 || list[0].ID.ID != "" {
			t.Errorf("List(%s) = %+v, %v, want the empty id first", typ, list, err)
		}
		if got := readBody(t, s, list[0].ID); string(got) != "!" {
			t.Errorf("contents of the empty %s id = %q", typ, got)
		}
	}
	mustVerify(t, s)
}

func TestList(t *testing.T) {
	s := openMem(t)
	for _, owner := range []string{"a@b", "a@b.c", "a"} {
		for i := range 20 {
			u, body := put("message", owner, fmt.Sprintf("%02d", i), 10, []byte(owner), self)
			mustApply(t, s, u, body)
		}
	}
	mustApply(t, s, remove("message", "a@b", "05", 11), nil)
	mustApply(t, s, remove("message", "a@b", "07", 11, self), nil)
	list, err := s.List("a@b", "message")
	if err != nil || len(list) != 19 {
		t.Fatalf("List = %d objects, %v, want 19", len(list), err)
	}
	for i, o := range list {
		if o.ID.Owner != "a@b" || i > 0 && list[i-1].ID.ID >= o.ID.ID || o.Deleted != (o.ID.ID == "07") {
			t.Errorf("List[%d] = %+v", i, o)
		}
		got, err := s.Get(o.ID)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(o) {
			t.Errorf("Get(%v) = %+v, %v, want %+v", o.ID, got, err, o)
		}
	}
	if _, err := s.List("a@b", "queue"); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("List of a type not declared = %v, want KindInvalid", err)
	}
}

func TestLoad(t *testing.T) {
	s := openMem(t)
	steps := []struct {
		name    string
		update  func() (cluster.Update, cluster.Body)
		objects int64
		sole    bool
	}{
		{"message here alone", func() (cluster.Update, cluster.Body) { return put("message", "a", "1", 1, nil, self) }, 1, false},
		{"user here alone", func() (cluster.Update, cluster.Body) { return put("user", "a", "1", 1, nil, self) }, 2, true},
		{"user elsewhere too", func() (cluster.Update, cluster.Body) { return put("user", "a", "1", 2, nil, self, other) }, 2, false},
		{"another alone", func() (cluster.Update, cluster.Body) { return put("user", "b", "1", 3, nil, self) }, 3, true},
		{"tombstone of it", func() (cluster.Update, cluster.Body) { return remove("user", "b", "1", 4, self), nil }, 2, false},
		{"message moves away", func() (cluster.Update, cluster.Body) { return put("message", "a", "1", 5, nil, other) }, 1, false},
	}
	for _, st := range steps {
		u, body := st.update()
		mustApply(t, s, u, body)
		if l := s.Load(); l.Objects != st.objects || l.Sole != st.sole || l.Pending != 0 || l.Commit <= 0 {
			t.Errorf("%s: Load = %+v, want %d objects, sole %v", st.name, l, st.objects, st.sole)
		}
	}
	mustVerify(t, s)
}

func TestMeta(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, testConfig(fs))
	_, err := s.Meta("epoch")
	wantKind(t, "Meta of nothing", err, cluster.KindNotFound)
	for _, v := range []string{"1", "", "2"} {
		if err := s.PutMeta(context.Background(), "epoch", []byte(v)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Meta("epoch")
		if err != nil || string(got) != v {
			t.Errorf("Meta = %q, %v, want %q", got, err, v)
		}
	}
	wantKind(t, "PutMeta without a name", s.PutMeta(context.Background(), "", nil), cluster.KindInvalid)
	wantKind(t, "PutMeta too large", s.PutMeta(context.Background(), "x", make([]byte, MetaSizeMax+1)), cluster.KindInvalid)
	crashed := fs.CrashClone(vfs.CrashCloneCfg{}) // M2: durable when PutMeta returns
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig(crashed))
	if got, err := s.Meta("epoch"); err != nil || string(got) != "2" {
		t.Errorf("Meta after a crash = %q, %v, want 2", got, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Many writers and deleters of one owner: every update lands, the header counts them all.
func TestConcurrentWritersOfOneOwner(t *testing.T) {
	s := openMem(t)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 60 {
				u, body := put("message", "a@b", fmt.Sprintf("%d-%d", w, i), int64(i+1), []byte("text"), self)
				mustApply(t, s, u, body)
				if i%2 == 1 {
					a, b := remove("message", "a@b", fmt.Sprintf("%d-%d", w, i), 1000), remove("message", "a@b", fmt.Sprintf("%d-%d", w, i), 1001)
					r, err := s.ApplyAll(context.Background(), []cluster.Update{a, b})
					if err != nil || !r[0].Applied || r[1].Applied {
						t.Errorf("ApplyAll = %+v, %v", r, err)
					}
				}
			}
		})
	}
	wg.Wait()
	h, err := s.Holding("a@b")
	if err != nil || len(h.Fragments) != 1 || h.Fragments[0].Count != 16*30 || h.Fragments[0].Bytes != 16*30*4 {
		t.Errorf("Holding = %+v, %v, want 480 messages", h, err)
	}
	mustVerify(t, s)
	if m := s.Metrics(); m.Applied != 16*90 || m.Pending != 0 {
		t.Errorf("Metrics = %+v, want 1440 applied, none pending", m)
	}
}

func TestHoldingPartsMax(t *testing.T) {
	s := openMem(t)
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := w; i < cluster.HoldingPartsMax; i += 32 {
				u, body := put("user", "a@b", fmt.Sprint(i), 1, nil, self)
				mustApply(t, s, u, body)
			}
		})
	}
	wg.Wait()
	u, body := put("user", "a@b", "one more", 1, nil, self)
	_, err := s.Apply(context.Background(), u, body)
	wantKind(t, "one part more", err, cluster.KindLimit)
	u, body = put("user", "a@b", "0", 2, nil, self)
	if r := mustApply(t, s, u, body); !r.Applied {
		t.Error("a part that exists cannot be replaced")
	}
	mustVerify(t, s)
}
