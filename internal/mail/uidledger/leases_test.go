package uidledger

import (
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// L8: a folder whose index is built anew between one message and the next skips nothing: the head does not grow, no message gets another
// modification sequence, and the messages lie close together.
func TestIndexesOfOneMessageSkipNothing(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	m := b.open()
	m.Arrive(arrivals(0, 300)...)
	b.run(m)
	highest := m.View().HighestModSeq()
	const managers = RangesGood + 100
	size, ranges := len(b.heads[1]), len(m.head.Shown[UIDs].Skipped)+len(m.head.Shown[ModSeqs].Skipped)
	for i := range managers {
		b.steps = 0
		m = b.open()
		m.Arrive(arrivals(0, 300+i)...) // as they are listed
		m.Arrive(arrivals(300+i, 1)...)
		b.run(m)
		changed := 0
		m.View().ChangedSince(highest, func(*Entry) bool { changed++; return true })
		if err := m.Waiting(); err != nil || changed != 1 {
			t.Fatalf("manager %d: one message comes, and %d have a new modification sequence; waiting for %v", i, changed, err)
		}
		highest = m.View().HighestModSeq()
	}
	if n := len(m.head.Shown[UIDs].Skipped) + len(m.head.Shown[ModSeqs].Skipped); n != ranges || len(b.heads[1]) > size+8 {
		t.Errorf("after %d managers %d ranges are skipped, %d before, and the head has %d octets, %d before: %v", managers, n, ranges, len(b.heads[1]), size, m.head.Shown)
	}
	if want := (300+managers)/ChunkSlots + 1; len(b.chunks[1]) != want || m.View().UIDNext() != 300+managers+1 {
		t.Errorf("%d chunks, want %d; UIDNEXT %d", len(b.chunks[1]), want, m.View().UIDNext())
	}
}

// A manager that gives numbers all the time asks for few leases, and one that is built anew goes on with what is left of them.
func TestUnusedLeasesAreHandedOn(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	var left Unused
	for i := range 40 {
		b.steps = 0
		m := New(Config{Self: 100, First: b.set, Unused: left})
		b.read(m, 1, 2, 3)
		for k := range 10 {
			m.Arrive(arrivals(10*i+k, 1)...)
			b.run(m)
		}
		if err := m.Waiting(); err != nil {
			t.Fatal(err)
		}
		left = m.Unused()
		if n := len(m.head.Shown[UIDs].Skipped) + len(m.head.Shown[ModSeqs].Skipped); n > 0 || m.View().UIDNext() != mail.UID(10*i+11) {
			t.Fatalf("manager %d: %d ranges are skipped, UIDNEXT %d", i, n, m.View().UIDNext())
		}
	}
	other := b.set
	other.UIDValidity++
	if m := New(Config{Self: 100, First: other, Unused: left}); m.left(UIDs)+m.left(ModSeqs) > 0 {
		t.Error("under another UIDVALIDITY leases are taken over")
	}
	busy := New(Config{Self: 100, First: b.set})
	b.read(busy, 1, 2, 3)
	b.run(busy)
	asks := 0
	for i := range 400 {
		busy.Arrive(arrivals(1000+i, 1)...)
		for step, ok := busy.Next(); ok; step, ok = busy.Next() {
			asks += len(step.Ask)
			b.take(busy, step)
		}
	}
	if rounds := asks / 3; rounds > 24 {
		t.Errorf("400 messages, one after the other, took %d rounds of requests", rounds)
	}
}

// U1: what a manager has given when it is dropped, in the middle of a step, is not handed on, whether anything of it was written or not.
func TestU1_UnusedLeasesLackWhatWasGiven(t *testing.T) {
	for _, on := range []cluster.ReplicaSet{{1, 2, 3}, {1}, nil} {
		b := newBench(t, 1, 2, 3)
		m := b.open()
		for i := range 3 {
			m.Arrive(arrivals(2*i, 2)...)
			b.run(m)
		}
		m.Arrive(arrivals(100, 1)...)
		step, ok := m.Next()
		for ; ok && len(step.Write) == 0; step, ok = m.Next() {
			b.take(m, step)
		}
		given := m.top[UIDs]
		if left := m.Unused(); given != 7 || left.Spans[UIDs].Contains(given) || !left.Spans[UIDs].Contains(given+1) {
			t.Fatalf("UID %d was given, and %v are handed on", given, left.Spans[UIDs])
		}
		step.On = on
		b.write(step) // the chunk; the head is not written
		next := New(Config{Self: 100, First: b.set, Unused: m.Unused()})
		b.read(next, 1, 2, 3)
		next.Arrive(arrivals(200, 1)...)
		b.run(next)
		if u, _ := next.View().UID(messageID(200)); uint64(u) != given+1 || next.Waiting() != nil {
			t.Errorf("written on %v: the next message has UID %d, waiting for %v", on, u, next.Waiting())
		}
	}
}

// A head that has as many skipped ranges as it may is not made larger, until no store takes it: the folder gets another UIDVALIDITY.
func TestL12_TooManyRanges(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	b.worn(12)
	m := New(Config{Self: 100, First: b.set})
	m.rangesFull = 8
	b.read(m, 1, 2)
	m.Arrive(arrivals(100, 1)...)
	b.run(m)
	if err := m.Waiting(); !cluster.IsKind(err, cluster.KindLimit) {
		t.Fatalf("waiting for %v, want kind limit", err)
	}
	m.Renew(9)
	b.read(m, 3)
	b.run(m)
	if err := m.Waiting(); err != nil || m.View().Len() != 25 || m.View().UIDValidity() != 9 || len(m.head.Shown[UIDs].Skipped) > 0 {
		t.Errorf("under UIDVALIDITY %d: %d messages, waiting for %v, %v", m.View().UIDValidity(), m.View().Len(), err, m.head.Shown[UIDs].Skipped)
	}
}

// What is to be written of a large folder comes in steps of a bounded size.
func TestChunksComeInSteps(t *testing.T) {
	const messages = 3*ChunksOnce*ChunkSlots + 1
	b := newBench(t, 1)
	m := b.open()
	m.Arrive(arrivals(0, messages)...)
	largest := 0
	for step, ok := m.Next(); ok; step, ok = m.Next() {
		if m.View().Len() > 0 && m.View().Len() < messages {
			t.Fatalf("%d messages are shown, of %d", m.View().Len(), messages)
		}
		largest = max(largest, len(step.Write))
		b.take(m, step)
	}
	if largest != ChunksOnce || m.View().Len() != messages || m.Waiting() != nil {
		t.Errorf("%d objects in one step, %d messages are shown, waiting for %v", largest, m.View().Len(), m.Waiting())
	}
}

// A message that departs and is told to be there at once gets another UID: there are modification sequences for that.
func TestDepartsAndArrives(t *testing.T) {
	b := newBench(t, 1)
	m := b.open()
	m.Arrive(arrivals(0, 62)...)
	b.run(m)
	m.Arrive(arrivals(62, 1)...) // the first chunk is full, and there are leases for more
	b.run(m)
	m.Depart(Departure{ID: messageID(5), Stay: cluster.Timestamp{Time: 6}})
	m.Arrive(arrivals(5, 1)...)
	b.run(m)
	if u, _ := m.View().UID(messageID(5)); u != 64 || m.Waiting() != nil {
		t.Errorf("UID %d, waiting for %v", u, m.Waiting())
	}
}
