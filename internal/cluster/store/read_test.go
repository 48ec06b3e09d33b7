package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

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
	want := map[cluster.Bucket]bool{}
	for i := range 50 {
		want[testCluster.BucketOf(userName(i))] = true
	}
	if got, err := s.Buckets(); err != nil || !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("Buckets = %v, %v, want the %d of the owners", got, err, len(want))
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
		{"user here alone", func() (cluster.Update, cluster.Body) { return put("user", "a", "1", 1, nil, self) }, 1, true},
		{"user elsewhere too", func() (cluster.Update, cluster.Body) { return put("user", "a", "1", 2, nil, self, other) }, 1, false},
		{"another alone", func() (cluster.Update, cluster.Body) { return put("user", "b", "1", 3, nil, self) }, 1, true},
		{"tombstone of it", func() (cluster.Update, cluster.Body) { return remove("user", "b", "1", 4, self), nil }, 1, false},
		{"another message", func() (cluster.Update, cluster.Body) { return put("message", "b", "1", 5, nil, self, other) }, 2, false},
		{"message moves away", func() (cluster.Update, cluster.Body) { return put("message", "a", "1", 5, nil, other) }, 1, false},
	}
	for _, st := range steps {
		u, body := st.update()
		if r := mustApply(t, s, u, body); r.Record != nil {
			mustRetire(t, s, r.Record)
		}
		if l := s.Load(); l.Objects != st.objects || l.Sole != st.sole || l.Pending != 0 || l.Commit <= 0 {
			t.Errorf("%s: Load = %+v, want %d objects, sole %v", st.name, l, st.objects, st.sole)
		}
	}
	mustVerify(t, s)
}

// What a node's disk took long ago says nothing of what it takes now: it would be shunned for ever.
func TestLoadForgetsOldCommits(t *testing.T) {
	s, clock := openClock(t, func(*Config) {})
	u, body := put("message", "a", "1", 1, nil, self)
	mustApply(t, s, u, body)
	s.count.committed(time.Hour, clock.Now())
	clock.now = clock.now.Add(commitRecent)
	if l := s.Load(); l.Commit < time.Minute {
		t.Errorf("Commit = %v soon after one of an hour", l.Commit)
	}
	clock.now = clock.now.Add(1)
	if l := s.Load(); l.Commit != 0 {
		t.Errorf("Commit = %v long after the last one, want 0: not known", l.Commit)
	}
	s.count.committed(time.Millisecond, clock.Now())
	if l := s.Load(); l.Commit != time.Millisecond {
		t.Errorf("Commit = %v after the first new one of 1 ms", l.Commit)
	}
}
