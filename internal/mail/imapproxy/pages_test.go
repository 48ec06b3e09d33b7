package imapproxy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index"
	"porcupine/internal/mail/index/talk"
)

// fill puts messages on two nodes, quickly.
func (w *world) fill(count int) {
	on := cluster.NewReplicaSet(1, 2)
	for i := range count {
		id := mail.NewMessageID().Object(user)
		attr := mail.MessageAttr{Received: time.Unix(1_700_000_000+int64(i), 0)}.Append(nil)
		for _, node := range on {
			w.Put(node, cluster.Object{ID: id, Replicas: on, Copies: 2, Attr: attr, Timestamp: cluster.Timestamp{Time: int64(i + 2), Node: 1}},
				fmt.Appendf(nil, "Subject: %d\r\n\r\ntext %d\r\n", i+1, i+1))
		}
	}
}

// A folder of more messages than go into one answer is told page by page.
func TestPages(t *testing.T) {
	const count = 2*talk.PageMax + 500
	w := newWorld(t, 3)
	w.fill(count)
	_, s := w.pick(t, 1, "INBOX")
	_, other := w.pick(t, 2, "INBOX")
	all, err := s.UIDs(t.Context())
	if err != nil || all.Len() != count || len(all) != 1 {
		t.Fatalf("%d UIDs in %d ranges, %v", all.Len(), len(all), err)
	}
	done, _, err := s.Store(t.Context(), all, backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagDeleted}}, 0)
	if err != nil || len(done) != count {
		t.Fatalf("Store changed %d, %v", len(done), err)
	}
	c := synced(t, other)
	if len(c.Changed) != count {
		t.Fatalf("Sync told of %d changes", len(c.Changed))
	}
	for i := range c.Changed {
		if c.Changed[i].UID != mail.UID(i+1) || len(c.Changed[i].Flags) != 1 {
			t.Fatalf("change %d is %+v", i, c.Changed[i])
		}
	}
	if c = synced(t, other); len(c.Changed) != 0 {
		t.Errorf("the next Sync told of %d changes", len(c.Changed))
	}
	seen := 0
	if err := other.Summaries(t.Context(), all, func(m *mail.Summary) error {
		if seen++; int(m.UID) != seen {
			return fmt.Errorf("summary %d is of UID %d", seen, m.UID)
		}
		return nil
	}); err != nil || seen != count {
		t.Fatalf("%d summaries, %v", seen, err)
	}
	half := mail.UIDSet{{First: 1, Last: count / 2}}
	p, err := s.Move(t.Context(), half, "Archive")
	if err != nil || len(p.To) != count/2 || len(p.From) != count/2 {
		t.Fatalf("Move placed %d, %v", len(p.To), err)
	}
	if err := s.Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if c = synced(t, other); c.Vanished.Len() != count || c.Status.Messages != 0 {
		t.Fatalf("%d vanished, %d are left", c.Vanished.Len(), c.Status.Messages)
	}
}

// C1, Q2: a session goes on however much has come and gone since it was told.
func TestC1_MuchHasComeAndGone(t *testing.T) {
	const count, ranges = 60, 7
	w := newWorld(t, 3)
	w.cfg = index.Config{RangesMax: ranges}
	w.restart(t)
	w.fill(count)
	_, s := w.pick(t, 1, "INBOX")
	_, other := w.pick(t, 2, "INBOX")
	var odd, even []mail.UID
	for u := mail.UID(1); u <= count; u += 2 {
		odd, even = append(odd, u), append(even, u+1)
	}
	move := func(uids mail.UIDSet) {
		if _, err := s.Move(t.Context(), uids, "Archive"); err != nil {
			t.Fatal(err)
		}
	}
	move(mail.NewUIDSet(odd...))
	w.deliver(t, 1)
	w.deliver(t, 1)
	synced(t, s)
	c := synced(t, other)
	if came := (mail.UIDSet{{First: count + 1, Last: count + 2}}); !slices.Equal(c.Vanished, mail.NewUIDSet(odd...)) || !slices.Equal(c.Arrived, came) {
		t.Errorf("half of them: vanished %v, arrived %v", c.Vanished, c.Arrived)
	}
	if c.Status.Messages != count/2+2 || len(c.Changed) > 0 {
		t.Errorf("half of them: %d messages, %d changed", c.Status.Messages, len(c.Changed))
	}
	if c = synced(t, other); len(c.Vanished)+len(c.Arrived)+len(c.Changed) > 0 {
		t.Errorf("the next Sync = %+v", c)
	}
	rest := append(even, count+1, count+2)
	move(mail.NewUIDSet(rest...))
	if c = synced(t, other); !slices.Equal(c.Vanished, mail.NewUIDSet(rest...)) || len(c.Arrived) > 0 || c.Status.Messages != 0 {
		t.Errorf("all of them: vanished %v, arrived %v, %d messages", c.Vanished, c.Arrived, c.Status.Messages)
	}
}

// RFC 7162 §3.2.5.2: a client that was away is told what has changed of what it knew, and what of it is gone.
func TestSince(t *testing.T) {
	w := newWorld(t, 3)
	w.fill(10)
	_, s := w.pick(t, 1, "INBOX")
	at := s.Status()
	if _, _, err := s.Store(t.Context(), mail.NewUIDSet(2, 3), backend.FlagChange{Flags: []mail.Flag{mail.FlagSeen}}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Move(t.Context(), mail.NewUIDSet(5, 6), "Archive"); err != nil {
		t.Fatal(err)
	}
	w.MoveBucket(string(user), 3)
	_, again := w.pick(t, 2, "INBOX")
	c, err := again.Since(t.Context(), at.HighestModSeq, mail.UIDSet{{First: 1, Last: 5}})
	if err != nil || len(c.Changed) != 2 || c.Changed[0].UID != 2 || c.Vanished.Len() != 1 || !c.Vanished.Contains(5) {
		t.Errorf("Since = %+v, %v", c, err)
	}
	if c, err = again.Since(t.Context(), at.HighestModSeq, nil); err != nil || c.Vanished.Len() != 2 {
		t.Errorf("Since of all = %+v, %v", c, err)
	}
	// L13: a client that has seen more than can be reached is not told that anything is gone.
	if _, err = again.Since(t.Context(), again.Status().HighestModSeq+1<<30, nil); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Since the future = %v", err)
	}
}

// D5: a damaged copy is passed over, and where messages have moved they are found again.
func TestD5_ContentsFromAnyReplica(t *testing.T) {
	w := newWorld(t, 3)
	w.deliver(t, 1)
	_, s := w.pick(t, 1, "INBOX")
	id := w.Objects(string(user), mail.TypeMessage)[0]
	nodes := w.Copies(id)
	w.Damage(nodes[0], id)
	if got := text(t, s, 1); got != "text 1" {
		t.Errorf("read %q", got)
	}
	for _, node := range nodes {
		w.SetFaults(node, faultsNone())
	}
	// It moves to the third node alone.
	third := cluster.NewReplicaSet(1, 2, 3).Without(nodes)[0]
	contents, _ := w.Contents(nodes[1], id)
	attr := mail.MessageAttr{Received: time.Unix(1_700_000_001, 0)}.Append(nil)
	w.Put(third, cluster.Object{ID: id, Replicas: cluster.ReplicaSet{third}, Copies: 1, Attr: attr}, contents)
	gone := cluster.Update{Object: cluster.Object{ID: id, Deleted: true, Timestamp: cluster.Timestamp{Time: 1 << 40, Node: 1}}, Previous: nodes}
	if err := w.Node(1).UpdateAll(t.Context(), []cluster.Update{gone})[0]; err != nil {
		t.Fatal(err)
	}
	if got := text(t, s, 1); got != "text 1" {
		t.Errorf("read %q where it lies now", got)
	}
}

// RFC 9051 §6.3.2: what was opened to be examined is not changed.
func TestReadOnly(t *testing.T) {
	w := newWorld(t, 3)
	w.deliver(t, 1)
	m := w.open(t, 2)
	s, err := m.Select(t.Context(), "INBOX", true)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Store(t.Context(), mail.NewUIDSet(1), backend.FlagChange{Flags: []mail.Flag{mail.FlagSeen}}, 0)
	_, moveErr := s.Move(t.Context(), mail.NewUIDSet(1), "Archive")
	for _, err := range []error{err, moveErr, s.Expunge(t.Context(), nil)} {
		if !cluster.IsKind(err, cluster.KindDenied) {
			t.Errorf("a change = %v", err)
		}
	}
}

// V2: nothing is shown from an incomplete mail map, and nothing without a ledger replica.
func TestV2_IncompleteIsNotShown(t *testing.T) {
	w := newWorld(t, 5)
	w.deliver(t, 4)
	w.MoveBucket(string(user), 4)
	w.SetKnowledge(cluster.Partial)
	if _, err := w.nodes[3].proxy.Open(t.Context(), user, mail.Client{}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Open with a partial map = %v", err)
	}
	w.SetKnowledge(cluster.Conclusive)
	w.SetMembers(4, 5)
	if _, err := w.nodes[3].proxy.Open(t.Context(), user, mail.Client{}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Open without a ledger replica = %v", err)
	}
	w.SetMembers(1, 2, 3, 4, 5)
	w.open(t, 4)
}

func BenchmarkSelect(b *testing.B) {
	w := newWorld(b, 3)
	w.fill(10_000)
	w.pick(b, 1, "INBOX")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.MoveBucket(string(user), cluster.NodeID(i%3+1)) // so that the index is built anew
		m, err := w.nodes[0].proxy.Open(b.Context(), user, mail.Client{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.Select(b.Context(), "INBOX", false); err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

// Q2: a session that catches up holds a page of changes at a time, and is told how far it has come with each.
func TestQ2_SyncGivesAPage(t *testing.T) {
	const count = 2*talk.PageMax + 500
	w := newWorld(t, 2)
	w.fill(count)
	_, s := w.pick(t, 1, "INBOX")
	_, other := w.pick(t, 1, "INBOX")
	if _, _, err := s.Store(t.Context(), mustUIDs(t, s), backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}}, 0); err != nil {
		t.Fatal(err)
	}
	told, pages, at := 0, 0, other.Status().HighestModSeq
	for more := true; more; pages++ {
		c, err := other.Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Changed) > talk.PageMax || c.Status.HighestModSeq <= at {
			t.Errorf("page %d has %d changes, up to %d after %d", pages, len(c.Changed), c.Status.HighestModSeq, at)
		}
		for i := range c.Changed {
			if m := c.Changed[i].ModSeq; m <= at || m > c.Status.HighestModSeq {
				t.Fatalf("page %d has change %d, and says it is of those from %d to %d", pages, m, at+1, c.Status.HighestModSeq)
			}
		}
		told, at, more = told+len(c.Changed), c.Status.HighestModSeq, c.More
	}
	if told != count || pages < 3 {
		t.Errorf("%d changes of %d in %d pages", told, count, pages)
	}
}
