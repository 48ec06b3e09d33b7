package imapproxy

import (
	"bytes"
	"context"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/imapserver/backend"
)

func faultsMute() clustertest.Faults { return clustertest.Faults{Mute: true} }
func faultsNone() clustertest.Faults { return clustertest.Faults{} }

// run runs the managers and proxies until the test ends.
func (w *world) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2*len(w.nodes))
	for i := range w.nodes {
		go func() { w.nodes[i].indexes.Run(ctx); done <- struct{}{} }()
		go func() { w.nodes[i].proxy.Run(ctx); done <- struct{}{} }()
	}
	t.Cleanup(func() {
		cancel()
		for range cap(done) {
			<-done
		}
	})
}

// changes gives what a feed would tell of all messages there are.
func (w *world) changes(t *testing.T) (all []cluster.Change) {
	t.Helper()
	for _, node := range w.Node(1).View().IDs() {
		objects, err := w.Node(1).List(t.Context(), node, string(user), mail.TypeMessage)
		if err != nil {
			t.Fatal(err)
		}
		for i := range objects {
			all = append(all, cluster.Change{Object: objects[i], State: cluster.ChangeStored})
		}
	}
	return all
}

// D9: a session is told of what comes, without a listing; and of what POP3 deletes.
func TestD9_ToldByTheFeed(t *testing.T) {
	w := newWorld(t, 3)
	w.feed = &feed{calls: make(map[*func(bool, []cluster.Change)]cluster.NodeID)}
	w.restart(t)
	w.MoveBucket(string(user), 1)
	for range 8 { // so that all nodes have some
		w.deliver(t, 1)
	}
	w.run(t)
	_, s := w.pick(t, 3, "INBOX")
	told := make(chan struct{}, 100)
	s.Watch(func() {
		select {
		case told <- struct{}{}:
		default:
		}
	})
	<-told // the watch has begun: look for yourself
	synced(t, s)
	before := w.nodes[0].indexes.Figures()
	w.deliver(t, 2)
	w.feed.tell(false, w.changes(t)...)
	<-told
	if c := synced(t, s); c.Arrived.Len() != 1 {
		t.Errorf("Sync after a delivery = %+v", c)
	}
	if after := w.nodes[0].indexes.Figures(); after.Relists != before.Relists || after.Loads != before.Loads {
		t.Errorf("listed again: %+v after %+v", after, before)
	}

	id := w.Objects(string(user), mail.TypeMessage)[0]
	if err := w.Node(2).UpdateAll(t.Context(), []cluster.Update{{Object: cluster.Object{ID: id, Deleted: true}, Previous: w.Copies(id)}})[0]; err != nil {
		t.Fatal(err)
	}
	w.feed.tell(false, cluster.Change{Object: cluster.Object{ID: id}, State: cluster.ChangeRemoved})
	<-told
	if c := synced(t, s); c.Vanished.Len() != 1 {
		t.Errorf("Sync after a deletion by POP3 = %+v", c)
	}

	w.deliver(t, 2)
	w.feed.tell(true)
	<-told
	if c := synced(t, s); c.Arrived.Len() != 1 {
		t.Errorf("Sync after a gap = %+v", c)
	}
	s.Watch(nil)
}

// A change by one session is told to the others, on whatever nodes, and to those whose manager has changed.
func TestSessionsTellEachOther(t *testing.T) {
	w := newWorld(t, 3)
	w.deliver(t, 1)
	w.run(t)
	_, watching := w.pick(t, 3, "INBOX")
	told := make(chan struct{}, 100)
	watching.Watch(func() { told <- struct{}{} })
	<-told
	_, other := w.pick(t, 2, "INBOX")
	if _, _, err := other.Store(t.Context(), mail.NewUIDSet(1), backend.FlagChange{Flags: []mail.Flag{mail.FlagSeen}}, 0); err != nil {
		t.Fatal(err)
	}
	<-told
	if c := synced(t, watching); len(c.Changed) != 1 || c.Changed[0].Flags[0] != mail.FlagSeen {
		t.Errorf("Sync = %+v", c)
	}
	for len(told) > 0 {
		<-told
	}
	w.MoveBucket(string(user), 2)
	<-told
	if c := synced(t, watching); len(c.Changed) != 0 || len(c.Vanished) != 0 {
		t.Errorf("Sync at another manager = %+v", c)
	}
}

// C1: sessions at all nodes that have an empty folder of a new user go on when its first message comes, by APPEND or
// delivery, at the same manager and at the next one.
func TestC1_FirstMessageOfAnEmptyFolder(t *testing.T) {
	for name, first := range map[string]func(*world, backend.Mailbox){
		"append": func(_ *world, m backend.Mailbox) {
			body := []byte("Subject: first\r\n\r\ntext\r\n")
			if _, err := m.Append(t.Context(), "INBOX", []backend.Append{{Body: bytes.NewReader(body), Size: int64(len(body))}}); err != nil {
				t.Error(err)
			}
		},
		"delivery": func(w *world, _ backend.Mailbox) { w.deliver(t, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			w.MoveBucket(string(user), 1)
			var sessions []backend.Selected
			var m backend.Mailbox
			for node := range cluster.NodeID(3) {
				var s backend.Selected
				m, s = w.pick(t, node+1, "INBOX")
				sessions = append(sessions, s)
			}
			first(w, m)
			for i, s := range sessions {
				if i == 2 {
					w.MoveBucket(string(user), 2)
				}
				if c := synced(t, s); c.Arrived.Len() != 1 {
					t.Errorf("session %d is told of %v", i, c)
				}
			}
		})
	}
}
