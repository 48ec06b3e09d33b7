package uidledger

import (
	"fmt"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

func TestSetFlagsLimits(t *testing.T) {
	b := newBench(t, 1)
	m := b.open()
	if err := m.SetFlags(Flagging{1, Register{Flag: ""}}); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("an empty flag: %v", err)
	}
	for i := range KeywordsMax {
		if err := m.SetFlags(Flagging{1, Register{Flag: mail.Flag(fmt.Sprint("k", i))}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.SetFlags(Flagging{1, Register{Flag: "another"}}); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("a keyword more than allowed: %v", err)
	}
	if err := m.SetFlags(Flagging{1, Register{Flag: "k1"}}, Flagging{1, Register{Flag: mail.FlagSeen}}, Flagging{1, Register{Flag: mail.FlagDeleted}}); err != nil {
		t.Errorf("a keyword that it has, and system flags: %v", err)
	}
}

// The keywords of one command are counted together: all are taken, or none.
func TestSetFlagsLimitOfOneCommand(t *testing.T) {
	b := newBench(t, 1)
	m := b.open()
	var changes []Flagging
	for i := range KeywordsMax {
		for uid := range mail.UID(2) { // a keyword counts once, however many messages get it
			changes = append(changes, Flagging{uid + 1, Register{Flag: mail.Flag(fmt.Sprint("k", i))}})
		}
	}
	if err := m.SetFlags(append(changes, Flagging{1, Register{Flag: "another"}})...); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("a keyword more than allowed, in one command: %v", err)
	}
	if err := m.SetFlags(changes...); err != nil {
		t.Errorf("as many as allowed: %v", err)
	}
}

// What a message comes with beyond the keywords that its folder takes is left out; its system flags are not. Replicas that have
// more, of a manager that had another bound, are read and joined as they are.
func TestArrivalBeyondTheKeywords(t *testing.T) {
	b := newBench(t, 1, 2)
	m := b.open()
	at := cluster.Timestamp{Time: 10, Node: 1}
	a := Arrival{ID: messageID(1), Stay: at}
	for i := range KeywordsMax + 1 {
		a.Flags = append(a.Flags, Register{Flag: mail.Flag(fmt.Sprintf("k%03d", i)), On: true, Stamp: at})
	}
	a.Flags = append(a.Flags, Register{Flag: mail.FlagSeen, On: true, Stamp: at})
	m.Arrive(a)
	b.run(m)
	have := m.RegistersOf(messageID(1))
	if len(have) != KeywordsMax+1 || have[0].Flag != mail.FlagSeen {
		t.Errorf("%d flags, the first %q; want %d keywords and %q", len(have), have[0].Flag, KeywordsMax, mail.FlagSeen)
	}
	m.names.keywords = 0 // as a manager that has another bound
	m.Arrive(Arrival{ID: messageID(1), Stay: at, Flags: []Register{{Flag: "more", On: true, Stamp: at}}})
	b.run(m)
	next := b.open()
	if got := len(next.RegistersOf(messageID(1))); got != KeywordsMax+2 {
		t.Errorf("%d flags are read, want %d", got, KeywordsMax+2)
	}
	if err := next.SetFlags(Flagging{1, Register{Flag: "yet"}}); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("a keyword more: %v", err)
	}
	if err := next.SetFlags(Flagging{1, Register{Flag: mail.FlagDeleted}}); err != nil {
		t.Errorf("a system flag: %v", err)
	}
}
