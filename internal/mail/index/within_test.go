package index

import (
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// within asks of messages whether they are in INBOX.
func (w *world) within(t testing.TB, u mail.User, ids ...mail.MessageID) []talk.Known {
	t.Helper()
	return w.mustAsk(t, talk.Question{Op: talk.OpWithin, User: u, Messages: ids}).Known
}

// V2: of each message the index says whether it is in the folder: by its ledger, also when it lies on nodes that are away; by
// what it was put in, of one that came a moment ago; and of what nobody has heard of that.
func TestV2_Within(t *testing.T) {
	w := newWorld(t, Config{}, 5)
	u := w.user("a", 0)
	w.MoveBucket(string(u), 1)
	put := func(n byte, folder mail.FolderID, on cluster.ReplicaSet) mail.MessageID {
		id := mail.MessageID{n}
		for _, node := range on {
			w.Put(node, cluster.Object{ID: id.Object(u), Replicas: on, Copies: 2, Timestamp: cluster.Timestamp{Time: int64(n), Node: 1},
				Attr: mail.MessageAttr{Received: time.Unix(int64(n), 0), Folder: folder}.Append(nil)}, []byte("text"))
		}
		return id
	}
	near, far := cluster.NewReplicaSet(1, 2), cluster.NewReplicaSet(4, 5)
	stays, moved, gone, away, left := put(1, mail.Inbox, near), put(2, mail.Inbox, near), put(3, mail.Inbox, near), put(4, mail.Inbox, far), put(5, mail.Inbox, far)
	b := w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "B", Folder: mail.FolderID{9}, Request: [16]byte{1}}).Folder
	a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Mark: a.Mark, UIDs: mail.NewUIDSet(2, 5), To: "B", Request: [16]byte{2}})
	w.mustAsk(t, talk.Question{Op: talk.OpStore, User: u, Mark: a.Mark, UIDs: mail.NewUIDSet(3), Flags: []mail.Flag{mail.FlagDeleted}, FlagOp: 1, Request: [16]byte{3}})
	w.mustAsk(t, talk.Question{Op: talk.OpExpunge, User: u, Mark: a.Mark, Request: [16]byte{4}})
	all := []mail.MessageID{stays, moved, gone, away, left, {99}}
	want := []talk.Known{talk.KnownHere, talk.KnownElsewhere, talk.KnownDead, talk.KnownHere, talk.KnownElsewhere, talk.KnownNot}
	if got := w.within(t, u, all...); !slices.Equal(got, want) {
		t.Errorf("of INBOX: %v, want %v", got, want)
	}
	w.SetMembers(1, 2, 3)
	if got := w.within(t, u, all...); !slices.Equal(got, want) {
		t.Errorf("while nodes are away: %v, want %v", got, want)
	}
	if got := w.within(t, u, put(6, mail.Inbox, near), put(7, b, near)); !slices.Equal(got, []talk.Known{talk.KnownHere, talk.KnownElsewhere}) {
		t.Errorf("of what came a moment ago: %v", got)
	}
	if got := w.mustAsk(t, talk.Question{Op: talk.OpWithin, User: u, Folder: b, Messages: []mail.MessageID{stays, moved}}).Known; !slices.Equal(got, []talk.Known{talk.KnownElsewhere, talk.KnownHere}) {
		t.Errorf("of the other folder: %v", got)
	}
	w.SetMembers(1, 2, 3, 4, 5)
	w.mustAsk(t, talk.Question{Op: talk.OpDelete, User: u, Name: "B", Request: [16]byte{5}})
	if got := w.within(t, u, moved); got[0] == talk.KnownHere {
		t.Errorf("of a deleted folder: %v", got)
	}
}

// V2: what was moved into a folder that is closed is not in INBOX again; whether INBOX's own ledger is away, or another folder's that
// is asked for, nothing is said.
func TestV2_WithinWhileALedgerIsAway(t *testing.T) {
	for name, away := range map[string]string{"another folder": "B", "INBOX": "INBOX"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{}, 4)
			u := w.user("a", 2)
			w.MoveBucket(string(u), 1)
			b := w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "B", Folder: mail.FolderID{9}, Request: [16]byte{1}}).Folder
			a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
			w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Mark: a.Mark, UIDs: mail.NewUIDSet(2), To: "B", Request: [16]byte{2}})
			s := w.stateOf(t, 1, u)
			moved, _ := s.folder(b).ledger.View().Get(1)
			stays, _ := s.folder(mail.Inbox).ledger.View().Get(1)
			w.ledgerTo(t, u, w.folderID(t, u, away), cluster.NewReplicaSet(4))
			w.without(u, 4)
			q := talk.Question{Op: talk.OpWithin, User: u, Messages: []mail.MessageID{stays.ID, moved.ID}}
			if away == "INBOX" {
				if _, _, err := w.ask(q); !cluster.IsKind(err, cluster.KindUnavailable) {
					t.Errorf("of INBOX = %v", err)
				}
				return
			}
			if got := w.mustAsk(t, q).Known; !slices.Equal(got, []talk.Known{talk.KnownHere, talk.KnownElsewhere}) {
				t.Errorf("of INBOX: %v", got)
			}
			q.Folder = b
			if _, _, err := w.ask(q); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("of the folder that is closed = %v", err)
			}
		})
	}
}
