package imap_test

import (
	"strings"
	"testing"

	"porcupine/internal/mail/imap"
)

// shapes are lines that are long, and would be slow to read for a parser that goes back.
var shapes = []struct {
	name string
	line func(n int) string
}{
	{"quoted", func(n int) string { return `a LOGIN u "` + strings.Repeat(`\"`, n/2) + `"` }},
	{"quotes", func(n int) string { return `a SEARCH ` + strings.Repeat(`SUBJECT "" `, n/11) + "ALL" }},
	{"blanks", func(n int) string { return "a NOOP" + strings.Repeat(" ", n) }},
	{"blanks in ENABLE", func(n int) string { return "a ENABLE x" + strings.Repeat(" ", n) }},
	{"tag", func(n int) string { return strings.Repeat("a", n) + " NOOP" }},
	{"verb", func(n int) string { return "a " + strings.Repeat("a", n) }},
	{"parentheses", func(n int) string { return "a SEARCH " + strings.Repeat("(", n) }},
	{"closed parentheses", func(n int) string { return "a SEARCH " + strings.Repeat("(ALL ", n/10) + strings.Repeat(")", n/10) }},
	{"not", func(n int) string { return "a SEARCH " + strings.Repeat("NOT ", n/4) + "ALL" }},
	{"or", func(n int) string { return "a SEARCH " + strings.Repeat("OR ALL ", n/7) + "ALL" }},
	{"set", func(n int) string { return "a FETCH " + strings.Repeat("1:2,", n/4) + "1 UID" }},
	{"digits", func(n int) string { return "a FETCH " + strings.Repeat("9", n) + " UID" }},
	{"zeros", func(n int) string { return "a SEARCH LARGER " + strings.Repeat("0", n) }},
	{"items", func(n int) string { return "a FETCH 1 (" + strings.Repeat("UID ", n/4) + "UID)" }},
	{"parts", func(n int) string { return "a FETCH 1 BODY[" + strings.Repeat("1.", n/2) + "1]" }},
	{"UTF-7", func(n int) string { return "a SELECT " + strings.Repeat("&AOk-a", n/6) }},
	{"open UTF-7", func(n int) string { return "a SELECT " + strings.Repeat("&-", n/2) + "&" }},
	{"combining", func(n int) string { return "a SELECT \"e" + strings.Repeat("\u0301\u0316", n/4) + `"` }},
	{"wildcards", func(n int) string { return `a LIST "" ` + strings.Repeat("*%", n/2) }},
	{"patterns", func(n int) string { return `a LIST "" (` + strings.Repeat("% ", n/2) + "%)" }},
	{"braces", func(n int) string { return "a LOGIN u " + strings.Repeat("{1}", n/3) }},
	{"digits of a literal", func(n int) string { return "a LOGIN u {" + strings.Repeat("0", n) + "}" }},
	{"flags", func(n int) string { return "a STORE 1 FLAGS (" + strings.Repeat("a ", n/2) + "a)" }},
	{"base64", func(n int) string { return "a AUTHENTICATE PLAIN " + strings.Repeat("AAAA", n/4) }},
}

// Attack 22: work grows as the input does. What is counted are allocations, and not time, which
// other processes take.
func TestAttack22_Linear(t *testing.T) {
	for _, d := range []imap.Dialect{{}, utf8Dialect} {
		for _, tt := range shapes {
			short, long := []byte(tt.line(8<<10)), []byte(tt.line(32<<10))
			if a, b := allocations(short, d), allocations(long, d); b > 4*a+64 {
				t.Errorf("%s: %v allocations for %d octets, %v for %d", tt.name, a, len(short), b, len(long))
			}
		}
	}
}

func allocations(line []byte, d imap.Dialect) float64 {
	s := imap.NewScanner(imap.Limits{})
	return testing.AllocsPerRun(3, func() {
		s.Reset()
		if _, err := s.Line(line); err == nil {
			_, _ = s.Parse(d)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, line := range []string{"a1 NOOP", "a1 UID FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (From To Subject)])",
		"a1 UID STORE 4711 +FLAGS.SILENT (\\Seen)"} {
		b.Run(strings.Fields(line)[1], func(b *testing.B) {
			s := imap.NewScanner(imap.Limits{})
			b.ReportAllocs()
			for b.Loop() {
				s.Reset()
				if _, err := s.Line([]byte(line)); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Parse(imap.Dialect{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, tt := range shapes {
		for _, n := range []int{8 << 10, 64<<10 - 64} {
			b.Run(tt.name, func(b *testing.B) {
				line := []byte(tt.line(n))
				s := imap.NewScanner(imap.Limits{})
				b.SetBytes(int64(len(line)))
				for b.Loop() {
					s.Reset()
					if _, err := s.Line(line); err == nil {
						_, _ = s.Parse(imap.Dialect{})
					}
				}
			})
		}
	}
}
