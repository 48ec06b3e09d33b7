package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store/internal/layout"
)

// model is the store's rule in its plainest form: maps, and replication.Decide.
type model struct {
	objects map[cluster.ObjectID]modelObject
	records map[cluster.ObjectID]cluster.Record
	vault   map[string][]byte // contents by id and time of deletion
}

type modelObject struct {
	object   cluster.Object
	contents []byte
}

func newModel() *model {
	return &model{objects: map[cluster.ObjectID]modelObject{}, records: map[cluster.ObjectID]cluster.Record{}, vault: map[string][]byte{}}
}

var modelClock = fakeClock{now: time.Unix(1_700_000_000, 0)}

// modelConfig is testConfig with a vault, an inline type, and a clock that stands still.
func modelConfig(fs vfs.FS) Config {
	cfg := testConfig(fs)
	cfg.Types[0].Vault = true
	cfg.Types = append(cfg.Types, cluster.TypeSpec{Name: "ledger", Inline: true})
	cfg.VaultFor = time.Hour
	cfg.Now = modelClock.Now
	return cfg
}

func vaultName(id cluster.ObjectID, deleted int64) string { return fmt.Sprint(id, deleted) }

// apply does what Decide says, on the maps, and gives what the store should answer.
func (m *model) apply(u cluster.Update, contents []byte, came bool) (want Result) {
	id := u.Object.ID
	var have replication.State
	old, held := m.objects[id]
	if held {
		have.Object = &old.object
	}
	if r, ok := m.records[id]; ok {
		have.Record = &r
	}
	d := replication.Decide(self, have, &u, modelClock.now.UnixNano())
	want = Result{Verdict: d.Verdict, Have: u.Object.Timestamp}
	switch {
	case d.Put && !came && (d.Needs || id.Type != "message" && u.Object.Size > 0):
		return Result{Verdict: d.Verdict, Want: true, Have: newestOf(have)}
	case d.Verdict == replication.Older:
		want.Have = newestOf(have)
	}
	want.Applied = d.Put || d.Remove
	if want.Applied && held && !old.object.Deleted && u.Object.Deleted && id.Type == "message" {
		m.vault[vaultName(id, u.Object.Timestamp.Time)] = old.contents
	}
	if d.Put {
		m.objects[id] = modelObject{u.Object, contents}
	} else if d.Remove {
		delete(m.objects, id)
	}
	m.record(id, d.Record)
	if d.Record != nil && d.Record.Retired == 0 {
		want.Record = d.Record
	}
	return want
}

func (m *model) record(id cluster.ObjectID, r *cluster.Record) {
	if r == nil {
		delete(m.records, id)
	} else {
		m.records[id] = *r
	}
}

// matches compares an answer of the store with the model's.
func matches(got, want Result) bool {
	got.Seq, got.Announce = 0, false
	if (got.Record == nil) != (want.Record == nil) || got.Record != nil && fmt.Sprint(*got.Record) != fmt.Sprint(*want.Record) {
		return false
	}
	got.Record, want.Record = nil, nil
	return got == want
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
	m.checkLog(t, s)
	if l := s.Load(); l.Objects != live || l.Sole != (sole > 0) {
		t.Errorf("Load = %+v, want %d objects, %d sole", l, live, sole)
	}
	mustVerify(t, s)
}

// checkLog compares update records, what Update and Review say of them, and the vault.
func (m *model) checkLog(t *testing.T, s *Store) {
	t.Helper()
	found := 0
	if err := s.Records(func(r cluster.Record) error {
		found++
		if want := m.records[r.ID]; fmt.Sprint(r) != fmt.Sprint(want) {
			t.Errorf("Records gives %+v, want %+v", r, want)
		}
		u, ok, err := s.Update(r.ID, r.Timestamp)
		if err != nil || ok != (r.Retired == 0) || ok && !u.Previous.Equal(r.Targets) {
			t.Errorf("Update(%v) = %+v, %v, %v", r.ID, u, ok, err)
		}
		if held := m.objects[r.ID]; ok && r.Replicas.Contains(self) && fmt.Sprint(u.Object) != fmt.Sprint(held.object) {
			t.Errorf("Update(%v) = %+v, want %+v", r.ID, u.Object, held.object)
		}
		return nil
	}); err != nil || found != len(m.records) {
		t.Errorf("Records gives %d (%v), want %d", found, err, len(m.records))
	}
	found = 0
	for i := range modelOwners {
		owner := userName(i)
		if err := s.Review(testCluster.BucketOf(owner), func(o cluster.Object, propagating bool) error {
			found++
			r, ok := m.records[o.ID]
			if want := m.objects[o.ID].object; fmt.Sprint(o) != fmt.Sprint(want) || propagating != (ok && r.Retired == 0) {
				t.Errorf("Review gives %+v, %v, want %+v", o, propagating, want)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	if found != len(m.objects) {
		t.Errorf("Review gives %d objects, want %d", found, len(m.objects))
	}
	m.checkVault(t, s)
}

func (m *model) checkVault(t *testing.T, s *Store) {
	t.Helper()
	found := 0
	for i := range modelOwners {
		list, err := s.Vaulted(userName(i))
		if err != nil {
			t.Error(err)
		}
		for j, v := range list {
			found++
			if j > 0 && v.Deleted < list[j-1].Deleted {
				t.Errorf("Vaulted is not in order: %+v", list)
			}
			_, body, err := s.OpenVaulted(v.Object.ID, v.Deleted)
			if err != nil {
				t.Errorf("OpenVaulted(%v, %d) = %v", v.Object.ID, v.Deleted, err)
				continue
			}
			got, err := io.ReadAll(body)
			want, ok := m.vault[vaultName(v.Object.ID, v.Deleted)]
			if err != nil || !ok || !bytes.Equal(got, want) || string(v.Object.Attr) != "attr of "+v.Object.ID.ID {
				t.Errorf("the vault has %+v: %v, known %v, %d bytes, want %d", v, err, ok, len(got), len(want))
			}
		}
	}
	if found != len(m.vault) {
		t.Errorf("the vault has %d objects, want %d", found, len(m.vault))
	}
}

func (m *model) checkList(t *testing.T, s *Store, owner string) {
	t.Helper()
	for _, typ := range []cluster.ObjectType{"message", "user", "ledger"} {
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
		m.checkPages(t, s, owner, typ, want)
	}
}

// checkPages compares what is read in pages, of two objects each, and what is derived.
func (m *model) checkPages(t *testing.T, s *Store, owner string, typ cluster.ObjectType, want []cluster.Object) {
	t.Helper()
	want = slices.DeleteFunc(want, func(o cluster.Object) bool { return o.Deleted })
	var got []cluster.Object
	var ids []string
	for after, more := "", true; more; {
		var page []cluster.Object
		var err error
		if page, more, err = s.ListPage(owner, typ, after, 100, 1); err != nil || len(page) > 2 || more && len(page) == 0 {
			t.Fatalf("ListPage(%s, %s, %q) = %d, %t, %v", owner, typ, after, len(page), more, err)
		}
		for _, o := range page {
			got, ids, after = append(got, o), append(ids, o.ID.ID), o.ID.ID
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ListPage(%s, %s) = %+v, want %+v", owner, typ, got, want)
	}
	switch typ {
	case "ledger":
		for after, more, i := "", true, 0; more; {
			var page []cluster.Copy
			var err error
			if page, more, err = s.Contents(owner, typ, after, 100, 1); err != nil {
				t.Fatal(err)
			}
			for _, c := range page {
				if c.Err != nil || fmt.Sprint(c.Object) != fmt.Sprint(want[i]) || !bytes.Equal(c.Contents, m.objects[want[i].ID].contents) {
					t.Errorf("Contents(%s) gives %+v, want %+v", owner, c, want[i])
				}
				i, after = i+1, c.Object.ID.ID
			}
		}
	case "message":
		all, err := s.Derived(context.Background(), owner, typ, ids, 1<<20)
		if err != nil || len(all) != len(ids) {
			t.Fatalf("Derived(%s) = %d, %v, want %d", owner, len(all), err, len(ids))
		}
		for i, d := range all {
			m.checkDerived(t, d, want[i].ID)
		}
	}
}

func (m *model) checkDerived(t *testing.T, d cluster.Derived, id cluster.ObjectID) {
	t.Helper()
	contents := m.objects[id].contents
	if len(contents) > 0 && (contents[0] == '!' || contents[0] == '?') {
		wantKind(t, "Derived of "+id.ID, d.Err, cluster.KindInvalid)
	} else if d.Err != nil || !bytes.Equal(d.Data, contents[:min(4, len(contents))]) {
		t.Errorf("Derived of %v = %q, %v, want %q", id, d.Data, d.Err, contents[:min(4, len(contents))])
	}
}

const modelOwners = 4

// step makes one random operation on both.
func (m *model) step(t *testing.T, s *Store, rng *rand.Rand) { //nolint:cyclop // one case a kind of step
	id := cluster.ObjectID{
		Type:  []cluster.ObjectType{"message", "message", "user", "ledger"}[rng.IntN(4)],
		Owner: userName(rng.IntN(modelOwners)),
		ID:    strconv.Itoa(rng.IntN(6)),
	}
	at := 1 + rng.Int64N(1+int64(len(m.objects))*20)
	nodes := [][]cluster.NodeID{{self}, {self}, {self, other}, {self, other, third}, {other}}[rng.IntN(5)]
	var u cluster.Update
	var body cluster.Body
	var contents []byte
	switch kind := rng.IntN(14); {
	case kind < 2:
		m.deleteSome(t, s, rng, at)
		return
	case kind == 12:
		m.retireSome(t, s, rng)
		return
	case kind == 13 && rng.IntN(4) == 0:
		m.collect(t, s, rng)
		return
	case kind == 2:
		u = remove(id.Type, id.Owner, id.ID, at, nodes...)
	case kind == 3:
		u = remove(id.Type, id.Owner, id.ID, at)
	case kind == 4 && id.Type == "message":
		contents = noise(rng, layout.ChunkSize-2+rng.IntN(layout.ChunkSize))
		u, body = put(id.Type, id.Owner, id.ID, at, contents, nodes...)
	case kind == 5 && id.Type == "message" && m.objects[id].object.Size > 0: // contents stay
		old := m.objects[id]
		contents = old.contents
		u, _ = put(id.Type, id.Owner, id.ID, at, contents, nodes...)
	default:
		contents = noise(rng, rng.IntN(3000))
		if rng.IntN(5) == 0 && len(contents) > 0 {
			contents[0] = "!?"[rng.IntN(2)]
		}
		u, body = put(id.Type, id.Owner, id.ID, at, contents, nodes...)
	}
	if rng.IntN(3) == 0 {
		u.Previous = cluster.NewReplicaSet(nodes[0], third)
	}
	if rng.IntN(10) == 0 {
		body = nil // an offer
	}
	u.Object.Copies = rng.IntN(3)
	r := mustApply(t, s, u, body)
	if want := m.apply(u, contents, body != nil || u.Object.Deleted || u.Object.Size == 0); !matches(r, want) {
		t.Errorf("Apply(%+v) = %+v, want %+v", u, r, want)
	}
}

// retireSome retires records, some of them wrongly.
func (m *model) retireSome(t *testing.T, s *Store, rng *rand.Rand) {
	var items []cluster.Retirement
	for _, id := range slices.SortedFunc(maps.Keys(m.records), cluster.ObjectID.Compare) {
		r := m.records[id]
		item := cluster.Retirement{ID: id, Timestamp: r.Timestamp, Targets: r.Targets}
		switch rng.IntN(6) {
		case 0, 1:
		case 2:
			item.Timestamp.Time--
		case 3:
			item.Targets = item.Targets[1:]
		default:
			continue
		}
		items = append(items, item)
		after, _ := replication.AfterRetirement(self, &r, item, modelClock.now.UnixNano())
		m.record(id, after)
	}
	if err := s.Retire(context.Background(), items); err != nil {
		t.Errorf("Retire() = %v", err)
	}
}

// collect drops what is over: with times of a few nanoseconds, all of the vault, and every tombstone once all nodes have been there for long.
func (m *model) collect(t *testing.T, s *Store, rng *rand.Rand) {
	now := modelClock.now.Add(time.Duration(rng.IntN(2)) * time.Hour)
	together := modelClock.now
	want := Collected{Vaulted: len(m.vault)}
	for id, r := range m.records {
		if replication.Forget(&r, together.UnixNano(), now.UnixNano()) {
			delete(m.records, id)
			want.Retired++
		}
	}
	for id, o := range m.objects {
		if r, ok := m.records[id]; o.object.Deleted && (!ok || r.Retired != 0) && now.Sub(together) > cluster.LateWindow {
			delete(m.objects, id)
			want.Tombstones++
		}
	}
	for _, contents := range m.vault {
		want.Bytes += int64(len(contents))
	}
	clear(m.vault)
	got, err := s.Collect(context.Background(), now, together)
	got.Owners = nil
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Collect() = %+v, %v, want %+v", got, err, want)
	}
}

// deleteSome applies several deletions, tombstones among them, in one commit.
func (m *model) deleteSome(t *testing.T, s *Store, rng *rand.Rand, at int64) {
	var updates []cluster.Update
	for range 1 + rng.IntN(5) {
		var nodes []cluster.NodeID
		if rng.IntN(2) == 0 {
			nodes = []cluster.NodeID{self, other}
		}
		typ := []cluster.ObjectType{"message", "user", "ledger"}[rng.IntN(3)]
		updates = append(updates, remove(typ, userName(rng.IntN(modelOwners)), strconv.Itoa(rng.IntN(6)), at+rng.Int64N(3), nodes...))
	}
	results, err := s.Accept(context.Background(), updates)
	if err != nil {
		t.Errorf("Accept() = %v", err)
		return
	}
	for i, u := range updates {
		if want := m.apply(u, nil, true); !matches(results[i], want) {
			t.Errorf("Accept()[%d] = %+v, want %+v (%+v)", i, results[i], want, u)
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
		cfg := modelConfig(fs)
		cfg.MemTableSize = 128 << 10
		s := mustOpen(t, cfg)
		m := newModel()
		for i := range 600 {
			m.step(t, s, rng)
			switch rng.IntN(60) {
			case 0:
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				cfg.Types[0].DeriveVersion += rng.Uint32N(2) // of a newer program, perhaps
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
		s := mustOpen(t, modelConfig(vfs.NewMem()))
		m := newModel()
		for range 40 {
			m.step(t, s, rng)
		}
		m.checkLog(t, s)
		for i := range modelOwners {
			if h, err := s.Holding(userName(i)); err != nil || show(h) != show(m.holding(userName(i))) {
				t.Errorf("Holding = %s, %v, want %s", show(h), err, show(m.holding(userName(i))))
			}
		}
		mustVerify(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
