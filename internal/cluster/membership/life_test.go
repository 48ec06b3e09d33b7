package membership_test

import (
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
)

// saw reports whether an output has an event of that kind.
func saw(out membership.Output, kind membership.EventKind) bool {
	return slices.ContainsFunc(out.Events, func(e membership.Event) bool { return e.Kind == kind })
}

// struck runs until a node is struck at all that are running, at most d.
func (w *world) struck(id cluster.NodeID, d time.Duration) bool {
	for end := w.now.Add(d); w.now.Before(end); w.run(100 * time.Millisecond) {
		all := true
		for _, n := range w.live() {
			all = all && slices.Contains(n.core.Struck(), id)
		}
		if all {
			return true
		}
	}
	return false
}

// A node that is struck is refused for ever: after restarts of all, from any side, by any message.
func TestRule_StruckIsFinal(t *testing.T) {
	w := settled(t, 1, 4)
	w.stand = func(n *node) bool { return n.id == 4 }
	w.crash(4)
	w.run(3 * time.Second)
	out, err := w.nodes[1].core.Forget(w.now, 4)
	if err != nil {
		t.Fatal(err)
	}
	w.obey(w.nodes[1], out)
	if !w.struck(4, 5*time.Second) {
		t.Fatal("not struck everywhere")
	}
	for _, id := range nodesFrom(1, 3) {
		w.crash(id)
		w.boot(id, 1)
	}
	for range 3 {
		w.boot(4, 1, 2, 3)
		w.run(5 * time.Second)
		if n := w.nodes[4]; n.running || n.refused != membership.RefusalStruck {
			t.Fatalf("the struck node runs: %v, refused: %v", n.running, n.refused)
		}
	}
	if v := w.nodes[1].view; len(v.Members) != 3 || v.Contains(4) {
		t.Errorf("members %v, want a b c", v.IDs())
	}
	m := proposal(w.nodes[1], 4, 1<<40)
	for kind := membership.KindPing; kind <= membership.KindViewRequest; kind++ {
		m.Kind = kind
		out := w.nodes[1].core.Step(w.now, m)
		if out.View != nil || len(out.Send) > 1 || len(out.Send) == 1 && out.Send[0].Message.Why != membership.RefusalStruck {
			t.Errorf("%v of a struck node: %v, view %v; want it refused", kind, out.Send, out.View != nil)
		}
	}
	w.check(t)
}

// A member that one side of a partition struck is out once the sides meet, and hears why.
func TestRule_StruckOnTheOtherSide(t *testing.T) {
	w := settled(t, 2, 5)
	w.stand = func(n *node) bool { return n.id == 5 }
	w.split(nodesFrom(1, 2), nodesFrom(3, 5), true)
	w.run(4 * time.Second)
	out, err := w.nodes[1].core.Forget(w.now, 5)
	if err != nil {
		t.Fatal(err)
	}
	w.obey(w.nodes[1], out)
	w.run(2 * time.Second)
	clear(w.cut)
	if !w.struck(5, 20*time.Second) {
		t.Error("not struck everywhere")
	}
	if d, ok := w.settle(1, 30*time.Second); !ok || len(w.nodes[1].view.Members) != 4 || w.nodes[5].refused != membership.RefusalStruck {
		t.Errorf("after %v: members %v, e refused as %v; want four members, and e struck", d, w.nodes[1].view.IDs(), w.nodes[5].refused)
	}
	w.check(t)
}

// Two sides that have struck each other do not both end: the smaller one does.
func TestRule_MutualStrikesEndOneSide(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := settled(t, seed, 5)
		w.stand = func(n *node) bool { return n.id <= 2 }
		w.split(nodesFrom(1, 2), nodesFrom(3, 5), true)
		w.run(4 * time.Second)
		forget := func(by cluster.NodeID, ids []cluster.NodeID) {
			for _, id := range ids {
				out, err := w.nodes[by].core.Forget(w.now, id)
				if err != nil {
					t.Fatal(err)
				}
				w.obey(w.nodes[by], out)
				w.run(time.Second)
			}
		}
		forget(1, nodesFrom(3, 5))
		forget(3, nodesFrom(1, 2))
		clear(w.cut)
		for _, id := range nodesFrom(1, 2) { // an address from the configuration leads across
			w.obey(w.nodes[id], w.nodes[id].core.AddPeer(w.now, addrOf(3)))
		}
		w.run(30 * time.Second)
		for _, id := range nodesFrom(1, 5) {
			if w.nodes[id].running != (id >= 3) {
				t.Errorf("seed %d: %s runs: %v, refused %v", seed, name(id), w.nodes[id].running, w.nodes[id].refused)
			}
		}
		w.check(t)
	}
}

// A message that was late on the network, of a process that is no more, changes nothing and alarms
// nobody; and a refusal for that process does not touch its successor.
func TestRule_LateMessagesOfAnEarlierProcess(t *testing.T) {
	w := settled(t, 1, 3)
	var late []membership.Message
	w.drop = func(to cluster.NodeID, m membership.Message) bool {
		if m.From.ID == 3 && to == 1 {
			late = append(late, m)
		}
		return false
	}
	w.run(2 * time.Second)
	w.crash(3)
	w.run(3 * time.Second)
	w.drop = nil
	w.boot(3, 1)
	w.run(5 * time.Second)
	if len(late) == 0 {
		t.Fatal("no messages caught")
	}
	before := w.nodes[1].view.Epoch
	for _, m := range late {
		out := w.nodes[1].core.Step(w.now, m)
		if len(out.Events) != 0 || out.View != nil {
			t.Errorf("%v of an earlier process: events %v, want none", m.Kind, out.Events)
		}
		w.obey(w.nodes[1], out)
	}
	w.run(5 * time.Second)
	if n := w.nodes[3]; !n.running || w.nodes[1].view.Epoch != before {
		t.Errorf("c runs: %v; epoch %v, before %v", n.running, w.nodes[1].view.Epoch, before)
	}
	w.check(t)
}

// A process that was stopped for long has the boot number and the nonce that it had: it is no copy.
func TestRule_PausedProcessIsInGoodStanding(t *testing.T) {
	w := settled(t, 4, 4)
	w.pause(2)
	w.run(30 * time.Second)
	w.resume(2)
	if d, ok := w.settle(1, 20*time.Second); !ok {
		t.Errorf("no single group after %v", d)
	}
	w.check(t)
}

// A copy that is started while the node runs is told to end; the node and its group do not notice,
// however often that is done and whatever the copy says.
func TestRule_TwinDisturbsNobody(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := settled(t, seed, 4)
		w.stand = func(n *node) bool { return n != w.nodes[n.id] }
		w.copies[2] = w.nodes[2].disk
		w.crash(2)
		w.boot(2, 1)
		w.run(5 * time.Second)
		if seed%2 == 0 {
			w.copies[2] = w.nodes[2].disk // as new as can be
		}
		most := w.installsSince(func() {
			for range 5 {
				twin := w.twin(2, 1, 2, 3)
				w.run(3 * time.Second)
				if twin.running || twin.refused != membership.RefusalTwin {
					t.Errorf("seed %d: the twin runs: %v, refused as %v", seed, twin.running, twin.refused)
				}
				w.copies[2] = twin.disk
			}
		})
		if most != 0 || !w.nodes[2].running {
			t.Errorf("seed %d: %d epochs; b runs: %v", seed, most, w.nodes[2].running)
		}
		w.check(t)
	}
}

// A copy of a data directory is found out however often it was started before anybody heard of it.
func TestRule_RolledBackIsFoundAfterManyStarts(t *testing.T) {
	for starts := range 8 {
		w := settled(t, uint64(starts), 3)
		w.stand = func(n *node) bool { return n.id == 3 }
		old := w.nodes[3].disk
		w.crash(3)
		w.run(3 * time.Second)
		w.boot(3, 1)
		w.run(5 * time.Second)
		w.crash(3)
		w.run(3 * time.Second)
		n := w.nodes[3]
		n.disk, n.last, n.view = old, cluster.Epoch{}, nil
		w.split([]cluster.NodeID{3}, nodesFrom(1, 2), true)
		for range starts {
			w.boot(3)
			w.run(100 * time.Millisecond)
			w.crash(3)
		}
		clear(w.cut)
		w.boot(3)
		w.run(5 * time.Second)
		if n.running || n.refused != membership.RefusalRolledBack {
			t.Errorf("%d starts: the copy runs: %v, refused as %v", starts, n.running, n.refused)
		}
		w.check(t)
	}
}

// The boot number is durable BEFORE the first message, and counts.
func TestRule_BootNumberIsDurableFirst(t *testing.T) {
	w := settled(t, 1, 2)
	boot := w.nodes[2].disk.Boot
	w.crash(2)
	n := w.nodes[2]
	w.boot(2)
	if n.disk.Boot != boot+1 {
		t.Errorf("boot number %d after %d", n.disk.Boot, boot)
	}
	w.check(t)
}

// Nobody ends because of a message that is not for it: another process's refusal, or the word of a
// stranger in a smaller group.
func TestRule_RefusalsThatDoNotCount(t *testing.T) {
	w := settled(t, 1, 3)
	n := w.nodes[1]
	var own membership.Message
	w.drop = func(_ cluster.NodeID, m membership.Message) bool {
		if m.From.ID == 1 {
			own = m
		}
		return false
	}
	w.run(time.Second)
	for _, c := range []struct {
		name string
		from cluster.NodeID
		size int
		to   uint64
	}{
		{"for another process", 2, 3, own.Process + 1},
		{"for no process", 2, 3, 0},
		{"of a stranger alone", 9, 1, own.Process},
	} {
		m := membership.Message{
			Kind: membership.KindReject, From: cluster.Endpoint{ID: c.from, Addr: addrOf(c.from)}, Installed: n.view.Epoch, Size: c.size,
			Why: membership.RefusalStruck, Refused: c.to,
		}
		if out := n.core.Step(w.now, m); out.Refused != membership.RefusalNone || len(out.Events) != 0 {
			t.Errorf("%s: refused as %v, events %v; want nothing", c.name, out.Refused, out.Events)
		}
	}
	m := membership.Message{
		Kind: membership.KindReject, From: cluster.Endpoint{ID: 2, Addr: addrOf(2)}, Installed: n.view.Epoch, Size: 2,
		Why: membership.RefusalStruck, Refused: own.Process,
	}
	out := n.core.Step(w.now, m)
	if out.Refused != membership.RefusalStruck || !out.Left || !saw(out, membership.EventStruck) ||
		len(out.Send) != 1 || out.Send[0].Message.Kind != membership.KindExpelled {
		t.Errorf("a refusal that counts: %+v", out)
	}
	if out := n.core.Tick(w.now.Add(time.Hour)); len(out.Send) != 0 || len(out.Events) != 0 {
		t.Errorf("after the end it goes on: %v %v", out.Send, out.Events)
	}
}

// A copy that was made while the node ran, and put back with no start and no change of view in between,
// is found out by what the node told of its disk: at once or after the others have noticed that it was
// away, after they have been started again, and however often it was started alone before.
func TestRule_RolledBackWithoutAStart(t *testing.T) {
	cases := []struct {
		name   string
		away   time.Duration
		reboot bool // of the others
		alone  int  // starts before the others hear of it
	}{
		{name: "at once"},
		{name: "after a change of view", away: 3 * time.Second},
		{name: "after a start of the others", away: 3 * time.Second, reboot: true},
		{name: "after starts alone", away: 3 * time.Second, alone: 3},
	}
	for _, c := range cases {
		for size := cluster.NodeID(2); size <= 5; size++ {
			w := settled(t, uint64(size), size)
			w.stand = func(n *node) bool { return n.id == size }
			n := w.nodes[size]
			old, seq, boot := n.disk, n.seq, n.disk.Boot
			w.run(time.Second)
			for range 5 {
				n.commit()
				w.run(time.Second)
			}
			if n.disk.Boot != boot || n.disk.Last != old.Last {
				t.Fatalf("%s, %d nodes: the directory has changed otherwise", c.name, size)
			}
			w.crash(size)
			w.run(c.away)
			if c.reboot {
				for _, id := range nodesFrom(1, size-1) {
					w.crash(id)
					w.boot(id, 1)
				}
				w.run(time.Second)
			}
			n.disk, n.seq, n.last, n.view = old, seq, cluster.Epoch{}, nil
			w.split(nodesFrom(1, size-1), []cluster.NodeID{size}, true)
			for range c.alone {
				w.boot(size, 1)
				w.run(10 * time.Millisecond)
				w.crash(size)
			}
			clear(w.cut)
			w.boot(size, 1)
			w.run(5 * time.Second)
			if n.running || n.refused != membership.RefusalRolledBack {
				t.Errorf("%s, %d nodes: the copy runs: %v, refused as %v", c.name, size, n.running, n.refused)
			}
			w.check(t)
		}
	}
}

// What a crash may lose was never told: a node that lost it is in good standing, as is one that was
// started alone, again and again.
func TestRule_CrashIsNoRollback(t *testing.T) {
	for _, away := range []time.Duration{0, 3 * time.Second} {
		w := settled(t, 7, 4)
		n := w.nodes[4]
		for range 3 {
			n.commit()
			w.run(time.Second)
			durable := n.seq
			n.seq += 100 // not synced, so the core does not hear of it
			w.run(time.Second)
			w.crash(4)
			n.seq = durable
			w.run(away)
			w.split(nodesFrom(1, 3), []cluster.NodeID{4}, true)
			for range 3 {
				w.boot(4, 1)
				n.commit()
				w.run(300 * time.Millisecond)
				w.crash(4)
			}
			clear(w.cut)
			w.boot(4, 1)
			if _, ok := w.settle(1, 20*time.Second); !ok {
				t.Fatalf("away for %v: no single group; refused as %v", away, n.refused)
			}
		}
		w.check(t)
	}
}

// A node of a version that tells no number is taken in as before.
func TestRule_NoNumberIsNoRollback(t *testing.T) {
	w := settled(t, 8, 3)
	w.run(2 * time.Second)
	w.crash(3)
	w.nodes[3].seq = 0
	w.run(3 * time.Second)
	w.boot(3, 1)
	if _, ok := w.settle(1, 20*time.Second); !ok {
		t.Errorf("no single group; refused as %v", w.nodes[3].refused)
	}
	w.check(t)
}
