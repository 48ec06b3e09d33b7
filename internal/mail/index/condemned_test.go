package index

import (
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// awayUser makes a user with three messages on nodes 1 and 2 and one, the newest, on node 3 alone, which goes away after
// the index has seen it. It gives that message, and INBOX as it is shown then.
func (w *world) awayUser(t *testing.T) (mail.User, cluster.ObjectID, talk.Answer) {
	t.Helper()
	u := w.user("a", 3)
	id := mail.NewMessageID().Object(u)
	w.Put(3, cluster.Object{ID: id, Replicas: cluster.ReplicaSet{3}, Copies: 1, Attr: mail.MessageAttr{Received: time.Unix(9, 0)}.Append(nil)}, []byte("on node 3"))
	w.MoveBucket(string(u), 1)
	w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.SetMembers(1, 2)
	w.SetKnowledge(cluster.Complete)
	inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	if inbox.Status.Messages != 4 {
		t.Fatalf("INBOX = %+v", inbox.Status)
	}
	return u, id, inbox
}

// expunge marks a UID of INBOX as deleted, and expunges it.
func (w *world) expunge(t *testing.T, u mail.User, inbox *talk.Answer, uid mail.UID) {
	t.Helper()
	uids := mail.NewUIDSet(uid)
	w.mustAsk(t, talk.Question{Op: talk.OpStore, User: u, Folder: inbox.Status.ID, Mark: inbox.Mark, UIDs: uids, FlagOp: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagDeleted}, Request: [16]byte{1, byte(uid)}})
	w.mustAsk(t, talk.Question{Op: talk.OpExpunge, User: u, Folder: inbox.Status.ID, Mark: inbox.Mark, On: true, UIDs: uids, Request: [16]byte{2, byte(uid)}})
}

// D4: a message is expunged while all nodes that have it are away. It is gone at once, at the next manager too, and deleted when
// its node is back: at whichever manager finds it.
func TestD4_ExpungedWhileItsNodesAreAway(t *testing.T) {
	for name, next := range map[string]cluster.NodeID{"the same manager": 1, "another manager": 2, "the node that was away": 3} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{}, 3)
			u, id, inbox := w.awayUser(t)
			w.expunge(t, u, &inbox, 4)
			for _, manager := range []cluster.NodeID{1, 2} {
				w.MoveBucket(string(u), manager)
				a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
				if a.Status.Messages != 3 || a.Status.UIDNext != inbox.Status.UIDNext {
					t.Errorf("node %d: INBOX = %+v", manager, a.Status)
				}
			}
			if on := w.Copies(id); !on.Equal(cluster.ReplicaSet{3}) {
				t.Fatalf("it lies on %v", on)
			}
			w.SetMembers(1, 2, 3)
			w.SetKnowledge(cluster.Conclusive)
			w.MoveBucket(string(u), next)
			if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.Status.Messages != 3 || a.Status.UIDNext != inbox.Status.UIDNext {
				t.Errorf("INBOX = %+v", a.Status)
			}
			if on := w.Copies(id); len(on) > 0 {
				t.Errorf("it lies on %v", on)
			}
			for _, other := range w.Objects(string(u), mail.TypeMessage) {
				if other != id && len(w.Copies(other)) != 2 {
					t.Errorf("message %s lies on %v", other.ID, w.Copies(other))
				}
			}
		})
	}
}

// D1: what was put back from a backup after the expunge is newer than it: it is not deleted.
func TestD1_RestoredAfterTheExpunge(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u, id, inbox := w.awayUser(t)
	w.expunge(t, u, &inbox, 4)
	w.Put(2, cluster.Object{ID: id, Replicas: cluster.ReplicaSet{2}, Copies: 1, Attr: mail.MessageAttr{Received: time.Unix(9, 0)}.Append(nil)}, []byte("on node 3"))
	w.SetMembers(1, 2, 3)
	w.SetKnowledge(cluster.Conclusive)
	for _, manager := range []cluster.NodeID{1, 2, 3} {
		w.MoveBucket(string(u), manager)
		if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.Status.Messages != 3 {
			t.Errorf("INBOX = %+v", a.Status)
		}
	}
	if on := w.Copies(id); !on.Contains(2) {
		t.Errorf("it lies on %v", on)
	}
}

// A manager finds a message that was expunged by way of the feed, or is told of a newer one.
func TestD4_CondemnedInTheFeed(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u, id, inbox := w.awayUser(t)
	w.expunge(t, u, &inbox, 4)
	s := w.stateOf(t, 1, u)
	mid, err := mail.ParseMessageID(id.ID)
	if err != nil {
		t.Fatal(err)
	}
	at := s.dead[mid]
	if at.IsZero() {
		t.Fatal("it is not condemned")
	}
	older, newer := at, at
	older.Time--
	newer.Time++
	o := cluster.Object{ID: id, Timestamp: older, Replicas: cluster.ReplicaSet{3}}
	if s.apply([]cluster.Change{{State: cluster.ChangeStored, Object: o}}) || len(s.doomed) > 0 {
		t.Error("it is not listed again")
	}
	s.put(mid, &o, nil, o.Replicas)
	if !s.doomed[mid].Equal(cluster.ReplicaSet{3}) {
		t.Errorf("to be deleted are %v", s.doomed)
	}
	o.Timestamp = newer
	s.put(mid, &o, nil, o.Replicas)
	if o.Timestamp = older; len(s.doomed) > 0 {
		t.Errorf("to be deleted are %v", s.doomed)
	}
	if s.put(mid, &o, nil, o.Replicas); len(s.doomed) > 0 {
		t.Errorf("after a newer one was found: to be deleted are %v", s.doomed)
	}
}

// A folder is deleted with the messages in it that lie where nobody can be asked; they do not come back in INBOX.
func TestD4_FolderDeletedWhileNodesAreAway(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u, id, inbox := w.awayUser(t)
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "B", Request: [16]byte{9}})
	moved := w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Folder: inbox.Status.ID, Mark: inbox.Mark, UIDs: mail.NewUIDSet(3, 4), To: "B", Request: [16]byte{8}})
	if len(moved.Placed.To) != 2 {
		t.Errorf("moved: %+v", moved.Placed)
	}
	count := func(name string) int {
		t.Helper()
		return w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: name}).Status.Messages
	}
	if in, b := count("INBOX"), count("B"); in != 2 || b != 2 {
		t.Errorf("INBOX has %d, B has %d", in, b)
	}
	w.MoveBucket(string(u), 2)
	if in, b := count("INBOX"), count("B"); in != 2 || b != 2 {
		t.Errorf("at the next manager: INBOX has %d, B has %d", in, b)
	}
	w.mustAsk(t, talk.Question{Op: talk.OpDelete, User: u, Name: "B", Request: [16]byte{7}})
	w.SetMembers(1, 2, 3)
	w.SetKnowledge(cluster.Conclusive)
	w.MoveBucket(string(u), 3)
	if in := count("INBOX"); in != 2 || len(w.Copies(id)) > 0 {
		t.Errorf("INBOX has %d, and the message lies on %v", in, w.Copies(id))
	}
}

// A message that was moved while its nodes were away is where it was moved to when they are back.
func TestD4_MovedWhileItsNodesAreAway(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u, id, inbox := w.awayUser(t)
	w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Folder: inbox.Status.ID, Mark: inbox.Mark, UIDs: mail.NewUIDSet(4), To: "Archive", Request: [16]byte{8}})
	w.SetMembers(1, 2, 3)
	w.SetKnowledge(cluster.Conclusive)
	for _, manager := range []cluster.NodeID{1, 2, 3} {
		w.MoveBucket(string(u), manager)
		a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "Archive"})
		sums := w.mustAsk(t, talk.Question{Op: talk.OpSummaries, User: u, Folder: a.Status.ID, Mark: a.Mark, UIDs: a.UIDs}).Summaries
		if len(sums) != 1 || sums[0].ID.Object(u) != id || sums[0].Size != int64(len("on node 3")) {
			t.Errorf("node %d: Archive has %+v", manager, sums)
		}
		if in := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); in.Status.Messages != 3 {
			t.Errorf("node %d: INBOX = %+v", manager, in.Status)
		}
	}
}

// ended says how many expunged messages a folder's ledger remembers, at a manager that builds it anew.
func (w *world) ended(t *testing.T, node cluster.NodeID, u mail.User, id mail.FolderID) int {
	t.Helper()
	w.MoveBucket(string(u), node)
	w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	_, n := w.stateOf(t, int(node), u).folder(id).ledger.Old(0)
	return n
}

// Q2: of what was expunged the newest are remembered, when all nodes are there; a client that was away for longer is told of all.
func TestQ2_OldEndsAreForgotten(t *testing.T) {
	w := newWorld(t, Config{EndsKept: 4}, 3)
	u := w.user("a", 12)
	w.MoveBucket(string(u), 1)
	inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	for uid := range mail.UID(5) {
		w.expunge(t, u, &inbox, uid+1)
	}
	// Three more by way of Trash.
	w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Folder: inbox.Status.ID, Mark: inbox.Mark, UIDs: mail.NewUIDSet(6, 7, 8), To: "Trash", Request: [16]byte{8}})
	trash := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "Trash"})
	for uid := range mail.UID(3) {
		uids := mail.NewUIDSet(uid + 1)
		w.mustAsk(t, talk.Question{Op: talk.OpStore, User: u, Folder: trash.Status.ID, Mark: trash.Mark, UIDs: uids, FlagOp: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagDeleted}, Request: [16]byte{3, byte(uid)}})
		w.mustAsk(t, talk.Question{Op: talk.OpExpunge, User: u, Folder: trash.Status.ID, Mark: trash.Mark, On: true, UIDs: uids, Request: [16]byte{4, byte(uid)}})
	}
	w.SetMembers(1, 2)
	if n := w.ended(t, 2, u, mail.Inbox); n != 5 {
		t.Errorf("while a node is away: %d are remembered", n)
	}
	w.SetMembers(1, 2, 3)
	for _, x := range w.indexes {
		x.survey = freshSurvey(w, x) // as if the node had been back for a while
	}
	if n := w.ended(t, 1, u, mail.Inbox); n == 0 || n > 5 {
		t.Errorf("%d are remembered", n)
	}
	a := w.mustAsk(t, talk.Question{Op: talk.OpSince, User: u, Folder: inbox.Status.ID, Mark: inbox.Mark, ModSeq: inbox.Status.HighestModSeq})
	if want := mail.NewUIDSet(1, 2, 3, 4, 5, 6, 7, 8); !slices.Equal(a.Vanished, want) {
		t.Errorf("vanished %v, want %v", a.Vanished, want)
	}
	if n := w.ended(t, 3, u, mail.Inbox); n == 0 || n > 5 {
		t.Errorf("%d are remembered by the next manager", n)
	}
}

// Q2: the ledger of a deleted folder goes when nothing of it was written for long, and only then.
func TestQ2_LedgersOfDeletedFolders(t *testing.T) {
	for name, after := range map[string]time.Duration{"at once": 1, "later": time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{RemoveAfter: after}, 2)
			u := w.user("a", 2)
			w.MoveBucket(string(u), 1)
			made := w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "B", Request: [16]byte{1}})
			inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
			w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Folder: inbox.Status.ID, Mark: inbox.Mark, UIDs: mail.NewUIDSet(1), To: "B", Request: [16]byte{2}})
			w.mustAsk(t, talk.Question{Op: talk.OpDelete, User: u, Name: "B", Request: [16]byte{3}})
			w.mustAsk(t, talk.Question{Op: talk.OpDelete, User: u, Name: "Junk", Request: [16]byte{4}})
			w.MoveBucket(string(u), 2)
			if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.Status.Messages != 1 || a.Status.UIDValidity != inbox.Status.UIDValidity {
				t.Errorf("INBOX = %+v", a.Status)
			}
			left := map[mail.FolderID]int{}
			for _, id := range w.Objects(string(u), mail.TypeLedger) {
				f, _, _, err := uidledger.ParseID(id.ID)
				if err == nil && len(w.Copies(id)) > 0 {
					left[f]++
				}
			}
			if n := left[made.Folder]; (n > 0) != (after == time.Hour) {
				t.Errorf("%d objects of its ledger are left", n)
			}
			if delete(left, made.Folder); len(left) != 6 {
				t.Errorf("the ledgers of %d other folders are left", len(left))
			}
			if a := w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "B", Request: [16]byte{5}}); a.Folder == made.Folder {
				t.Error("another folder of that name has its id")
			}
		})
	}
}
