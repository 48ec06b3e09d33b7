package imapproxy

import (
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// Of an APPEND the change feed, the question for a number, and the removal after a failure may come in any order.
func TestAppendAndTheFeed(t *testing.T) {
	w := newWorld(t, 3)
	w.feed = &feed{calls: make(map[*func(bool, []cluster.Change)]cluster.NodeID)}
	w.restart(t)
	w.MoveBucket(string(user), 1)
	w.fill(1)
	_, s := w.pick(t, 1, "INBOX")
	put := func() cluster.Object {
		on := cluster.NewReplicaSet(1, 2)
		o := cluster.Object{ID: mail.NewMessageID().Object(user), Replicas: on, Copies: 2, Timestamp: cluster.Timestamp{Time: time.Now().UnixNano(), Node: 1},
			Attr: mail.MessageAttr{Received: time.Unix(1_700_000_100, 0)}.Append(nil), Size: 20}
		for _, node := range on {
			w.Put(node, o, fmt.Appendf(nil, "Subject: x\r\n\r\nlate\r\n"))
		}
		return o
	}
	ask := func(o cluster.Object) (talk.Answer, error) {
		q := talk.Question{Op: talk.OpPlaced, User: user, Items: []talk.Item{{Object: o, Flags: []mail.Flag{mail.FlagDraft}}}, Request: [16]byte(o.Sum[:16])}
		b, err := w.Node(2).Ask(t.Context(), string(user), talk.Method, q.Marshal())
		if err != nil {
			return talk.Answer{}, err
		}
		return talk.ParseAnswer(b)
	}

	// The feed is first: the message has been seen, and keeps its UID.
	o := put()
	w.feed.tell(false, cluster.Change{Object: o, State: cluster.ChangeStored})
	if c := synced(t, s); !c.Arrived.Contains(2) {
		t.Fatalf("Sync = %+v", c)
	}
	a, err := ask(o)
	if err != nil || len(a.Placed.To) != 1 || a.Placed.To[0] != 2 {
		t.Errorf("placed = %+v, %v", a.Placed, err)
	}
	if c := synced(t, s); len(c.Vanished)+len(c.Arrived) != 0 || len(c.Changed) != 1 || len(c.Changed[0].Flags) != 1 {
		t.Errorf("Sync = %+v", c)
	}

	// The removal is first: nobody is shown a message that is no more.
	o = put()
	gone := cluster.Update{Object: cluster.Object{ID: o.ID, Deleted: true}, Previous: o.Replicas}
	if err := w.Node(1).UpdateAll(t.Context(), []cluster.Update{gone})[0]; err != nil {
		t.Fatal(err)
	}
	w.feed.tell(false, cluster.Change{Object: cluster.Object{ID: o.ID, Deleted: true, Timestamp: cluster.Timestamp{Time: time.Now().UnixNano()}}, State: cluster.ChangeRemoved})
	if a, err = ask(o); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("placed = %+v, %v", a, err)
	}
	if c := synced(t, s); len(c.Arrived) != 0 {
		t.Errorf("Sync = %+v", c)
	}
}
