package imapproxy

import (
	"fmt"
	"io"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/imapserver/backend"
)

// wholes gives a piece for all of each message.
func wholes(t testing.TB, s backend.Selected) (pieces []backend.Piece) {
	t.Helper()
	if err := s.Summaries(t.Context(), mustUIDs(t, s), func(m *mail.Summary) error {
		pieces = append(pieces, backend.Piece{UID: m.UID, Length: m.Size})
		return nil
	}); err != nil {
		t.Fatalf("Summaries: %v", err)
	}
	return pieces
}

func heldOf(s backend.Selected) (count int, octets int64) {
	for _, list := range s.(*selected).held {
		for _, h := range list {
			count++
			octets += int64(len(h.data))
		}
	}
	return count, octets
}

// D5, V2: what is read ahead is what Open gives: a damaged copy is passed over, and of a message that cannot be reached
// Open says so. What is held serves stretches of it, and goes with the next Ahead.
func TestV2_Ahead(t *testing.T) {
	w := newWorld(t, 5)
	const count = 30
	for i := range count {
		w.deliver(t, cluster.NodeID(i%5+1))
	}
	_, s := w.pick(t, 1, "INBOX")
	ctx := t.Context()
	pieces := wholes(t, s)
	var damaged cluster.ObjectID
	err := s.Summaries(ctx, mail.NewUIDSet(3), func(m *mail.Summary) error { damaged = m.ID.Object(user); return nil })
	if err != nil {
		t.Fatal(err)
	}
	w.Damage(w.Copies(damaged)[0], damaged)
	s.Ahead(ctx, pieces)
	if n, _ := heldOf(s); n != count {
		t.Errorf("%d messages are held, want %d", n, count)
	}
	for i := range cluster.NodeID(5) { // nobody can be asked: it is there already
		w.SetFaults(i+1, clustertest.Faults{Hung: true})
	}
	for _, p := range pieces {
		for _, part := range []struct{ offset, length int64 }{{0, p.Length}, {9, 7}, {p.Length, 0}, {3, p.Length - 3}} {
			body, err := s.Open(ctx, p.UID, part.offset, part.length)
			if err != nil {
				t.Fatalf("Open %d: %v", p.UID, err)
			}
			whole := fmt.Sprintf("Subject: message %d\r\n\r\ntext %d\r\n", p.UID, p.UID)
			if got, err := io.ReadAll(body); err != nil || string(got) != whole[part.offset:part.offset+part.length] {
				t.Errorf("Open(%d, %d, %d) = %q, %v", p.UID, part.offset, part.length, got, err)
			}
		}
		if _, err := s.Open(ctx, p.UID, 1, p.Length); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Open(%d) of more than is held = %v, want kind unavailable", p.UID, err)
		}
	}
	s.Ahead(ctx, pieces)
	if n, _ := heldOf(s); n != 0 {
		t.Errorf("%d messages are held of nodes that are away", n)
	}
	if _, err := s.Open(ctx, 1, 0, 5); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Open while all are away = %v, want kind unavailable", err)
	}
	for i := range cluster.NodeID(5) {
		w.SetFaults(i+1, faultsNone())
	}
	s.Ahead(ctx, append(pieces[:0:0], backend.Piece{UID: 1, Length: pieces[0].Length + 1}, backend.Piece{UID: 999, Length: 4}, pieces[1]))
	if n, _ := heldOf(s); n != 1 {
		t.Errorf("%d messages are held, want the one that is there and as long as was said", n)
	}
}

// What a session holds is bounded, whatever it asks for.
func TestAhead_Bounds(t *testing.T) {
	w := newWorld(t, 3)
	w.deliver(t, 1)
	_, s := w.pick(t, 2, "INBOX")
	var many, long []backend.Piece
	for i := range 10 * int64(backend.AheadPiecesMax) {
		many = append(many, backend.Piece{UID: 1, Offset: i % 20, Length: 1 + i/20%5}, backend.Piece{UID: 1, Offset: -1, Length: i})
		long = append(long, backend.Piece{UID: 1, Offset: i, Length: backend.PieceSizeMax + i%2})
	}
	for _, pieces := range [][]backend.Piece{many, long} {
		some, octets := bounded(pieces), int64(0)
		for _, p := range some {
			octets += p.Length
		}
		if len(some) == 0 || len(some) > backend.AheadPiecesMax || octets > backend.AheadBytesMax {
			t.Errorf("%d pieces, %d octets are read ahead", len(some), octets)
		}
		s.Ahead(t.Context(), pieces)
		if n, octets := heldOf(s); n > backend.AheadPiecesMax || octets > backend.AheadBytesMax {
			t.Errorf("%d pieces, %d octets are held", n, octets)
		}
	}
	s.Ahead(t.Context(), nil)
	if n, _ := heldOf(s); n != 0 {
		t.Errorf("%d pieces are held after the end", n)
	}
}

// A client that opens messages is likely to open those that it asks about next: where they lie comes with their
// summaries, if they are few. One that opens nothing is not told.
func TestWhereaboutsComeWithSummaries(t *testing.T) {
	w := newWorld(t, 3)
	w.fill(liesFew + 1)
	_, s := w.pick(t, 1, "INBOX")
	all := mustUIDs(t, s)
	few := first(all, liesFew)
	known := func(uids mail.UIDSet) int {
		clear(s.(*selected).lies)
		if err := s.Summaries(t.Context(), uids, func(*mail.Summary) error { return nil }); err != nil {
			t.Fatal(err)
		}
		return len(s.(*selected).lies)
	}
	if n := known(few); n != 0 {
		t.Errorf("%d whereabouts of messages that nobody opens", n)
	}
	s.Ahead(t.Context(), []backend.Piece{{UID: 1, Length: 5}})
	if n := known(few); n != liesFew {
		t.Errorf("%d whereabouts, want %d", n, liesFew)
	}
	for uid, l := range s.(*selected).lies {
		if l.UID != uid || len(l.Nodes) != 2 || l.Size == 0 {
			t.Fatalf("UID %d is said to lie at %+v", uid, l)
		}
	}
	if n := known(few); n != 0 {
		t.Errorf("%d whereabouts after nothing was opened", n)
	}
	if got := text(t, s, 7); got != "text 7" {
		t.Errorf("read %q", got)
	}
	if n := known(all); n != 0 {
		t.Errorf("%d whereabouts of a large folder", n)
	}
}
