package membership_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/usermap"
)

// One test for each claim of the paper on membership (§4.2) and on the user map within it.

// "Any node that notices a change becomes coordinator": whichever node dies, its predecessor
// runs the rounds.
func TestPaper42_AnyNodeMayCoordinate(t *testing.T) {
	for id := cluster.NodeID(1); id <= 4; id++ {
		w := settled(t, 1, 4)
		w.crash(id)
		w.run(3 * time.Second)
		want := id - 1
		if want == 0 {
			want = 4
		}
		for _, n := range w.live() {
			if got := n.view.Epoch.Coordinator; got != want {
				t.Errorf("after the death of %s: coordinator %s, want %s", name(id), name(got), name(want))
			}
		}
	}
}

// "Each node pings the node with the next higher address, the largest the smallest."
func TestPaper42_RingPing(t *testing.T) {
	w := settled(t, 1, 3)
	for id := cluster.NodeID(1); id <= 3; id++ {
		out := w.nodes[id].core.Tick(w.now.Add(250 * time.Millisecond))
		var to []cluster.NodeID
		for _, env := range out.Send {
			if env.Message.Kind == membership.KindPing {
				to = append(to, env.To.ID)
			}
		}
		if want := id%3 + 1; !slices.Equal(to, []cluster.NodeID{want}) {
			t.Errorf("%s pings %v, want %s", name(id), to, name(want))
		}
	}
}

// "After several unanswered pings": fewer than PingMissesDoubt + DoubtMissesMax change nothing.
func TestPaper42_SeveralPingsMustFail(t *testing.T) {
	w := settled(t, 1, 3)
	w.split(nodesFrom(1, 1), nodesFrom(2, 2), true)
	most := w.installsSince(func() {
		w.run(900 * time.Millisecond)
		clear(w.cut)
		w.run(10 * time.Second)
	})
	if most != 0 {
		t.Errorf("%d views installed after 900ms of silence, want none", most)
	}
}

// "Timeouts of ordinary RPCs" are a sign of failure too.
func TestPaper42_CallTimeoutIsNoticed(t *testing.T) {
	w := settled(t, 1, 5)
	w.crash(3)
	w.obey(w.nodes[5], w.nodes[5].core.Suspect(w.now, 3))
	w.run(time.Second)
	if got := w.nodes[5].view; got.Epoch.Coordinator != 5 || got.Contains(3) {
		t.Errorf("view %v with members %v; want coordinator e and no c", got.Epoch, got.IDs())
	}
}

// Round 1: "a proposed epoch id from its Lamport clock", above all that the coordinator heard of.
func TestPaper42_Round1_LamportClock(t *testing.T) {
	w := settled(t, 1, 3)
	n := w.nodes[1]
	stranger := cluster.Endpoint{ID: 9, Addr: addrOf(9)}
	heard := cluster.Epoch{Counter: 1000, Coordinator: 9}
	w.obey(n, n.core.Step(w.now, membership.Message{Kind: membership.KindProbe, From: stranger, Installed: heard, Size: 1, Nonce: 1}))
	w.crash(2)
	w.run(3 * time.Second)
	if got := n.view.Epoch; got.Counter <= 1000 {
		t.Errorf("epoch %v after 1000 was heard of; want a larger counter", got)
	}
}

// Round 2: "members are those who replied" before the timeout.
func TestPaper42_Round2_MembersAreThoseWhoReplied(t *testing.T) {
	w := settled(t, 1, 6)
	w.crash(2)
	w.crash(4)
	w.crash(6)
	w.run(4 * time.Second)
	for _, n := range w.live() {
		if got := n.view.IDs(); !slices.Equal(got, []cluster.NodeID{1, 3, 5}) {
			t.Errorf("%s has members %v, want a c e", name(n.id), got)
		}
	}
}

// Round 3: "membership list, epoch id and the complete user map", the same on all.
func TestPaper42_Round3_AllInstallTheSame(t *testing.T) {
	w := settled(t, 1, 6)
	for _, n := range w.live() {
		if first := w.nodes[1].view; n.view.Epoch != first.Epoch || !slices.Equal(n.view.Map, first.Map) || len(n.view.Map) != cluster.BucketCount {
			t.Errorf("%s has another view than a", name(n.id))
		}
	}
	w.check(t)
}

// "Several coordinators at once: the largest epoch wins, losers give up."
func TestPaper42_LargestProposalWins(t *testing.T) {
	w := settled(t, 1, 6)
	n := w.nodes[1]
	old := n.view.Epoch
	var durable cluster.Epoch
	propose := func(from cluster.NodeID, counter uint64) membership.Kind {
		out := n.core.Step(w.now, membership.Message{
			Kind: membership.KindNewGroup, From: cluster.Endpoint{ID: from, Addr: addrOf(from)}, Installed: old, Size: 6, Member: true,
			Epoch: cluster.Epoch{Counter: counter, Coordinator: from}, Yours: old,
		})
		if len(out.Send) != 1 {
			t.Fatalf("%d messages, want 1", len(out.Send))
		}
		if out.Persist != nil {
			durable = out.Persist.Promised
		}
		if out.Send[0].Message.Kind == membership.KindReply && durable.Coordinator != from {
			t.Errorf("a promise to %s that is not made durable", name(from))
		}
		return out.Send[0].Message.Kind
	}
	for _, c := range []struct {
		from    cluster.NodeID
		counter uint64
		want    membership.Kind
	}{
		{3, old.Counter + 1, membership.KindReply},
		{2, old.Counter + 1, membership.KindReject}, // smaller id
		{5, old.Counter + 1, membership.KindReply},  // larger id
		{3, old.Counter + 1, membership.KindReject},
		{5, old.Counter + 1, membership.KindReply}, // repeated
		{2, old.Counter + 2, membership.KindReply}, // larger counter
		{6, old.Counter + 1, membership.KindReject},
	} {
		if got := propose(c.from, c.counter); got != c.want {
			t.Errorf("proposal %d.%s: %v, want %v", c.counter, name(c.from), got, c.want)
		}
	}
}

// Two coordinators at once end in one view, whatever the timing.
func TestPaper42_LosersGiveUp(t *testing.T) {
	for seed := uint64(1); seed <= 30; seed++ {
		w := settled(t, seed, 8)
		for _, id := range []cluster.NodeID{2, 5, 8} {
			w.crash(id)
		}
		if d, ok := w.settle(1, 6*time.Second); !ok {
			t.Errorf("seed %d: no single group after %v", seed, d)
		}
		w.check(t)
	}
}

// "The coordinator periodically broadcasts probes": nobody else does.
func TestPaper42_OnlyTheCoordinatorProbes(t *testing.T) {
	w := settled(t, 1, 4)
	w.crash(2)
	w.run(4 * time.Second)
	w.watchOn = true
	probers := map[string]bool{}
	w.trace = func(format string, args ...any) {
		if len(args) == 3 && args[2] == membership.KindProbe {
			probers[args[0].(string)] = true
		}
	}
	w.run(20 * time.Second)
	if len(probers) != 1 || !probers["a"] {
		t.Errorf("probes came from %v, want them from a alone, who found out about b", probers)
	}
}

// "A booting node is the coordinator of a group of one; its probe is its request to join."
func TestPaper42_BootIsAGroupOfOne(t *testing.T) {
	w := settled(t, 1, 3)
	before := w.nodes[1].installs
	w.boot(4, 2)
	if v := w.nodes[4].view; len(v.Members) != 1 || v.Manager(7) != 4 {
		t.Errorf("a fresh node has members %v, want itself alone with all buckets", v.IDs())
	}
	w.run(2 * time.Second)
	if v := w.nodes[1].view; !v.Contains(4) || w.nodes[1].installs != before+1 {
		t.Errorf("members %v after %d views, want d in after one", v.IDs(), w.nodes[1].installs-before)
	}
}

// "Partition: several groups live side by side", and merge when a probe comes through; the new
// epoch is above the epochs of both.
func TestPaper42_PartitionsLiveAndMerge(t *testing.T) {
	w := settled(t, 1, 6)
	w.split(nodesFrom(1, 3), nodesFrom(4, 6), true)
	w.run(5 * time.Second)
	if got := w.components(); got != 2 {
		t.Fatalf("%d groups in the partition, want 2", got)
	}
	left, right := w.nodes[1].view.Epoch, w.nodes[4].view.Epoch
	clear(w.cut)
	if d, ok := w.settle(1, 10*time.Second); !ok {
		t.Fatalf("no merger within %v of the heal", d)
	}
	if got := w.nodes[1].view.Epoch; !left.Less(got) || !right.Less(got) {
		t.Errorf("merged epoch %v, want it above %v and %v", got, left, right)
	}
	w.check(t)
}

// User map: "buckets of live managers stay; those of the dead are handed out", with the new epoch.
func TestPaper42_UserMapOnlyBucketsOfTheDeadMove(t *testing.T) {
	w := settled(t, 1, 8)
	old := w.nodes[1].view
	w.crash(3)
	w.crash(7)
	w.settle(1, 5*time.Second)
	v := w.nodes[1].view
	for b, a := range v.Map {
		before := old.Map[b]
		dead := before.Manager == 3 || before.Manager == 7
		if !dead && a != before {
			t.Fatalf("bucket %d of a live manager changed from %v to %v", b, before, a)
		}
		if dead && !old.Epoch.Less(a.Epoch) {
			t.Fatalf("bucket %d of a dead manager has the old epoch %v", b, a.Epoch)
		}
	}
	w.check(t)
}

// Ours: the base is the largest view, so a fresh node that happens to coordinate, or a zombie with
// a long list, reshuffles nothing.
func TestPaper42_BaseIsTheLargestView(t *testing.T) {
	w := settled(t, 1, 4)
	w.pause(4)
	w.run(5 * time.Second)
	since := map[cluster.NodeID]cluster.Epoch{}
	for _, m := range w.nodes[1].view.Members {
		since[m.ID] = m.Since
	}
	w.resume(4)
	w.run(5 * time.Second)
	v := w.nodes[1].view
	for _, m := range v.Members {
		if want, ok := since[m.ID]; ok && m.Since != want {
			t.Errorf("%s has since %v, want %v still", name(m.ID), m.Since, want)
		}
	}
	if m, ok := v.Member(4); !ok || !since[1].Less(m.Since) {
		t.Errorf("the zombie is a member: %v, since %v; want a new since", ok, m.Since)
	}
}

// M2: a restarted node starts above everything it promised, installed or not.
func TestM2_RestartStartsAboveThePromise(t *testing.T) {
	promised := cluster.Epoch{Counter: 41, Coordinator: 7}
	cfg := membership.Config{Self: cluster.Endpoint{ID: 1, Addr: "n1.test:90"}, Assign: usermap.Assign}
	c, out, err := membership.New(cfg, membership.Persistent{Promised: promised}, time.Unix(0, 0), rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if want := (cluster.Epoch{Counter: 42, Coordinator: 1}); c.View().Epoch != want || out.Persist == nil || out.Persist.Promised != want {
		t.Errorf("New after promise %v: epoch %v, persist %v; want %v, durable", promised, c.View().Epoch, out.Persist, want)
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	good := membership.Config{Self: cluster.Endpoint{ID: 1, Addr: "n1.test:90"}, Assign: usermap.Assign}
	for _, c := range []struct {
		name   string
		change func(*membership.Config)
	}{
		{"no id", func(c *membership.Config) { c.Self.ID = 0 }},
		{"no address", func(c *membership.Config) { c.Self.Addr = "" }},
		{"no Assign", func(c *membership.Config) { c.Assign = nil }},
		{"negative period", func(c *membership.Config) { c.PingPeriod = -1 }},
		{"impatient", func(c *membership.Config) {
			c.ReplyTimeout, c.ViewTimeout, c.PromiseTimeout = 3*time.Second, time.Second, 4*time.Second
		}},
		{"negative count", func(c *membership.Config) { c.DoubtMissesMax = -1 }},
	} {
		cfg := good
		c.change(&cfg)
		if _, _, err := membership.New(cfg, membership.Persistent{}, time.Unix(0, 0), rand.New(rand.NewPCG(1, 1))); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("%s: error %v, want one of kind invalid", c.name, err)
		}
	}
}

// Senseless messages change nothing but the log.
func TestStepDropsInvalidMessages(t *testing.T) {
	w := settled(t, 1, 3)
	n := w.nodes[1]
	peer, epoch := cluster.Endpoint{ID: 2, Addr: addrOf(2)}, n.view.Epoch
	valid := membership.Message{Kind: membership.KindPing, From: peer, Installed: epoch, Size: 3}
	for _, c := range []struct {
		name   string
		change func(*membership.Message)
		want   membership.EventKind
	}{
		{"no kind", func(m *membership.Message) { m.Kind = 0 }, membership.EventInvalid},
		{"unknown kind", func(m *membership.Message) { m.Kind = 200 }, membership.EventInvalid},
		{"no sender", func(m *membership.Message) { m.From.ID = 0 }, membership.EventInvalid},
		{"no address", func(m *membership.Message) { m.From.Addr = "" }, membership.EventInvalid},
		{"no size", func(m *membership.Message) { m.Size = 0 }, membership.EventInvalid},
		{"no epoch", func(m *membership.Message) { m.Installed = cluster.Epoch{} }, membership.EventInvalid},
		{"counter used up", func(m *membership.Message) { m.Installed.Counter = 1<<64 - 1 }, membership.EventInvalid},
		{"view without view", func(m *membership.Message) { m.Kind = membership.KindView }, membership.EventInvalid},
		{"view with a short map", func(m *membership.Message) {
			m.Kind, m.Epoch = membership.KindView, epoch
			m.View = &cluster.View{Epoch: epoch, Members: n.view.Members, Map: n.view.Map[:9]}
		}, membership.EventInvalid},
		{"proposal in another's name", func(m *membership.Message) {
			m.Kind, m.Epoch = membership.KindNewGroup, cluster.Epoch{Counter: 99, Coordinator: 3}
		}, membership.EventInvalid},
		{"our own id elsewhere", func(m *membership.Message) { m.From.ID = 1 }, membership.EventDuplicate},
	} {
		m := valid
		c.change(&m)
		out := n.core.Step(w.now, m)
		if len(out.Events) != 1 || out.Events[0].Kind != c.want || len(out.Send) != 0 || out.View != nil {
			t.Errorf("%s: events %v, %d messages, view %v; want the event %v and no more", c.name, out.Events, len(out.Send), out.View != nil, c.want)
		}
	}
}

// Attack row 7: a node whose data directory was copied back hears of an epoch of its own that it
// does not know; it says so and ends its part.
func TestM2_CopiedBackDirectoryIsNoticed(t *testing.T) {
	w := settled(t, 1, 3)
	old := w.nodes[3].disk
	old.Promised.Counter = 0
	w.crash(3)
	w.run(3 * time.Second)
	w.boot(3, 1)
	w.run(3 * time.Second)
	future := w.nodes[3].view.Epoch
	w.crash(3)
	w.nodes[3].disk = old
	w.nodes[3].last, w.nodes[3].view = cluster.Epoch{}, nil // M2 cannot hold for the copy
	w.boot(3)
	n := w.nodes[3]
	out := n.core.Step(w.now, membership.Message{Kind: membership.KindPing, From: cluster.Endpoint{ID: 1, Addr: addrOf(1)},
		Installed: cluster.Epoch{Counter: future.Counter + 5, Coordinator: 3}, Size: 2})
	regressed := slices.ContainsFunc(out.Events, func(e membership.Event) bool { return e.Kind == membership.EventRegressed })
	if !regressed || out.Refused != membership.RefusalRolledBack {
		t.Errorf("events %v, refused %v; want regressed and rolled-back", out.Events, out.Refused)
	}
}

// Known nodes: everyone ever met, everywhere, across restarts; the newest address from the node itself.
func TestKnownNodes(t *testing.T) {
	w := settled(t, 1, 3)
	w.obey(w.nodes[1], w.nodes[1].core.SetSole(w.now, 3, true))
	w.crash(3)
	w.run(5 * time.Second)
	w.boot(4, 2)
	w.run(5 * time.Second)
	ids := func(n *node) []cluster.NodeID {
		var out []cluster.NodeID
		for _, k := range n.core.Known() {
			out = append(out, k.ID)
		}
		return out
	}
	want := nodesFrom(1, 4)
	if got := ids(w.nodes[4]); !slices.Equal(got, want) {
		t.Errorf("d, who never met c, knows %v, want %v", got, want)
	}
	if k := w.nodes[4].core.Known()[2]; !k.Sole {
		t.Error("d does not know that c was sole")
	}
	w.crash(4)
	w.boot(4)
	if got := ids(w.nodes[4]); !slices.Equal(got, want) {
		t.Errorf("after a restart d knows %v, want %v", got, want)
	}
	w.nodes[3].addr = "n33.test:90"
	w.byAddr["n33.test:90"] = w.nodes[3]
	w.boot(3)
	w.run(5 * time.Second)
	for _, n := range w.live() {
		if k := n.core.Known()[2]; k.Addr != "n33.test:90" {
			t.Errorf("%s knows c at %s, want its new address", name(n.id), k.Addr)
		}
	}
	w.check(t)
}
