// Package ledger accounts for the messages of a load: what was promised, what was found, and
// which promises were broken. It is a pure core: it knows no protocol and no clock, and is not safe
// for concurrent use.
//
// A message has a number, a mailbox it was sent to and a checksum of its contents. It is sent once
// and has one Outcome. A pick-up session finds messages in a mailbox, and ends in one of three
// ways: its deletions are known to have happened, known not to have, or nobody knows (the
// connection broke while the answer to QUIT was due; RFC 1939 §6 deletes in the UPDATE state).
//
// From that follow the counts, with the invariants they test:
//
//	lost        acknowledged and never found (D1, D9)
//	duplicated  found twice in one session, or found again after its deletion was
//	            acknowledged (D4, D6)
//	misplaced   found in another mailbox than the one it was sent to (D8, A1)
//	corrupt     found, but the contents have another checksum (D5)
//	phantom     refused or never sent in full, yet found (D8)
//	ambiguous   the connection broke after the last byte was sent: may be found or not; not an error
//	renamed     found again, before it was deleted, under another unique-id (P1)
//	foreign     not a message of this ledger; not an error
package ledger

import (
	"fmt"
	"slices"
)

// ExamplesMax bounds the broken promises that are described in words.
const ExamplesMax = 20

// Number names a message of the ledger: 0, 1, 2... as given by Enter.
type Number uint32

// Sum is a checksum of a message's contents (SHA-256).
type Sum [32]byte

// Outcome is what the sender learned of a message's fate.
type Outcome uint8

const (
	// Pending: the sender is still at it.
	Pending Outcome = iota
	// Unsent: the message was never offered in full.
	Unsent
	// Acked: acknowledged. It is owed.
	Acked
	// Refused: the service said no.
	Refused
	// Ambiguous: offered in full, and the connection broke before the answer.
	Ambiguous
)

// Ending is how a pick-up session ended.
type Ending uint8

const (
	// Kept: the session ended without its deletions taking effect.
	Kept Ending = iota
	// Deleted: the service acknowledged that the deletions took effect.
	Deleted
	// Unknown: the session broke while that acknowledgement was due.
	Unknown
)

// Finding is one message seen in a mailbox.
type Finding struct {
	Number   Number
	Sum      Sum
	UniqueID string // POP3 UIDL; "" if the server has none
}

type state uint8

const (
	unseen  state = iota
	present       // found, and not deleted as far as we know
	deleted       // found, and its deletion acknowledged
	doubt         // found, and nobody knows whether the deletion took effect
)

type entry struct {
	sum      Sum
	mailbox  int32
	outcome  Outcome
	state    state
	uniqueID string
}

// Totals are the ledger's counts, of messages.
type Totals struct {
	Owed           int `json:"owed"`
	Found          int `json:"found"` // of those owed
	Lost           int `json:"lost"`
	Duplicated     int `json:"duplicated"`
	Misplaced      int `json:"misplaced"`
	Corrupt        int `json:"corrupt"`
	Phantom        int `json:"phantom"`
	Ambiguous      int `json:"ambiguous"`
	AmbiguousFound int `json:"ambiguous_found"`
	Renamed        int `json:"renamed"`
	Foreign        int `json:"foreign"`
}

// OK reports whether no promise was broken.
func (t Totals) OK() bool {
	return t.Lost+t.Duplicated+t.Misplaced+t.Corrupt+t.Phantom+t.Renamed == 0
}

// Ledger is the account of one load. The zero Ledger is empty and ready.
type Ledger struct {
	entries  []entry
	owed     map[int]int // mailbox -> messages acknowledged and not found yet
	totals   Totals
	examples []string
}

// Enter gives the number of a new message to a mailbox, so that its contents can bear it. Before
// the message is sent, Seal must be called.
func (l *Ledger) Enter(mailbox int) Number {
	l.entries = append(l.entries, entry{mailbox: int32(mailbox)})
	return Number(len(l.entries) - 1)
}

// Seal records the checksum of the contents of a message that is about to be sent.
func (l *Ledger) Seal(n Number, sum Sum) { l.entries[n].sum = sum }

// Answered records what the sender learned of the message. A message may be found before that:
// the reader can be faster than the acknowledgement.
func (l *Ledger) Answered(n Number, o Outcome) {
	e := &l.entries[n]
	e.outcome = o
	found := e.state != unseen
	switch o {
	case Acked:
		l.totals.Owed++
		if found {
			l.totals.Found++
			return
		}
		if l.owed == nil {
			l.owed = make(map[int]int)
		}
		l.owed[int(e.mailbox)]++
	case Pending, Unsent, Refused:
		if found {
			l.phantom(n)
		}
	case Ambiguous:
		l.totals.Ambiguous++
		if found {
			l.totals.AmbiguousFound++
		}
	}
}

// Pickup is what one session does to one mailbox.
type Pickup struct {
	ledger  *Ledger
	mailbox int
	seen    map[Number]bool
}

// Pickup begins a session on a mailbox. No two sessions may be under way on one mailbox.
func (l *Ledger) Pickup(mailbox int) *Pickup {
	return &Pickup{ledger: l, mailbox: mailbox, seen: make(map[Number]bool)}
}

// Foreign counts a message that bears no number of this ledger.
func (p *Pickup) Foreign() { p.ledger.totals.Foreign++ }

// Found records a message that the session fetched. A number beyond the ledger's counts as
// foreign.
func (p *Pickup) Found(f Finding) {
	l := p.ledger
	if int(f.Number) >= len(l.entries) {
		p.Foreign()
		return
	}
	e := &l.entries[f.Number]
	if f.Sum != e.sum {
		l.totals.Corrupt++
		l.example("message %d in mailbox %d: contents differ from what was sent", f.Number, p.mailbox)
	}
	if int32(p.mailbox) != e.mailbox {
		// Not found where it is owed: it stays lost there.
		l.totals.Misplaced++
		l.example("message %d was sent to mailbox %d and found in mailbox %d", f.Number, e.mailbox, p.mailbox)
		return
	}
	again := p.seen[f.Number]
	p.seen[f.Number] = true
	switch {
	case again:
		l.totals.Duplicated++
		l.example("message %d is twice in mailbox %d", f.Number, p.mailbox)
	case e.state == deleted:
		l.totals.Duplicated++
		l.example("message %d in mailbox %d was deleted and came back", f.Number, p.mailbox)
	case e.state == unseen:
		l.firstSight(f.Number)
		e.uniqueID = f.UniqueID
	case e.uniqueID != f.UniqueID:
		l.totals.Renamed++
		l.example("message %d in mailbox %d had unique-id %q and now has %q", f.Number, p.mailbox, e.uniqueID, f.UniqueID)
		e.uniqueID = f.UniqueID
	}
	if e.state != deleted {
		e.state = present
	}
}

// End closes the session: what was found is deleted, kept, or in doubt.
func (p *Pickup) End(how Ending) {
	for n := range p.seen {
		e := &p.ledger.entries[n]
		switch how {
		case Deleted:
			e.state = deleted
		case Unknown:
			if e.state != deleted {
				e.state = doubt
			}
		case Kept:
		}
	}
}

func (l *Ledger) firstSight(n Number) {
	e := &l.entries[n]
	switch e.outcome {
	case Acked:
		l.totals.Found++
		if l.owed[int(e.mailbox)]--; l.owed[int(e.mailbox)] == 0 {
			delete(l.owed, int(e.mailbox))
		}
	case Ambiguous:
		l.totals.AmbiguousFound++
	case Unsent, Refused:
		l.phantom(n)
	case Pending: // Answered will decide
	}
}

func (l *Ledger) phantom(n Number) {
	l.totals.Phantom++
	l.example("message %d was refused or never sent in full, and found in mailbox %d", n, l.entries[n].mailbox)
}

func (l *Ledger) example(format string, args ...any) {
	if len(l.examples) < ExamplesMax {
		l.examples = append(l.examples, fmt.Sprintf(format, args...))
	}
}

// Missing gives the number of messages that are owed and were not found yet.
func (l *Ledger) Missing() int { return l.totals.Owed - l.totals.Found }

// MissingIn lists the mailboxes, ascending, that owe messages.
func (l *Ledger) MissingIn() []int {
	boxes := make([]int, 0, len(l.owed))
	for b := range l.owed {
		boxes = append(boxes, b)
	}
	slices.Sort(boxes)
	return boxes
}

// Mailboxes lists the mailboxes, ascending, to which anything was sent.
func (l *Ledger) Mailboxes() []int {
	set := make(map[int]bool)
	for i := range l.entries {
		set[int(l.entries[i].mailbox)] = true
	}
	boxes := make([]int, 0, len(set))
	for b := range set {
		boxes = append(boxes, b)
	}
	slices.Sort(boxes)
	return boxes
}

// Settle closes the account: what is owed and was not found is lost. It gives the counts and at
// most ExamplesMax broken promises in words.
func (l *Ledger) Settle() (Totals, []string) {
	t := l.totals
	t.Lost = l.Missing()
	examples := slices.Clone(l.examples)
	for n := range l.entries {
		e := &l.entries[n]
		if len(examples) >= ExamplesMax {
			break
		}
		if e.outcome == Acked && e.state == unseen {
			examples = append(examples, fmt.Sprintf("message %d to mailbox %d was acknowledged and is lost", n, e.mailbox))
		}
	}
	return t, examples
}
