package imapproxy

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/imapserver/backend"
)

// apart plays a partition in which node 3, which is alone, sets a flag on message 1 and moves message 2. It gives the world when that is
// over and node 1 manages the user; nobody has asked it yet. The profile, and so the ledgers, lie on all three nodes, the mail on 1 and 2.
func apart(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 3)
	on := cluster.NewReplicaSet(1, 2)
	for i := range 2 {
		id := mail.NewMessageID().Object(user)
		attr := mail.MessageAttr{Received: time.Unix(1_700_000_000+int64(i), 0)}.Append(nil)
		for _, node := range on {
			w.Put(node, cluster.Object{ID: id, Replicas: on, Copies: 2, Attr: attr, Timestamp: cluster.Timestamp{Time: int64(i + 2), Node: 1}},
				fmt.Appendf(nil, "Subject: %d\r\n\r\ntext %d\r\n", i+1, i+1))
		}
	}
	w.MoveBucket(string(user), 1)
	_, s := w.pick(t, 1, "INBOX")
	want(t, "INBOX", show(t, s), []string{"1 text 1 []", "2 text 2 []"})
	w.SetMembers(3)
	_, far := w.pick(t, 3, "INBOX")
	if _, _, err := far.Store(t.Context(), mail.NewUIDSet(1), backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagFlagged}}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Move(t.Context(), mail.NewUIDSet(2), "Archive"); err != nil {
		t.Fatal(err)
	}
	w.SetMembers(1, 2, 3)
	w.MoveBucket(string(user), 1)
	return w
}

// U5, D4: what was acknowledged on the other side of a partition is shown after it, though a call to the ledger replica that alone knows it
// fails in the moment when the index is built. A session that waits for news is told.
func TestU5_LedgerReplicaThatFailsOnce(t *testing.T) {
	for name, fails := range map[string]bool{"it answers": false, "it fails once": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := apart(t)
				w.SetFaults(3, clustertest.Faults{Hung: fails})
				_, near := w.pick(t, 1, "INBOX")
				w.SetFaults(3, clustertest.Faults{})
				w.run(t)
				told := make(chan struct{}, 100)
				near.Watch(func() { told <- struct{}{} })
				for range 5 {
					time.Sleep(5 * time.Second)
					for len(told) > 0 {
						<-told
						synced(t, near)
					}
				}
				shown := []string{`1 text 1 [\Flagged]`}
				want(t, "a session that waits for news", show(t, near), shown)
				_, again := w.pick(t, 2, "INBOX")
				want(t, "one that begins later", show(t, again), shown)
				loads := w.nodes[0].indexes.Figures().Loads
				time.Sleep(time.Hour)
				synced(t, near)
				if after := w.nodes[0].indexes.Figures().Loads; after > loads+1 { // one, since it was idle
					t.Errorf("the index was built %d times in an hour in which nothing was amiss", after-loads)
				}
			})
		})
	}
}

// A ledger replica that goes on failing is tried less and less often.
func TestU5_LedgerReplicaThatGoesOnFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := apart(t)
		w.SetFaults(3, clustertest.Faults{Hung: true})
		_, s := w.pick(t, 1, "INBOX")
		began := w.nodes[0].indexes.Figures().Loads
		for range 600 { // ten minutes
			time.Sleep(time.Second)
			synced(t, s)
		}
		if n := w.nodes[0].indexes.Figures().Loads - began; n < 8 || n > 30 {
			t.Errorf("in ten minutes the index was built %d times", n)
		}
		w.SetFaults(3, clustertest.Faults{})
		time.Sleep(time.Minute)
		synced(t, s)
		want(t, "INBOX", show(t, s), []string{`1 text 1 [\Flagged]`})
	})
}
