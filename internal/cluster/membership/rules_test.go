package membership_test

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/usermap"
)

// Rules of the protocol that other mechanisms would cover up in a larger test, one by one.

// proposal makes round 1 of a member.
func proposal(n *node, from cluster.NodeID, counter uint64) membership.Message {
	v := n.core.View()
	return membership.Message{
		Kind: membership.KindNewGroup, From: cluster.Endpoint{ID: from, Addr: addrOf(from)}, Installed: v.Epoch, Yours: v.Epoch,
		Size: len(v.Members), Member: true, Epoch: cluster.Epoch{Counter: counter, Coordinator: from},
	}
}

// A promise holds against views too: else the Since that the larger proposal's coordinator
// computed from the reply would be wrong.
func TestRule_PromiseRefusesSmallerView(t *testing.T) {
	w := settled(t, 1, 3)
	n := w.nodes[1]
	next := n.view.Epoch.Counter + 1
	for i, from := range []cluster.NodeID{2, 3} {
		out := n.core.Step(w.now, proposal(n, from, next+uint64(i)))
		if len(out.Send) != 1 || out.Send[0].Message.Kind != membership.KindReply {
			t.Fatalf("proposal of %s: %v, want a reply", name(from), out.Send)
		}
	}
	m := proposal(n, 2, next)
	m.Kind = membership.KindView
	m.View = &cluster.View{Epoch: m.Epoch, Members: n.view.Members, Map: usermap.Assign(n.view.Map, n.view.Members, m.Epoch)}
	out := n.core.Step(w.now, m)
	if out.View != nil || len(out.Send) != 1 || out.Send[0].Message.Kind != membership.KindReject {
		t.Errorf("a view below the promise: view %v, messages %v; want it refused", out.View, out.Send)
	}
	m = proposal(n, 3, next+1)
	m.Kind = membership.KindView
	m.View = &cluster.View{Epoch: m.Epoch, Members: n.view.Members, Map: usermap.Assign(n.view.Map, n.view.Members, m.Epoch)}
	if out = n.core.Step(w.now, m); out.View != m.View {
		t.Errorf("the promised view: %v; want it installed", out.Send)
	}
}

// A proposal that is not meant for this group is refused: its epoch is another, and neither side
// lags behind. So a node between two halves is not torn to and fro.
func TestRule_OverheardProposalIsRefused(t *testing.T) {
	w := settled(t, 1, 3)
	n := w.nodes[1]
	mine := n.view.Epoch
	other := cluster.Epoch{Counter: mine.Counter + 7, Coordinator: 9}
	older := cluster.Epoch{Counter: mine.Counter - 1, Coordinator: 9}
	for _, c := range []struct {
		name             string
		from             cluster.NodeID
		installed, yours cluster.Epoch
		member           bool
		want             membership.Kind
	}{
		{"stranger, no agreement", 9, other, other, false, membership.KindReject},
		{"stranger, agreement of another epoch", 9, other, older, false, membership.KindReject},
		{"stranger that takes us for a member, older", 9, older, older, true, membership.KindReject},
		{"member that left for another group", 2, other, other, false, membership.KindReject},
		{"stranger, agreement of our epoch", 9, other, mine, false, membership.KindReply},
		{"member in our epoch", 2, mine, mine, true, membership.KindReply},
		{"member that lags", 2, older, older, true, membership.KindReply},
		{"we lag", 9, other, other, true, membership.KindReply},
	} {
		m := proposal(n, c.from, mine.Counter+100)
		m.Installed, m.Yours, m.Member = c.installed, c.yours, c.member
		fresh := settled(t, 1, 3)
		out := fresh.nodes[1].core.Step(fresh.now, m)
		if len(out.Send) != 1 || out.Send[0].Message.Kind != c.want {
			t.Errorf("%s: %v, want %v", c.name, out.Send, c.want)
		}
	}
}

// A node that answers round 1 but never gets the view (its link carries small messages only)
// is left out of the next view, and does not flap.
func TestRule_SilenceInRound3(t *testing.T) {
	w := settled(t, 1, 4)
	w.drop = func(to cluster.NodeID, m membership.Message) bool { return to == 3 && m.Kind == membership.KindView }
	w.crash(2)
	most := w.installsSince(func() { w.run(3500 * time.Millisecond) })
	if v := w.nodes[1].view; v.Contains(3) || !v.Contains(4) || most > 3 {
		t.Errorf("members %v after %d epochs, want a and d", v.IDs(), most)
	}
	w.run(2 * time.Minute)
	if most = w.installsSince(func() { w.run(10 * time.Minute) }); most > 30 {
		t.Errorf("%d epochs in ten minutes, want at most 30", most)
	}
	w.drop = nil
	if d, ok := w.settle(1, 80*time.Second); !ok {
		t.Errorf("no single group after %v", d)
	}
	w.check(t)
}

// A pong answers one ping; a copy that comes late proves nothing.
func TestRule_StalePongsDoNotCount(t *testing.T) {
	w := settled(t, 1, 3)
	var pong membership.Message
	w.drop = func(to cluster.NodeID, m membership.Message) bool {
		if to == 1 && m.Kind == membership.KindPong {
			pong = m
		}
		return false
	}
	w.run(time.Second)
	w.drop = nil
	w.crash(2)
	for range 20 {
		w.obey(w.nodes[1], w.nodes[1].core.Step(w.now, pong))
		w.run(100 * time.Millisecond)
	}
	if w.nodes[1].view.Contains(2) {
		t.Error("old pongs kept a dead node in the view")
	}
}

// A coordinator that meets a promise whose coordinator is gone goes above it at once.
func TestRule_GoesAboveADeadPromise(t *testing.T) {
	w := settled(t, 1, 5)
	n := w.nodes[2]
	out := n.core.Step(w.now, proposal(n, 3, n.view.Epoch.Counter+50))
	out.Send = nil // its coordinator never hears of it, nor does anybody else
	w.obey(n, out)
	w.run(5 * time.Second) // the promise grows old
	w.crash(5)
	if d, ok := w.settle(1, 5*time.Second); !ok || d > 2*time.Second {
		t.Errorf("single group after %v, want at most 2s", d)
	}
	if v := w.nodes[2].view; len(v.Members) != 4 || v.Epoch.Counter <= 50 {
		t.Errorf("epoch %v with members %v, want four members above the old promise", v.Epoch, v.IDs())
	}
	w.check(t)
}

// A coordinator that is killed and started again in the middle of its round tells so by its epoch:
// those who promised need not wait for their timeout.
func TestRule_RestartedCoordinatorVoidsThePromise(t *testing.T) {
	w := settled(t, 1, 5)
	w.drop = func(_ cluster.NodeID, m membership.Message) bool { return m.Kind == membership.KindReply }
	w.crash(5)
	w.run(1500 * time.Millisecond)
	w.drop = nil
	if got := w.nodes[4].disk.Promised; got == w.nodes[4].view.Epoch {
		t.Fatal("d is not in the middle of a round")
	}
	w.crash(4)
	w.boot(4)
	if d, ok := w.settle(1, 10*time.Second); !ok || d > 1500*time.Millisecond {
		t.Errorf("single group %v after the restart, want at most 1.5s", d)
	}
	w.check(t)
}

// Of two groups that find each other one merges and the other lets itself be merged.
func TestRule_TheLargerGroupMerges(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := settled(t, seed, 7)
		w.split(nodesFrom(1, 2), nodesFrom(3, 7), true)
		w.run(5 * time.Second)
		since, _ := w.nodes[5].view.Member(5)
		clear(w.cut)
		if _, ok := w.settle(1, 10*time.Second); !ok {
			t.Fatalf("seed %d: no single group", seed)
		}
		v := w.nodes[1].view
		if got, _ := v.Member(5); v.Epoch.Coordinator < 3 || got.Since != since.Since {
			t.Errorf("seed %d: coordinator %s, since of e %v; want one of the larger half, and %v", seed, name(v.Epoch.Coordinator), got.Since, since.Since)
		}
	}
}

// The smaller of two groups does not start the merger, even if the larger one answers its probe.
func TestRule_TheSmallerGroupWaits(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int
		epoch cluster.Epoch
		want  bool
	}{
		{"larger group", 5, cluster.Epoch{Counter: 1, Coordinator: 2}, false},
		{"as large, larger epoch", 1, cluster.Epoch{Counter: 9, Coordinator: 2}, false},
		{"as large, smaller epoch", 1, cluster.Epoch{Counter: 1, Coordinator: 2}, true},
	} {
		w := newWorld(1)
		w.boot(3)
		core := w.nodes[3].core
		out := core.AddPeer(w.now, addrOf(2))
		from := cluster.Endpoint{ID: 2, Addr: addrOf(2)}
		core.Step(w.now, membership.Message{
			Kind: membership.KindProbeAck, From: from, Installed: c.epoch, Size: c.size, Nonce: out.Send[0].Message.Nonce, Coordinator: from,
			Members: []membership.Contact{{Known: cluster.Known{Endpoint: from}, Heard: c.epoch}},
		})
		asked := false
		for _, env := range core.Tick(w.now.Add(300 * time.Millisecond)).Send {
			asked = asked || env.Message.Kind == membership.KindNewGroup
		}
		if asked != c.want {
			t.Errorf("%s: round 1 sent: %v, want %v", c.name, asked, c.want)
		}
	}
}
