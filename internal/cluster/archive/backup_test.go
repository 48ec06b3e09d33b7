package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
)

const (
	profile cluster.ObjectType = "user"
	message cluster.ObjectType = "message"
	tree    cluster.ObjectType = "tree" // cached, and no profile
)

func types() []cluster.TypeSpec {
	return []cluster.TypeSpec{{Name: profile, Cached: true}, {Name: message}, {Name: tree, Cached: true}}
}

func isProfile(t cluster.ObjectType) bool { return t == profile }

var (
	clusterA = cluster.ID{1}
	clusterB = cluster.ID{2}
)

const node cluster.NodeID = 0xaa

// openStore opens a real store.
func openStore(t *testing.T, dir string, id cluster.ID) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Dir: dir, ClusterID: id, Types: types(), MinFree: 1, MemTableSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // again; a failure showed at the first
	return s
}

func closeStore(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// put writes an object into a store.
func put(t *testing.T, s *store.Store, ty cluster.ObjectType, owner, id, contents string, at int64) {
	t.Helper()
	o := cluster.Object{ID: cluster.ObjectID{Type: ty, Owner: owner, ID: id}, Timestamp: cluster.Timestamp{Time: at, Node: s.Node()},
		Replicas: cluster.NewReplicaSet(s.Node()), Size: int64(len(contents)), Sum: sha256.Sum256([]byte(contents)), Attr: []byte("attr of " + id)}
	if _, err := s.Apply(t.Context(), cluster.Update{Object: o}, bytes.NewReader([]byte(contents))); err != nil {
		t.Fatal(err)
	}
}

// filled makes a closed store with a few owners in a new directory.
func filled(t *testing.T, id cluster.ID) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, id)
	for i := range 3 {
		owner := fmt.Sprintf("u%d@x.example", i)
		put(t, s, profile, owner, "", "profile of "+owner, 1)
		for k := range 4 {
			put(t, s, message, owner, fmt.Sprintf("m%d", k), strings.Repeat(fmt.Sprint(i, k), 4000), int64(2+k))
		}
	}
	closeStore(t, s)
	return dir
}

func options(from, to string, taken int) Options {
	return Options{From: from, To: to, Cluster: clusterA, Node: node, Taken: time.Unix(1_800_000_000+int64(taken), 0), Keep: 3}
}

func backup(t *testing.T, o Options) Done {
	t.Helper()
	done, err := Backup(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// noWarning fails the test.
func noWarning(t *testing.T) func(error) {
	return func(err error) { t.Errorf("warning: %v", err) }
}

func verifies(t *testing.T, dir string) Checked {
	t.Helper()
	c, err := Verify(t.Context(), dir, func(fault string) { t.Log(fault) })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is in a clone of a backup is what was in the store; a table is copied once, old generations go,
// and their files with them.
func TestBackupIsIncremental(t *testing.T) {
	from, to := filled(t, clusterA), t.TempDir()
	first := backup(t, options(from, to, 1))
	if first.Copied != len(first.Manifest.Files) || first.Bytes != first.Manifest.Size() {
		t.Errorf("the first backup copied %d files of %d", first.Copied, len(first.Manifest.Files))
	}
	tables := 0
	for _, f := range first.Manifest.Files {
		if immutable(f.Name) {
			tables++
		}
	}
	if tables == 0 {
		t.Fatal("the store has no table: nothing is tested")
	}
	second := backup(t, options(from, to, 2))
	if second.Copied != len(second.Manifest.Files)-tables {
		t.Errorf("the second backup copied %d files, want %d: all but the %d tables", second.Copied, len(second.Manifest.Files)-tables, tables)
	}
	for i := 3; i <= 5; i++ {
		if done := backup(t, options(from, to, i)); i > 3 && done.Removed != 1 {
			t.Errorf("backup %d removed %d generations, want 1", i, done.Removed)
		}
	}
	if c := verifies(t, to); c.Faults != 0 || c.Generations != 3 || c.Nodes != 1 || c.Files != len(first.Manifest.Files) {
		t.Errorf("Verify = %+v", c)
	}
	nodes, err := Nodes(to)
	if err != nil || len(nodes) != 1 || nodes[0] != node {
		t.Fatalf("Nodes = %v, %v", nodes, err)
	}
	m, err := Newest(to, node, time.Time{}, noWarning(t))
	if err != nil || !m.Taken.Equal(options("", "", 5).Taken) {
		t.Fatalf("Newest = %+v, %v", m, err)
	}
	if m, err := Newest(to, node, options("", "", 4).Taken, noWarning(t)); err != nil || !m.Taken.Equal(options("", "", 3).Taken) {
		t.Errorf("Newest before the fourth = %+v, %v", m, err)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	if err := Clone(t.Context(), to, m, clone); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, clone, clusterA)
	_, body, err := s.OpenBody(cluster.ObjectID{Type: message, Owner: "u1@x.example", ID: "m2"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil || string(text) != strings.Repeat("1 2", 4000) {
		t.Errorf("read %d bytes, %v", len(text), err)
	}
	closeStore(t, s)
	if c := verifies(t, to); c.Faults != 0 {
		t.Errorf("opening a clone changed the backup: %+v", c)
	}
}

// A store that was set aside is read from a clone and stays as it is.
func TestCloneStoreLeavesTheSource(t *testing.T) {
	from := filled(t, clusterA)
	before := listing(t, from)
	clone := filepath.Join(t.TempDir(), "clone")
	if err := CloneStore(t.Context(), from, clone); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, clone, clusterA)
	put(t, s, profile, "new@x.example", "", "more", 100)
	closeStore(t, s)
	if after := listing(t, from); after != before {
		t.Errorf("the source changed from\n%s\nto\n%s", before, after)
	}
	if err := CloneStore(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "x")); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("CloneStore of an empty directory = %v", err)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// An interrupted backup is not taken for a whole one, and the next one removes what it left.
func TestBackupInterrupted(t *testing.T) {
	from, to := filled(t, clusterA), t.TempDir()
	backup(t, options(from, to, 1))
	before := listing(t, to)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backup(ctx, options(from, to, 2)); err == nil {
		t.Fatal("a backup that was interrupted succeeded")
	}
	if after := listing(t, to); after != before {
		t.Errorf("an interrupted backup left something: before\n%s\nafter\n%s", before, after)
	}
	// What a crash leaves: files without a manifest, a manifest half written.
	for _, path := range []string{"files/left-00", "files/left.sst" + unfinished, "20270101T000000.000Z.json" + unfinished} {
		if err := os.WriteFile(filepath.Join(to, node.String(), path), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := Newest(to, node, time.Time{}, noWarning(t)); err != nil || !m.Taken.Equal(options("", "", 1).Taken) {
		t.Errorf("Newest after a crash = %+v, %v", m, err)
	}
	backup(t, options(from, to, 3))
	if text := listing(t, to); strings.Contains(text, "left") || strings.Contains(text, unfinished) {
		t.Errorf("the leftovers of a crash are still there:\n%s", text)
	}
}

func TestBackupRefused(t *testing.T) {
	from, to := filled(t, clusterA), t.TempDir()
	backup(t, options(from, to, 5))
	other := options(from, to, 6)
	other.Cluster = clusterB
	keep := options(from, to, 6)
	keep.Keep = -1
	tests := []struct {
		name string
		o    Options
		want cluster.Kind
	}{
		{"another cluster", other, cluster.KindDenied},
		{"a clock that went back", options(from, to, 4), cluster.KindInvalid},
		{"keep -1", keep, cluster.KindInvalid},
	}
	for _, tt := range tests {
		if _, err := Backup(t.Context(), tt.o); !cluster.IsKind(err, tt.want) {
			t.Errorf("Backup with %s = %v, want %v", tt.name, err, tt.want)
		}
	}
	f := folderOf(to, node)
	unlock, err := f.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), options(from, to, 7)); !cluster.IsKind(err, cluster.KindExists) {
		t.Errorf("Backup while another is made = %v", err)
	}
	unlock()
	backup(t, options(from, to, 7))
	if _, err := Nodes(filepath.Join(to, "nowhere")); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("Nodes of no directory = %v", err)
	}
	if _, err := Nodes(t.TempDir()); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("Nodes of an empty directory = %v", err)
	}
}

// A full disk is said to be full, and spoils nothing.
func TestBackupDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skipf("no device that is always full: %v", err)
	}
	from, to := filled(t, clusterA), t.TempDir()
	f := folderOf(to, node)
	if err := f.make(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries { // where the first file is to be written, everything is full
		if err := os.Symlink("/dev/full", filepath.Join(f.path, filesDir, e.Name()+unfinished)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := newWriter(f, &Options{Cluster: clusterA, Node: node, Taken: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := explainFull(to, w.copyAll(t.Context(), from)); !cluster.IsKind(err, cluster.KindFull) || !strings.Contains(err.Error(), "no backup was made") {
		t.Errorf("a backup to a full disk = %v, want KindFull", err)
	}
	backup(t, options(from, to, 1))
	if c := verifies(t, to); c.Faults != 0 {
		t.Errorf("after it: %+v", c)
	}
}

// Damage of any stored file is found by Verify and by Clone; a damaged manifest is passed over for an
// older one, and stops the next backup, which could not tell what is still needed.
func TestBackupDamaged(t *testing.T) {
	from, to := filled(t, clusterA), t.TempDir()
	done := backup(t, options(from, to, 1))
	for i := range done.Manifest.Files {
		f := &done.Manifest.Files[i]
		path := filepath.Join(to, node.String(), filesDir, f.stored())
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := append(bytes.Clone(text), 'x')
		if len(text) > 0 {
			damaged = bytes.Clone(text)
			damaged[len(text)/2] ^= 0x40
		}
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if c := verifies(t, to); c.Faults != 1 {
			t.Errorf("%s damaged: Verify = %+v, want one fault", f.Name, c)
		}
		clone := filepath.Join(t.TempDir(), "clone")
		if err := Clone(t.Context(), to, done.Manifest, clone); !cluster.IsKind(err, cluster.KindCorrupt) {
			t.Errorf("%s damaged: Clone = %v, want KindCorrupt", f.Name, err)
		}
		if _, err := os.Stat(clone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s damaged: a part of a clone is left", f.Name)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := backup(t, options(from, to, 2))
	path := filepath.Join(to, node.String(), second.Manifest.name())
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	warnings := 0
	m, err := Newest(to, node, time.Time{}, func(error) { warnings++ })
	if err != nil || warnings != 1 || !m.Taken.Equal(done.Manifest.Taken) {
		t.Errorf("Newest with a damaged manifest = %+v, %v, %d warnings", m, err, warnings)
	}
	if _, err := Backup(t.Context(), options(from, to, 3)); !cluster.IsKind(err, cluster.KindCorrupt) || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("Backup beside a damaged manifest = %v", err)
	}
	if c := verifies(t, to); c.Faults != 1 {
		t.Errorf("Verify = %+v, want one fault", c)
	}
}
