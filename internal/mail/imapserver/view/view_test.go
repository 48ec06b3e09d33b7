package view_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/view"
)

// model is the plain way: a list of UIDs.
type model struct {
	uids []mail.UID
	mark view.Mark
	own  map[mail.UID]mail.ModSeq
}

// TestU7_ModelOfAClient plays random news against a client that keeps a list and follows what it is
// told, the way a simple IMAP client does: one expunge at a time.
func TestU7_ModelOfAClient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{mark: view.Mark{UIDValidity: 7, UIDNext: 1, HighestModSeq: 1}, own: map[mail.UID]mail.ModSeq{}}
		grow := func(label string) (arrived []mail.UID) {
			for range rapid.IntRange(0, 6).Draw(t, label) {
				u := m.mark.UIDNext + mail.UID(rapid.IntRange(0, 3).Draw(t, "gap"))
				arrived, m.mark.UIDNext = append(arrived, u), u+1
			}
			return arrived
		}
		m.uids = grow("at select")
		v := view.New(mail.NewUIDSet(m.uids...), m.mark)
		t.Repeat(map[string]func(*rapid.T){
			"":     func(t *rapid.T) { m.same(t, v) },
			"rest": func(*rapid.T) { v.Rest() },
			"own": func(t *rapid.T) {
				if len(m.uids) == 0 {
					return
				}
				u := rapid.SampledFrom(m.uids).Draw(t, "uid")
				m.mark.HighestModSeq++
				m.own[u] = m.mark.HighestModSeq
				v.Own(u, m.mark.HighestModSeq)
			},
			"update": func(t *rapid.T) { m.update(t, v, grow("arrived")) },
			"rewind": func(t *rapid.T) {
				bad := v.Mark()
				var arrived mail.UIDSet
				switch rapid.IntRange(0, 3).Draw(t, "what") {
				case 0:
					bad.UIDNext--
				case 1:
					bad.HighestModSeq--
				case 2:
					bad.UIDValidity++
				default:
					if v.Mark().UIDNext == 1 {
						return
					}
					arrived = mail.NewUIDSet(v.Mark().UIDNext - 1)
				}
				if _, err := v.Update(nil, arrived, nil, bad); err == nil {
					t.Fatalf("Update(%v, %v) succeeded after %v", arrived, bad, m.mark)
				}
			},
		})
	})
}

func (m *model) update(t *rapid.T, v *view.View, arrived []mail.UID) {
	var gone []mail.UID
	var changed []mail.Summary
	want := map[mail.UID]bool{}
	for _, u := range m.uids {
		switch rapid.IntRange(0, 4).Draw(t, "fate") {
		case 0:
			gone = append(gone, u)
		case 1:
			m.mark.HighestModSeq++
			changed, want[u] = append(changed, mail.Summary{UID: u, ModSeq: m.mark.HighestModSeq}), true
		case 2:
			if modseq, ok := m.own[u]; ok {
				changed = append(changed, mail.Summary{UID: u, ModSeq: modseq})
			}
		}
	}
	clear(m.own)
	n, err := v.Update(mail.NewUIDSet(gone...), mail.NewUIDSet(arrived...), changed, m.mark)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Collect(n.Vanished.All()), gone) || n.Exists != (len(arrived) > 0) {
		t.Fatalf("news %v, want vanished %v, arrived %v", n, gone, arrived)
	}
	for _, r := range slices.Backward(n.Expunged) {
		for seq := r.Last; seq >= r.First; seq-- {
			m.uids = slices.Delete(m.uids, int(seq)-1, int(seq))
		}
	}
	m.uids = append(m.uids, arrived...)
	if len(n.Changed) != len(want) {
		t.Fatalf("told changes %v, want %v", n.Changed, want)
	}
	for _, s := range n.Changed {
		if !want[s.UID] {
			t.Fatalf("told %d, which nobody else changed", s.UID)
		}
	}
}

// same compares everything that can be asked.
func (m *model) same(t *rapid.T, v *view.View) {
	if got := slices.Collect(v.UIDs().All()); !slices.Equal(got, m.uids) || v.Len() != len(m.uids) {
		t.Fatalf("view has %v, %d; want %v", got, v.Len(), m.uids)
	}
	for i, u := range m.uids {
		if got, ok := v.UID(uint32(i + 1)); !ok || got != u {
			t.Fatalf("UID(%d) = %d, %v; want %d", i+1, got, ok, u)
		}
	}
	for u := range m.mark.UIDNext + 2 {
		i, found := slices.BinarySearch(m.uids, u)
		if seq, ok := v.Seq(u); ok != found || ok && int(seq) != i+1 {
			t.Fatalf("Seq(%d) = %d, %v; want %d, %v", u, seq, ok, i+1, found)
		}
	}
	if _, ok := v.UID(uint32(v.Len() + 1)); ok {
		t.Fatal("a sequence number after the last means a message")
	}
	first := uint32(rapid.IntRange(0, len(m.uids)+1).Draw(t, "first"))
	last := uint32(rapid.IntRange(int(first), len(m.uids)+1).Draw(t, "last"))
	uids, all := v.BySeq([]view.SeqRange{{First: first, Last: last}})
	want := m.uids[min(max(int(first), 1)-1, len(m.uids)):min(int(last), len(m.uids))]
	if !slices.Equal(slices.Collect(uids.All()), want) || all != (first >= 1 && int(last) <= len(m.uids)) {
		t.Fatalf("BySeq(%d:%d) = %v, %v; want %v", first, last, uids, all, want)
	}
	if len(want) > 0 {
		if got := v.Seqs(uids); len(got) != 1 || got[0].First != max(first, 1) || got[0].Last != min(last, uint32(len(m.uids))) {
			t.Fatalf("Seqs(%v) = %v, want %d:%d", uids, got, first, last)
		}
	}
}

func TestC1_RewindIsNamed(t *testing.T) {
	at := view.Mark{UIDValidity: 1, UIDNext: 10, HighestModSeq: 5}
	for _, tt := range []struct {
		arrived mail.UIDSet
		mark    view.Mark
		want    string
	}{
		{nil, view.Mark{UIDValidity: 2, UIDNext: 10, HighestModSeq: 5}, "UIDVALIDITY"},
		{nil, view.Mark{UIDValidity: 1, UIDNext: 9, HighestModSeq: 5}, "U4"},
		{nil, view.Mark{UIDValidity: 1, UIDNext: 10, HighestModSeq: 4}, "U6"},
		{mail.NewUIDSet(9), view.Mark{UIDValidity: 1, UIDNext: 11, HighestModSeq: 5}, "U3"},
	} {
		v := view.New(mail.NewUIDSet(1, 3), at)
		if _, err := v.Update(mail.NewUIDSet(1), tt.arrived, nil, tt.mark); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Update(%v, %v) = %v, want an error about %s", tt.arrived, tt.mark, err, tt.want)
		}
		if v.Len() != 2 || v.Mark() != at {
			t.Errorf("after a refused update the view is %v, %v", v.UIDs(), v.Mark())
		}
	}
}

func TestOwnChangesAreBounded(t *testing.T) {
	v := view.New(mail.NewUIDSet(1, 2), view.Mark{UIDNext: 3})
	for i := range 100_000 {
		v.Own(mail.UID(1+i%2), mail.ModSeq(i+1))
	}
	if n := v.Noted(); n > 200 {
		t.Errorf("%d changes noted for two messages", n)
	}
	n, err := v.Update(nil, nil, []mail.Summary{{UID: 1, ModSeq: 99_999}, {UID: 2, ModSeq: 100_000}}, view.Mark{UIDNext: 3})
	if err != nil || !n.IsEmpty() {
		t.Errorf("Update = %v, %v; want nothing to tell", n, err)
	}
}

// BenchmarkSeq looks up sequence numbers in a folder of 100,000 messages with a gap after each.
func BenchmarkSeq(b *testing.B) {
	var uids mail.UIDSet
	for i := range mail.UID(100_000) {
		uids.Append(2*i + 1)
	}
	v := view.New(uids, view.Mark{UIDNext: 200_001})
	for b.Loop() {
		if seq, ok := v.Seq(123_457); !ok || seq != 61_729 {
			b.Fatal(seq, ok)
		}
	}
}
