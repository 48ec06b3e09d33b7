package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store/internal/layout"
)

// recordsOf lists the update records.
func recordsOf(t testing.TB, s *Store) []cluster.Record {
	t.Helper()
	var list []cluster.Record
	if err := s.Records(func(r cluster.Record) error { list = append(list, r); return nil }); err != nil {
		t.Errorf("Records() = %v", err)
	}
	return list
}

// openClock opens a store in memory that is closed at the end of the test, with a clock and a vault.
func openClock(t testing.TB, change func(*Config)) (*Store, *fakeClock) {
	t.Helper()
	clock := &fakeClock{now: time.Unix(1_700_000_000, 0)}
	cfg := testConfig(vfs.NewMem())
	cfg.Now = clock.Now
	change(&cfg)
	s := mustOpen(t, cfg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return s, clock
}

// An update leaves the log only by a retirement of its own timestamp that names all its targets.
func TestR4_RetiredOnlyByAllTargets(t *testing.T) {
	s := openMem(t)
	u, body := put("message", "a@b", "1", 10, []byte("text"), self, other)
	if r := mustApply(t, s, u, body); r.Record == nil || !r.Record.Targets.Equal(cluster.NewReplicaSet(self, other)) {
		t.Fatalf("Apply = %+v, want a record for both nodes", r)
	}
	older, _ := put("message", "a@b", "1", 9, []byte("old"), self, third) // "add targets": third has not heard
	r := mustApply(t, s, older, nil)
	if all := cluster.NewReplicaSet(self, other, third); r.Verdict != replication.Older || r.Have != u.Object.Timestamp || !r.Record.Targets.Equal(all) {
		t.Errorf("an older update = %+v, want the newer one's record for %v", r, all)
	}
	retire := func(time int64, targets ...cluster.NodeID) {
		t.Helper()
		item := cluster.Retirement{ID: u.Object.ID, Timestamp: cluster.Timestamp{Time: time, Node: self}, Targets: cluster.NewReplicaSet(targets...)}
		if err := s.Retire(context.Background(), []cluster.Retirement{item, {ID: cluster.ObjectID{Type: "NO"}}}); err != nil {
			t.Errorf("Retire() = %v", err)
		}
	}
	retire(10, self, other)
	retire(9, self, other, third)
	retire(11, self, other, third)
	if n := s.Metrics().Records; n != 1 || len(recordsOf(t, s)) != 1 {
		t.Errorf("%d records, want the one", n)
	}
	retire(10, self, other, third)
	if n := s.Metrics().Records; n != 0 || len(recordsOf(t, s)) != 0 {
		t.Errorf("%d records after the retirement, want none", n)
	}
	// The sender of the older one comes again, after the end: it must hear of the newer one.
	if r := mustApply(t, s, older, nil); r.Record == nil || !r.Record.Targets.Contains(third) {
		t.Errorf("an older update after the retirement = %+v, want the record revived", r)
	}
	mustVerify(t, s)
	wantKind(t, "too many", s.Retire(context.Background(), make([]cluster.Retirement, AcceptMax+1)), cluster.KindLimit)
}

// A deletion that is complete is remembered: a copy that comes late does not bring the object back.
func TestR5_LateCopyStaysDeleted(t *testing.T) {
	s, clock := openClock(t, func(*Config) {})
	u, body := put("message", "a@b", "1", 10, []byte("text"), self, other)
	mustApply(t, s, u, body)
	d := remove("message", "a@b", "1", 20)
	d.Previous = u.Object.Replicas
	r := mustApply(t, s, d, nil)
	if err := s.Retire(context.Background(), []cluster.Retirement{{ID: d.Object.ID, Timestamp: d.Object.Timestamp, Targets: r.Record.Targets}}); err != nil {
		t.Fatal(err)
	}
	if m := s.Metrics(); m.Records != 0 || m.Retired != 1 {
		t.Errorf("%d records, %d retired, want 0, 1", m.Records, m.Retired)
	}
	collect := func(now, together time.Time) Collected {
		t.Helper()
		c, err := s.Collect(context.Background(), now, together)
		if err != nil {
			t.Errorf("Collect() = %v", err)
		}
		return c
	}
	start := clock.now
	late := func() {
		t.Helper()
		if r := mustApply(t, s, u, body); r.Verdict != replication.Older || r.Applied {
			t.Errorf("a late copy = %+v, want Older", r)
		}
		_, err := s.Get(u.Object.ID)
		wantKind(t, "Get", err, cluster.KindNotFound)
	}
	collect(start.Add(cluster.LateWindow), start)
	late()
	collect(start.Add(24*time.Hour), time.Time{}) // while a node is away
	late()
	if c := collect(start.Add(cluster.LateWindow+time.Second), start); c.Retired != 1 || s.Metrics().Retired != 0 {
		t.Errorf("Collect() = %+v, want the record gone", c)
	}
	mustVerify(t, s)
}

// A record and what it stands for are durable together, records that an older update revived too.
func TestD3_RecordsAreDurable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, testConfig(mem))
	ctx := context.Background()
	u, body := put("message", "a@b", "1", 10, []byte("text"), self, other)
	mustApply(t, s, u, body)
	moved := u
	moved.Object.Timestamp.Time, moved.Object.Replicas, moved.Previous = 11, cluster.NewReplicaSet(other), u.Object.Replicas
	gone := remove("message", "a@b", "2", 10)
	gone.Previous = cluster.NewReplicaSet(self, third)
	revived, _ := put("message", "a@b", "1", 9, []byte("old"), self, third)
	for _, u := range []cluster.Update{moved, gone, revived} { // one by one: the latter two change nothing but a record
		if r, err := s.Accept(ctx, []cluster.Update{u}); err != nil || r[0].Err != nil || r[0].Record == nil {
			t.Fatalf("Accept() = %+v, %v", r, err)
		}
	}
	want := fmt.Sprint(recordsOf(t, s))
	u2, ok, err := s.Update(u.Object.ID, moved.Object.Timestamp)
	if err != nil || !ok || u2.Object.Size != 0 || !u2.Object.Replicas.Equal(moved.Object.Replicas) || !u2.Previous.Contains(self) {
		t.Errorf("Update() of what moved away = %+v, %v, %v, want a notice", u2, ok, err)
	}
	if _, ok, err := s.Update(u.Object.ID, u.Object.Timestamp); ok || err != nil {
		t.Errorf("Update() of what was replaced = %v, %v", ok, err)
	}
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, testConfig(clone))
	if got := fmt.Sprint(recordsOf(t, again)); got != want || len(recordsOf(t, again)) != 2 {
		t.Errorf("records after a crash: %s, want %s", got, want)
	}
	mustVerify(t, again)
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// Retirements cost no fsync, and what comes after them is in order.
func TestRetireIsNotSynced(t *testing.T) {
	s := openMem(t)
	ctx := context.Background()
	for i := range 20 {
		u, body := put("message", "a@b", "1", int64(10+i), []byte("text"), self, other)
		r := mustApply(t, s, u, body)
		before := s.Metrics().LogSyncs
		if err := s.Retire(ctx, []cluster.Retirement{{ID: u.Object.ID, Timestamp: u.Object.Timestamp, Targets: r.Record.Targets}}); err != nil {
			t.Fatal(err)
		}
		if m := s.Metrics(); m.LogSyncs != before || m.Records != 0 {
			t.Errorf("after a retirement: %d fsyncs more, %d records", m.LogSyncs-before, m.Records)
		}
	}
	mustVerify(t, s)
}

// With one replica nothing is logged.
func TestOneReplicaHasNoRecords(t *testing.T) {
	s := openMem(t)
	for i := range 10 {
		u, body := put("message", "a@b", fmt.Sprint(i), 10, []byte("text"), self)
		if r := mustApply(t, s, u, body); r.Record != nil {
			t.Errorf("a record for one node: %+v", r)
		}
	}
	if n := len(recordsOf(t, s)); n != 0 {
		t.Errorf("%d records, want none", n)
	}
}

// TestTombstonesAreCollected: after the grace period, but not while the deletion propagates; and the
// owner is named, since the manager must know.
func TestTombstonesAreCollected(t *testing.T) {
	s, clock := openClock(t, func(c *Config) { c.Grace = time.Hour })
	ctx := context.Background()
	at := clock.now.UnixNano()
	mustApply(t, s, remove("user", "a@b", "", at, self), nil)
	r := mustApply(t, s, remove("user", "c@d", "", at, self, other), nil)
	if c, err := s.Collect(ctx, clock.now.Add(time.Hour), clock.now); err != nil || c.Tombstones != 0 {
		t.Errorf("Collect() in the grace period = %+v, %v", c, err)
	}
	later := clock.now.Add(time.Hour + time.Second)
	if c, err := s.Collect(ctx, later, clock.now); err != nil || c.Tombstones != 1 || fmt.Sprint(c.Owners) != "[a@b]" {
		t.Errorf("Collect() = %+v, %v, want the tombstone of a@b", c, err)
	}
	if h, err := s.Holding("a@b"); err != nil || !h.IsEmpty() {
		t.Errorf("Holding = %+v, %v, want nothing", h, err)
	}
	if err := s.Retire(ctx, []cluster.Retirement{{ID: r.Record.ID, Timestamp: r.Record.Timestamp, Targets: r.Record.Targets}}); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Collect(ctx, later, clock.now); err != nil || c.Tombstones != 1 || fmt.Sprint(c.Owners) != "[c@d]" {
		t.Errorf("Collect() = %+v, %v, want the tombstone of c@d", c, err)
	}
	mustVerify(t, s)
}

// A tombstone is all that an old copy meets: it stays while a node is away that may have one, whatever the
// wall clock says, and for as long as calls may be late, however short the grace period is.
func TestA1_TombstonesOutliveWhatTheyGuardAgainst(t *testing.T) {
	s, clock := openClock(t, func(c *Config) { c.Grace = time.Minute })
	ctx := context.Background()
	mustApply(t, s, remove("user", "a@b", "", clock.now.UnixNano(), self), nil)
	for _, tt := range []struct {
		name     string
		after    time.Duration
		together time.Time
		want     int
	}{
		{"a late call may come", cluster.LateWindow, clock.now, 0},
		{"a node is away", 30 * 24 * time.Hour, time.Time{}, 0},
		{"all are here", cluster.LateWindow + 1, clock.now, 1},
	} {
		if c, err := s.Collect(ctx, clock.now.Add(tt.after), tt.together); err != nil || c.Tombstones != tt.want {
			t.Errorf("%s: Collect() = %+v, %v, want %d tombstones", tt.name, c, err, tt.want)
		}
	}
}

// R5: a node comes back that was away for longer than the grace period by the wall clock, since all were off, or since its side has no
// majority and strikes nobody. In its log is an update that is older than a deletion here, of whose holder the deletion did not know. The
// tombstone is there for what it offers, in the minute of its coming back and for as long as calls may be late.
func TestR5_TombstoneOutlivesTheComingBack(t *testing.T) {
	s, clock := openClock(t, func(c *Config) { c.Grace = 7 * 24 * time.Hour })
	ctx := context.Background()
	at := clock.now.UnixNano()
	mustApply(t, s, remove("user", "a@b", "", at, self), nil)
	back := clock.now.Add(8 * 24 * time.Hour)
	for _, after := range []time.Duration{0, cluster.LateWindow} {
		clock.now = back.Add(after)
		if c, err := s.Collect(ctx, clock.now, back); err != nil || c.Tombstones != 0 {
			t.Errorf("Collect() %v after the last node came back = %+v, %v; want no tombstone collected", after, c, err)
		}
	}
	old, body := put("user", "a@b", "", at-int64(time.Minute), []byte("old password"), self, other)
	if r, err := s.Apply(ctx, old, body); err != nil || r.Verdict != replication.Older {
		t.Errorf("the update that is older than the deletion = %v, applied %t, %v; want it to meet the tombstone", r.Verdict, r.Applied, err)
	}
}

// TestTombstonesAmongMany: one call looks at a part of the objects, and several at all.
func TestTombstonesAmongMany(t *testing.T) {
	s, clock := openClock(t, func(c *Config) { c.Grace = time.Hour })
	const owners = 3*tombstoneReads/2 + 1
	updates := make([]cluster.Update, owners)
	for i := range updates {
		updates[i] = remove("user", userName(i), "", clock.now.UnixNano(), self)
	}
	if _, err := s.Accept(context.Background(), updates); err != nil {
		t.Fatal(err)
	}
	found := 0
	for calls := 1; found < owners; calls++ {
		c, err := s.Collect(context.Background(), clock.now.Add(2*time.Hour), clock.now)
		if err != nil || c.Tombstones != len(c.Owners) || c.Tombstones > tombstoneReads || calls > 3 {
			t.Fatalf("call %d: Collect() = %d tombstones, %d owners, %v", calls, c.Tombstones, len(c.Owners), err)
		}
		found += c.Tombstones
	}
	mustVerify(t, s)
}

func TestReview(t *testing.T) {
	s := openMem(t)
	u, body := put("message", "a@b", "1", 10, []byte("text"), self, other)
	mustApply(t, s, u, body)
	u, body = put("message", "a@b", "2", 10, []byte("text"), self)
	mustApply(t, s, u, body)
	u, body = put("user", "a@b", "", 10, []byte("text"), self)
	u.Object.Copies = 2
	mustApply(t, s, u, body)
	mustApply(t, s, remove("user", "a@b", "x", 10, self, other), nil)
	var got bytes.Buffer
	if err := s.Review(testCluster.BucketOf("a@b"), func(o cluster.Object, propagating bool) error {
		fmt.Fprintf(&got, "%s %s %d %v %v\n", o.ID.Type, o.ID.ID, o.Copies, o.Deleted, propagating)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := "user  2 false false\nuser x 0 true true\nmessage 1 0 false true\nmessage 2 0 false false\n"; got.String() != want {
		t.Errorf("Review gives\n%swant\n%s", got.String(), want)
	}
	wantKind(t, "Review of no bucket", s.Review(cluster.BucketCount, nil), cluster.KindInvalid)
}

// A record that is damaged keeps no other from being read.
func TestRecordsPastDamage(t *testing.T) {
	s := openMem(t)
	for i := range 3 {
		u, body := put("message", "a@b", fmt.Sprint(i), 1, []byte("text"), self, other)
		mustApply(t, s, u, body)
	}
	key := layout.AppendUpdateKey(nil, layout.AppendObjectKey(nil, layout.PrefixObject, s.format.Cluster.BucketOf("a@b"), cluster.ObjectID{Type: "message", Owner: "a@b", ID: "1"}))
	if err := s.db.Set(key, []byte("rotten"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	var ids []string
	err := s.Records(func(r cluster.Record) error { ids = append(ids, r.ID.ID); return nil })
	wantKind(t, "Records with a damaged one", err, cluster.KindCorrupt)
	if !slices.Equal(ids, []string{"0", "2"}) {
		t.Errorf("Records gave %q, want the other two", ids)
	}
}
