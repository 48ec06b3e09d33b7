package ledger

import (
	"fmt"
	"strings"
	"testing"
)

// A story is a list of steps, one a line: what happens to the messages, in words. The messages are
// numbered in the order in which they are sent.
//
//	send MAILBOX            enters a message
//	acked|refused|ambiguous|unsent N
//	open MAILBOX            begins a session
//	found N [bad] [id=X]    the session fetches message N
//	foreign                 it fetches a message of somebody else
//	deleted|kept|unknown    ends the session
func play(t *testing.T, story string) (Totals, []string) {
	t.Helper()
	var l Ledger
	var p *Pickup
	for line := range strings.Lines(story) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		var n int
		if len(words) > 1 {
			if _, err := fmt.Sscan(words[1], &n); err != nil {
				t.Fatalf("story line %q: %v", line, err)
			}
		}
		switch words[0] {
		case "send":
			m := l.Enter(n)
			l.Seal(m, Sum{byte(m)})
		case "acked":
			l.Answered(Number(n), Acked)
		case "refused":
			l.Answered(Number(n), Refused)
		case "ambiguous":
			l.Answered(Number(n), Ambiguous)
		case "unsent":
			l.Answered(Number(n), Unsent)
		case "open":
			p = l.Pickup(n)
		case "found":
			f := Finding{Number: Number(n), Sum: Sum{byte(n)}}
			for _, w := range words[2:] {
				if w == "bad" {
					f.Sum = Sum{0xff}
				}
				f.UniqueID, _ = strings.CutPrefix(w, "id=")
			}
			p.Found(f)
		case "foreign":
			p.Foreign()
		case "deleted":
			p.End(Deleted)
		case "kept":
			p.End(Kept)
		case "unknown":
			p.End(Unknown)
		default:
			t.Fatalf("story line %q: unknown step", line)
		}
	}
	return l.Settle()
}

func TestLedger(t *testing.T) {
	tests := []struct {
		name, story string
		want        Totals
	}{
		{"nothing", "", Totals{}},
		{"every promise kept", `
			send 1
			acked 0
			open 1
			found 0
			deleted
			open 1
			deleted`, Totals{Owed: 1, Found: 1}},
		{"D1 acknowledged and never found", `
			send 1
			acked 0
			open 1
			deleted`, Totals{Owed: 1, Lost: 1}},
		{"found before it was acknowledged", `
			send 1
			open 1
			found 0
			deleted
			acked 0`, Totals{Owed: 1, Found: 1}},
		{"D4 deleted and back again", `
			send 1
			acked 0
			open 1
			found 0
			deleted
			open 1
			found 0
			deleted`, Totals{Owed: 1, Found: 1, Duplicated: 1}},
		{"D6 twice in one session", `
			send 1
			acked 0
			open 1
			found 0
			found 0
			deleted`, Totals{Owed: 1, Found: 1, Duplicated: 1}},
		{"seen again after a session that deleted nothing", `
			send 1
			acked 0
			open 1
			found 0
			kept
			open 1
			found 0
			deleted`, Totals{Owed: 1, Found: 1}},
		{"seen again after a deletion in doubt", `
			send 1
			acked 0
			open 1
			found 0
			unknown
			open 1
			found 0
			deleted`, Totals{Owed: 1, Found: 1}},
		{"a deletion in doubt does not excuse one that was acknowledged", `
			send 1
			acked 0
			open 1
			found 0
			deleted
			open 1
			found 0
			unknown
			open 1
			found 0
			kept`, Totals{Owed: 1, Found: 1, Duplicated: 2}},
		{"D8 in a stranger's mailbox", `
			send 1
			acked 0
			open 2
			found 0
			deleted`, Totals{Owed: 1, Lost: 1, Misplaced: 1}},
		{"D5 altered", `
			send 1
			acked 0
			open 1
			found 0 bad
			deleted`, Totals{Owed: 1, Found: 1, Corrupt: 1}},
		{"D8 refused, yet stored", `
			send 1
			refused 0
			open 1
			found 0
			deleted`, Totals{Phantom: 1}},
		{"D8 found first, refused afterwards", `
			send 1
			open 1
			found 0
			deleted
			refused 0`, Totals{Phantom: 1}},
		{"D8 stored without its end", `
			send 1
			unsent 0
			open 1
			found 0 bad
			deleted`, Totals{Phantom: 1, Corrupt: 1}},
		{"refused and absent", `
			send 1
			refused 0
			send 1
			unsent 1`, Totals{}},
		{"an ambiguous one may be there or not", `
			send 1
			ambiguous 0
			send 1
			ambiguous 1
			open 1
			found 1
			deleted`, Totals{Ambiguous: 2, AmbiguousFound: 1}},
		{"D6 an ambiguous one may not be there twice", `
			send 1
			ambiguous 0
			open 1
			found 0
			found 0
			deleted`, Totals{Ambiguous: 1, AmbiguousFound: 1, Duplicated: 1}},
		{"P1 another unique-id", `
			send 1
			acked 0
			open 1
			found 0 id=a
			kept
			open 1
			found 0 id=b
			deleted`, Totals{Owed: 1, Found: 1, Renamed: 1}},
		{"somebody else's", `
			open 1
			foreign
			found 99
			deleted`, Totals{Foreign: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, examples := play(t, tt.story)
			if got != tt.want {
				t.Errorf("Settle() = %+v, want %+v", got, tt.want)
			}
			if broken := !tt.want.OK(); broken != (len(examples) > 0) {
				t.Errorf("Settle() gives the examples %q, want some: %v", examples, broken)
			}
		})
	}
}

func TestMissingIn(t *testing.T) {
	var l Ledger
	for _, box := range []int{5, 3, 5} {
		l.Answered(l.Enter(box), Acked)
	}
	l.Enter(9)
	if got, want := fmt.Sprint(l.MissingIn()), "[3 5]"; got != want {
		t.Errorf("MissingIn() = %v, want %v", got, want)
	}
	if got, want := fmt.Sprint(l.Mailboxes()), "[3 5 9]"; got != want {
		t.Errorf("Mailboxes() = %v, want %v", got, want)
	}
	p := l.Pickup(5)
	p.Found(Finding{Number: 0})
	p.Found(Finding{Number: 2})
	if got, want := fmt.Sprint(l.MissingIn(), l.Missing()), "[3] 1"; got != want {
		t.Errorf("after pick-up: MissingIn(), Missing() = %v, want %v", got, want)
	}
}

func TestSettleBoundsExamples(t *testing.T) {
	var l Ledger
	for range 3 * ExamplesMax {
		l.Answered(l.Enter(0), Acked)
	}
	totals, examples := l.Settle()
	if totals.Lost != 3*ExamplesMax || len(examples) != ExamplesMax {
		t.Errorf("Settle() = %d lost, %d examples, want %d and %d", totals.Lost, len(examples), 3*ExamplesMax, ExamplesMax)
	}
}
