package store

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
)

// TestD3_DamageBesideOthers: an update that meets a damaged record is refused, and the others of its group are not touched by that:
// each stands alone (Accept), and what lies here afterwards is counted.
func TestD3_DamageBesideOthers(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, testConfig(mem))
	for i := range 400 {
		u, body := put("message", userName(i), fmt.Sprintf("the-message-of-user-%d", i), 1, []byte("text"), self)
		mustApply(t, s, u, body)
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const victim = 123
	id := fmt.Sprintf("the-message-of-user-%d", victim)
	flipped := 0
	for _, name := range filesOf(t, mem, ".sst") {
		data := readFile(t, mem, name)
		if at := bytes.Index(data, []byte("attr of "+id)); at >= 0 {
			data[at] ^= 4
			writeFile(t, mem, name, data)
			flipped++
		}
	}
	if flipped != 1 {
		t.Fatalf("%d tables have the record", flipped)
	}
	s = mustOpen(t, testConfig(mem))
	const owner = "new@example.test"
	first, _ := put("message", owner, "first", 2, nil, self)
	const person = "person@example.test"        // of whom this node shall have the profile
	gone := remove("user", person, "", 1, self) // a tombstone is part of a holding, too
	results, err := s.Accept(context.Background(), []cluster.Update{first, gone, remove("message", userName(victim), id, 2)})
	if err != nil {
		t.Errorf("Accept() = %v, want an error of the damaged one alone", err)
	} else {
		if results[0].Err != nil || !results[0].Applied {
			t.Errorf("beside a damaged record: %+v", results[0])
		}
		wantKind(t, "the update of the damaged record", results[2].Err, cluster.KindCorrupt)
	}
	if _, err := s.Get(first.Object.ID); err != nil {
		t.Errorf("first is not there after Accept: %v", err)
	}
	for i := range 3 { // later ones, all acknowledged
		u, body := put("message", owner, fmt.Sprint("later", i), 3, []byte("text"), self)
		mustApply(t, s, u, body)
	}
	u, body := put("user", person, "", 2, []byte("profile"), self)
	mustApply(t, s, u, body)
	for _, again := range []string{"", ", opened again"} {
		h, err := s.Holding(owner)
		count := int64(0)
		for _, f := range h.Fragments {
			count += f.Count
		}
		list, listErr := s.List(owner, "message")
		if count != int64(len(list)) {
			t.Errorf("Holding%s counts %d messages (%v), and %d lie there (%v)", again, count, err, len(list), listErr)
		}
		seen := false
		if _, err := s.ScanBucket(testCluster.BucketOf(owner), func(h cluster.Holding) error { seen = seen || h.Owner == owner; return nil }); err != nil || !seen {
			t.Errorf("ScanBucket%s gives the owner: %t, %v", again, seen, err)
		}
		if h, err := s.Holding(person); err != nil || len(h.Cached) != 1 {
			t.Errorf("Holding%s of a user whose profile is durable: %d objects, %v", again, len(h.Cached), err)
		}
		_ = s.Close() // the engine may complain about the damage
		s = mustOpen(t, testConfig(mem))
	}
	_ = s.Close()
}

// TestD5_PiecesBesideDamage: what the engine cannot read of one message is said of that one.
func TestD5_PiecesBesideDamage(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, testConfig(mem))
	var pieces []cluster.Piece
	contents := func(i int) []byte { return noise(seeded(uint64(i)), 20_000) }
	const count = 8
	for i := range count {
		id := string(rune('a' + i))
		u, body := put("message", "a@b", id, 1, contents(i), self)
		mustApply(t, s, u, body)
		pieces = append(pieces, cluster.Piece{ID: id, Length: 100})
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range filesOf(t, mem, ".sst") {
		data := readFile(t, mem, name)
		if at := bytes.Index(data, contents(count - 1)[100:200]); at >= 0 {
			data[at] ^= 4
			writeFile(t, mem, name, data)
		}
	}
	s = mustOpen(t, testConfig(mem))
	got, err := s.Pieces(context.Background(), "a@b", "message", pieces, 1<<20)
	if err != nil {
		t.Errorf("Pieces() = %v, want an error of the damaged one alone", err)
	}
	for i := range got {
		if (got[i].Err != nil) != (i == count-1) {
			t.Errorf("%s: %v", pieces[i].ID, got[i].Err)
		}
	}
	_ = s.Close()
}
