package index

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// request asks a ledger replica of nodes 1 and 2.
func (w *world) request(t *testing.T, on cluster.NodeID, u mail.User, r uidledger.Request) (uidledger.Reply, error) {
	t.Helper()
	r.Set, r.Counter = uidledger.FirstSet(cluster.ReplicaSet{1, 2}, 1), uidledger.UIDs
	b, err := w.Node(1).Tell(t.Context(), on, methodGrant, marshalGrant(u, mail.FolderID{7}, &r))
	if err != nil {
		return uidledger.Reply{}, err
	}
	return uidledger.ParseReply(b)
}

// grant asks a node for a lane lease of UIDs.
func (w *world) grant(t *testing.T, on cluster.NodeID, u mail.User, after uint64) uidledger.Reply {
	t.Helper()
	reply, err := w.request(t, on, u, uidledger.Request{Kind: uidledger.AskLane, After: after, Count: 1})
	if err != nil || reply.Verdict != uidledger.Yes {
		t.Fatalf("%+v, %v", reply, err)
	}
	return reply
}

// drain moves what node 2 has granted to node 3.
func (w *world) drain(t *testing.T, u mail.User) cluster.ObjectID {
	t.Helper()
	id := grantOf(u, mail.FolderID{7}, 2)
	contents, ok := w.Contents(2, id)
	if !ok {
		t.Fatal("nothing was granted")
	}
	moved := cluster.Update{Previous: cluster.ReplicaSet{2}, Object: cluster.Object{ID: id, Replicas: cluster.ReplicaSet{3}, Copies: 1,
		Size: int64(len(contents)), Sum: sha256.Sum256(contents)}}
	if err := w.Node(1).Update(t.Context(), moved, bytes.NewReader(contents)); err != nil {
		t.Fatal(err)
	}
	if on := w.Copies(id); !on.Equal(cluster.ReplicaSet{3}) {
		t.Fatalf("it lies on %v", on)
	}
	return id
}

// U1: a node that was being drained has moved away what it has granted. It grants no number twice all the same.
func TestU1_GrantsOfADrainedNode(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 1)
	first := w.grant(t, 2, u, 0)
	id := w.drain(t, u)
	if second := w.grant(t, 2, u, 5); second.First <= first.First {
		t.Errorf("granted %d, and %d before the drain", second.First, first.First)
	}
	if on := w.Copies(id); !on.Equal(cluster.ReplicaSet{2}) {
		t.Errorf("it lies on %v", on)
	}
}

// U1: the node that has got what was granted is away when the drain is taken back. Of the replicas that are there nothing is known: no
// numbers are given for now. Once the other one's ceiling is known they are given above all that can have been granted.
func TestU1_GrantsOfADrainedNodeAreAway(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 1)
	first := w.grant(t, 2, u, 0)
	w.drain(t, u)
	w.SetMembers(1, 2)
	for _, r := range []uidledger.Request{{Kind: uidledger.AskLane, After: 5, Count: 1}, {Kind: uidledger.AskDense, After: 5, Upto: 261},
		{Kind: uidledger.AskRaise, Upto: 300}, {Kind: uidledger.AskPrepare, After: 5, Ballot: uidledger.Ballot{Number: 1, Node: 1}}} {
		if reply, err := w.request(t, 2, u, r); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("%+v = %+v, %v", r, reply, err)
		}
	}
	w.grant(t, 1, u, 0)
	reply, err := w.request(t, 2, u, uidledger.Request{Kind: uidledger.AskLane, After: 5, Count: 1})
	if err != nil || reply.Verdict != uidledger.Spent {
		t.Fatalf("%+v, %v", reply, err)
	}
	reply, err = w.request(t, 2, u, uidledger.Request{Kind: uidledger.AskLane, After: 5, Count: 1, Agreed: [2]uint64{first.First + 4096}})
	if err != nil || reply.Verdict != uidledger.Yes || reply.First <= first.First+uidledger.BudgetMax*uidledger.LanesMax*uidledger.UIDLease {
		t.Errorf("%+v, %v, and %d before the drain", reply, err, first.First)
	}
}

// A replica that was away when a folder began, and has granted nothing, is no other than one that has been drained, while a node is away. Where
// nobody has given any numbers it begins; a folder whose numbers it must not give goes on with the others.
func TestFolderGoesOnWithAnAmnesiac(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 3)
	w.profileOn(u, cluster.NewReplicaSet(1, 2, 3))
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	lost := 0
	for _, id := range w.Objects(string(u), mail.TypeLedger) {
		if _, kind, node, err := uidledger.ParseID(id.ID); err == nil && kind == kindGrant && node == 2 {
			lost++
			if err := w.Node(1).UpdateAll(t.Context(), []cluster.Update{{Object: cluster.Object{ID: id, Deleted: true}, Previous: w.Copies(id)}})[0]; err != nil {
				t.Fatal(err)
			}
		}
	}
	if lost == 0 {
		t.Fatal("node 2 has granted nothing")
	}
	w.without(u, 4)
	for i := range 3 {
		w.stored(t, u, 1, 2)
		a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
		if a.UIDs.Len() != 4+i || a.Status.UIDValidity != before.Status.UIDValidity || a.Status.UIDNext < before.Status.UIDNext {
			t.Errorf("INBOX = %+v, UIDs %v, before %+v", a.Status, a.UIDs, before.Status)
		}
		w.MoveBucket(string(u), cluster.NodeID(1+i%2))
	}
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "New", Request: [16]byte{1}})
	a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Mark: a.Mark, UIDs: mail.NewUIDSet(1), To: "New", Request: [16]byte{2}})
	if got := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "New"}); !got.UIDs.Contains(1) {
		t.Errorf("New has UIDs %v: its numbers begin at 1", got.UIDs)
	}
}

// When the profile moves, tree and ledgers follow while the index is in use: the node that is drained gets rid of them.
func TestLedgersFollowTheProfile(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 3)
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	on := cluster.NewReplicaSet(1, 3)
	profile := cluster.Object{ID: cluster.ObjectID{Type: mail.TypeUser, Owner: string(u)}, Replicas: on, Copies: 2, Size: 7, Sum: sha256.Sum256([]byte("profile"))}
	if err := w.Node(1).Update(t.Context(), cluster.Update{Object: profile, Previous: cluster.ReplicaSet{2}}, bytes.NewReader([]byte("profile"))); err != nil {
		t.Fatal(err)
	}
	after := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	if after.Status.UIDValidity != before.Status.UIDValidity || after.Status.Messages != 3 {
		t.Errorf("INBOX = %+v, before %+v", after.Status, before.Status)
	}
	head := cluster.ObjectID{Type: mail.TypeLedger, Owner: string(u), ID: uidledger.HeadID(mail.Inbox)}
	if got := w.Copies(head); !got.Contains(3) {
		t.Errorf("the ledger lies on %v", got)
	}
}
