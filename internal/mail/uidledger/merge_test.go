package uidledger

import (
	"bytes"
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

func drawRanges(t *rapid.T, largest uint64) (r Ranges) {
	for range rapid.IntRange(0, 4).Draw(t, "ranges") {
		first := rapid.Uint64Range(1, largest).Draw(t, "first")
		r.add(first, min(largest, first+rapid.Uint64Range(0, 5).Draw(t, "length")))
	}
	return r
}

func drawSet(t *rapid.T) (s Set) {
	if s.Version = rapid.Uint64Range(0, 2).Draw(t, "version"); s.Version == 0 {
		return Set{}
	}
	nodes := rapid.SliceOfNDistinct(rapid.IntRange(1, 6), 1, 3, rapid.ID[int]).Draw(t, "nodes")
	var ids []cluster.NodeID
	for _, n := range nodes {
		ids = append(ids, cluster.NodeID(n))
	}
	version := s.Version
	s = FirstSet(cluster.NewReplicaSet(ids...), rapid.Uint32Range(1, 2).Draw(t, "validity"))
	s.Version = version
	return s
}

func drawHead(t *rapid.T) []byte {
	h := &Head{Set: drawSet(t), UIDValidity: rapid.Uint32Range(1, 2).Draw(t, "validity")}
	for c := range h.Shown {
		h.Shown[c].Next = rapid.Uint64Range(0, 40).Draw(t, "next")
		if h.Shown[c].Next > 1 {
			h.Shown[c].Skipped = drawRanges(t, h.Shown[c].Next-1)
		}
	}
	h.LevelsVersion = rapid.Uint64Range(0, 2).Draw(t, "levels")
	for n := range rapid.IntRange(0, 3).Draw(t, "nodes") {
		h.Levels = append(h.Levels, Level{cluster.NodeID(n + 1), rapid.Uint64Range(0, 9).Draw(t, "level")})
	}
	return h.Marshal()
}

func drawStamp(t *rapid.T) cluster.Timestamp {
	return cluster.Timestamp{Time: rapid.Int64Range(-1, 3).Draw(t, "time"), Node: cluster.NodeID(rapid.IntRange(1, 2).Draw(t, "node"))}
}

// drawChunk draws a chunk of number 3, with the names in an order of its own.
func drawChunk(t *rapid.T) []byte {
	n := newNames()
	for _, f := range rapid.Permutation([]mail.Flag{mail.FlagSeen, "$a", "b"}).Draw(t, "names") {
		n.number(f)
	}
	c := &chunk{uidValidity: rapid.Uint32Range(1, 2).Draw(t, "validity"), number: 3}
	for i := range uint8(3) {
		switch rapid.IntRange(0, 5).Draw(t, "slot") {
		case 0:
			continue
		case 1:
			c.void, c.forgotten = c.void|1<<i, max(c.forgotten, rapid.Uint64Range(1, 4).Draw(t, "forgotten"))
			continue
		}
		s := slot{index: i, state: state(rapid.IntRange(0, int(torn)).Draw(t, "state")), stay: drawStamp(t)}
		s.id[0] = byte(rapid.IntRange(0, 1).Draw(t, "id"))
		if s.state != torn {
			s.tag = rapid.Uint64Range(0, 4).Draw(t, "tag")
		}
		c.slots = append(c.slots, s)
		if s.state >= expunged {
			continue
		}
		for f := range uint16(3) {
			if rapid.Bool().Draw(t, "has") {
				c.registers = append(c.registers, register{slot: i, flag: f, stamp: drawStamp(t), on: rapid.Bool().Draw(t, "on"), tag: rapid.Uint64Range(0, 4).Draw(t, "tag")})
			}
		}
	}
	return c.marshal(n)
}

func drawGrant(t *rapid.T) []byte {
	ballot := func() Ballot {
		return Ballot{rapid.Uint64Range(0, 2).Draw(t, "ballot"), cluster.NodeID(rapid.IntRange(0, 1).Draw(t, "of"))}
	}
	g := Grant{Set: drawSet(t), Promised: ballot(), Accepted: ballot(), Next: drawSet(t)}
	for c := range g.Counters {
		g.Counters[c] = Ceiling{rapid.Uint64Range(0, 9).Draw(t, "ceil"), rapid.Uint64Range(0, 9).Draw(t, "base")}
	}
	return g.Marshal()
}

// TestR1_MergeIsASemilattice: commutative, associative, idempotent, and always the same bytes, whatever was shown by
// whom (so no publication record is ever missed).
func TestR1_MergeIsASemilattice(t *testing.T) {
	for name, draw := range map[string]func(*rapid.T) []byte{"head": drawHead, "chunk": drawChunk, "grant": drawGrant} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				join := func(a, b []byte) []byte {
					joined, err := Merge(a, b)
					if err != nil {
						t.Fatalf("merge(%x, %x) = %v", a, b, err)
					}
					return joined
				}
				a, b, c := draw(t), draw(t), draw(t)
				if x, y := join(a, b), join(b, a); !bytes.Equal(x, y) {
					t.Errorf("not commutative: %x, %x", x, y)
				}
				if x, y := join(join(a, b), c), join(a, join(b, c)); !bytes.Equal(x, y) {
					t.Errorf("not associative: %x, %x", x, y)
				}
				if x := join(a, a); !bytes.Equal(x, a) {
					t.Errorf("not idempotent: %x, %x", x, a)
				}
				if x := join(a, b); !bytes.Equal(join(x, a), x) || !bytes.Equal(join(b, x), x) {
					t.Errorf("%x does not have all of %x and %x", x, a, b)
				}
			})
		})
	}
}

// TestL5_ShownIsAllPublications: the joined form answers as a list of all publications would, whatever their order.
func TestL5_ShownIsAllPublications(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type publication struct {
			next  uint64
			known []uint64
		}
		var all []publication
		var joined Shown
		for range rapid.IntRange(0, 6).Draw(t, "publications") {
			p := publication{next: rapid.Uint64Range(1, 30).Draw(t, "next")}
			p.known = rapid.SliceOf(rapid.Uint64Range(1, 30)).Draw(t, "known")
			one := Shown{Next: p.next}
			for _, r := range ranges(slices.Clone(p.known)).gaps(1, p.next-1) {
				one.Skipped.add(r.First, r.Last)
			}
			all, joined = append(all, p), joined.join(&one)
		}
		for u := uint64(1); u <= 32; u++ {
			want := true
			for _, p := range all {
				want = want && (u >= p.next || slices.Contains(p.known, u))
			}
			if got := joined.safe(u); got != want {
				t.Fatalf("safe(%d) = %t, want %t after %v", u, got, want, all)
			}
		}
	})
}

func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r, s Ranges
		in := map[uint64]int{}
		for i := range rapid.IntRange(0, 8).Draw(t, "adds") {
			first := rapid.Uint64Range(1, 40).Draw(t, "first")
			last := first + rapid.Uint64Range(0, 6).Draw(t, "length")
			into := &r
			if i%2 == 1 {
				into = &s
			}
			into.add(first, last)
			for x := first; x <= last; x++ {
				in[x] |= 1 << (i % 2)
			}
		}
		u, missing := r.union(s), r.gaps(1, 50)
		for x := uint64(1); x <= 50; x++ {
			if got := u.Contains(x); got != (in[x] != 0) {
				t.Fatalf("%v and %v: %d is in the union: %t", r, s, x, got)
			}
			if got := missing.Contains(x); got != (in[x]&1 == 0) {
				t.Fatalf("%v: %d is in the gaps: %t", r, x, got)
			}
		}
		for i := 1; i < len(u); i++ {
			if u[i].First <= u[i-1].Last+1 {
				t.Fatalf("%v touches itself", u)
			}
		}
	})
}

func seeds(f *testing.F) {
	set := FirstSet(cluster.NewReplicaSet(1, 2, 3), 7)
	head := &Head{Set: set, UIDValidity: 7, Shown: [counters]Shown{{9, Ranges{{2, 3}, {5, 8}}}, {4, nil}}, LevelsVersion: 1, Levels: []Level{{1, 3}}}
	f.Add(head.Marshal())
	n := newNames()
	c := &chunk{uidValidity: 7, number: 1, void: 4, forgotten: 1, slots: []slot{{index: 1, tag: 2}}, registers: []register{{slot: 1, flag: n.number(mail.FlagSeen), on: true, tag: 3}}}
	f.Add(c.marshal(n))
	g := Grant{Set: set, Counters: [counters]Ceiling{{300, 200}, {1, 0}}}
	f.Add(g.Marshal())
	q := Request{Kind: AskAccept, Set: set, Ballot: Ballot{1, 1}, Next: set.next(cluster.NewReplicaSet(1, 4), 0, [counters]uint64{1, 1})}
	f.Add(q.Marshal())
	a := Reply{Verdict: Yes, First: 2048, Leases: 1, State: g}
	f.Add(a.Marshal())
}

// FuzzMerge: whatever comes, no panic; what is read is the only form of what it says.
func FuzzMerge(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if joined, err := Merge(b, b); err == nil && !bytes.Equal(joined, b) {
			t.Errorf("merge(%x, itself) = %x", b, joined)
		}
	})
}

// FuzzRequest: requests and replies have one form.
func FuzzRequest(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseRequest(b); err == nil {
			if !bytes.Equal(r.Marshal(), b) {
				t.Errorf("%x is written as %x", b, r.Marshal())
			}
			if _, _, err := Decide(1, nil, &r); err != nil {
				t.Errorf("decide %x: %v", b, err)
			}
		}
		if r, err := ParseReply(b); err == nil && !bytes.Equal(r.Marshal(), b) {
			t.Errorf("%x is written as %x", b, r.Marshal())
		}
	})
}

func TestParseID(t *testing.T) {
	f := mail.FolderID{1, 2, 3}
	for id, want := range map[string]byte{HeadID(f): 'h', ChunkID(f, 77): 'c', GrantID(f, 5): 'g'} {
		got, kind, n, err := ParseID(id)
		if err != nil || got != f || kind != want || kind == 'c' && n != 77 || kind == 'g' && n != 5 {
			t.Errorf("ParseID(%q) = %v, %q, %d, %v", id, got, kind, n, err)
		}
		if len(id) > cluster.ObjectIDLenMax {
			t.Errorf("%q has %d octets", id, len(id))
		}
	}
	for _, id := range []string{"", "h", f.String(), f.String() + "x", f.String() + "c", f.String() + "c1", f.String() + "hh", f.String() + "c0000004D", f.String() + "g0"} {
		if _, _, _, err := ParseID(id); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("ParseID(%q) = %v, want kind invalid", id, err)
		}
	}
	if cmp.Compare(ChunkID(f, 1), ChunkID(f, 16)) >= 0 {
		t.Error("the ids of chunks do not ascend")
	}
}
