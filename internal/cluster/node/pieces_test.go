package node

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/call"
)

// Pieces come in the order of the question, as many as go into an answer, with what is wrong with each, from the node
// itself and from another.
func TestPieces(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		large := strings.Repeat("0123456789abcdef", 40<<10) // ten chunks
		a.put(typeNote, "o", "large", large, b.id)
		var pieces []cluster.Piece
		var want []string
		add := func(id string, offset, length int64, text string) {
			pieces, want = append(pieces, cluster.Piece{ID: id, Offset: offset, Length: length}), append(want, text)
		}
		for i := range 30 {
			id := fmt.Sprint("n", i)
			a.put(typeNote, "o", id, "contents "+id, b.id)
			add(id, 3, 99, "tents "+id)
		}
		add("not there", 0, 1, "")
		missing := len(pieces) - 1
		for i := range int64(30) {
			add("large", i*20_000+7, cluster.PieceSizeMax, large[i*20_000+7:min(i*20_000+7+cluster.PieceSizeMax, int64(len(large)))])
		}
		add("large", int64(len(large))+5, 3, "")
		ctx := context.Background()
		for _, m := range w.machines {
			for done := 0; done < len(pieces); {
				got, err := m.node.Pieces(ctx, b.id, "o", typeNote, pieces[done:])
				if err != nil || len(got) == 0 || len(got) > len(pieces)-done {
					t.Fatalf("Pieces by way of %v = %d, %v, want 1 to %d", m.id, len(got), err, len(pieces)-done)
				}
				for i, d := range got {
					switch {
					case done+i == missing:
						if !cluster.IsKind(d.Err, cluster.KindNotFound) {
							t.Errorf("piece of what is not there = %+v, want kind not found", d)
						}
					case d.Err != nil || string(d.Data) != want[done+i]:
						t.Errorf("piece %d by way of %v = %d bytes, %v, want %d", done+i, m.id, len(d.Data), d.Err, len(want[done+i]))
					}
				}
				done += len(got)
			}
			if none, err := m.node.Pieces(ctx, b.id, "o", typeNote, nil); err != nil || len(none) != 0 {
				t.Errorf("Pieces of nothing = %d, %v", len(none), err)
			}
			if many, err := m.node.Pieces(ctx, b.id, "o", typeNote, make([]cluster.Piece, call.PiecesMax+1)); err != nil || len(many) != call.PiecesMax {
				t.Errorf("Pieces of too many = %d, %v, want %d", len(many), err, call.PiecesMax)
			}
			for _, p := range []cluster.Piece{{ID: "n1", Offset: -1}, {ID: "n1", Length: -1}, {ID: "n1", Length: cluster.PieceSizeMax + 1}} {
				if _, err := m.node.Pieces(ctx, b.id, "o", typeNote, []cluster.Piece{p}); !cluster.IsKind(err, cluster.KindInvalid) {
					t.Errorf("Pieces(%+v) = %v, want kind invalid", p, err)
				}
			}
		}
		if _, err := a.node.Pieces(ctx, 0x77, "o", typeNote, pieces[:1]); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Pieces of a node that is not there = %v, want kind unavailable", err)
		}
	})
}
