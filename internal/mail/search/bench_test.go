package search

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"porcupine/internal/mail"
)

// folderSize is the size of the folder that benchmarks search, sort and thread.
const folderSize = 100_000

// bodyOf makes a message of some 5 KB, as people write them.
func bodyOf(charset, encoding, line string) string {
	p := specText(charset, encoding, strings.Repeat(line, 5000/len(line)))
	s := spec{fields: []specField{
		{"Received", "", "from mx.example.test by mail.example.test; Sun, 22 Nov 2026 10:00:00 +0000"},
		{"Date", "", "Sun, 22 Nov 2026 10:00:00 +0000"},
		{"From", "", "=?utf-8?q?J=C3=B6rg_M=C3=BCller?= <joerg@example.test>"},
		{"To", "", "Alice <alice@example.test>, Bob <bob@example.test>"},
		{"Subject", "", "Re: [list] minutes of the meeting"},
		{"Message-ID", "", "<123456789.abcdef@example.test>"},
		{"References", "", "<1@example.test> <2@example.test> <3@example.test>"},
	}, parts: []specPart{p}}
	return s.write()
}

// BenchmarkContents searches bodies for what is not there. MB/s are of messages as they are stored.
func BenchmarkContents(b *testing.B) {
	const english = "The quick brown fox jumps over the lazy dog, and the needle stays in the haystack.\r\n"
	for _, bench := range []struct{ name, raw string }{
		{"ascii", bodyOf("us-ascii", "8bit", english)},
		{"utf-8", bodyOf("utf-8", "8bit", "Füchse hüpfen über müde Hunde, Größe spielt dabei keine Rolle.\r\n")},
		{"cyrillic", bodyOf("utf-8", "8bit", "Съешь же ещё этих мягких французских булок, да выпей чаю.\r\n")},
		{"quoted-printable", bodyOf("utf-8", "quoted-printable", "Füchse hüpfen über müde Hunde, Größe spielt dabei keine Rolle.\r\n")},
		{"base64", bodyOf("utf-8", "base64", english)},
		{"koi8-r", bodyOf("koi8-r", "8bit", "Съешь же ещё этих мягких французских булок, да выпей чаю.\r\n")},
		{"iso-2022-jp", bodyOf("iso-2022-jp", "7bit", "日本語のテキストを検索する。\r\n")},
	} {
		for _, key := range []struct {
			name string
			key  Key
		}{
			{"body", Key{Op: OpBody, Text: "Nadel im Heuhaufen"}},
			{"text", Key{Op: OpText, Text: "Nadel im Heuhaufen"}},
		} {
			b.Run(bench.name+"/"+key.name, func(b *testing.B) {
				m := newText(b, bench.raw)
				p, err := Compile(key.key, testNow)
				if err != nil {
					b.Fatal(err)
				}
				r := p.NewReader()
				b.SetBytes(int64(len(bench.raw)))
				b.ReportAllocs()
				for b.Loop() {
					if found, err := r.ByContents(context.Background(), &m.summary, m.index, m.Open); err != nil || found {
						b.Fatal(found, err)
					}
				}
			})
		}
	}
}

// BenchmarkSummaries and BenchmarkStructures search a folder of 100,000 messages by cheap keys.
func BenchmarkSummaries(b *testing.B) {
	p, err := Compile(And(Not(Flag(mail.FlagSeen)), Key{Op: OpSince, Day: DayOf(testNow) - 30}, Key{Op: OpLarger, Number: 1000}), testNow)
	if err != nil {
		b.Fatal(err)
	}
	s := mail.Summary{Flags: []mail.Flag{mail.FlagAnswered}, Received: testNow, Size: 5000}
	for b.Loop() {
		for i := range folderSize {
			s.UID = mail.UID(i + 1)
			if p.BySummary(&s) != Yes {
				b.Fatal("not found")
			}
		}
	}
}

func BenchmarkStructures(b *testing.B) {
	m := newText(b, bodyOf("utf-8", "8bit", "x"))
	for _, bench := range []struct {
		name string
		key  Key
	}{
		{"sent", Key{Op: OpSentBefore}},
		{"from", Header("from", "nobody")},
		{"from, to, subject", Or(Header("from", "nobody"), Header("to", "nobody"), Header("subject", "nothing"))},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p, err := Compile(bench.key, testNow)
			if err != nil {
				b.Fatal(err)
			}
			r := p.NewReader()
			for b.Loop() {
				for range folderSize {
					if r.ByStructure(&m.summary, m.index) != No {
						b.Fatal("found")
					}
				}
			}
		})
	}
}

func BenchmarkSort(b *testing.B) {
	for _, by := range []By{ByArrival, ByDate, BySubject, ByDisplayFrom} {
		b.Run(fmt.Sprint(by), func(b *testing.B) {
			for b.Loop() {
				s, err := NewSorter([]Criterion{{By: by}})
				if err != nil {
					b.Fatal(err)
				}
				for i := range folderSize {
					n := i * 7919 % folderSize
					m, x := letter{uid: mail.UID(i + 1), subject: "Re: minutes of meeting " + strconv.Itoa(n), from: "Alice " + strconv.Itoa(n) + " <a@x.test>", sent: n, received: n}.parse()
					s.Add(m, x)
				}
				s.Sorted()
			}
		})
	}
}

func BenchmarkThread(b *testing.B) {
	for _, a := range []Algorithm{OrderedSubject, References} {
		b.Run(fmt.Sprint(a), func(b *testing.B) {
			for b.Loop() {
				t := NewThreader(a)
				for i := range folderSize {
					first := i - i%10
					var refs []string
					for j := first; j < i; j++ {
						refs = append(refs, strconv.Itoa(j))
					}
					m, x := letter{uid: mail.UID(i + 1), subject: "Re: subject " + strconv.Itoa(first), id: strconv.Itoa(i), refs: refs, sent: i + 1}.parse()
					t.Add(m, x)
				}
				t.Threads()
			}
		})
	}
}
