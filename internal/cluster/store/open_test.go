package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

func TestOpenRefuses(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, testConfig(fs))
	_, err := Open(testConfig(fs))
	wantKind(t, "Open of an open store", err, cluster.KindExists)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close() = %v", err)
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		kind   cluster.Kind
		text   string
	}{
		{"another cluster", func(c *Config) { c.ClusterID[0]++ }, cluster.KindDenied, "another directory"},
		{"another node", func(c *Config) { c.Node = other }, cluster.KindDenied, "directory of its own"},
		{"a type that is no longer cached", func(c *Config) { c.Types = []cluster.TypeSpec{{Name: "user"}} }, cluster.KindInvalid, "cached"},
		{"bad type", func(c *Config) { c.Types = []cluster.TypeSpec{{Name: "User"}} }, cluster.KindInvalid, "lower-case"},
		{"type twice", func(c *Config) { c.Types = []cluster.TypeSpec{{Name: "a"}, {Name: "a"}} }, cluster.KindInvalid, "twice"},
		{"no directory", func(c *Config) { c.Dir = "" }, cluster.KindInvalid, "directory"},
		{"no cluster", func(c *Config) { c.ClusterID = cluster.ID{} }, cluster.KindInvalid, "cluster id"},
	} {
		cfg := testConfig(fs)
		c.change(&cfg)
		_, err := Open(cfg)
		wantKind(t, c.name, err, c.kind)
		if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %q does not say %q", c.name, err, c.text)
		}
	}
	cfg := testConfig(fs)
	cfg.Node = cluster.NoNode
	cfg.Types = append(cfg.Types, cluster.TypeSpec{Name: "queue"})
	s = mustOpen(t, cfg)
	if s.Node() != self {
		t.Errorf("Node() = %v, want the recorded %v", s.Node(), self)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenDrawsIdentity(t *testing.T) {
	cfg := testConfig(vfs.NewMem())
	cfg.Node = cluster.NoNode
	s := mustOpen(t, cfg)
	id := s.Node()
	if err := s.Close(); err != nil || id == cluster.NoNode {
		t.Fatalf("Node() = %v, Close() = %v", id, err)
	}
	s = mustOpen(t, cfg)
	if s.Node() != id {
		t.Errorf("Node() = %v after opening again, want %v", s.Node(), id)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// plant writes one record past the store.
func plant(t testing.TB, fs vfs.FS, key, value []byte) {
	t.Helper()
	db, err := pebble.Open("data", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set(key, value, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(f) }

func TestOpenOtherFormats(t *testing.T) {
	fs := vfs.NewMem()
	plant(t, fs, []byte("hello"), []byte("world"))
	_, err := Open(testConfig(fs))
	wantKind(t, "Open of another program's database", err, cluster.KindInvalid)

	fs = vfs.NewMem()
	value := layout.AppendFormat(nil, &layout.Format{Cluster: testCluster, Node: self})
	value[len("PORCUPINE")+3] = layout.FormatVersion + 1
	plant(t, fs, layout.FormatKey(), value)
	_, err = Open(testConfig(fs))
	wantKind(t, "Open of a newer format", err, cluster.KindInvalid)
	if err != nil && !strings.Contains(err.Error(), "program version") {
		t.Errorf("error %q does not say what to do", err)
	}
}

// Sequence numbers and LastTime grow across restarts, whatever the wall clock does.
func TestR3_NumbersGrowAcrossRestarts(t *testing.T) {
	fs := vfs.NewCrashableMem()
	clock := &fakeClock{time.Unix(1_700_000_000, 0)}
	var last uint64
	for i, jump := range []time.Duration{0, time.Second, -time.Hour, -time.Hour, 24 * time.Hour, 0} {
		clock.now = clock.now.Add(jump)
		cfg := testConfig(fs)
		cfg.Now = clock.Now
		s := mustOpen(t, cfg)
		if got, want := s.LastTime(), max(0, int64(100*i-97)); got != want {
			t.Errorf("LastTime() = %d, want %d", got, want)
		}
		for n := range 3 {
			u, body := put("message", "a@b", "1", int64(100*i+n+1), []byte("x"), self)
			if r := mustApply(t, s, u, body); r.Applied && r.Seq <= last {
				t.Errorf("run %d: Seq = %d after %d", i, r.Seq, last)
			} else {
				last = r.Seq
			}
		}
		fs = fs.CrashClone(vfs.CrashCloneCfg{})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClosedStore(t *testing.T) {
	s := mustOpen(t, testConfig(vfs.NewMem()))
	u, body := put("message", "a@b", "1", 1, make([]byte, 2*layout.ChunkSize), self)
	mustApply(t, s, u, body)
	_, r, err := s.OpenBody(u.Object.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = r.Read(make([]byte, 10))
	wantKind(t, "read after Close", err, cluster.KindUnavailable)
	_, err = s.Apply(context.Background(), u, body)
	wantKind(t, "Apply after Close", err, cluster.KindUnavailable)
	_, err = s.Get(u.Object.ID)
	wantKind(t, "Get after Close", err, cluster.KindUnavailable)
	if s.Load().Objects != 1 || s.Metrics().Objects != 1 {
		t.Error("Load and Metrics forget the objects after Close")
	}
}
