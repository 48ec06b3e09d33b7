package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// D5: pieces are what OpenRange gives, of small, large and inline contents, in the order of the question; what is damaged,
// deleted or not there is said of each by itself, and damage is remembered.
func TestD5_Pieces(t *testing.T) {
	s := openMem(t)
	large := noise(seeded(1), 3*layout.ChunkSize+5)
	contents := map[string][]byte{"a": []byte("contents of a"), "b": nil, "c": noise(seeded(2), 5000), "large": large, "bad": []byte("damaged"), "gone": []byte("x")}
	for _, id := range []string{"c", "large", "a", "bad", "gone", "b"} {
		u, body := put("message", "a@b", id, 1, contents[id], self)
		mustApply(t, s, u, body)
	}
	mustApply(t, s, remove("message", "a@b", "gone", 2, self), nil)
	r, _, err := s.read(cluster.ObjectID{Type: "message", Owner: "a@b", ID: "bad"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Set(layout.AppendBodyKey(nil, r.Number), []byte("damage"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	var pieces []cluster.Piece
	for _, id := range []string{"large", "a", "absent", "c", "bad", "b", "gone", "a"} {
		for _, p := range []cluster.Piece{{Offset: 0, Length: 5}, {Offset: 3, Length: cluster.PieceSizeMax}, {Offset: 99_000, Length: 9}, {Offset: 1, Length: 0}} {
			p.ID = id
			pieces = append(pieces, p)
		}
	}
	got, err := s.Pieces(context.Background(), "a@b", "message", pieces, 1<<20)
	if err != nil || len(got) != len(pieces) {
		t.Fatalf("Pieces = %d, %v", len(got), err)
	}
	for i, p := range pieces {
		_, body, err := s.OpenRange(cluster.ObjectID{Type: "message", Owner: "a@b", ID: p.ID}, p.Offset, p.Length)
		if err != nil {
			wantKind(t, fmt.Sprintf("piece %+v", p), got[i].Err, cluster.KindOf(err))
			continue
		}
		want, err := io.ReadAll(body)
		if err != nil || got[i].Err != nil || !bytes.Equal(got[i].Data, want) {
			t.Errorf("piece %+v is %d bytes, %v, want %d, %v", p, len(got[i].Data), got[i].Err, len(want), err)
		}
	}
	if !s.damaged.has(r.Number) {
		t.Error("the damage is not remembered")
	}
	if got, err = s.Pieces(context.Background(), "a@b", "message", pieces[4:], 11); err != nil || len(got) != 1 {
		t.Errorf("Pieces of one page = %d, %v", len(got), err)
	}
	for _, p := range []cluster.Piece{{ID: "a", Offset: -1}, {ID: "a", Length: -1}, {ID: "a", Length: cluster.PieceSizeMax + 1}} {
		_, err = s.Pieces(context.Background(), "a@b", "message", []cluster.Piece{p}, 1<<20)
		wantKind(t, fmt.Sprintf("Pieces(%+v)", p), err, cluster.KindInvalid)
	}
	_, err = s.Pieces(context.Background(), "a@b", "no type", pieces, 1<<20)
	wantKind(t, "Pieces of a type that is not declared", err, cluster.KindInvalid)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Pieces(ended, "a@b", "message", pieces, 1<<20)
	wantKind(t, "Pieces of nobody", err, cluster.KindUnavailable)
}

// BenchmarkPieces reads 50 messages of 4,700 bytes together, as a FETCH does, and one by one:
//
//	go test -run xxx -bench Pieces -benchtime 2000x ./internal/cluster/store
func BenchmarkPieces(b *testing.B) {
	cfg := testConfig(vfs.NewMem())
	s := mustOpen(b, cfg)
	const count, size, batch = 5_000, 4_700, 50
	rng := seeded(3)
	ids := make([]string, count)
	for i := range ids {
		ids[i] = fmt.Sprintf("%016x", rng.Uint64())
		u, body := put("message", "a@b", ids[i], 1, noise(rng, size), self)
		mustApply(b, s, u, body)
	}
	for _, together := range []bool{true, false} {
		b.Run(fmt.Sprintf("together=%t", together), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				first := i * batch % count
				pieces := make([]cluster.Piece, 0, batch)
				for _, id := range ids[first : first+batch] {
					pieces = append(pieces, cluster.Piece{ID: id, Length: size})
				}
				if together {
					if got, err := s.Pieces(b.Context(), "a@b", "message", pieces, 1<<20); err != nil || slices.ContainsFunc(got, func(d cluster.Derived) bool { return len(d.Data) != size }) {
						b.Fatal(err)
					}
					continue
				}
				for i := range pieces {
					if _, err := s.piece(cluster.ObjectID{Type: "message", Owner: "a@b", ID: pieces[i].ID}, &pieces[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*batch), "us/message")
		})
	}
}
