package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

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
		{"derived data lost", func(s *Store) error { _, n := record(s, "1"); return s.db.Delete(layout.AppendDerivedKey(nil, n), nil) }, "is missing"},
		{"derived data damaged", func(s *Store) error {
			_, n := record(s, "1")
			return s.db.Set(layout.AppendDerivedKey(nil, n), []byte("damage"), nil)
		}, "checksum"},
		{"orphaned derived data", func(s *Store) error {
			key := layout.AppendDerivedKey(nil, 5)
			return s.db.Set(key, layout.AppendDerived(nil, key, &layout.Derived{Version: 1}), nil)
		}, "belongs to no object"},
		{"state miscounts", func(s *Store) error {
			return s.db.Set(layout.StateKey(), layout.AppendState(nil, &layout.State{Objects: 99}), nil)
		}, "recount"},
		{"update record lost its copy", func(s *Store) error {
			key := layout.AppendUpdateKey(nil, s.objectKey(cluster.TypeSpec{Name: "message"}, cluster.ObjectID{Type: "message", Owner: "a@b", ID: "no"}))
			u := layout.Update{Record: cluster.Record{Timestamp: cluster.Timestamp{Time: 1, Node: self}, Replicas: cluster.NewReplicaSet(self, other)}}
			return s.db.Set(key, layout.AppendUpdate(nil, key, &u), nil)
		}, "there is none"},
		{"update record of another version", func(s *Store) error {
			k, _ := record(s, "1")
			key := layout.AppendUpdateKey(nil, k)
			u := layout.Update{Record: cluster.Record{Timestamp: cluster.Timestamp{Time: 2, Node: self}, Replicas: cluster.NewReplicaSet(self, other)}}
			return s.db.Set(key, layout.AppendUpdate(nil, key, &u), nil)
		}, "the copy of"},
		{"update record damaged", func(s *Store) error {
			k, _ := record(s, "1")
			return s.db.Set(layout.AppendUpdateKey(nil, k), []byte("damage"), nil)
		}, "checksum"},
		{"vault entry without contents", func(s *Store) error {
			k, _ := record(s, "1")
			key := layout.AppendVaultKey(nil, k, cluster.Timestamp{Time: 2, Node: self})
			r := layout.Record{Number: 5, Object: cluster.Object{Size: 3}}
			return s.db.Set(key, layout.AppendRecord(nil, key, &r), nil)
		}, "order of time"},
		{"vault order without entry", func(s *Store) error {
			k, _ := record(s, "1")
			key := layout.AppendOldestKey(nil, layout.AppendVaultKey(nil, k, cluster.Timestamp{Time: 2, Node: self}))
			return s.db.Set(key, layout.AppendMeta(nil, key, nil), nil)
		}, "stands for nothing"},
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
	s, _ := openClock(t, withVault)
	for _, size := range []int{10, 2 * layout.ChunkSize} {
		u, body := put("message", "a@b", fmt.Sprint(size), 1, bytes.Repeat([]byte("secret"), size)[:size], self)
		mustApply(t, s, u, body)
	}
	u, body := put("user", "a@b", "profile", 1, []byte("secret hash"), self)
	mustApply(t, s, u, body)
	u, body = put("message", "a@b", "replicated", 1, []byte("secret"), self, other)
	mustApply(t, s, u, body)
	u, body = put("message", "a@b", "deleted", 1, []byte("secret"), self)
	mustApply(t, s, u, body)
	mustApply(t, s, remove("message", "a@b", "deleted", 2), nil)
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
	want := map[string]int{"format": 1, "state": 1, "meta": 1, "header": 1, "object": 4, "contents": 4, "derived": 3, "chunk": 2, "update": 2, "vaulted": 1, "oldest": 1, "unreadable": 1}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("Dump has %v, want %v", counts, want)
	}
	if strings.Contains(out.String(), "secret") || strings.Contains(out.String(), "attr of") {
		t.Error("Dump shows contents or attributes")
	}
}
