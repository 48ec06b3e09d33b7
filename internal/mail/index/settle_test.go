package index

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/index/talk"
)

// silent is a change feed that tells of nothing.
func silent(context.Context, cluster.NodeID, string, func(bool, []cluster.Change)) (func(), error) {
	return func() {}, nil
}

// later counts INBOX again and again for a minute, as a session does that stays, and gives the last count.
func (w *world) later(t *testing.T, u mail.User) (n int) {
	t.Helper()
	for range 20 {
		time.Sleep(3 * time.Second)
		n = w.count(t, u, "INBOX")
	}
	return n
}

// D9: mail that a node has taken while it was cut off, and that its other replica does not get now (its disk is full), is shown once
// what the node says counts again (survey.SettleAfter). A node that watches is told to look then.
func TestD9_MailOfANodeThatCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Follow: silent}, 3)
		u := w.user("a", 1)
		w.MoveBucket(string(u), 1)
		if n := w.count(t, u, "INBOX"); n != 1 {
			t.Fatalf("%d messages", n)
		}
		w.SetMembers(1, 2)
		at, err := w.Node(1).Timestamp(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Node 3 takes a message, for itself and node 2, which it cannot reach. Later it can, and node 2 has no room.
		w.Put(3, cluster.Object{ID: mail.NewMessageID().Object(u), Timestamp: at, Replicas: cluster.NewReplicaSet(2, 3), Copies: 2,
			Attr: mail.MessageAttr{Received: time.Unix(9, 0)}.Append(nil)}, []byte("stored"))
		w.count(t, u, "INBOX")
		w.SetFaults(2, clustertest.Faults{Full: true})
		w.SetMembers(1, 2, 3)
		w.MoveBucket(string(u), 1)
		told := 0
		w.Node(2).Serve(talk.MethodChanged, func(context.Context, cluster.NodeID, []byte) ([]byte, error) { told++; return nil, nil })
		w.mustAsk(t, talk.Question{Op: talk.OpWatch, User: u, On: true})
		if n := w.count(t, u, "INBOX"); n != 1 { // at once: node 2, which has settled, has it not
			t.Errorf("INBOX has %d messages at once", n)
		}
		for range 5 {
			time.Sleep(2 * time.Second)
			w.indexes[0].look(t.Context())
			synctest.Wait()
		}
		if told != 1 {
			t.Errorf("a node that watches was told %d times", told)
		}
		if n := w.later(t, u); n != 2 {
			t.Errorf("INBOX has %d messages after a minute", n)
		}
	})
}

// V2, U5: a message that POP3 deleted just before a node came back is not "away" for as long as the index lives: it is gone, all nodes
// are there and say so.
func TestV2_DeletedBeforeANodeCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Follow: silent}, 3)
		u := w.user("a", 2)
		w.MoveBucket(string(u), 1)
		if n := w.count(t, u, "INBOX"); n != 2 {
			t.Fatalf("%d messages", n)
		}
		w.SetMembers(1, 2)
		w.count(t, u, "INBOX")
		doomed := w.Objects(string(u), mail.TypeMessage)[0]
		if err := w.Node(2).UpdateAll(t.Context(), []cluster.Update{{Object: cluster.Object{ID: doomed, Deleted: true}, Previous: cluster.NewReplicaSet(1, 2)}})[0]; err != nil {
			t.Fatal(err)
		}
		w.SetMembers(1, 2, 3) // before anybody asked the manager anything
		w.MoveBucket(string(u), 1)
		if n := w.count(t, u, "INBOX"); n != 2 { // an open session asks at once
			t.Errorf("INBOX has %d messages while nothing is proven", n)
		}
		loads := w.figures().Loads
		if n := w.later(t, u); n != 1 {
			t.Errorf("INBOX has %d messages after a minute", n)
		}
		if f := w.figures(); f.Loads > loads {
			t.Errorf("the index was built %d times more", f.Loads-loads)
		}
		a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
		for _, s := range w.mustAsk(t, talk.Question{Op: talk.OpSummaries, User: u, Mark: a.Mark, UIDs: a.UIDs}).Summaries {
			if s.IsAway() {
				t.Errorf("message %d is away", s.UID)
			}
		}
	})
}

// A member whose ledgers cannot be read does not have an index built again for each question: an index stands for longer than its
// building takes, the more so where that takes longer than unreadWaitMax.
func TestIndexThatIsSlowToBuildStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Follow: silent, LedgerWait: time.Hour}, 3)
		w.indexes[0].cluster = slow{hooked{w.Node(1), w}, 2 * unreadWaitMax}
		u := w.user("a", 1)
		w.profileOn(u, cluster.NewReplicaSet(1, 2, 3))
		w.MoveBucket(string(u), 1)
		w.count(t, u, "INBOX")
		w.MoveBucket(string(u), 1)
		w.SetFaults(3, clustertest.Faults{Hung: true})
		began, before := time.Now(), w.figures().Loads
		for time.Since(began) < time.Hour {
			w.mustAsk(t, talk.Question{Op: talk.OpFolders, User: u})
			time.Sleep(time.Second)
		}
		if n := w.figures().Loads - before; n < 4 || n > 8 { // each takes two minutes
			t.Errorf("in an hour the index was built %d times", n)
		}
	})
}
