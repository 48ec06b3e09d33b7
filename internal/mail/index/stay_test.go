package index

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// stateOf gives the index of a user at a node.
func (w *world) stateOf(t *testing.T, node int, u mail.User) *state {
	t.Helper()
	if b := w.indexes[node-1].boxes[u]; b != nil && b.state != nil {
		return b.state
	}
	t.Fatalf("node %d has no index of %s", node, u)
	return nil
}

// D4: a message that is moved out and comes back meanwhile stays: its departure is older than that.
func TestD4_DepartureLeavesALaterStay(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 1)
	w.MoveBucket(string(u), 1)
	a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "B", Request: [16]byte{1}})
	s := w.stateOf(t, 1, u)
	inbox := s.folder(mail.Inbox)
	e, ok := inbox.ledger.View().Get(1)
	if !ok {
		t.Fatal("there is no message")
	}
	w.during.set(func() {
		inbox.ledger.Arrive(uidledger.Arrival{ID: e.ID, Stay: cluster.Timestamp{Time: time.Now().Add(time.Hour).UnixNano(), Node: 3}})
	})
	w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Mark: a.Mark, UIDs: mail.NewUIDSet(1), To: "B", Request: [16]byte{2}})
	v := inbox.ledger.View()
	if uid, ok := v.UID(e.ID); !ok || uid != 2 || v.Len() != 1 {
		t.Errorf("it has UID %d (%t), and INBOX %d messages", uid, ok, v.Len())
	}
}

// D4: who builds the index ends the stays that are over, those of the same time too, and nothing later; a message is in one folder.
func TestD4_OneFolderOfAMessage(t *testing.T) {
	for name, later := range map[string]int64{"moved, and not retired": -1, "the same time": 0} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{}, 2)
			u := w.user("a", 1)
			w.MoveBucket(string(u), 1)
			w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "B", Request: [16]byte{1}})
			w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
			s := w.stateOf(t, 1, u)
			inbox, err := s.find(t.Context(), "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			other, err := s.find(t.Context(), "B")
			if err != nil {
				t.Fatal(err)
			}
			e, _ := inbox.ledger.View().Get(1)
			stay := e.Stay
			stay.Time -= later
			other.ledger.Arrive(uidledger.Arrival{ID: e.ID, Stay: stay})
			if err := s.reveal(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			w.MoveBucket(string(u), 2)
			total := 0
			for _, folder := range []string{"INBOX", "B"} {
				total += w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: folder}).Status.Messages
			}
			if total != 1 {
				t.Errorf("it is shown %d times", total)
			}
		})
	}
}

// A holder that is behind tells of a message as it was: that does not take the place of what is newer. (Replicas of which none is
// among those that are known are those of a message that was stored twice: they are added.)
func TestFeedOfAHolderThatIsBehind(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 1)
	w.MoveBucket(string(u), 1)
	w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	s := w.stateOf(t, 1, u)
	for id, m := range s.messages {
		before := *m
		older := m.version
		older.Time--
		on := m.place.nodes[:1].Union(cluster.ReplicaSet{3})
		change := cluster.Change{State: cluster.ChangeStored, Object: cluster.Object{ID: id.Object(u), Timestamp: older, Replicas: on}}
		if !s.apply([]cluster.Change{change}) || *m != before {
			t.Errorf("after an older one: %+v, before %+v", *m, before)
		}
		change.Object.Timestamp.Time += 2
		if !s.apply([]cluster.Change{change}) || m.version != change.Object.Timestamp || !m.place.nodes.Equal(on) {
			t.Errorf("after a newer one: %+v", *m)
		}
	}
}
