package imapproxy

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/retrieval"
	"porcupine/internal/mail/survey"
)

// soleLocks gives the lock of a maildrop to everybody.
type soleLocks struct{}

type soleLock struct{}

func (soleLocks) Acquire(context.Context, mail.User) (soleLock, error) { return soleLock{}, nil }
func (soleLock) Lost() <-chan struct{}                                 { return nil }
func (soleLock) Confirm(context.Context) error                         { return nil }
func (soleLock) Close() error                                          { return nil }

// maildrop opens the mailbox for POP3.
func (w *world) maildrop(t *testing.T, at cluster.NodeID) (*retrieval.Maildrop, error) {
	t.Helper()
	r, err := retrieval.New(w.Node(at), soleLocks{}, retrieval.Config{Floor: noFloor})
	if err != nil {
		t.Fatal(err)
	}
	return r.Open(t.Context(), user, mail.Client{Service: "pop3"})
}

func (w *world) maildropIDs(t *testing.T, at cluster.NodeID) (d *retrieval.Maildrop, ids []string) {
	t.Helper()
	d, err := w.maildrop(t, at)
	if err != nil {
		t.Fatalf("Open at node %d: %v", at, err)
	}
	for _, m := range d.Messages() {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return d, ids
}

// emails gives the ids of the messages of a folder, sorted.
func emails(t *testing.T, s backend.Selected) (ids []string) {
	t.Helper()
	if err := s.Summaries(t.Context(), mustUIDs(t, s), func(m *mail.Summary) error {
		ids = append(ids, m.ID.String())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

// RFC 1939, V2: by POP3 a user sees and deletes what IMAP shows in INBOX, with the real index, at any node and after the
// manager has changed. Nobody who never used IMAP asks for anything.
func TestV2_POP3ShowsInbox(t *testing.T) { synctest.Test(t, pop3ShowsInbox) }

func pop3ShowsInbox(t *testing.T) {
	w := newWorld(t, 3)
	for i := range 5 {
		w.deliver(t, cluster.NodeID(i%3+1))
	}
	asks := w.Asks.Load()
	if _, ids := w.maildropIDs(t, 1); len(ids) != 5 || w.Asks.Load() != asks {
		t.Fatalf("before IMAP is used: %d messages after %d questions", len(ids), w.Asks.Load()-asks)
	}
	m, s := w.pick(t, 2, "INBOX")
	if _, err := m.Append(t.Context(), "Drafts", appends(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Move(t.Context(), mail.NewUIDSet(2, 3), "Trash"); err != nil {
		t.Fatal(err)
	}
	w.deliver(t, 3) // the index has not heard of it
	_, inbox := w.pick(t, 1, "INBOX")
	for node := range cluster.NodeID(3) {
		w.MoveBucket(string(user), node+1)
		_, ids := w.maildropIDs(t, 3-node)
		want(t, "the maildrop", ids, emails(t, inbox))
		if len(ids) != 4 {
			t.Errorf("%d messages at node %d, want 4", len(ids), 3-node)
		}
	}
	d, ids := w.maildropIDs(t, 1)
	if _, err := inbox.Move(t.Context(), mail.NewUIDSet(1), "Archive"); err != nil { // while it is listed
		t.Fatal(err)
	}
	all := make([]int, len(ids))
	for i := range all {
		all[i] = i
	}
	if err := d.Delete(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	w.Propagate()
	time.Sleep(survey.SettleAfter) // in the bubble: until the index believes that what is not listed is gone
	for folder, count := range map[string]int{"INBOX": 0, "Drafts": 2, "Trash": 2, "Archive": 1} {
		_, s := w.pick(t, 2, folder)
		if got := mustUIDs(t, s).Len(); got != count {
			t.Errorf("%s has %d messages after all were deleted by POP3, want %d", folder, got, count)
		}
	}
}
