package store

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// TestD5_HealFlippedBits damages a table of contents: those that cannot be read any more are
// replaced by those of another replica, and read again, before and after a restart.
func TestD5_HealFlippedBits(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, testConfig(mem))
	objects := map[cluster.ObjectID]cluster.Object{}
	contents := func(id cluster.ObjectID) []byte { return noise(seeded(uint64(id.ID[0])), 5000) }
	for i := range 8 {
		id := cluster.ObjectID{Type: "message", Owner: "a@b", ID: string(rune('a' + i))}
		u, body := put("message", "a@b", id.ID, 1, contents(id), self)
		mustApply(t, s, u, body)
		objects[id] = u.Object
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	flipped := false
	for _, name := range filesOf(t, mem, ".sst") {
		data := readFile(t, mem, name)
		if at := bytes.Index(data, contents(cluster.ObjectID{ID: "c"})[100:200]); at >= 0 {
			data[at] ^= 4
			writeFile(t, mem, name, data)
			flipped = true
		}
	}
	if !flipped {
		t.Fatal("the contents are in no table")
	}
	s = mustOpen(t, testConfig(mem))
	healed := 0
	for id, o := range objects {
		_, _, err := s.OpenBody(id)
		if err == nil {
			continue
		}
		wantKind(t, fmt.Sprintf("OpenBody(%v)", id), err, cluster.KindCorrupt)
		if err := s.Heal(context.Background(), o, bytes.NewReader(contents(id))); err != nil {
			t.Fatalf("Heal(%v) = %v", id, err)
		}
		healed++
	}
	if healed == 0 || s.Metrics().Healed != int64(healed) {
		t.Errorf("%d objects were healed, Metrics say %d", healed, s.Metrics().Healed)
	}
	for range 2 {
		for id := range objects {
			if !bytes.Equal(readBody(t, s, id), contents(id)) {
				t.Errorf("%v comes back changed", id)
			}
		}
		_ = s.Close() // the engine may complain about the damaged block
		s = mustOpen(t, testConfig(mem))
	}
	if n := s.Load().Objects; n != int64(len(objects)) {
		t.Errorf("Objects = %d, want %d", n, len(objects))
	}
	_ = s.Close()
}

// TestD5_Heal: damage above the engine is gone without a trace after healing, and counts stay.
func TestD5_Heal(t *testing.T) {
	for _, c := range []struct {
		name  string
		typ   cluster.ObjectType
		size  int
		spoil func(s *Store, r *layout.Record) error
	}{
		{"small, lost", "message", 100, func(s *Store, r *layout.Record) error {
			return s.db.Delete(layout.AppendBodyKey(nil, r.Number), pebble.Sync)
		}},
		{"large, chunk replaced", "message", 3 * layout.ChunkSize, func(s *Store, r *layout.Record) error {
			key, v := layout.AppendChunkKey(nil, r.Number, 1), make([]byte, layout.ChunkHeadSize+layout.ChunkSize)
			layout.SealChunk(key, v)
			return s.db.Set(key, v, pebble.Sync)
		}},
		{"cached, other contents", "user", 100, func(s *Store, r *layout.Record) error {
			key := s.objectKey(s.types["user"], r.Object.ID)
			spoiled := *r
			spoiled.Rewritten = true
			return s.db.Set(key, append(layout.AppendRecord(nil, key, &spoiled), make([]byte, 100)...), pebble.Sync)
		}},
	} {
		s := openMem(t)
		contents := noise(seeded(4), c.size)
		u, body := put(c.typ, "a@b", "1", 5, contents, self, other)
		mustApply(t, s, u, body)
		r, _, err := s.read(u.Object.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(s, &r); err != nil {
			t.Fatal(err)
		}
		if c.typ == "user" { // the committer reads it again
			r.Rewritten = true
		}
		if _, rc, err := s.OpenBody(u.Object.ID); err == nil {
			_, err = readAll(rc)
			wantKind(t, c.name, err, cluster.KindCorrupt)
		}
		ctx := context.Background()
		newer := u.Object
		newer.Timestamp.Time++
		wantKind(t, c.name+": another version", s.Heal(ctx, newer, body), cluster.KindStale)
		wantKind(t, c.name+": other contents", s.Heal(ctx, u.Object, bytes.NewReader(make([]byte, c.size))), cluster.KindInvalid)
		wantKind(t, c.name+": no contents", s.Heal(ctx, u.Object, nil), cluster.KindInvalid)
		if err := s.Heal(ctx, u.Object, body); err != nil {
			t.Errorf("%s: Heal() = %v", c.name, err)
		}
		if !bytes.Equal(readBody(t, s, u.Object.ID), contents) {
			t.Errorf("%s: contents differ", c.name)
		}
		if n := s.Metrics().Records; n != 1 {
			t.Errorf("%s: %d records, want the one of the update", c.name, n)
		}
		mustVerify(t, s)
		mustApply(t, s, remove(c.typ, "a@b", "1", 6), nil)
		wantKind(t, c.name+": deleted meanwhile", s.Heal(ctx, u.Object, body), cluster.KindNotFound)
		mustVerify(t, s)
	}
}
