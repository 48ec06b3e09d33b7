package uidledger

import (
	"errors"
	"fmt"
	"runtime"
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
			continue
		}
		m.Written(b.write(step))
	}
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
		t.Errorf("a flag more than allowed: %v", err)
	}
}
