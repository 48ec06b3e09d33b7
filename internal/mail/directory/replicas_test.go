package directory

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

// knows gives what each node would say to two passwords if it were alone, from its disk.
func (w *world) knows(user, password string) (nodes cluster.ReplicaSet) {
	w.t.Helper()
	for _, id := range w.Copies(userID(user)) {
		contents, _ := w.Contents(id, userID(user))
		p, err := decodeProfile(contents)
		if err != nil {
			w.t.Fatal(err)
		}
		if ok, err := p.Credential.Verify(password); err == nil && ok {
			nodes = append(nodes, id)
		}
	}
	return nodes
}

// D4, A2: a password is changed while one of two nodes is away. The change succeeds, and when the
// node is back and has heard of it, the new password is the only one that any disk knows.
func TestD4_PasswordChangedWhileANodeIsAway(t *testing.T) {
	w := newWorld(t, 2)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test")
	if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "secret"); err != nil {
		t.Fatal(err) // verified once: it is remembered
	}
	w.SetMembers(1)
	if err := w.dirs[0].SetPassword(ctx, "u@x.test", w.credential("new")); err != nil {
		t.Fatalf("SetPassword with one of two nodes = %v", err)
	}
	if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "secret"); kind(err) != "denied" {
		t.Errorf("the old password at once = %v, want denied", err)
	}
	if left := w.Propagate(); left != 1 {
		t.Errorf("%d records wait for the node that is away, want 1", left)
	}
	w.SetMembers(1, 2)
	if left := w.Propagate(); left != 0 {
		t.Errorf("%d records wait, want none", left)
	}
	if got := w.knows("u@x.test", "new"); !got.Equal(cluster.NewReplicaSet(1, 2)) {
		t.Errorf("the new password is known on %v, want both nodes", got)
	}
	for i, d := range w.dirs {
		if _, err := d.Authenticate(ctx, client, "u@x.test", "secret"); kind(err) != "denied" {
			t.Errorf("node %d takes the old password: %v", i+1, err)
		}
		if _, err := d.Authenticate(ctx, client, "u@x.test", "new"); err != nil {
			t.Errorf("node %d refuses the new password: %v", i+1, err)
		}
	}
}

// D4: a change succeeds when one of its nodes has it, whatever is wrong with the others.
func TestD4_ChangesWithFaults(t *testing.T) {
	for name, fault := range map[string]clustertest.Faults{
		"hung": {Hung: true}, "full": {Full: true}, "mute": {Mute: true}, "behind": {Behind: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			ctx := context.Background()
			w.addDomain("x.test", DomainSettings{})
			w.addUsers("u@x.test", "v@x.test")
			w.MoveBucket("u@x.test", 1)
			w.MoveBucket("v@x.test", 1)
			for _, id := range []cluster.NodeID{2, 3} {
				w.SetFaults(id, fault)
			}
			if err := w.dirs[0].SetPassword(ctx, "u@x.test", w.credential("new")); err != nil {
				t.Errorf("SetPassword = %v", err)
			}
			if _, err := w.dirs[0].RemoveUser(ctx, "v@x.test"); err != nil {
				t.Errorf("RemoveUser = %v", err)
			}
			for _, id := range []cluster.NodeID{2, 3} {
				w.SetFaults(id, clustertest.Faults{})
			}
			if left := w.Propagate(); left != 0 {
				t.Errorf("%d records are left", left)
			}
			if got := w.knows("u@x.test", "new"); len(got) != 3 {
				t.Errorf("the new password is known on %v, want three nodes", got)
			}
			if got := w.Copies(userID("v@x.test")); len(got) != 0 {
				t.Errorf("the removed user is still on %v", got)
			}
		})
	}
}

// V1: a profile that is made must be durable on two nodes; that one of three hangs is no hindrance,
// that two do is one.
func TestV1_CreationFallsShort(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	for _, name := range []string{"u@x.test", "v@x.test", "x.test"} {
		w.MoveBucket(name, 1)
	}
	w.SetFaults(2, clustertest.Faults{Hung: true})
	w.addUsers("u@x.test")
	w.SetFaults(3, clustertest.Faults{Hung: true})
	if _, err := w.dirs[0].AddUser(ctx, addr(t, "v@x.test"), NewUser{Credential: w.credential("secret")}); kind(err) != "unavailable" {
		t.Errorf("AddUser on one of three nodes = %v, want unavailable", err)
	}
	for _, id := range []cluster.NodeID{2, 3} {
		w.SetFaults(id, clustertest.Faults{})
	}
	w.Propagate()
	if got := w.Copies(userID("u@x.test")); len(got) != 3 {
		t.Errorf("in the end the profile lies on %v, want three nodes", got)
	}
}

// R5: a user removed while a replica is away does not come back with it, nor does the mail.
func TestR5_RemovedUserStaysRemoved(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test")
	id := mail.NewMessageID().Object("u@x.test")
	for _, on := range []cluster.NodeID{2, 3} {
		w.Put(on, cluster.Object{ID: id, Timestamp: cluster.Timestamp{Time: 5, Node: 1}, Replicas: cluster.NewReplicaSet(2, 3)}, []byte("m"))
	}
	w.SetMembers(1, 2)
	if n, err := w.dirs[0].RemoveUser(ctx, "u@x.test"); n != 1 || err != nil {
		t.Fatalf("RemoveUser = %d, %v", n, err)
	}
	w.SetMembers(1, 2, 3)
	if left := w.Propagate(); left != 0 {
		t.Errorf("%d records are left", left)
	}
	if _, err := w.dirs[2].Mailbox(ctx, "u@x.test"); kind(err) != "not found" {
		t.Errorf("the removed user is there again: %v", err)
	}
	if got := w.Copies(id); len(got) != 0 {
		t.Errorf("mail of the removed user is on %v", got)
	}
}

// R2: of changes on two sides of a partition the later one stays, everywhere and whole.
func TestR2_ChangesOnBothSides(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, 3)
		ctx := context.Background()
		w.addDomain("x.test", DomainSettings{})
		w.addUsers("u@x.test")
		last := "secret"
		for range rapid.IntRange(1, 6).Draw(r, "changes") {
			side := rapid.SampledFrom([][]cluster.NodeID{{1}, {2}, {3}, {1, 2}, {2, 3}, {1, 2, 3}}).Draw(r, "side")
			w.SetMembers(side...)
			next := rapid.StringMatching(`[a-z]{8}`).Draw(r, "password")
			d := w.dirs[side[0]-1]
			if err := d.SetPassword(ctx, "u@x.test", w.credential(next)); err != nil {
				r.Fatalf("SetPassword on %v = %v", side, err)
			}
			last = next
			if rapid.Bool().Draw(r, "propagate") {
				w.Propagate()
			}
		}
		w.SetMembers(1, 2, 3)
		if left := w.Propagate(); left != 0 {
			r.Fatalf("%d records are left", left)
		}
		var first []byte
		for _, id := range w.Copies(userID("u@x.test")) {
			contents, _ := w.Contents(id, userID("u@x.test"))
			if first == nil {
				first = contents
			}
			if !bytes.Equal(contents, first) {
				r.Errorf("node %v has another profile", id)
			}
		}
		if got := w.knows("u@x.test", last); len(got) != 3 {
			r.Errorf("the last password is known on %v, want three nodes", got)
		}
	})
}

// The copies of a message: the user's number, else the domain's, else none. A domain that cannot be
// asked for is no reason to refuse its mail (V1).
func TestCopiesOfADomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		ctx := context.Background()
		w.addDomain("x.test", DomainSettings{Copies: 3})
		w.addDomain("y.test", DomainSettings{})
		w.addUsers("u@x.test", "v@x.test", "w@y.test")
		d := w.dirs[0]
		if err := d.EditUser(ctx, "v@x.test", func(p *Profile) { p.Settings.Copies = 1 }); err != nil {
			t.Fatal(err)
		}
		check := func(user string, want int) {
			t.Helper()
			boxes, err := d.Resolve(ctx, addr(t, user))
			if err != nil || boxes[0].Settings.Copies != want {
				t.Errorf("Resolve(%s) = %+v, %v, want %d copies", user, boxes, err, want)
			}
			box, err := d.Mailbox(ctx, mail.User(user))
			if err != nil || box.Settings.Copies != want {
				t.Errorf("Mailbox(%s) = %+v, %v, want %d copies", user, box.Settings, err, want)
			}
		}
		check("u@x.test", 3)
		check("v@x.test", 1)
		check("w@y.test", 0)
		if err := d.SetDomain(ctx, "x.test", DomainSettings{Copies: 2}); err != nil {
			t.Fatal(err)
		}
		if infos, _, err := d.ListDomains(ctx, "", 0); err != nil || infos[0].Copies+infos[1].Copies != 2 {
			t.Errorf("ListDomains = %+v, %v", infos, err)
		}
		time.Sleep(copiesKept)
		check("u@x.test", 2)
		w.MoveBucket("x.test", 2)
		w.MoveBucket("u@x.test", 1)
		w.SetFaults(2, clustertest.Faults{Hung: true})
		time.Sleep(copiesKept)
		check("u@x.test", 2)           // its last number
		check("u@x.test", 2)           // not asked for at once
		w.dirs[0].copies.domains = nil // a node that has just started
		check("u@x.test", 0)
		if err := d.SetDomain(ctx, "x.test", DomainSettings{Copies: 9}); kind(err) != "invalid" {
			t.Errorf("SetDomain with 9 copies = %v, want invalid", err)
		}
	})
}

// What is remembered of domains is bounded.
func TestCopiesAreBounded(t *testing.T) {
	var c domainCopies
	now := time.Unix(1e9, 0)
	for i := range 2 * copiesMax {
		c.put(string(rune(i)), 1, now)
	}
	if len(c.domains) != copiesMax {
		t.Errorf("%d domains are remembered, want %d", len(c.domains), copiesMax)
	}
}

// chooser is a node that notes beside which copies others are chosen.
type chooser struct {
	*clustertest.Node
	beside cluster.ReplicaSet
}

func (n *chooser) Choose(e cluster.Entry, t cluster.ObjectType, copies, spread int, beside, exclude []cluster.NodeID) (cluster.ReplicaSet, error) {
	n.beside = cluster.NewReplicaSet(beside...)
	return n.Node.Choose(e, t, copies, spread, beside, exclude)
}

// R6: who gets a further copy of a profile is chosen beside those that keep theirs, so that it is not on a machine of
// theirs; one that failed, or is away, does not count.
func TestR6_CopiesAreChosenBesideThoseKept(t *testing.T) {
	w := newWorld(t, 4)
	node := &chooser{Node: w.Node(1)}
	d, err := New(node, Config{Credentials: cheap})
	if err != nil {
		t.Fatal(err)
	}
	w.SetMembers(1, 2, 3)
	p := placement{old: cluster.NewReplicaSet(2, 3, 4), touched: cluster.NewReplicaSet(2, 3, 4), failed: cluster.NewReplicaSet(3), copiesMin: 1}
	set, err := d.place(&change{Type: mail.TypeUser, Owner: "u@x.test"}, &p)
	if err != nil || !set.ContainsAll(cluster.NewReplicaSet(1, 2)) || !node.beside.Equal(cluster.NewReplicaSet(2)) {
		t.Errorf("place = %v, %v, chosen beside %v; want nodes 1 and 2, chosen beside 2", set, err, node.beside)
	}
}
