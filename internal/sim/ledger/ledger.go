// Package ledger checks a mail service from outside: what it accepted must be there at the end
// (D1), each message as often as it may be and not more often (D6), and nothing that nobody sent (D8).
//
// It knows what clients see, and no more: messages handed in, the replies, deletions asked for, and
// the mailboxes at the end. It shares no code with the invariants of package sim, so that one
// mistake cannot blind both.
package ledger

import (
	"fmt"
	"sort"
	"strings"
)

// Ledger is the clients' account of one run.
type Ledger struct {
	entries map[string]*entry
}

// entry is the account of one message.
type entry struct {
	to        string
	submitted int
	accepted  int
	refused   int
	removed   bool
}

// New gives an empty ledger.
func New() *Ledger { return &Ledger{entries: map[string]*entry{}} }

func (l *Ledger) of(tag string) *entry {
	e := l.entries[tag]
	if e == nil {
		e = &entry{}
		l.entries[tag] = e
	}
	return e
}

// Submitted is a message handed in, once more or for the first time. The tag is in its contents.
func (l *Ledger) Submitted(tag, to string) { e := l.of(tag); e.to = to; e.submitted++ }

// Accepted is the first of the three ends: 250.
func (l *Ledger) Accepted(tag, to string) { l.of(tag).accepted++ }

// Refused is the second: 4xx or 5xx, with the word that nothing was kept.
func (l *Ledger) Refused(tag string) { l.of(tag).refused++ }

// Doubtful is the third: no reply, or one that leaves open whether something was kept.
func (l *Ledger) Doubtful(tag string) { l.of(tag) }

// Removing is a deletion asked for. id names one copy: the tag, a dot, and whatever.
func (l *Ledger) Removing(id string) {
	tag, _, _ := strings.Cut(id, ".")
	l.of(tag).removed = true
}

// Accepts is how many messages were accepted.
func (l *Ledger) Accepts() (n int) {
	for _, e := range l.entries {
		n += e.accepted
	}
	return n
}

// Check compares the account with the mailboxes at the end: ids by user. forgiven says of a tag
// that all disks that had it were destroyed. The result is the invariants broken, each with its
// story.
func (l *Ledger) Check(mailboxes map[string][]string, forgiven func(tag string) bool) (broken []string) {
	count := map[string]int{}
	for to, ids := range mailboxes {
		for _, id := range ids {
			tag, _, _ := strings.Cut(id, ".")
			count[tag]++
			e, known := l.entries[tag]
			if !known || e.submitted == 0 {
				broken = append(broken, fmt.Sprintf("D8: %s has %s, which nobody sent", to, id))
			} else if e.to != to {
				broken = append(broken, fmt.Sprintf("D8: %s has %s, which was sent to %s", to, id, e.to))
			}
		}
	}
	for tag, e := range l.entries {
		if _, shown := mailboxes[e.to]; !shown {
			continue // the user does not exist any more
		}
		got := count[tag]
		if e.accepted > 0 && got == 0 && !e.removed && !forgiven(tag) {
			broken = append(broken, fmt.Sprintf("D1: %s was accepted for %s and is not there", tag, e.to))
		}
		if most := e.submitted - e.refused; got > most {
			broken = append(broken, fmt.Sprintf("D6: %s has %s %d times; it was handed in %d times, of which %d were refused", e.to, tag, got, e.submitted, e.refused))
		}
	}
	sort.Strings(broken)
	return broken
}
