package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
)

const (
	self  cluster.NodeID = 7
	other cluster.NodeID = 8
	third cluster.NodeID = 9
)

var testCluster = cluster.ID{1, 2, 3}

func testConfig(fs vfs.FS) Config {
	return Config{
		FS: fs, Dir: "data", ClusterID: testCluster, Node: self,
		Types:        []cluster.TypeSpec{{Name: "message", Derive: first4, DeriveVersion: 1}, {Name: "user", Cached: true}},
		MemTableSize: 1 << 20,
	}
}

// first4 derives the first bytes of contents; of those that begin with '!' nothing, and '?' makes it panic.
func first4(contents io.ReaderAt, size int64) ([]byte, error) {
	b := make([]byte, min(size, 4))
	if _, err := contents.ReadAt(b, 0); err != nil && err != io.EOF { //nolint:errorlint // as io.ReaderAt says
		return nil, err
	}
	switch {
	case size > 0 && b[0] == '!':
		return nil, errors.New("nothing is here")
	case size > 0 && b[0] == '?':
		panic("a bug")
	}
	return b, nil
}

func mustOpen(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	return s
}

// openMem opens a store in memory that is closed at the end of the test.
func openMem(t testing.TB) *Store {
	t.Helper()
	s := mustOpen(t, testConfig(vfs.NewMem()))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return s
}

// put makes an update that stores contents on the nodes given.
func put(typ cluster.ObjectType, owner, id string, time int64, contents []byte, nodes ...cluster.NodeID) (cluster.Update, cluster.Body) {
	return cluster.Update{Object: cluster.Object{
		ID:        cluster.ObjectID{Type: typ, Owner: owner, ID: id},
		Timestamp: cluster.Timestamp{Time: time, Node: self},
		Replicas:  cluster.NewReplicaSet(nodes...),
		Attr:      []byte("attr of " + id),
		Size:      int64(len(contents)),
		Sum:       sha256.Sum256(contents),
	}}, bytes.NewReader(contents)
}

// remove makes a deletion; with nodes, they keep a tombstone.
func remove(typ cluster.ObjectType, owner, id string, time int64, nodes ...cluster.NodeID) cluster.Update {
	return cluster.Update{Object: cluster.Object{
		ID:        cluster.ObjectID{Type: typ, Owner: owner, ID: id},
		Timestamp: cluster.Timestamp{Time: time, Node: self},
		Replicas:  cluster.NewReplicaSet(nodes...),
		Deleted:   true,
	}}
}

func mustApply(t testing.TB, s *Store, u cluster.Update, body cluster.Body) Result {
	t.Helper()
	r, err := s.Apply(context.Background(), u, body)
	if err != nil {
		t.Fatalf("Apply(%v) = %v", u.Object.ID, err)
	}
	return r
}

func readBody(t testing.TB, s *Store, id cluster.ObjectID) []byte {
	t.Helper()
	_, body, err := s.OpenBody(id)
	if err != nil {
		t.Fatalf("OpenBody(%v) = %v", id, err)
	}
	b, err := io.ReadAll(body)
	if err2 := body.Close(); err != nil || err2 != nil {
		t.Fatalf("read contents of %v: %v, close: %v", id, err, err2)
	}
	return b
}

// mustVerify fails the test for every problem: contents, headers, counts and orphans (D3).
func mustVerify(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Verify(context.Background(), func(p Problem) { t.Errorf("Verify: %v", p) }); err != nil {
		t.Errorf("Verify() = %v", err)
	}
	if n := s.Metrics().Broken; n != 0 {
		t.Errorf("Metrics().Broken = %d, want 0", n)
	}
}

// wantKind fails the test unless err is of that kind.
func wantKind(t testing.TB, what string, err error, kind cluster.Kind) {
	t.Helper()
	if !cluster.IsKind(err, kind) {
		t.Errorf("%s = %v (%v), want kind %v", what, err, cluster.KindOf(err), kind)
	}
}

// noise gives bytes that do not compress.
func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// fakeClock is a wall clock that a test sets.
type fakeClock struct{ now time.Time }

func (c *fakeClock) Now() time.Time { return c.now }

func userName(i int) string { return fmt.Sprintf("u%d@example.test", i) }
