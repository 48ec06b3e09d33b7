package search

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/message"
)

// letter is a message for sorting and threading.
type letter struct {
	uid                   mail.UID
	subject, from, to, cc string // from, to and cc: "Name <mailbox@host>"
	sent                  int    // minutes; 0: no Date
	received, size        int
	id                    string
	refs                  []string
}

func (l letter) parse() (*mail.Summary, *message.Index) {
	address := func(s string) []message.Address {
		if s == "" {
			return nil
		}
		var a message.Address
		if name, rest, ok := strings.Cut(s, " <"); ok {
			a.Name, s = message.NString{Text: name, Set: true}, strings.TrimSuffix(rest, ">")
		}
		mailbox, host, ok := strings.Cut(s, "@")
		a.Mailbox, a.Host = message.NString{Text: mailbox, Set: true}, message.NString{Text: host, Set: ok}
		return []message.Address{a}
	}
	e := &message.Envelope{Subject: message.NString{Text: l.subject, Set: true}, From: address(l.from), To: address(l.to), Cc: address(l.cc)}
	x := &message.Index{ID: l.id, References: l.refs, Root: &message.Part{Type: "text", Subtype: "plain", Envelope: e}}
	if l.sent != 0 {
		x.Sent = minute(l.sent)
	}
	return &mail.Summary{UID: l.uid, Received: minute(l.received), Size: int64(l.size)}, x
}

func minute(n int) time.Time { return time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC) }

func TestSort(t *testing.T) {
	letters := []letter{
		{uid: 1, subject: "Re: beta", from: "Zoe <alice@x.test>", to: "b@x.test", cc: "c@x.test", sent: 30, received: 1, size: 10},
		{uid: 2, subject: "Alpha", from: "bob@x.test", to: "Anna <z@x.test>", sent: 10, received: 2, size: 30},
		{uid: 3, subject: "[list] Gamma (fwd)", from: "=?utf-8?q?=C3=84nne?= <Carl@x.test>", to: "", sent: 0, received: 20, size: 20},
		{uid: 4, subject: "=?iso-8859-1?q?=C4lpha?=", from: "", to: "B@x.test", sent: 10, received: 4, size: 30},
		{uid: 5, subject: "beta", from: "ALICE@y.test", to: "friends", sent: 5, received: 5, size: 10},
	}
	by := func(by ...By) (cs []Criterion) {
		for _, b := range by {
			cs = append(cs, Criterion{By: b})
		}
		return cs
	}
	tests := []struct {
		name     string
		criteria []Criterion
		want     string
	}{
		{"arrival", by(ByArrival), "1 2 4 5 3"},
		{"date, INTERNALDATE where there is none", by(ByDate), "5 2 4 3 1"},
		{"reverse date, UIDs still ascending", []Criterion{{ByDate, true}}, "1 3 2 4 5"},
		{"size", by(BySize), "1 5 3 2 4"},
		{"subject", by(BySubject), "2 4 1 5 3"}, // decomposed: an A with a mark is behind AL
		{"subject, then reverse date", []Criterion{{By: BySubject}, {ByDate, true}}, "2 4 1 5 3"},
		{"subject, then date", by(BySubject, ByDate), "2 4 5 1 3"},
		{"from: the local part alone", by(ByFrom), "4 1 5 2 3"},
		{"to, a group's name", by(ByTo), "3 1 4 5 2"},
		{"cc", by(ByCc), "2 3 4 5 1"},
		{"display from", by(ByDisplayFrom), "4 5 3 2 1"},
		{"display to", by(ByDisplayTo), "3 2 1 4 5"},
		{"size, then reverse arrival", []Criterion{{By: BySize}, {ByArrival, true}}, "5 1 3 4 2"},
		{"again", by(BySize, BySize, ByArrival), "1 5 3 2 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewSorter(tt.criteria)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{3, 0, 4, 2, 1} {
				m, x := letters[i].parse()
				if s.Stage() == StageSummary {
					x = nil
				}
				s.Add(m, x)
			}
			if got := strings.Trim(fmt.Sprint(s.Sorted()), "[]"); got != tt.want {
				t.Errorf("Sorted() = %s, want %s", got, tt.want)
			}
		})
	}
}

// Dates that nanoseconds cannot say stand at their own end.
func TestDatesOfAnyYear(t *testing.T) {
	const year = 365 * 24 * 60
	s, err := NewSorter([]Criterion{{By: ByDate}})
	if err != nil {
		t.Fatal(err)
	}
	th := NewThreader(OrderedSubject)
	for _, l := range []letter{{uid: 1, sent: 300 * year}, {uid: 2, sent: 10}, {uid: 3, sent: -400 * year}} {
		m, x := l.parse()
		s.Add(m, x)
		x.Root.Envelope.Subject.Text = fmt.Sprint("subject ", l.uid)
		th.Add(m, x)
	}
	if got := fmt.Sprint(s.Sorted()); got != "[3 2 1]" {
		t.Errorf("Sorted() = %s", got)
	}
	if got := fmt.Sprint(th.messages[0].sent > th.messages[1].sent, th.messages[1].sent > th.messages[2].sent); got != "true true" {
		t.Errorf("threads by date: %s", got)
	}
}

func TestSorterLimits(t *testing.T) {
	for _, tt := range []struct {
		name     string
		criteria []Criterion
		kind     cluster.Kind
	}{
		{"none", nil, cluster.KindInvalid},
		{"unknown", []Criterion{{By: byEnd}}, cluster.KindInvalid},
		{"many", make([]Criterion, CriteriaMax+1), cluster.KindLimit},
	} {
		if _, err := NewSorter(tt.criteria); !cluster.IsKind(err, tt.kind) {
			t.Errorf("NewSorter(%s) = %v, want kind %v", tt.name, err, tt.kind)
		}
	}
	s, err := NewSorter([]Criterion{{By: BySubject}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		m, x := letter{uid: mail.UID(3 - i), subject: strings.Repeat("日本", 1<<16) + fmt.Sprint(i)}.parse()
		s.Add(m, x)
	}
	if got := fmt.Sprint(s.Sorted()); got != "[1 2 3]" || len(s.keys[0].text) > SortTextMax {
		t.Errorf("Sorted() = %s with %d octets of a key", got, len(s.keys[0].text))
	}
}

// Sorting is that of a slow, stable sort by one criterion after the other, the last one first.
func TestSortIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SampledFrom([]string{"", "a", "A", "Re: a", "b (fwd)", "é", "É", "[x] b", "c"})
		s, err := NewSorter([]Criterion{{BySubject, rapid.Bool().Draw(t, "r1")}, {ByDate, rapid.Bool().Draw(t, "r2")}, {By: BySize}})
		if err != nil {
			t.Fatal(err)
		}
		var letters []letter
		for i := range rapid.IntRange(0, 20).Draw(t, "n") {
			l := letter{uid: mail.UID(i + 1), subject: words.Draw(t, "subject"), sent: rapid.IntRange(0, 3).Draw(t, "sent"),
				received: rapid.IntRange(0, 3).Draw(t, "received"), size: rapid.IntRange(0, 3).Draw(t, "size")}
			letters = append(letters, l)
			m, x := l.parse()
			s.Add(m, x)
		}
		slices.SortStableFunc(letters, func(a, b letter) int { return cmp.Compare(a.size, b.size) })
		date := func(l letter) int {
			if l.sent == 0 {
				return l.received
			}
			return l.sent
		}
		subject := func(l letter) string {
			base, _ := BaseSubject(l.subject)
			return string(slowFold([]byte(base)))
		}
		turn := func(reverse bool, d int) int {
			if reverse {
				return -d
			}
			return d
		}
		slices.SortStableFunc(letters, func(a, b letter) int { return turn(s.criteria[1].Reverse, cmp.Compare(date(a), date(b))) })
		slices.SortStableFunc(letters, func(a, b letter) int { return turn(s.criteria[0].Reverse, cmp.Compare(subject(a), subject(b))) })
		var want []mail.UID
		for _, l := range letters {
			want = append(want, l.uid)
		}
		if got := s.Sorted(); !slices.Equal(got, want) {
			t.Errorf("Sorted() = %v, want %v", got, want)
		}
	})
}
