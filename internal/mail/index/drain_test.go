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

// grant asks a node for a lane lease of UIDs.
func (w *world) grant(t *testing.T, on cluster.NodeID, u mail.User, after uint64) uidledger.Reply {
	t.Helper()
	r := uidledger.Request{Kind: uidledger.AskLane, Set: uidledger.FirstSet(cluster.ReplicaSet{1, 2}, 1), Counter: uidledger.UIDs, After: after, Count: 1}
	b, err := w.Node(1).Tell(t.Context(), on, methodGrant, marshalGrant(u, mail.FolderID{7}, &r))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := uidledger.ParseReply(b)
	if err != nil || reply.Verdict != uidledger.Yes {
		t.Fatalf("%+v, %v", reply, err)
	}
	return reply
}

// U1: a node that was being drained has moved away what it has granted. It grants no number twice all the same.
func TestU1_GrantsOfADrainedNode(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 1)
	first := w.grant(t, 2, u, 0)
	id := cluster.ObjectID{Type: mail.TypeLedger, Owner: string(u), ID: uidledger.GrantID(mail.FolderID{7}, 2)}
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
	if second := w.grant(t, 2, u, 5); second.First <= first.First {
		t.Errorf("granted %d, and %d before the drain", second.First, first.First)
	}
	if on := w.Copies(id); !on.Equal(cluster.ReplicaSet{2}) {
		t.Errorf("it lies on %v", on)
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
