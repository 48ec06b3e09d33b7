package index

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// ledgerTo moves the ledger of a folder to other nodes, behind everybody's back; to none: it was never written.
func (w *world) ledgerTo(t *testing.T, u mail.User, f mail.FolderID, to cluster.ReplicaSet) {
	t.Helper()
	for _, id := range w.Objects(string(u), mail.TypeLedger) {
		of, _, _, err := uidledger.ParseID(id.ID)
		on := w.Copies(id)
		if err != nil || of != f || len(on) == 0 {
			continue
		}
		if len(to) == 0 {
			if err := w.Node(1).UpdateAll(t.Context(), []cluster.Update{{Object: cluster.Object{ID: id, Deleted: true}, Previous: on}})[0]; err != nil {
				t.Fatal(err)
			}
			continue
		}
		contents, _ := w.Contents(on[0], id)
		o := cluster.Object{ID: id, Replicas: to, Copies: len(to), Size: int64(len(contents)), Sum: sha256.Sum256(contents)}
		if err := w.Node(1).Update(t.Context(), cluster.Update{Object: o, Previous: on}, bytes.NewReader(contents)); err != nil {
			t.Fatal(err)
		}
	}
}

// without takes a node away, and has another one manage the user.
func (w *world) without(u mail.User, away cluster.NodeID) {
	w.SetMembers(cluster.NewReplicaSet(1, 2, 3, 4).Without(cluster.ReplicaSet{away})...)
	w.SetKnowledge(cluster.Complete)
	w.MoveBucket(string(u), 1)
}

// whole brings all nodes back, for long enough.
func (w *world) whole(u mail.User) {
	w.SetMembers(1, 2, 3, 4)
	w.SetKnowledge(cluster.Conclusive)
	for _, x := range w.indexes {
		x.survey = freshSurvey(w, x)
	}
	w.MoveBucket(string(u), 2)
}

func (w *world) folderID(t *testing.T, u mail.User, name string) mail.FolderID {
	t.Helper()
	for _, f := range w.mustAsk(t, talk.Question{Op: talk.OpFolders, User: u}).Folders {
		if f.Name == name && f.Exists {
			return f.ID
		}
	}
	t.Fatalf("there is no folder %s", name)
	return mail.FolderID{}
}

// V2: the ledger of one folder lies on a node that is away. That folder is closed, and no other one is; what was moved into it is
// not in the folder again that it came from, and nothing can be put into it or out of it.
func TestV2_OneLedgerIsAway(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 3)
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "Clients", Request: [16]byte{1}})
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Folder: before.Status.ID, Mark: before.Mark, UIDs: mail.NewUIDSet(2), To: "Clients", Request: [16]byte{2}})
	clients := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "Clients"})
	w.ledgerTo(t, u, clients.Status.ID, cluster.NewReplicaSet(4))
	w.without(u, 4)
	w.stored(t, u, 1, 2)
	for range 2 {
		inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
		if inbox.UIDs.Len() != 3 || inbox.UIDs.Contains(2) || inbox.Status.UIDValidity != before.Status.UIDValidity {
			t.Errorf("INBOX = %+v, UIDs %v", inbox.Status, inbox.UIDs)
		}
		for name, q := range map[string]talk.Question{
			"SELECT": {Op: talk.OpSelect, Name: "Clients"},
			"STATUS": {Op: talk.OpStatus, Name: "Clients"},
			"FIND":   {Op: talk.OpFind, Name: "Clients"},
			"DELETE": {Op: talk.OpDelete, Name: "Clients", Request: [16]byte{3}},
			"MOVE":   {Op: talk.OpMove, Folder: mail.Inbox, Mark: inbox.Mark, UIDs: mail.NewUIDSet(1), To: "Clients", Request: [16]byte{4}},
			"APPEND": {Op: talk.OpPlaced, Folder: clients.Status.ID, Request: [16]byte{5}, Items: []talk.Item{{Object: cluster.Object{
				ID: mail.NewMessageID().Object(u), Replicas: cluster.NewReplicaSet(1, 2), Copies: 2}}}},
			"a session": {Op: talk.OpSync, Folder: clients.Status.ID, Mark: clients.Mark},
		} {
			q.User = u
			if _, _, err := w.ask(q); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("%s of Clients = %v", name, err)
			}
		}
		w.folderID(t, u, "Clients")
	}
	if s := w.stateOf(t, 1, u); s.broken {
		t.Error("the index is thrown away at each question for the folder")
	}
	w.whole(u)
	again := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "Clients"})
	if again.Status.UIDValidity != clients.Status.UIDValidity || again.UIDs.Len() != 1 || again.Status.UIDNext != clients.Status.UIDNext {
		t.Errorf("Clients = %+v, UIDs %v, before %+v", again.Status, again.UIDs, clients.Status)
	}
	if inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); inbox.UIDs.Len() != 3 || inbox.UIDs.Contains(2) {
		t.Errorf("INBOX = %+v, UIDs %v", inbox.Status, inbox.UIDs)
	}
}

// V2: a folder in the tree has no ledger anywhere, as the folders above one that was made had none once. With a node away the others are
// open; it is, too, when all nodes are there.
func TestV2_OneLedgerIsNowhere(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 3)
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "Clients/Acme", Request: [16]byte{1}})
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.ledgerTo(t, u, w.folderID(t, u, "Clients"), nil)
	w.without(u, 2)
	inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	if inbox.UIDs.Len() != 3 || inbox.Status.UIDNext != before.Status.UIDNext {
		t.Errorf("INBOX = %+v, before %+v", inbox.Status, before.Status)
	}
	if n := w.count(t, u, "Clients/Acme"); n != 0 {
		t.Errorf("Clients/Acme has %d messages", n)
	}
	if _, _, err := w.ask(talk.Question{Op: talk.OpSelect, User: u, Name: "Clients"}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Clients = %v", err)
	}
	w.whole(u)
	if n := w.count(t, u, "Clients"); n != 0 {
		t.Errorf("Clients has %d messages", n)
	}
	w.without(u, 2)
	if n := w.count(t, u, "Clients"); n != 0 {
		t.Errorf("Clients has %d messages", n)
	}
}

// V2: the ledger of INBOX itself is away, and another one. All folders wait, and nobody is told that nothing is in INBOX.
func TestV2_InboxIsAway(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 3)
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "Clients", Request: [16]byte{1}})
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.ledgerTo(t, u, w.folderID(t, u, "Clients"), cluster.NewReplicaSet(4))
	w.ledgerTo(t, u, mail.Inbox, cluster.NewReplicaSet(4))
	w.without(u, 4)
	for _, name := range []string{"INBOX", "Sent", "Clients"} {
		if _, _, err := w.ask(talk.Question{Op: talk.OpSelect, User: u, Name: name}); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("%s = %v", name, err)
		}
	}
	w.whole(u)
	if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.UIDs.Len() != 3 || a.Status.UIDValidity != before.Status.UIDValidity {
		t.Errorf("INBOX = %+v, before %+v", a.Status, before.Status)
	}
}

// What may be in a closed folder is not what has come since its folder began.
func TestIsNewIn(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 1)
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "Made", Request: [16]byte{1}})
	made, closed := w.folderID(t, u, "Made"), w.folderID(t, u, "Sent")
	w.MoveBucket(string(u), 1)
	w.mustAsk(t, talk.Question{Op: talk.OpFolders, User: u})
	s := w.stateOf(t, 1, u)
	tree, f, err := s.tree.Bump(made, cluster.Timestamp{Time: int64(time.Hour)})
	if err != nil || f.UIDValidity < defaultsMax {
		t.Fatalf("UIDVALIDITY %d, %v", f.UIDValidity, err)
	}
	s.tree = tree
	old := &message{version: cluster.Timestamp{Time: int64(f.UIDValidity)*int64(time.Second) - 1}}
	since := &message{version: cluster.Timestamp{Time: int64(f.UIDValidity) * int64(time.Second)}}
	for _, c := range []struct {
		away   bool
		folder mail.FolderID
		m      *message
		want   bool
	}{
		{false, made, old, true}, {true, made, old, false}, {true, made, since, true},
		{true, mail.Inbox, old, true}, {true, mail.FolderID{5}, since, false}, {true, closed, since, false},
	} {
		clear(s.away)
		if c.away {
			s.away[closed] = true
		}
		if got := s.isNewIn(c.folder, c.m); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

// A message that has a UID in the folder of its newest stay has not left it, though it has lost another one there; nor one that has a UID
// since the same time elsewhere.
func TestHide(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 2)
	closed := w.folderID(t, u, "Sent")
	w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	s := w.stateOf(t, int(w.Manager(string(u)).ID()), u)
	s.away[closed] = true
	var stays []uidledger.Stay
	s.folders[mail.Inbox].ledger.Stays(func(st uidledger.Stay) { stays = append(stays, st) })
	if len(stays) != 2 {
		t.Fatalf("stays %+v", stays)
	}
	later, left := cluster.Timestamp{Time: int64(time.Hour)}, mail.NewMessageID()
	homes := map[mail.MessageID]home{stays[0].ID: {mail.Inbox, later, false}, stays[1].ID: {mail.FolderID{9}, stays[1].Since, false}, left: {mail.Inbox, later, false}}
	s.hide(homes)
	for id, want := range map[mail.MessageID]home{stays[0].ID: {mail.Inbox, later, true}, stays[1].ID: {mail.Inbox, stays[1].Since, true}, left: {closed, later, true}} {
		if homes[id] != want {
			t.Errorf("%s is at %+v, want %+v", id, homes[id], want)
		}
	}
}

// V2: a member with ledgers does not answer. The folders that others know are open, and the rest is when it answers again, though no new
// view says so.
func TestV2_LedgerOfASilentMember(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 3)
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "Clients", Request: [16]byte{1}})
	w.ledgerTo(t, u, w.folderID(t, u, "Clients"), cluster.NewReplicaSet(4))
	w.SetFaults(4, clustertest.Faults{Hung: true})
	w.MoveBucket(string(u), 1)
	if n := w.count(t, u, "INBOX"); n != 3 {
		t.Errorf("INBOX has %d messages", n)
	}
	if _, _, err := w.ask(talk.Question{Op: talk.OpSelect, User: u, Name: "Clients"}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Clients = %v", err)
	}
	w.SetFaults(4, clustertest.Faults{})
	w.stateOf(t, 1, u).since = time.Time{} // a while later
	if n := w.count(t, u, "Clients"); n != 0 {
		t.Errorf("Clients has %d messages", n)
	}
	if n := w.count(t, u, "INBOX"); n != 3 {
		t.Errorf("INBOX has %d messages", n)
	}
}
