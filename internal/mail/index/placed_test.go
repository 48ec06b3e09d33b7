package index

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// stored puts a message on nodes, as an APPEND to INBOX stores it.
func (w *world) stored(t *testing.T, u mail.User, on ...cluster.NodeID) cluster.Object {
	t.Helper()
	at, err := w.Node(on[0]).Timestamp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := cluster.Object{ID: mail.NewMessageID().Object(u), Timestamp: at, Replicas: cluster.NewReplicaSet(on...), Copies: len(on),
		Attr: mail.MessageAttr{Received: time.Unix(9, 0)}.Append(nil)}
	for _, node := range on {
		w.Put(node, o, []byte("stored"))
	}
	return o
}

func (w *world) count(t *testing.T, u mail.User, name string) int {
	t.Helper()
	a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: name})
	return a.UIDs.Len()
}

// D9: one of the messages that were stored has been deleted meanwhile. Another one, which the manager has not heard of yet, is shown
// all the same when it hears of it.
func TestD9_PlacedAllOrNone(t *testing.T) {
	w := newWorld(t, Config{}, 2)
	u := w.user("a", 1)
	gone := w.stored(t, u, 1, 2)
	inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.expunge(t, u, &inbox, 2)
	fresh := gone
	fresh.ID = mail.NewMessageID().Object(u)
	_, _, err := w.ask(talk.Question{Op: talk.OpPlaced, User: u, Request: [16]byte{7}, Items: []talk.Item{{Object: fresh}, {Object: gone}}})
	if !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("with one that was deleted: %v", err)
	}
	for _, node := range fresh.Replicas {
		w.Put(node, fresh, []byte("stored"))
	}
	if n := w.count(t, u, "INBOX"); n != 2 {
		t.Errorf("INBOX has %d messages, want 2", n)
	}
}

// D4: a message that was shown and moved before the question comes that places it stays where it was moved to, and is there once.
func TestD4_PlacedAfterItWasMoved(t *testing.T) {
	w := newWorld(t, Config{}, 2)
	u := w.user("a", 0)
	o := w.stored(t, u, 1, 2)
	inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Mark: inbox.Mark, UIDs: mail.NewUIDSet(1), To: "Archive", Request: [16]byte{1}})
	a := w.mustAsk(t, talk.Question{Op: talk.OpPlaced, User: u, Request: [16]byte{2}, Items: []talk.Item{{Object: o}}})
	if in, archive := w.count(t, u, "INBOX"), w.count(t, u, "Archive"); in != 0 || archive != 1 || len(a.Placed.To) > 0 {
		t.Errorf("INBOX has %d, Archive has %d, placed: %+v", in, archive, a.Placed)
	}
}

// D1: a message was moved to other nodes, and these leave the view while the manager lists. That the nodes before have it no
// more does not say that it is gone.
func TestD1_MovedToNodesThatLeave(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 1)
	o := w.stored(t, u, 1, 2)
	w.stored(t, u, 3, 4)
	w.MoveBucket(string(u), 1)
	if n := w.count(t, u, "INBOX"); n != 3 {
		t.Fatalf("INBOX has %d messages", n)
	}
	moved := o
	moved.Timestamp, moved.Replicas, moved.Size, moved.Sum = cluster.Timestamp{}, cluster.NewReplicaSet(3, 4), 6, sha256.Sum256([]byte("stored"))
	if err := w.Node(1).Update(t.Context(), cluster.Update{Object: moved, Previous: o.Replicas}, bytes.NewReader([]byte("stored"))); err != nil {
		t.Fatal(err)
	}
	if on := w.Copies(o.ID); !on.Equal(moved.Replicas) {
		t.Fatalf("it lies on %v", on)
	}
	if n := w.count(t, u, "INBOX"); n != 3 {
		t.Errorf("after it was moved INBOX has %d messages", n)
	}
	for id, m := range w.stateOf(t, 1, u).messages {
		if id.Object(u) == o.ID && (m.place.said.Contains(1) || m.place.said.Contains(2)) {
			t.Errorf("of the nodes that have it, %v have said so", m.place.said)
		}
	}
	w.looking.set(func() {
		w.SetMembers(1, 2)
		w.SetKnowledge(cluster.Complete)
	})
	if _, _, err := w.ask(talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); err != nil && !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Error(err)
	}
	w.SetMembers(1, 2, 3, 4)
	w.SetKnowledge(cluster.Conclusive)
	for _, x := range w.indexes {
		x.survey = freshSurvey(w, x)
	}
	if n := w.count(t, u, "INBOX"); n != 3 {
		t.Errorf("when its nodes are back INBOX has %d messages", n)
	}
}

// Keywords that a message came with and its folder has no room for are told to the administrator: no answer says it.
func TestKeywordsLeftOutAreTold(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, 2)
	u := w.user("a", 0)
	item := talk.Item{Object: w.stored(t, u, 1), Flags: []mail.Flag{mail.FlagSeen}}
	for i := range mail.KeywordsMax {
		item.Flags = append(item.Flags, mail.Flag(fmt.Sprintf("k%03d", i)))
	}
	place := func(item talk.Item, request byte) {
		t.Helper()
		w.mustAsk(t, talk.Question{Op: talk.OpPlaced, User: u, Request: [16]byte{request}, Items: []talk.Item{item}})
	}
	place(item, 1)
	if log.Len() > 0 {
		t.Fatalf("all had room: %s", log.String())
	}
	place(talk.Item{Object: w.stored(t, u, 1), Flags: []mail.Flag{mail.FlagSeen, "one", "more"}}, 2)
	if got := log.String(); !strings.Contains(got, "keywords of new messages are left out") || !strings.Contains(got, "messages=1") {
		t.Errorf("log: %s", got)
	}
}
