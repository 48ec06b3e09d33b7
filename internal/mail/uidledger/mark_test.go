package uidledger

import (
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// worn makes a folder as it is after many managers: each gave numbers to two messages, one after the other, and left one that is
// skipped.
func (b *bench) worn(managers int) {
	b.t.Helper()
	for i := range managers {
		b.steps = 0
		m := b.open()
		for k := range 2 {
			m.Arrive(arrivals(2*i+k, 1)...)
			b.run(m)
		}
		if err := m.Waiting(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// lived gives a manager that has a life of its own, with short lists.
func (b *bench) lived(life uint64, rangesGood int) *Manager {
	b.t.Helper()
	m := New(Config{Self: 100, First: b.set, Life: life})
	m.rangesGood = rangesGood
	b.read(m, b.set.Nodes()...)
	b.run(m)
	return m
}

// C1: sessions go on after a message is expunged, at the manager that has shown it everything and at the next one, though what is skipped
// on both sides of the message is joined.
func TestC1_SessionsGoOnWhenSkippedUIDsAreJoined(t *testing.T) {
	const good = 8
	b := newBench(t, 1, 2, 3)
	b.worn(3 * good)
	m := b.lived(1, good)
	uids := m.View().UIDs()
	before := len(m.head.Shown[UIDs].Skipped)
	next := uint64(2)
	for _, r := range uids[2:8] {
		k := m.View().Mark() // of every session that has the folder open
		m.Expunge(mail.UIDSet{r})
		b.run(m)
		if !m.View().Continues(k) {
			t.Errorf("after %v is expunged a session ends", r)
		}
		other := k
		other.Life = next
		again := b.lived(next, good)
		next++
		other.Life = next // of one that is no more
		if !again.View().Continues(k) || !again.View().Continues(other) || !m.View().Continues(other) {
			t.Errorf("after %v is expunged a session ends at another manager", r)
		}
	}
	if after := len(m.head.Shown[UIDs].Skipped); after >= before {
		t.Errorf("%d ranges were skipped before, %d now: nothing was joined", before, after)
	}
}

// C1: sessions of the manager before go on when all modification sequences are given anew, since too many are skipped.
func TestC1_SessionsGoOnWhenModSeqsAreGivenAnew(t *testing.T) {
	const good = 8
	b := newBench(t, 1, 2, 3)
	b.worn(2 * good)
	k := b.lived(1, RangesGood).View().Mark()
	m := b.lived(2, good)
	if got, of := len(m.head.Shown[ModSeqs].Skipped), 2*good; got >= of/2 {
		t.Fatalf("%d ranges are left of about %d", got, of)
	}
	if !m.View().Continues(k) {
		t.Error("a session ends")
	}
	changed := 0
	m.View().ChangedSince(k.ModSeq, func(*Entry) bool { changed++; return true })
	if changed == 0 {
		t.Error("nothing has a new modification sequence")
	}
}

// C1: a session stays with the manager that showed it everything, though the other side of a partition was shown a view that lacks what it
// has: that is renumbered, and the session is told so.
func TestC1_SessionsGoOnAtTheirManagerAfterAHeal(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	one, other := b.lived(1, RangesGood), b.lived(2, RangesGood)
	b.away = cluster.NewReplicaSet(2, 3)
	one.Arrive(arrivals(0, 1)...)
	b.run(one)
	k := one.View().Mark()
	was, _ := one.View().UID(messageID(0))
	b.away = cluster.NewReplicaSet(1)
	other.Arrive(arrivals(1, 1)...)
	b.run(other)
	b.away = nil
	b.read(one, 2, 3)
	b.run(one)
	v := one.View()
	if now, _ := v.UID(messageID(0)); now == was || now < k.UIDNext || v.Len() != 2 {
		t.Fatalf("the message had UID %d, and has %d now: it was not renumbered", was, now)
	}
	if !v.Continues(k) || !v.VanishedSince(k.ModSeq, nil).Contains(was) {
		t.Errorf("the session goes on %t, and is told that %v vanished", v.Continues(k), v.VanishedSince(k.ModSeq, nil))
	}
	if k.Life = 3; v.Continues(k) {
		t.Error("a session of another manager goes on")
	}
}

// C1, U3: nobody goes on where a UID is known that was not shown, or one is not known that was, whatever else is the same.
func TestC1_OtherUIDsAreSeen(t *testing.T) {
	known := map[uint64]mail.UID{}
	for _, missing := range []int{0, 1, 5, 63, 64, 65, 99} {
		b := newBench(t, 1)
		m := b.open()
		m.Arrive(arrivals(0, 130)...)
		b.run(m)
		c, _, _ := m.find(uint32(max(missing, 1)))
		if missing > 0 {
			c.known &^= 1 << (missing % ChunkSlots)
		}
		sum := m.View().known(130)
		if other, same := known[sum]; same {
			t.Errorf("without UID %d it is the same as without %d", missing, other)
		}
		known[sum] = mail.UID(missing)
		if missing == 99 && m.View().known(99) != b.open().View().known(99) {
			t.Error("what is not below counts")
		}
	}
}

// A mark of an older version says nothing of the UIDs that are known, nor whose it is: what is skipped decides.
func TestMarkOfAnOlderVersion(t *testing.T) {
	b := newBench(t, 1)
	b.worn(3)
	k := b.lived(1, RangesGood).View().Mark()
	k.Known, k.Life = 0, 0
	m := b.lived(2, RangesGood)
	if !m.View().Continues(k) {
		t.Error("the session ends")
	}
	if k.Sum[UIDs]++; m.View().Continues(k) {
		t.Error("a session goes on that was shown something else")
	}
}

// D4: of a message that has or had two UIDs both are marked when it is condemned: either chunk may be all that is written.
func TestD4_BothUIDsAreCondemned(t *testing.T) {
	b := newBench(t, 1)
	m := b.open()
	m.Arrive(arrivals(0, 1)...)
	b.run(m)
	m.Depart(Departure{ID: messageID(0), Stay: cluster.Timestamp{Time: 5}})
	b.run(m)
	m.Arrive(Arrival{ID: messageID(0), Stay: cluster.Timestamp{Time: 9}})
	b.run(m)
	m.Condemn(cluster.Timestamp{Time: 1000}, mail.NewUIDSet(2))
	b.run(m)
	uids := 0
	m.Stays(func(s Stay) {
		if uids++; s.Condemned.Time != 1000 {
			t.Errorf("%+v is not marked", s)
		}
	})
	if uids != 2 {
		t.Errorf("%d UIDs, want 2", uids)
	}
}
