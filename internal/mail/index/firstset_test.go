package index

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// profileOn puts the profile of a user on other nodes, behind everybody's back.
func (w *world) profileOn(u mail.User, on cluster.ReplicaSet) {
	for _, node := range on {
		w.Put(node, cluster.Object{ID: cluster.ObjectID{Type: mail.TypeUser, Owner: string(u)}, Replicas: on, Copies: len(on)}, []byte("profile"))
	}
}

// askAt asks a manager itself: also one that does not know yet that it is none any more.
func (w *world) askAt(t *testing.T, node int, q talk.Question) talk.Answer {
	t.Helper()
	b, err := w.indexes[node-1].serve(t.Context(), 3, q.Marshal())
	if err != nil {
		t.Fatalf("question %d at node %d: %v", q.Op, node, err)
	}
	a, err := talk.ParseAnswer(b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// U1: two managers find no ledger of a new user, and begin one each, since the profile has moved in between. What they
// give is of two UIDVALIDITYs; when they meet one of them stands, at every manager, and goes on.
func TestU1_FirstLedgerReplicasDiffer(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 3) // on nodes 1 and 2
	open := talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}
	w.SetMembers(1) // as it looks to who has been cut off
	one := w.askAt(t, 1, open)
	w.SetMembers(2, 3, 4)
	w.profileOn(u, cluster.NewReplicaSet(3, 4))
	w.MoveBucket(string(u), 2)
	other := w.askAt(t, 2, open)
	if one.Status.Messages != 3 || other.Status.Messages != 3 || one.Status.UIDValidity == other.Status.UIDValidity {
		t.Fatalf("INBOX = %+v and %+v", one.Status, other.Status)
	}
	w.SetMembers(1, 2, 3, 4)
	highest := max(one.Status.UIDValidity, other.Status.UIDValidity)
	for _, node := range []cluster.NodeID{1, 3, 2} {
		w.MoveBucket(string(u), node)
		a := w.askAt(t, int(node), open)
		if a.Status.UIDValidity != highest || a.Status.Messages != 3 || a.UIDs.Len() != 3 {
			t.Errorf("node %d: INBOX = %+v, UIDs %v, want UIDVALIDITY %d", node, a.Status, a.UIDs, highest)
		}
	}
	for _, before := range []talk.Answer{one, other} {
		_, _, err := w.ask(talk.Question{Op: talk.OpSync, User: u, Mark: before.Mark})
		if goesOn := err == nil; goesOn != (before.Status.UIDValidity == highest) {
			t.Errorf("the session with UIDVALIDITY %d goes on %t: %v", before.Status.UIDValidity, goesOn, err)
		}
	}
}

// A manager that is broken off before the tree is written has decided all the same: the next one takes the set over
// that the head says, wherever the profile is.
func TestU1_FirstLedgerReplicasStand(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	w.floor = cluster.Timestamp{Time: 1}
	u := w.user("a", 3)
	open := talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}
	w.MoveBucket(string(u), 1)
	one := w.askAt(t, 1, open)
	tree := cluster.Object{ID: cluster.ObjectID{Type: mail.TypeFolders, Owner: string(u)}, Timestamp: w.floor, Replicas: cluster.ReplicaSet{1, 2}, Copies: 2}
	w.Put(1, tree, nil) // a former user's: as if there were none
	w.Put(2, tree, nil)
	w.profileOn(u, cluster.NewReplicaSet(3, 4))
	w.MoveBucket(string(u), 2)
	other := w.askAt(t, 2, open)
	if one.Status.UIDValidity != other.Status.UIDValidity || other.Status.Messages != 3 || one.Status.UIDNext != other.Status.UIDNext {
		t.Errorf("INBOX = %+v, before %+v", other.Status, one.Status)
	}
}

// L12: a ledger whose UIDVALIDITY is ahead of the tree's gets a greater one all the same.
func TestL12_GreaterThanTheLedgers(t *testing.T) {
	w := newWorld(t, Config{}, 2)
	w.floor = cluster.Timestamp{Time: int64(time.Second)}
	u := w.user("a", 1)
	w.MoveBucket(string(u), 1)
	before := w.askAt(t, 1, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	s := w.stateOf(t, 1, u)
	known, ok := s.tree.Folder(mail.Inbox)
	if !ok || before.Status.UIDValidity <= known.UIDValidity {
		t.Fatalf("UIDVALIDITY %d, in the tree %d", before.Status.UIDValidity, known.UIDValidity)
	}
	if v := s.greater(s.folder(mail.Inbox), &known); v <= before.Status.UIDValidity {
		t.Errorf("the next UIDVALIDITY is %d after %d", v, before.Status.UIDValidity)
	}
}
