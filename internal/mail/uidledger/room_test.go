package uidledger

import (
	"fmt"
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// longKeywords are as many keywords as a folder may have, of the longest names.
func longKeywords(side string) (flags []mail.Flag) {
	for i := range KeywordsMax {
		name := fmt.Sprintf("%s%03d", side, i)
		flags = append(flags, mail.Flag(name+strings.Repeat("x", KeywordLenMax-len(name))))
	}
	return flags
}

// A chunk is never made larger than a store takes, by whoever has the keywords of two sides of a partition. System flags have room in any
// case, and what is written can be taken away; a message is not kept out.
func TestChunksCanBeWritten(t *testing.T) {
	b := newBench(t, 1, 2)
	m := b.open()
	m.Arrive(arrivals(1, 2*ChunkSlots-1)...) // UID n is message n
	b.run(m)
	at := cluster.Timestamp{Time: 500}
	var all []mail.Flag
	for node, side := range map[cluster.NodeID]string{1: "a", 2: "b"} {
		b.away = cluster.NewReplicaSet(1, 2).Without(cluster.ReplicaSet{node})
		m := b.open()
		for _, f := range longKeywords(side) {
			all = append(all, f)
			if err := m.SetFlags(Flagging{ChunkSlots, Register{f, true, at}}); err != nil {
				t.Fatal(err)
			}
		}
		b.run(m)
	}
	b.away = nil
	m = b.open()
	given := 0
	for uid := mail.UID(ChunkSlots + 1); uid < 2*ChunkSlots-1; uid++ {
		var flaggings []Flagging
		for _, f := range all {
			flaggings = append(flaggings, Flagging{uid, Register{f, true, at}})
		}
		err := m.SetFlags(flaggings...)
		if err == nil {
			given++
		} else if !cluster.IsKind(err, cluster.KindLimit) {
			t.Fatal(err)
		}
		b.run(m)
	}
	if want := RegistersMax/len(all) - 1; given != want {
		t.Errorf("%d messages beside the first have all keywords, want %d", given, want)
	}
	const last = 2*ChunkSlots - 1
	m.Arrive(Arrival{ID: messageID(last), Stay: cluster.Timestamp{Time: 1}})
	for i := range all {
		m.Arrive(Arrival{ID: messageID(last), Stay: cluster.Timestamp{Time: 1}, Flags: []Register{{all[i], true, at}}})
	}
	if err := m.SetFlags(Flagging{ChunkSlots, Register{all[0], false, cluster.Timestamp{Time: 501}}}); err != nil {
		t.Errorf("a keyword is taken away: %v", err)
	}
	for uid := mail.UID(ChunkSlots); uid <= last; uid++ {
		for _, f := range []mail.Flag{mail.FlagSeen, mail.FlagAnswered, mail.FlagFlagged, mail.FlagDeleted, mail.FlagDraft} {
			if err := m.SetFlags(Flagging{uid, Register{f, true, at}}); err != nil {
				t.Errorf("a system flag: %v", err)
			}
		}
	}
	b.run(m)
	if n := len(b.chunks[1][1]); n > cluster.CachedSizeMax || n < cluster.CachedSizeMax*9/10 {
		t.Errorf("the chunk has %d octets, at most %d can be written", n, cluster.CachedSizeMax)
	}
	if n := len(m.RegistersOf(messageID(last))); n == 0 || n >= len(all) || m.View().Len() != last {
		t.Errorf("the last message has %d flags; %d messages", n, m.View().Len())
	}
}
