package imapproxy

import (
	"bytes"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/message"
)

// One day of a mailbox, each step seen from another node than the one before.
func TestStory(t *testing.T) {
	w := newWorld(t, 4)
	ctx := t.Context()
	for range 3 {
		w.deliver(t, 2)
	}
	m, s := w.pick(t, 3, "INBOX")
	want(t, "INBOX", show(t, s), []string{"1 text 1 []", "2 text 2 []", "3 text 3 []"})
	if st := s.Status(); st.Messages != 3 || st.UIDNext != 4 || st.Unseen != 3 || st.FirstUnseen != 1 || st.UIDValidity == 0 || st.HighestModSeq == 0 {
		t.Errorf("Status = %+v", st)
	}

	w.deliver(t, 4)
	c := synced(t, s)
	if !c.Arrived.Contains(4) || c.Arrived.Len() != 1 || len(c.Vanished) != 0 || c.Status.UIDNext != 5 {
		t.Errorf("Sync after a delivery = %+v", c)
	}

	done, modified, err := s.Store(ctx, mail.NewUIDSet(2, 4, 9), backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagSeen, "work"}}, 0)
	if err != nil || len(done) != 2 || len(modified) != 0 {
		t.Fatalf("Store = %v, %v, %v", done, modified, err)
	}
	_, other := w.pick(t, 1, "inbox")
	want(t, "INBOX elsewhere", show(t, other), []string{"1 text 1 []", `2 text 2 [\Seen work]`, "3 text 3 []", `4 text 4 [\Seen work]`})
	if _, modified, err = other.Store(ctx, mail.NewUIDSet(2, 3), backend.FlagChange{Op: backend.FlagsReplace, Flags: []mail.Flag{mail.FlagDeleted}}, c.Status.HighestModSeq); err != nil || !modified.Contains(2) || modified.Contains(3) {
		t.Fatalf("Store UNCHANGEDSINCE = %v, %v", modified, err)
	}

	if _, err := m.Create(ctx, "a/b", ""); err != nil {
		t.Fatalf("Create: %v", err)
	}
	if _, err := m.Create(ctx, "a/b", ""); !cluster.IsKind(err, cluster.KindExists) {
		t.Errorf("Create again = %v", err)
	}
	p, err := s.Copy(ctx, mail.NewUIDSet(1, 4), "a/b")
	if err != nil || len(p.From) != 2 || len(p.To) != 2 || p.UIDValidity == 0 {
		t.Fatalf("Copy = %+v, %v", p, err)
	}
	p, err = s.Move(ctx, mail.NewUIDSet(2), "a/b")
	if err != nil || len(p.From) != 1 || p.From[0] != 2 || p.To[0] != 3 {
		t.Fatalf("Move = %+v, %v", p, err)
	}
	if err := s.Expunge(ctx, nil); err != nil {
		t.Fatalf("Expunge: %v", err)
	}
	c = synced(t, s)
	if want := mail.NewUIDSet(2, 3); c.Vanished.Len() != 2 || c.Vanished.Intersect(want).Len() != 2 {
		t.Errorf("Sync after MOVE and EXPUNGE = %+v", c)
	}
	want(t, "INBOX", show(t, s), []string{"1 text 1 []", `4 text 4 [\Seen work]`})

	m, s = w.pick(t, 2, "a/b")
	want(t, "a/b", show(t, s), []string{"1 text 1 []", `2 text 4 [\Seen work]`, `3 text 2 [\Seen work]`})
	body := []byte("Subject: draft\r\n\r\nnew\r\n")
	p, err = m.Append(ctx, "a/b", []backend.Append{{Body: bytes.NewReader(body), Size: int64(len(body)), Flags: []mail.Flag{mail.FlagDraft}, Replaces: 1}})
	if err != nil || len(p.To) != 1 || p.To[0] != 4 {
		t.Fatalf("Append = %+v, %v", p, err)
	}
	if c = synced(t, s); !c.Vanished.Contains(1) || !c.Arrived.Contains(4) {
		t.Errorf("Sync after REPLACE = %+v", c)
	}
	want(t, "a/b", show(t, s), []string{`2 text 4 [\Seen work]`, `3 text 2 [\Seen work]`, `4 new [\Draft]`})
	structures := 0
	if err := s.Structures(ctx, mail.NewUIDSet(2, 3, 4), func(u mail.UID, x *message.Index) error {
		structures++
		if x.Root.Subtype != "plain" {
			t.Errorf("structure of %d: %s", u, x.Root.Subtype)
		}
		return nil
	}); err != nil || structures != 3 {
		t.Errorf("Structures gave %d, %v", structures, err)
	}

	if err := m.Delete(ctx, "a/b"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if _, err := s.Sync(ctx); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Sync of a folder that was deleted = %v", err)
	}
	if got := len(w.Objects(string(user), mail.TypeMessage)); got != 2*2 {
		t.Errorf("%d copies of messages are left, want 4", got)
	}
	q, err := m.Quota(ctx)
	if err != nil || q.Messages != 2 || q.MessagesMax == 0 {
		t.Errorf("Quota = %+v, %v", q, err)
	}
}

// D4: what was answered is there when every manager and every node has forgotten everything.
func TestD4_AllManagersForget(t *testing.T) {
	w := newWorld(t, 3)
	for range 5 {
		w.deliver(t, 1)
	}
	_, s := w.pick(t, 1, "INBOX")
	if _, _, err := s.Store(t.Context(), mail.NewUIDSet(3), backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagFlagged}}, 0); err != nil {
		t.Fatal(err)
	}
	before, validity := show(t, s), s.Status().UIDValidity
	for _, to := range []cluster.NodeID{2, 3, 1} {
		w.MoveBucket(string(user), to)
		_, again := w.pick(t, 2, "INBOX")
		want(t, "INBOX at the next manager", show(t, again), before)
		if again.Status().UIDValidity != validity {
			t.Errorf("UIDVALIDITY %d, before %d", again.Status().UIDValidity, validity)
		}
	}
	// C1: the session goes on at the new managers.
	w.deliver(t, 2)
	if c := synced(t, s); c.Arrived.Len() != 1 || len(c.Vanished) != 0 {
		t.Errorf("Sync at the third manager = %+v", c)
	}
}
