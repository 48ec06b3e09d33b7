package delivery

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

// D2: 250 means durable on as many nodes as wanted, on all that are live if they are fewer, and
// never on fewer than MinCopies.
func TestD2_AckStrength(t *testing.T) {
	hung, full, mute := clustertest.Faults{Hung: true}, clustertest.Faults{Full: true}, clustertest.Faults{Mute: true}
	type faults = map[cluster.NodeID]clustertest.Faults
	tests := []struct {
		name      string
		cfg       Config
		user      mail.Settings
		members   []cluster.NodeID
		faults    faults
		want      string
		copies    int   // on disks at once, after an ok
		short     int64 // deliveries counted as short
		copiesEnd int   // when all nodes are well again
	}{
		{"all well", Config{}, mail.Settings{}, nil, nil, "ok", 2, 0, 2},
		{"three copies", Config{Copies: 3}, mail.Settings{}, nil, nil, "ok", 3, 0, 3},
		{"the user's own number", Config{}, mail.Settings{Copies: 4}, nil, nil, "ok", 4, 0, 4},
		{"one node is live", Config{}, mail.Settings{}, []cluster.NodeID{1}, nil, "ok", 1, 1, 1},
		{"one is live, two must have it", Config{MinCopies: 2}, mail.Settings{}, []cluster.NodeID{1}, nil, "unavailable", 0, 0, 0},
		{"the user wants less than the least", Config{MinCopies: 2}, mail.Settings{Copies: 1}, []cluster.NodeID{1}, nil, "ok", 1, 0, 1},
		{"one of two hangs", Config{}, mail.Settings{}, []cluster.NodeID{1, 2}, faults{2: hung}, "ok", 1, 1, 2},
		{"one of two hangs, both must have it", Config{MinCopies: 2}, mail.Settings{}, []cluster.NodeID{1, 2}, faults{2: hung}, "unavailable", 0, 0, 0},
		{"one of two is full", Config{}, mail.Settings{}, []cluster.NodeID{1, 2}, faults{2: full}, "ok", 1, 1, 1},
		{"one of two is mute", Config{}, mail.Settings{}, []cluster.NodeID{1, 2}, faults{2: mute}, "ok", 2, 1, 2},
		{"three of four hang", Config{}, mail.Settings{}, nil, faults{2: hung, 3: hung, 4: hung}, "ok", 1, 1, 2},
		{"all are mute", Config{}, mail.Settings{}, nil, faults{1: mute, 2: mute, 3: mute, 4: mute}, "unavailable", 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.cfg)
			w.people.settings["a@x.test"] = tt.user
			if tt.members != nil {
				w.SetMembers(tt.members...)
			}
			env := w.envelope(t, "a@x.test")
			for id, f := range tt.faults {
				w.SetFaults(id, f)
			}
			got := kinds(w.Deliver(context.Background(), env, body))
			if got != tt.want || w.Short() != tt.short {
				t.Errorf("Deliver = %s with %d short, want %s with %d", got, w.Short(), tt.want, tt.short)
			}
			if n := len(w.messages("a@x.test")); got == "ok" && n != tt.copies {
				t.Errorf("250 with %d copies, want %d", n, tt.copies)
			}
			for id := range tt.faults {
				if !tt.faults[id].Full {
					w.SetFaults(id, clustertest.Faults{})
				}
			}
			w.Propagate()
			if copies := w.messages("a@x.test"); len(copies) != tt.copiesEnd || len(slices.Compact(copies)) > 1 {
				t.Errorf("in the end the copies %v, want %d", copies, tt.copiesEnd)
			}
		})
	}
}

// cutOff is a node that loses all others between an attempt to store and its undoing.
type cutOff struct {
	*clustertest.Node
	lose func()
}

func (n *cutOff) UpdateAll(ctx context.Context, us []cluster.Update) []error {
	n.lose()
	return n.Node.UpdateAll(ctx, us)
}

// D6: what a refused message left on disks is removed when their nodes are back, though none of them
// could be told at the time: this node kept the record.
func TestD6_RefusedIsGoneEverywhere(t *testing.T) {
	w := newWorld(t, Config{})
	d, err := New(&cutOff{Node: w.Node(1), lose: func() { w.SetMembers(1) }}, w.people, Config{Copies: 2})
	if err != nil {
		t.Fatal(err)
	}
	env := w.envelope(t, "a@x.test")
	w.SetFaults(1, clustertest.Faults{Full: true})
	for id := cluster.NodeID(2); id <= 4; id++ {
		w.SetFaults(id, clustertest.Faults{Mute: true})
	}
	if got := kinds(d.Deliver(context.Background(), env, body)); got != "unavailable" || len(w.messages("a@x.test")) == 0 {
		t.Fatalf("Deliver = %s with the copies %v", got, w.messages("a@x.test"))
	}
	for id := cluster.NodeID(1); id <= 4; id++ {
		w.SetFaults(id, clustertest.Faults{})
	}
	w.SetMembers(1, 2, 3, 4)
	if left := w.Propagate(); left != 0 || len(w.messages("a@x.test")) != 0 {
		t.Errorf("%d records and the copies %v are left of a message that was refused", left, w.messages("a@x.test"))
	}
}

// meddler is a node on which something happens after its first update.
type meddler struct {
	*clustertest.Node
	then func()
}

func (n *meddler) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	err := n.Node.Update(ctx, u, body)
	if n.then != nil {
		n.then()
		n.then = nil
	}
	return err
}

// R5: a message that is stored on one of two nodes can be seen already. If it is read and deleted
// before the delivery has found another node, it does not come back.
func TestR5_DeletedBetweenAttempts(t *testing.T) {
	w := newWorld(t, Config{})
	node := &meddler{Node: w.Node(1)}
	d, err := New(node, w.people, Config{Copies: 2})
	if err != nil {
		t.Fatal(err)
	}
	w.MoveBucket("a@x.test", 1)
	env := w.envelope(t, "a@x.test")
	for id := cluster.NodeID(2); id <= 4; id++ {
		w.SetFaults(id, clustertest.Faults{Hung: true})
	}
	node.then = func() {
		for id := cluster.NodeID(2); id <= 4; id++ {
			w.SetFaults(id, clustertest.Faults{})
		}
		id := w.messages("a@x.test")[0]
		removal := cluster.Update{Object: cluster.Object{ID: id, Deleted: true}, Previous: w.Copies(id)}
		if err := w.Node(2).Update(context.Background(), removal, nil); err != nil {
			t.Error(err)
		}
	}
	if got := kinds(d.Deliver(context.Background(), env, body)); got != "ok" {
		t.Fatalf("Deliver = %s", got)
	}
	if left := w.Propagate(); left != 0 || len(w.messages("a@x.test")) != 0 {
		t.Errorf("%d records are left, and the deleted message is on %v", left, w.messages("a@x.test"))
	}
}

// chooser is a node that notes beside which copies others are chosen.
type chooser struct {
	*clustertest.Node
	beside []cluster.ReplicaSet
}

func (n *chooser) Choose(e cluster.Entry, t cluster.ObjectType, copies, spread int, beside, exclude []cluster.NodeID) (cluster.ReplicaSet, error) {
	n.beside = append(n.beside, cluster.NewReplicaSet(beside...))
	return n.Node.Choose(e, t, copies, spread, beside, exclude)
}

// R6: who replaces a node that failed is chosen beside those that have the message, so that it is not on a machine of theirs.
func TestR6_ReplacementsAreChosenBesideTheCopies(t *testing.T) {
	w := newWorld(t, Config{})
	node := &chooser{Node: w.Node(1)}
	d, err := New(node, w.people, Config{Copies: 2})
	if err != nil {
		t.Fatal(err)
	}
	w.MoveBucket("a@x.test", 1)
	env := w.envelope(t, "a@x.test")
	w.SetFaults(2, clustertest.Faults{Hung: true})
	for range 20 {
		node.beside = nil
		if got := kinds(d.Deliver(context.Background(), env, body)); got != "ok" {
			t.Fatalf("Deliver = %s", got)
		}
		if len(node.beside) > 1 {
			if len(node.beside[0]) != 0 || len(node.beside[1]) != 1 || node.beside[1].Contains(2) {
				t.Errorf("nodes were chosen beside %v, want beside nothing and then beside the one that has it", node.beside)
			}
			return
		}
	}
	t.Error("no delivery met the node that hangs")
}

// More copies than a replica set has room for replacements: what is durable counts.
func TestReplicaSetIsFull(t *testing.T) {
	people := &people{settings: map[mail.User]mail.Settings{"a@x.test": {Copies: cluster.ReplicaSetMax}}}
	c := clustertest.New(12, mail.Types())
	people.node = c.Node(1)
	d, err := New(c.Node(1), people, Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Cluster: c, Delivery: d, people: people}
	env := w.envelope(t, "a@x.test")
	for id := cluster.NodeID(1); id <= 6; id++ {
		c.SetFaults(id, clustertest.Faults{Hung: true})
	}
	c.MoveBucket("a@x.test", 12)
	if got := kinds(d.Deliver(context.Background(), env, body)); got != "ok" {
		t.Fatalf("Deliver = %s", got)
	}
	if n := len(w.messages("a@x.test")); n != 2 {
		t.Errorf("%d copies, want those on the 2 nodes that answered", n)
	}
}

// D1, D2, D6 under any faults: what was acknowledged is there once, on enough nodes, and what was
// refused is not there, when all nodes are well again.
func TestD6_AnyFaults(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		nodes := rapid.IntRange(2, 6).Draw(r, "nodes")
		cfg := Config{Copies: rapid.IntRange(1, 3).Draw(r, "copies"), AttemptsMax: rapid.IntRange(1, 4).Draw(r, "attempts")}
		cfg.MinCopies = rapid.IntRange(1, cfg.Copies).Draw(r, "min")
		c := clustertest.New(nodes, mail.Types())
		people := &people{node: c.Node(1), gone: map[mail.User]bool{}, aliases: map[string][]mail.User{"team@x.test": {"b@x.test", "c@x.test"}}}
		d, err := New(c.Node(1), people, cfg)
		if err != nil {
			r.Fatal(err)
		}
		w := &world{Cluster: c, Delivery: d, people: people}
		want := map[string]int{} // messages by user
		for range rapid.IntRange(1, 8).Draw(r, "messages") {
			breakNodes(r, c, nodes)
			env, ok := draw(r, w)
			if !ok {
				continue
			}
			together := rapid.Bool().Draw(r, "together")
			deliver := d.Deliver
			if together {
				deliver = d.DeliverAll
			}
			users := map[mail.User]bool{}
			for i, err := range deliver(context.Background(), env, body) {
				for _, u := range env.Recipients[i].Users {
					users[u] = users[u] || err == nil
				}
			}
			for u, ok := range users {
				if ok {
					want[string(u)]++
				}
			}
		}
		for id := range nodes {
			c.SetFaults(cluster.NodeID(id+1), clustertest.Faults{})
		}
		if left := c.Propagate(); left != 0 {
			r.Fatalf("%d updates never end", left)
		}
		for _, u := range []string{"a@x.test", "b@x.test", "c@x.test"} {
			ids := w.messages(u)
			distinct := slices.Compact(slices.Clone(ids))
			if len(distinct) != want[u] {
				r.Errorf("%s has %d messages, want %d", u, len(distinct), want[u])
			}
			for _, id := range distinct {
				if n := len(c.Copies(id)); n < cfg.MinCopies || n > cfg.Copies {
					r.Errorf("message %v lies on %d nodes, want %d to %d", id, n, cfg.MinCopies, cfg.Copies)
				}
			}
		}
	})
}

// breakNodes gives every node but the first, which runs the delivery and manages all, some fault.
func breakNodes(r *rapid.T, c *clustertest.Cluster, nodes int) {
	all := []clustertest.Faults{{}, {}, {Full: true}, {Behind: true}, {Mute: true}, {Hung: true}}
	for id := cluster.NodeID(1); id <= cluster.NodeID(nodes); id++ {
		f := rapid.SampledFrom(all).Draw(r, fmt.Sprintf("faults of %d", id))
		if id == 1 {
			f = clustertest.Faults{Full: f.Full}
		}
		c.SetFaults(id, f)
	}
	for _, u := range []string{"a@x.test", "b@x.test", "c@x.test"} {
		c.MoveBucket(u, 1)
	}
}

// draw verifies some recipients.
func draw(r *rapid.T, w *world) (mail.Envelope, bool) {
	var env mail.Envelope
	for _, rcpt := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a@x.test", "b@x.test", "team@x.test"}), 1, 3, rapid.ID).Draw(r, "recipients") {
		a, err := mail.ParseAddress(rcpt)
		if err != nil {
			r.Fatal(err)
		}
		verified, err := w.Verify(context.Background(), mail.Address{}, a, 0)
		if err != nil {
			return env, false
		}
		env.Recipients = append(env.Recipients, verified)
	}
	return env, true
}
