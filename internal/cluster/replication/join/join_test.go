package join

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
)

// kind is one of the two kinds of contents: how it is drawn, and its merge function.
type kind struct {
	name  string
	draw  func(t *rapid.T) []byte
	merge func(a, b []byte) ([]byte, error)
	again func(b []byte) ([]byte, error) // read and written
}

func kinds() []kind {
	names := rapid.SliceOfNDistinct(rapid.StringN(1, 3, 8), 0, 6, rapid.ID[string])
	return []kind{
		{
			"registers", func(t *rapid.T) []byte {
				var r Registers
				for _, name := range names.Draw(t, "names") {
					e := Register{Name: name, Time: cluster.Timestamp{Time: rapid.Int64Range(-2, 3).Draw(t, "time"), Node: cluster.NodeID(rapid.IntRange(1, 2).Draw(t, "node"))}}
					e.Value = rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "value")
					r = append(r, e)
				}
				slices.SortFunc(r, func(a, b Register) int { return strings.Compare(a.Name, b.Name) })
				return r.Marshal()
			},
			MergeRegisters,
			func(b []byte) ([]byte, error) {
				r, err := ParseRegisters(b)
				return r.Marshal(), err
			},
		},
		{
			"ledger", func(t *rapid.T) []byte {
				var l Ledger
				for _, name := range names.Draw(t, "counters") {
					l.Maxima = append(l.Maxima, Maximum{name, rapid.Uint64Range(1, 4).Draw(t, "value")})
				}
				for _, name := range names.Draw(t, "entries") {
					l.Entries = append(l.Entries, Entry{name, rapid.Byte().Draw(t, "marks")})
				}
				slices.SortFunc(l.Maxima, func(a, b Maximum) int { return strings.Compare(a.Name, b.Name) })
				slices.SortFunc(l.Entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
				return l.Marshal()
			},
			MergeLedgers,
			func(b []byte) ([]byte, error) {
				l, err := ParseLedger(b)
				if err != nil {
					return nil, err
				}
				return l.Marshal(), nil
			},
		},
	}
}

// TestR1_JoinsAreSemilattices: commutative, associative, idempotent, and always the same bytes.
func TestR1_JoinsAreSemilattices(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				join := func(a, b []byte) []byte {
					joined, err := k.merge(a, b)
					if err != nil {
						t.Fatalf("merge(%x, %x) = %v", a, b, err)
					}
					return joined
				}
				a, b, c := k.draw(t), k.draw(t), k.draw(t)
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
				if again, err := k.again(a); err != nil || !bytes.Equal(again, a) {
					t.Errorf("read and written, %x is %x, %v", a, again, err)
				}
			})
		})
	}
}

func TestRegisters(t *testing.T) {
	at := func(n int64, node cluster.NodeID) cluster.Timestamp { return cluster.Timestamp{Time: n, Node: node} }
	seen := Registers{{"deleted", at(1, 1), []byte("1")}, {"seen", at(5, 1), []byte("1")}}
	flagged := Registers{{"deleted", at(2, 1), nil}, {"flagged", at(4, 2), []byte("1")}, {"seen", at(5, 2), []byte("0")}}
	want := Registers{{"deleted", at(2, 1), nil}, {"flagged", at(4, 2), []byte("1")}, {"seen", at(5, 2), []byte("0")}}
	if got := seen.Join(flagged); !reflect.DeepEqual(got, want) {
		t.Errorf("Join = %v, want %v", got, want)
	}
	if r, ok := seen.Get("seen"); !ok || r.Time != at(5, 1) {
		t.Errorf("Get(seen) = %v, %t", r, ok)
	}
	if r, ok := seen.Get("answered"); ok {
		t.Errorf("Get(answered) = %v", r)
	}
}

func TestLedger(t *testing.T) {
	a := &Ledger{Maxima: []Maximum{{"ceiling 1", 7}, {"ceiling 2", 3}}, Entries: []Entry{{"m1=4", 0}, {"m2=5", 1}}}
	b := &Ledger{Maxima: []Maximum{{"ceiling 2", 9}}, Entries: []Entry{{"m1=4", 2}, {"m3=6", 0}}}
	want := &Ledger{Maxima: []Maximum{{"ceiling 1", 7}, {"ceiling 2", 9}}, Entries: []Entry{{"m1=4", 2}, {"m2=5", 1}, {"m3=6", 0}}}
	got := a.Join(b)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Join = %v, want %v", got, want)
	}
	if got.Max("ceiling 2") != 9 || got.Max("ceiling 3") != 0 {
		t.Errorf("Max = %d and %d, want 9 and 0", got.Max("ceiling 2"), got.Max("ceiling 3"))
	}
	if e, ok := got.Entry("m1=4"); !ok || e.Marks != 2 {
		t.Errorf("Entry = %v, %t", e, ok)
	}
	if e, ok := got.Entry("m9"); ok {
		t.Errorf("Entry of nothing = %v", e)
	}
}

// hostile is what must be refused.
func hostile() map[string][]byte {
	r := Registers{{Name: "a", Value: []byte("v")}}.Marshal()
	l := (&Ledger{Maxima: []Maximum{{"a", 1}}, Entries: []Entry{{"b", 1}}}).Marshal()
	return map[string][]byte{
		"nothing":            nil,
		"kind alone":         {'R'},
		"another kind":       {'X', 1, 0, 0, 0, 0},
		"a later version":    {'R', 2, 0, 0, 0, 0},
		"cut":                r[:len(r)-1],
		"too long":           append(bytes.Clone(r), 0),
		"ledger cut":         l[:len(l)-1],
		"ledger too long":    append(bytes.Clone(l), 0),
		"many registers":     {'R', 1, 0xff, 0xff, 0xff, 0xff},
		"many counters":      {'L', 1, 0xff, 0xff, 0xff, 0xff},
		"twice":              Registers{{Name: "a"}, {Name: "a"}}.Marshal(),
		"descending":         Registers{{Name: "b"}, {Name: "a"}}.Marshal(),
		"nameless":           Registers{{Name: ""}}.Marshal(),
		"large value":        Registers{{Name: "a", Value: make([]byte, ValueMax+1)}}.Marshal(),
		"counter of nothing": (&Ledger{Maxima: []Maximum{{"a", 0}}}).Marshal(),
		"counter twice":      (&Ledger{Maxima: []Maximum{{"a", 1}, {"a", 2}}}).Marshal(),
		"entry twice":        (&Ledger{Entries: []Entry{{"a", 1}, {"a", 2}}}).Marshal(),
		"larger than may be": make([]byte, SizeMax+1),
	}
}

func TestHostile(t *testing.T) {
	for name, b := range hostile() {
		for _, k := range kinds() {
			_, err := k.merge(b, b)
			if kind := cluster.KindOf(err); err == nil || kind != cluster.KindInvalid && kind != cluster.KindLimit {
				t.Errorf("%s as %s: %v, want an error of kind invalid or limit", name, k.name, err)
			}
		}
	}
}

// TestTooLargeTogether: two that are too large together are not joined.
func TestTooLargeTogether(t *testing.T) {
	large := func(prefix string) []byte {
		var r Registers
		for i := range SizeMax / (ValueMax + 64) {
			r = append(r, Register{Name: fmt.Sprintf("%s%04d", prefix, i), Value: make([]byte, ValueMax)})
		}
		return r.Marshal()
	}
	if _, err := MergeRegisters(large("a"), large("b")); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("merge of two large ones = %v, want kind limit", err)
	}
}

// FuzzMerge: whatever comes, no panic; what is read is the only form of what it says.
func FuzzMerge(f *testing.F) {
	for _, b := range hostile() {
		f.Add(b[:min(len(b), 64)])
	}
	f.Add(Registers{{Name: "a", Value: []byte("v")}, {Name: "b"}}.Marshal())
	f.Add((&Ledger{Maxima: []Maximum{{"a", 1}}, Entries: []Entry{{"b", 1}}}).Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, k := range kinds() {
			joined, err := k.merge(b, b)
			if err == nil && !bytes.Equal(joined, b) {
				t.Errorf("%s: merge(%x, itself) = %x", k.name, b, joined)
			}
		}
	})
}
