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
	"porcupine/internal/cluster/replication"
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
		{"too many copies", func(u *cluster.Update, _ *cluster.Body) { u.Object.Copies = cluster.ReplicaSetMax + 1 }},
		{"former replicas out of order", func(u *cluster.Update, _ *cluster.Body) { u.Previous = cluster.ReplicaSet{8, 7} }},
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
	_, err := s.Accept(context.Background(), make([]cluster.Update, AcceptMax+1))
	wantKind(t, "Accept of too many", err, cluster.KindLimit)
}

// What comes without contents that are not here changes nothing: they are wanted. One that is refused
// does not stop the others.
func TestAcceptWants(t *testing.T) {
	s := openMem(t)
	offer, body := put("message", "a@b", "1", 10, []byte("text"), self, other)
	profile, _ := put("user", "a@b", "", 10, []byte("text"), self, other)
	bad := remove("queue", "a@b", "1", 10)
	gone := remove("message", "a@b", "2", 10)
	gone.Previous = cluster.NewReplicaSet(self, other)
	r, err := s.Accept(context.Background(), []cluster.Update{offer, profile, bad, gone})
	if err != nil {
		t.Fatal(err)
	}
	if !r[0].Want || r[0].Applied || r[0].Record != nil || !r[1].Want {
		t.Errorf("offers = %+v, %+v, want Want", r[0], r[1])
	}
	wantKind(t, "a bad one", r[2].Err, cluster.KindInvalid)
	if r[3].Err != nil || r[3].Record == nil || r[3].Applied {
		t.Errorf("deletion of nothing = %+v, want its record", r[3])
	}
	if _, err := s.Get(offer.Object.ID); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("Get of what was offered = %v", err)
	}
	mustApply(t, s, offer, body)
	moved := offer
	moved.Object.Timestamp.Time, moved.Object.Replicas = 11, cluster.NewReplicaSet(self, third)
	notice := replication.Notice(&cluster.Record{ID: profile.Object.ID, Timestamp: profile.Object.Timestamp,
		Replicas: profile.Object.Replicas, Targets: profile.Object.Replicas})
	r, err = s.Accept(context.Background(), []cluster.Update{offer, moved, notice})
	if err != nil || r[0].Verdict != replication.Same || !r[1].Applied || !r[1].Record.Targets.Equal(cluster.NewReplicaSet(self, other, third)) || !r[2].Want {
		t.Errorf("offered again, moved, a notice = %+v, %v", r, err)
	}
	if string(readBody(t, s, offer.Object.ID)) != "text" {
		t.Error("contents changed")
	}
	_, body = put("user", "a@b", "", 10, []byte("text"), self, other)
	mustApply(t, s, profile, body)
	profile.Object.Timestamp.Time = 11
	if r := mustApply(t, s, profile, nil); !r.Want || r.Have.Time != 10 || string(readBody(t, s, profile.Object.ID)) != "text" {
		t.Errorf("a cached object with the contents that are here = %+v, want Want: they must come", r)
	}
	mustVerify(t, s)
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
					r, err := s.Accept(context.Background(), []cluster.Update{a, b})
					if err != nil || !r[0].Applied || r[1].Applied {
						t.Errorf("Accept = %+v, %v", r, err)
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
