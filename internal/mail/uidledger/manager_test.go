package uidledger

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// bench is replicas that always answer, for tests of one manager.
type bench struct {
	t      *testing.T
	set    Set
	heads  map[cluster.NodeID][]byte
	chunks map[cluster.NodeID]map[uint32][]byte
	grants map[cluster.NodeID][]byte
	away   cluster.ReplicaSet
	steps  int
}

func newBench(t *testing.T, nodes ...cluster.NodeID) *bench {
	b := &bench{t: t, set: FirstSet(cluster.NewReplicaSet(nodes...), 1), heads: map[cluster.NodeID][]byte{}, chunks: map[cluster.NodeID]map[uint32][]byte{}, grants: map[cluster.NodeID][]byte{}}
	for _, n := range nodes {
		b.chunks[n] = map[uint32][]byte{}
	}
	return b
}

func (b *bench) open() *Manager {
	m := New(Config{Self: 100, First: b.set})
	b.read(m, b.set.Nodes()...)
	b.run(m)
	return m
}

func (b *bench) read(m *Manager, nodes ...cluster.NodeID) {
	b.t.Helper()
	for _, n := range nodes {
		if b.away.Contains(n) {
			continue
		}
		if err := m.Read(Snapshot{Node: n, Full: true, Head: b.heads[n], Chunks: b.chunks[n]}); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) run(m *Manager) {
	b.t.Helper()
	for step, ok := m.Next(); ok; step, ok = m.Next() {
		if b.steps++; b.steps > 1000 {
			b.t.Fatal("no end of steps")
		}
		b.take(m, step)
	}
}

// take carries a step out.
func (b *bench) take(m *Manager, step Step) {
	b.t.Helper()
	var answers []Answer
	for _, a := range step.Ask {
		if b.away.Contains(a.Node) {
			answers = append(answers, Answer{Node: a.Node, Err: errors.New("away")})
			continue
		}
		request, err := ParseRequest(a.Request.Marshal())
		if err != nil {
			b.t.Fatal(err)
		}
		next, reply, err := Decide(a.Node, b.grants[a.Node], &request)
		if err != nil {
			b.t.Fatal(err)
		}
		if next != nil {
			b.grants[a.Node] = next
		}
		if reply, err = ParseReply(reply.Marshal()); err != nil {
			b.t.Fatal(err)
		}
		answers = append(answers, Answer{Node: a.Node, Reply: reply})
	}
	if len(step.Ask) > 0 {
		m.Answered(answers)
		return
	}
	m.Written(b.write(step))
}

func (b *bench) write(step Step) cluster.ReplicaSet {
	for _, n := range step.On.Without(b.away) {
		for _, o := range step.Write {
			_, kind, number, err := ParseID(o.ID)
			if err != nil {
				b.t.Fatal(err)
			}
			old := b.heads[n]
			if kind == 'c' {
				old = b.chunks[n][uint32(number)]
			}
			contents := o.Contents
			if len(old) > 0 {
				if contents, err = Merge(old, contents); err != nil {
					b.t.Fatal(err)
				}
			}
			switch {
			case kind == 'c':
				b.chunks[n][uint32(number)] = contents
			default:
				b.heads[n] = contents
			}
		}
	}
	return step.On.Without(b.away)
}

func messageID(n int) (id mail.MessageID) {
	for i := range 4 {
		id[i], id[8+i] = byte(n>>(8*i)), byte(n*7919>>(8*i))
	}
	return id
}

func arrivals(from, n int) []Arrival {
	out := make([]Arrival, n)
	for i := range out {
		out[i] = Arrival{ID: messageID(from + i), Stay: cluster.Timestamp{Time: int64(from + i), Node: 1}}
	}
	return out
}

// TestLargeFolder: 100,000 messages are given UIDs at once, in few steps, and lie in memory compactly with a flag each.
func TestLargeFolder(t *testing.T) {
	const messages = 100_000
	b := newBench(t, 1)
	m := b.open()
	m.Arrive(arrivals(0, messages)...)
	b.run(m)
	if err := m.Waiting(); err != nil || m.View().Len() != messages || m.View().UIDNext() != messages+1 {
		t.Fatalf("%d messages, UIDNEXT %d, waiting for %v", m.View().Len(), m.View().UIDNext(), err)
	}
	if b.steps > 30 {
		t.Errorf("%d steps", b.steps)
	}
	var flaggings []Flagging
	for u := mail.UID(1); u <= messages; u++ {
		flaggings = append(flaggings, Flagging{u, Register{mail.FlagSeen, true, cluster.Timestamp{Time: int64(u), Node: 1}}})
	}
	if err := m.SetFlags(flaggings...); err != nil {
		t.Fatal(err)
	}
	b.run(m)
	changed := 0
	m.View().ChangedSince(0, func(e *Entry) bool {
		if len(e.Flags) == 1 {
			changed++
		}
		return true
	})
	if changed != messages || len(m.View().UIDs()) != 1 {
		t.Errorf("%d have a flag, in %d ranges", changed, len(m.View().UIDs()))
	}
	size := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	runtime.KeepAlive(m)
	before := size() // with nothing alive of the first
	m = b.open()
	used := size() - before
	t.Logf("%d messages with a flag each: %.1f MB", m.View().Len(), float64(used)/1e6)
	if used > 14<<20 {
		t.Errorf("a folder of %d messages takes %d octets", m.View().Len(), used)
	}
	runtime.KeepAlive(b)
}

// TestL3_LaneBudgetIsBounded: a replica that is alone gives no more than its budget.
func TestL3_LaneBudgetIsBounded(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	b.set.Lease = [counters]uint32{4, 1 << 10}
	m := b.open()
	m.Arrive(arrivals(0, 3)...)
	b.run(m)
	if got := fmt.Sprint(m.View().UIDs()); got != "[{1 3}]" {
		t.Fatalf("UIDs %s", got)
	}
	b.away = cluster.NewReplicaSet(2, 3)
	m.Arrive(arrivals(3, 4000)...)
	b.run(m)
	if err := m.Waiting(); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("waiting for %v, want kind unavailable", err)
	}
	if n := m.View().Len(); n < 64*4-8 || n > 66*4 {
		t.Errorf("alone, one replica gave numbers to %d messages, want about 65 leases of 4", n)
	}
	b.away = nil
	b.read(m, 2, 3)
	b.run(m)
	if err := m.Waiting(); err != nil || m.View().Len() != 4003 {
		t.Errorf("together again: %d messages, waiting for %v", m.View().Len(), err)
	}
}

// TestL9_SetChange: a minority decides nothing; a majority does, and what the absent one may have granted is skipped.
func TestL9_SetChange(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	b.chunks[4] = map[uint32][]byte{}
	m := b.open()
	m.Arrive(arrivals(0, 3)...)
	b.run(m)
	b.away = cluster.NewReplicaSet(2, 3)
	m.Lost(2)
	m.Lost(3)
	b.read(m, 4)
	if err := m.Propose(cluster.NewReplicaSet(1, 4)); err != nil {
		t.Fatal(err)
	}
	b.run(m)
	if set := m.Set(); set.Version != 1 || m.Waiting() == nil {
		t.Fatalf("a minority decided %v", set)
	}
	b.away = cluster.NewReplicaSet(3)
	b.read(m, 2)
	b.run(m)
	set := m.Set()
	if set.Version != 2 || !set.Nodes().Equal(cluster.NewReplicaSet(1, 4)) || m.Waiting() != nil {
		t.Fatalf("set %v, waiting for %v", set, m.Waiting())
	}
	m.Arrive(arrivals(3, 300)...) // more than is left of the lease
	b.run(m)
	if u, ok := m.View().UID(messageID(302)); !ok || uint64(u) <= set.Floor[UIDs] || set.Floor[UIDs] < set.budget(UIDs) {
		t.Errorf("UID %d, floor %d", u, set.Floor[UIDs])
	}
	request := Request{Kind: AskDense, Set: FirstSet(cluster.NewReplicaSet(1, 2, 3), 1), Upto: 1 << 20}
	if _, reply, err := Decide(1, b.grants[1], &request); err != nil || reply.Verdict != Newer {
		t.Errorf("under the old set: %v, %v", reply.Verdict, err)
	}
}

// TestL12_Renew: a greater UIDVALIDITY, and all messages with their flags.
func TestL12_Renew(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	m := b.open()
	m.Arrive(arrivals(0, 200)...)
	b.run(m)
	if err := m.SetFlags(Flagging{7, Register{"$x", true, cluster.Timestamp{Time: 1, Node: 1}}}); err != nil {
		t.Fatal(err)
	}
	b.run(m)
	m.Expunge(mail.NewUIDSet(1, 2))
	b.run(m)
	old := m.View().Mark()
	m.Renew(9)
	b.run(m)
	v := m.View()
	if v.UIDValidity() != 9 || v.Len() != 198 || v.UIDNext() != 199 || m.Waiting() != nil {
		t.Fatalf("UIDVALIDITY %d, %d messages, UIDNEXT %d, waiting for %v", v.UIDValidity(), v.Len(), v.UIDNext(), m.Waiting())
	}
	u, _ := v.UID(messageID(6))
	if e, ok := v.Get(u); !ok || len(e.Flags) != 1 || v.Continues(old) || !v.Behind(10, 0, 0, nil) {
		t.Errorf("message 6 is %v", e)
	}
	if again := b.open(); again.View().Mark() != v.Mark() || again.View().Len() != 198 {
		t.Errorf("read again: %v, want %v", again.View().Mark(), v.Mark())
	}
}

func TestForget(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	m := b.open()
	m.Arrive(arrivals(0, 10)...)
	b.run(m)
	h := m.View().HighestModSeq()
	m.Expunge(mail.NewUIDSet(3, 4))
	b.run(m)
	if got := fmt.Sprint(m.View().VanishedSince(h, nil)); got != "[{3 4}]" {
		t.Errorf("vanished %s", got)
	}
	m.Forget(m.View().HighestModSeq())
	b.run(m)
	for _, v := range []*View{m.View(), b.open().View()} {
		if got := fmt.Sprint(v.VanishedSince(h, mail.NewUIDSet(1, 2, 3, 4, 50))); got != "[{3 4}]" || v.Len() != 8 {
			t.Errorf("vanished, after it was forgotten: %s; %d messages", got, v.Len())
		}
	}
	late := New(Config{Self: 1, First: b.set})
	b.read(late, 1, 2, 3)
	late.Arrive(Arrival{ID: messageID(20), Stay: cluster.Timestamp{Time: 20}})
	b.run(late)
	if u, _ := late.View().UID(messageID(20)); u < 11 {
		t.Errorf("UID %d", u)
	}
}

// D4: a message that was expunged while nobody could be asked to delete it stays marked, under all of its UIDs, in whatever
// is read later, under another UIDVALIDITY too; it is not forgotten, and never shown.
func TestD4_Condemned(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	m := b.open()
	m.Arrive(arrivals(0, 5)...)
	b.run(m)
	m.Condemn(cluster.Timestamp{Time: 1000, Node: 1}, mail.NewUIDSet(2, 3))
	m.Expunge(mail.NewUIDSet(4))
	b.run(m)
	marks := func(m *Manager) (ids []mail.MessageID) {
		m.Stays(func(s Stay) {
			if want := (cluster.Timestamp{Time: 1000, Node: nobody}); s.Condemned == want && s.Expunged && !s.Live {
				ids = append(ids, s.ID)
			} else if !s.Condemned.IsZero() {
				t.Errorf("%+v", s)
			}
		})
		return ids
	}
	want := []mail.MessageID{messageID(1), messageID(2)}
	check := func(when string, m *Manager, messages int) {
		t.Helper()
		if got := marks(m); !slices.Equal(got, want) || m.View().Len() != messages || m.Waiting() != nil {
			t.Errorf("%s: %x are marked, %d messages are left, waiting for %v", when, got, m.View().Len(), m.Waiting())
		}
	}
	check("at once", m, 2)
	check("read again", b.open(), 2)
	again := b.open()
	again.Arrive(arrivals(0, 5)...)
	b.run(again)
	check("told that they are there", again, 2)
	if upTo, n := again.Old(0); n != 1 {
		t.Errorf("%d ends up to %d can be forgotten", n, upTo)
	} else {
		again.Forget(upTo)
	}
	b.run(again)
	check("when all is forgotten", b.open(), 2)
	again.Renew(9)
	b.run(again)
	check("under another UIDVALIDITY", again, 2)
	again = b.open()
	check("that was read again", again, 2)
	again.Arrive(arrivals(0, 5)...)
	b.run(again)
	check("and told that they are there", again, 3) // nobody knows of the other one
}

// D4: a message got two UIDs on two sides, and was condemned on one of them: the other UID ends with the mark too. Its chunk may
// be all that is written, and an expunged message without a mark counts as deleted.
func TestD4_CondemnedOnOneSide(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	one, other := b.open(), b.open()
	b.away = cluster.NewReplicaSet(2, 3)
	one.Arrive(arrivals(0, 1)...)
	b.run(one)
	b.away = cluster.NewReplicaSet(1)
	other.Arrive(arrivals(0, 1)...)
	b.run(other)
	b.away = cluster.NewReplicaSet(2, 3)
	one.Condemn(cluster.Timestamp{Time: 1000, Node: 1}, mail.NewUIDSet(one.View().UIDNext()-1))
	b.run(one)
	b.away = cluster.ReplicaSet{}
	b.read(one, 2, 3)
	b.run(one)
	uids := 0
	b.open().Stays(func(s Stay) {
		uids++
		if !s.Expunged || s.Condemned.Time != 1000 {
			t.Errorf("%+v, want it expunged and marked", s)
		}
	})
	if uids != 2 || one.View().Len() != 0 {
		t.Errorf("%d UIDs, %d messages shown; want 2 and none", uids, one.View().Len())
	}
}

// D4: a mark that is carried on under another UIDVALIDITY is not lost because the message departs at the same time.
func TestD4_CondemnedDepartsWhileRenewed(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	m := b.open()
	m.Arrive(arrivals(0, 2)...)
	b.run(m)
	m.Condemn(cluster.Timestamp{Time: 1000, Node: 1}, mail.NewUIDSet(1))
	b.run(m)
	m.Renew(9)
	m.Depart(Departure{ID: messageID(0), Deleted: true})
	b.run(m)
	marks := 0
	b.open().Stays(func(s Stay) {
		if !s.Condemned.IsZero() && s.ID == messageID(0) {
			marks++
		}
	})
	if marks != 1 || m.View().Len() != 1 || m.View().UIDValidity() != 9 {
		t.Errorf("%d marks, %d messages under UIDVALIDITY %d", marks, m.View().Len(), m.View().UIDValidity())
	}
}

// L12: when a majority of the replicas is lost for good, what is left goes on under another UIDVALIDITY, with its flags and marks; what
// comes back from before does not bring its set back.
func TestL12_Restart(t *testing.T) {
	b := newBench(t, 1, 2, 3)
	m := b.open()
	m.Arrive(arrivals(0, 5)...)
	b.run(m)
	if err := m.SetFlags(Flagging{2, Register{Flag: mail.FlagSeen, On: true, Stamp: cluster.Timestamp{Time: 50}}}); err != nil {
		t.Fatal(err)
	}
	m.Condemn(cluster.Timestamp{Time: 60, Node: 1}, mail.NewUIDSet(5))
	b.run(m)
	b.away = cluster.NewReplicaSet(1, 2)
	b.chunks[4] = map[uint32][]byte{}
	left := New(Config{Self: 100, First: b.set})
	b.read(left, 3, 4)
	if err := left.Restart(cluster.NewReplicaSet(3, 4), 1); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("under the same UIDVALIDITY: %v", err)
	}
	if err := left.Restart(cluster.NewReplicaSet(3, 4), 8); err != nil {
		t.Fatal(err)
	}
	left.Arrive(arrivals(0, 5)...)
	left.Arrive(arrivals(7, 1)...)
	b.run(left)
	check := func(when string, m *Manager) {
		t.Helper()
		v, set := m.View(), m.Set()
		if v.UIDValidity() != 8 || v.Len() != 5 || m.Waiting() != nil || !set.Nodes().Equal(cluster.NewReplicaSet(3, 4)) {
			t.Fatalf("%s: UIDVALIDITY %d, %d messages, on %v, waiting for %v", when, v.UIDValidity(), v.Len(), set.Nodes(), m.Waiting())
		}
		u, _ := v.UID(messageID(1))
		if e, ok := v.Get(u); !ok || len(e.Flags) != 1 {
			t.Errorf("%s: message 1 is %v", when, e)
		}
	}
	check("at once", left)
	b.away = nil
	again := New(Config{Self: 100, First: b.set})
	b.read(again, 1, 2, 3, 4)
	b.run(again)
	check("when the others are back", again)
}

// D4: a departure ends the stays before it, and no later one, whether that has a UID or waits for one.
func TestD4_DepartureEndsNoLaterStay(t *testing.T) {
	b := newBench(t, 1)
	m := b.open()
	at := func(n int64) cluster.Timestamp { return cluster.Timestamp{Time: n, Node: 1} }
	m.Arrive(Arrival{ID: messageID(1), Stay: at(50)}, Arrival{ID: messageID(2), Stay: at(10)})
	b.run(m)
	m.Depart(Departure{ID: messageID(1), Stay: at(30)}, Departure{ID: messageID(2), Stay: at(30)})
	m.Arrive(Arrival{ID: messageID(3), Stay: at(50)})
	m.Depart(Departure{ID: messageID(3), Stay: at(30)})
	b.run(m)
	for id, want := range map[int]mail.UID{1: 1, 2: 0, 3: 3} {
		if u, _ := m.View().UID(messageID(id)); u != want {
			t.Errorf("message %d has UID %d, want %d", id, u, want)
		}
	}
}
