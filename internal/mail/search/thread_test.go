package search

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/mail"
)

// written writes threads as RFC 5256 §5 does. It calls itself: what it is given is not deep.
func written(f *Forest) string {
	var b strings.Builder
	var write func(node int32)
	write = func(node int32) {
		for {
			if uid := f.UID(node); uid != 0 {
				if b.Len() > 0 && !strings.HasSuffix(b.String(), "(") {
					b.WriteByte(' ')
				}
				b.WriteString(strconv.Itoa(int(uid)))
			}
			kid, ok := f.Child(node)
			if !ok {
				return
			}
			if _, more := f.Next(kid); !more {
				node = kid
				continue
			}
			if !strings.HasSuffix(b.String(), "(") {
				b.WriteByte(' ')
			}
			for ; ok; kid, ok = f.Next(kid) {
				b.WriteByte('(')
				write(kid)
				b.WriteByte(')')
			}
			return
		}
	}
	for _, root := range f.Roots {
		b.WriteByte('(')
		write(root)
		b.WriteByte(')')
	}
	return b.String()
}

func threads(a Algorithm, letters []letter) *Forest {
	t := NewThreader(a)
	for _, l := range letters {
		m, x := l.parse()
		t.Add(m, x)
	}
	return t.Threads()
}

func TestThread(t *testing.T) {
	refs := func(r ...string) []string { return r }
	tests := []struct {
		name      string
		algorithm Algorithm
		letters   []letter
		want      string
	}{
		{"nothing", References, nil, ""},
		{"nothing by subject", OrderedSubject, nil, ""},
		{"one", References, []letter{{uid: 2, subject: "x"}}, "(2)"},
		{"by subject: the oldest above all others, threads by date", OrderedSubject, []letter{
			{uid: 1, subject: "b", sent: 5}, {uid: 2, subject: "Re: a", sent: 9}, {uid: 3, subject: "A", sent: 4}, {uid: 4, subject: "re: B", sent: 7},
			{uid: 5, subject: "a (fwd)", sent: 8}, {uid: 6, subject: "c", sent: 1},
		}, "(6)(3 (5)(2))(1 4)"},
		{"by subject: without a subject they are one thread", OrderedSubject, []letter{{uid: 1, sent: 2}, {uid: 2, sent: 1}}, "(2 1)"},
		{"the example of RFC 5256 §4", References, []letter{
			{uid: 2, id: "2", subject: "a", sent: 1},
			{uid: 3, id: "3", subject: "b", sent: 2}, {uid: 6, id: "6", refs: refs("3"), sent: 3},
			{uid: 4, id: "4", refs: refs("3", "6"), sent: 4}, {uid: 23, id: "23", refs: refs("3", "6", "4"), sent: 5},
			{uid: 44, id: "44", refs: refs("3", "6"), sent: 6}, {uid: 7, id: "7", refs: refs("3", "6", "44"), sent: 7}, {uid: 96, id: "96", refs: refs("3", "6", "44", "7"), sent: 8},
		}, "(2)(3 6 (4 23)(44 7 96))"},
		{"two answers to a message that is not here", References, []letter{
			{uid: 3, id: "a", refs: refs("gone"), sent: 1, subject: "x"}, {uid: 5, id: "b", refs: refs("gone"), sent: 2, subject: "y"},
		}, "((3)(5))"},
		{"one answer to a message that is not here", References, []letter{{uid: 3, id: "a", refs: refs("gone", "gone too"), sent: 1}}, "(3)"},
		{"a gap in the middle", References, []letter{
			{uid: 1, id: "a", sent: 1}, {uid: 2, id: "c", refs: refs("a", "gone"), sent: 2}, {uid: 3, id: "d", refs: refs("a", "gone"), sent: 3},
		}, "(1 (2)(3))"},
		{"answers before what they answer", References, []letter{{uid: 1, id: "b", refs: refs("a"), sent: 1}, {uid: 2, id: "a", sent: 9}}, "(2 1)"},
		{"a loop", References, []letter{{uid: 1, id: "a", refs: refs("b"), sent: 1}, {uid: 2, id: "b", refs: refs("a"), sent: 2}}, "(2 1)"},
		{"itself", References, []letter{{uid: 1, id: "a", refs: refs("a", "a"), sent: 1}}, "(1)"},
		{"a long loop", References, []letter{
			{uid: 1, id: "a", refs: refs("c"), sent: 1}, {uid: 2, id: "b", refs: refs("a"), sent: 2}, {uid: 3, id: "c", refs: refs("b"), sent: 3},
		}, "(3 1 2)"},
		{"its own references are stronger than what others say of it", References, []letter{
			{uid: 1, id: "c", refs: refs("a", "b"), sent: 1}, {uid: 2, id: "b", refs: refs("x"), sent: 2}, {uid: 3, id: "x", sent: 3, subject: "s"},
		}, "(3 2 1)"},
		{"a message without references has no parent, whatever others say", References, []letter{
			{uid: 1, id: "c", refs: refs("a", "b"), sent: 1, subject: "q"}, {uid: 2, id: "b", sent: 2, subject: "r"}, {uid: 3, id: "a", sent: 3, subject: "s"},
		}, "(2 1)(3)"},
		{"the same id twice", References, []letter{
			{uid: 1, id: "a", sent: 1, subject: "x"}, {uid: 2, id: "a", sent: 2, subject: "y"}, {uid: 3, id: "b", refs: refs("a"), sent: 3},
		}, "(1 3)(2)"},
		{"children by date", References, []letter{
			{uid: 1, id: "a", sent: 1}, {uid: 2, id: "b", refs: refs("a"), sent: 9}, {uid: 3, id: "c", refs: refs("a"), sent: 3}, {uid: 4, id: "d", refs: refs("a"), sent: 3},
		}, "(1 (3)(4)(2))"},
		{"same subject: an answer below", References, []letter{{uid: 1, id: "a", subject: "x", sent: 2}, {uid: 2, id: "b", subject: "Re: X", sent: 1}}, "(1 2)"},
		{"same subject: no answer, beside", References, []letter{{uid: 1, id: "a", subject: "x", sent: 1}, {uid: 2, id: "b", subject: "x", sent: 2}}, "((1)(2))"},
		{"same subject: two answers, beside", References, []letter{{uid: 1, id: "a", subject: "re: x", sent: 1}, {uid: 2, id: "b", subject: "fwd: x", sent: 2}}, "((1)(2))"},
		{"same subject: three", References, []letter{
			{uid: 1, id: "a", subject: "x", sent: 1}, {uid: 2, id: "b", subject: "x", sent: 2}, {uid: 3, id: "c", subject: "re: x", sent: 3},
		}, "((1)(2)(3))"},
		{"same subject as two that are together", References, []letter{
			{uid: 1, id: "a", refs: refs("gone"), subject: "x", sent: 2}, {uid: 2, id: "b", refs: refs("gone"), subject: "x", sent: 3}, {uid: 3, id: "c", subject: "x", sent: 1},
		}, "((3)(1)(2))"},
		{"two that are together, twice", References, []letter{
			{uid: 1, id: "a", refs: refs("gone"), subject: "x", sent: 2}, {uid: 2, id: "b", refs: refs("gone"), subject: "x", sent: 5},
			{uid: 3, id: "c", refs: refs("lost"), subject: "x", sent: 1}, {uid: 4, id: "d", refs: refs("lost"), subject: "x", sent: 4},
		}, "((3)(1)(4)(2))"},
		{"no subject, no gathering", References, []letter{{uid: 1, id: "a", sent: 1}, {uid: 2, id: "b", sent: 2, subject: "re:"}}, "(1)(2)"},
		{"no ids", References, []letter{{uid: 1, sent: 1, subject: "a"}, {uid: 2, sent: 2, subject: "b"}}, "(1)(2)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := written(threads(tt.algorithm, tt.letters)); got != tt.want {
				t.Errorf("threads = %s, want %s", got, tt.want)
			}
		})
	}
}

// tree is a node of the reference: RFC 5256 §3 word for word, with pointers, and asking all the way up.
type tree struct {
	l      *letter // nil: a dummy
	parent *tree
	kids   []*tree
}

func (x *tree) below(above *tree) bool {
	for ; x != nil; x = x.parent {
		if x == above {
			return true
		}
	}
	return false
}

func (x *tree) unlink() {
	if x.parent != nil {
		x.parent.kids = slices.DeleteFunc(x.parent.kids, func(k *tree) bool { return k == x })
		x.parent = nil
	}
}

func (x *tree) put(kid *tree) {
	kid.parent = x
	x.kids = append(x.kids, kid)
}

func (x *tree) first() *letter {
	if x.l == nil {
		return x.kids[0].first()
	}
	return x.l
}

func sortTrees(list []*tree) {
	slices.SortFunc(list, func(a, b *tree) int {
		x, y := a.first(), b.first()
		return cmp.Or(cmp.Compare(x.sent, y.sent), cmp.Compare(x.uid, y.uid))
	})
}

// pruned gives what takes the place of a node: itself, or its children.
func pruned(x *tree, top bool) []*tree {
	var kids []*tree
	for _, k := range x.kids {
		kids = append(kids, pruned(k, false)...)
	}
	x.kids = nil
	for _, k := range kids {
		x.put(k)
	}
	if x.l == nil && (!top || len(kids) < 2) {
		for _, k := range kids {
			k.parent = nil
		}
		return kids
	}
	return []*tree{x}
}

func referenceThreads(letters []letter) []*tree {
	ids := map[string]*tree{}
	messages := make([]*tree, len(letters))
	for i := range letters {
		messages[i] = &tree{l: &letters[i]}
		if id := letters[i].id; id != "" && ids[id] == nil {
			ids[id] = messages[i]
		}
	}
	all := slices.Clone(messages)
	for _, m := range messages {
		var last *tree
		for _, ref := range m.l.refs {
			x := ids[ref]
			if x == nil {
				x = &tree{}
				ids[ref] = x
				all = append(all, x)
			}
			if last != nil && x.parent == nil && !last.below(x) {
				last.put(x)
			}
			last = x
		}
		m.unlink()
		if last != nil && !last.below(m) {
			last.put(m)
		}
	}
	var roots []*tree
	for _, x := range all {
		if x.parent == nil {
			roots = append(roots, pruned(x, true)...)
		}
	}
	for _, x := range roots {
		sortTrees(x.kids)
	}
	sortTrees(roots)
	return gathered(roots)
}

func gathered(roots []*tree) []*tree {
	subject := func(x *tree) string {
		base, _ := BaseSubject(x.first().subject)
		return strings.ToUpper(base)
	}
	replied := func(x *tree) bool {
		_, r := BaseSubject(x.l.subject)
		return r
	}
	table := map[string]*tree{}
	for _, x := range roots {
		s := subject(x)
		have := table[s]
		if s != "" && (have == nil || have.l != nil && (x.l == nil || replied(have) && !replied(x))) {
			table[s] = x
		}
	}
	top := slices.Clone(roots)
	remove := func(x *tree) { top = slices.DeleteFunc(top, func(y *tree) bool { return x == y }) }
	for _, x := range roots {
		s := subject(x)
		have := table[s]
		if s == "" || have == x {
			continue
		}
		remove(x)
		switch {
		case have.l == nil && x.l == nil:
			have.kids = append(have.kids, x.kids...)
		case have.l == nil, replied(x) && !replied(have):
			have.kids = append(have.kids, x)
		default:
			remove(have)
			table[s] = &tree{kids: []*tree{have, x}}
			top = append(top, table[s])
		}
	}
	var sortAll func(list []*tree)
	sortAll = func(list []*tree) {
		for _, x := range list {
			sortAll(x.kids)
		}
		sortTrees(list)
	}
	sortAll(top)
	return top
}

func (x *tree) write(b *strings.Builder) {
	if x.l != nil {
		if !strings.HasSuffix(b.String(), "(") {
			b.WriteByte(' ')
		}
		fmt.Fprint(b, x.l.uid)
	}
	if len(x.kids) == 1 {
		x.kids[0].write(b)
		return
	}
	if len(x.kids) > 1 && !strings.HasSuffix(b.String(), "(") {
		b.WriteByte(' ')
	}
	for _, k := range x.kids {
		b.WriteByte('(')
		k.write(b)
		b.WriteByte(')')
	}
}

// Threads are those of the steps of the RFC, done one by one.
func TestThreadIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"})
		subjects := rapid.SampledFrom([]string{"", "x", "re: x", "y", "Re: Y", "z", "fwd: z", "q", "r", "s"})
		letters := make([]letter, rapid.IntRange(0, 12).Draw(t, "n"))
		for i := range letters {
			letters[i] = letter{uid: mail.UID(i + 1), subject: subjects.Draw(t, "subject"), sent: rapid.IntRange(1, 5).Draw(t, "sent"),
				id: rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "f"}).Draw(t, "id"), refs: rapid.SliceOfN(names, 0, 4).Draw(t, "refs")}
		}
		var want strings.Builder
		for _, x := range referenceThreads(letters) {
			want.WriteByte('(')
			x.write(&want)
			want.WriteByte(')')
		}
		if got := written(threads(References, letters)); got != want.String() {
			t.Errorf("threads = %s, want %s, of %+v", got, &want, letters)
		}
	})
}

// links finds roots as walking up does.
func TestLinksAreTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 150 // more than walkMax
		l := newLinks(n)
		parent := make([]int32, n)
		for i := range parent {
			parent[i] = none
		}
		root := func(x int32) int32 {
			for parent[x] != none {
				x = parent[x]
			}
			return x
		}
		chain := rapid.IntRange(0, n-1).Draw(t, "chain")
		for i := int32(1); i < int32(chain); i++ {
			l.link(i, i-1)
			parent[i] = i - 1
		}
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			a, b := rapid.Int32Range(0, n-1).Draw(t, "a"), rapid.Int32Range(0, n-1).Draw(t, "b")
			if l.root(a) != root(a) {
				t.Fatalf("root(%d) = %d, want %d", a, l.root(a), root(a))
			}
			if parent[a] != none {
				l.cut(a)
				parent[a] = none
				continue
			}
			if loops := root(b) == a; l.loops(a, b) != loops {
				t.Fatalf("loops(%d, %d) = %v, want %v", a, b, !loops, loops)
			} else if !loops {
				l.link(a, b)
				parent[a] = b
			}
		}
	})
}

// TestAttackThreadsAreDeep makes References that are chains, combs and loops of 40,000 messages.
func TestAttackThreadsAreDeep(t *testing.T) {
	const n = 40_000
	id := func(i int) string { return strconv.Itoa((i + n) % n) }
	shapes := map[string]func(i int) []string{
		"chain":         func(i int) []string { return []string{id(i - 1)} },
		"chain upwards": func(i int) []string { return []string{id(i + 1)} },
		"jumps":         func(i int) []string { return []string{id(i * 7919), id(i*104729 + 1), id(i - 1), id(i / 2)} },
		"star":          func(int) []string { return []string{id(0), id(1)} },
		"halves":        func(i int) []string { return []string{id(i / 2), id(n - i)} },
	}
	for name, refs := range shapes {
		letters := NewThreader(References)
		for i := range n {
			m, x := letter{uid: mail.UID(i + 1), id: id(i), refs: refs(i), sent: i + 1}.parse()
			letters.Add(m, x)
		}
		f := letters.Threads()
		seen := 0
		for _, node := range f.Order() {
			if f.UID(node) != 0 {
				seen++
			}
		}
		if seen != n {
			t.Errorf("%s: %d messages are in the threads, want %d", name, seen, n)
		}
	}
}
