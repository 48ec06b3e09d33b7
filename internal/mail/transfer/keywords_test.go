package transfer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"porcupine/internal/mail"
)

// Words of a file that are no keywords, and keywords beyond those that a folder takes, are left out and reported; the message
// and its system flags come in.
func TestKeywordsThatCannotBeTaken(t *testing.T) {
	var m fakeMailbox
	var words []string
	for i := range mail.KeywordsMax {
		words = append(words, fmt.Sprintf("k%03d", i))
	}
	file := entry("Status: RO\nX-Keywords: Ok (odd) \\Recent "+strings.Repeat("x", 200)+"\n\n1\n") +
		entry("X-Keywords: "+strings.Join(words, " ")+"\n\n2\n") +
		entry("Status: RO\nX-Keywords: k007 new\n\n3\n")
	tally, reported, err := run(t, &m, file, 10_000)
	if err != nil || tally.Stored != 3 || tally.Skipped != 0 {
		t.Fatalf("%+v, %v", tally, err)
	}
	slices.SortFunc(m.stored, func(a, b stored) int { return strings.Compare(a.text[len(a.text)-3:], b.text[len(b.text)-3:]) })
	if got := m.stored[0].flags; got != `[\Seen ok]` {
		t.Errorf("flags %s", got)
	}
	if got := len(strings.Fields(m.stored[1].flags)); got != mail.KeywordsMax-1 { // "ok" came before
		t.Errorf("%d keywords", got)
	}
	if got := m.stored[2].flags; got != `[\Seen k007]` {
		t.Errorf("flags %s", got)
	}
	wants := []string{`stored without 3 keywords: "(odd)"`, `stored without a keyword: "k122"`, `stored without a keyword: "new"`}
	if len(reported) != len(wants) {
		t.Fatalf("reported %q", reported)
	}
	for i, want := range wants {
		if !strings.HasPrefix(reported[i], "file at octet ") || !strings.Contains(reported[i], want) {
			t.Errorf("reported %q, want %q", reported[i], want)
		}
	}
}
