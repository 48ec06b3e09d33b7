package imapproxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// withKeywords appends messages as an import does, each with so many keywords that no other one has.
func withKeywords(t *testing.T, m backend.Mailbox, messages, each int) {
	t.Helper()
	n := 0
	var all []backend.Append
	for i := range messages {
		text := fmt.Sprintf("Subject: x\r\n\r\nletter %d\r\n", i)
		a := backend.Append{ID: mail.MessageID{1, byte(i)}, Email: mail.MessageID{2, byte(i)}, Body: strings.NewReader(text),
			Size: int64(len(text)), Received: time.Unix(1_700_000_000+int64(i), 0)}
		for range each {
			n++
			a.Flags = append(a.Flags, mail.Flag(fmt.Sprintf("k%06d", n)))
		}
		all = append(all, a)
	}
	if _, err := m.Append(t.Context(), "INBOX", all); err != nil {
		t.Fatal(err)
	}
}

// Messages with more different keywords than a folder takes do not take its system flags away.
func TestManyKeywordsLeaveSystemFlags(t *testing.T) {
	w := newWorld(t, 3)
	m := w.open(t, 2)
	withKeywords(t, m, 2, 70)
	_, s := w.pick(t, 2, "INBOX")
	for _, f := range []mail.Flag{mail.FlagSeen, mail.FlagDeleted} {
		if _, _, err := s.Store(t.Context(), mail.NewUIDSet(1), backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{f}}, 0); err != nil {
			t.Errorf("%s cannot be set: %v", f, err)
		}
	}
}

// What a message comes with of system flags is kept, whatever keywords came before it; and one that has all keywords and all
// system flags can be told.
func TestManyKeywordsDoNotTakeSeen(t *testing.T) {
	w := newWorld(t, 3)
	m := w.open(t, 2)
	withKeywords(t, m, 1, 128)
	seen := imported(1)
	seen[0].Flags = []mail.Flag{mail.FlagSeen}
	seen[0].ID, seen[0].Email = mail.MessageID{9}, mail.MessageID{8}
	if _, err := m.Append(t.Context(), "INBOX", seen); err != nil {
		t.Fatal(err)
	}
	_, s := w.pick(t, 2, "INBOX")
	all := []mail.Flag{mail.FlagSeen, mail.FlagDeleted, mail.FlagAnswered, mail.FlagFlagged, mail.FlagDraft}
	if _, _, err := s.Store(t.Context(), mail.NewUIDSet(1), backend.FlagChange{Op: backend.FlagsAdd, Flags: all}, 0); err != nil {
		t.Fatal(err)
	}
	want := map[mail.UID]int{1: mail.KeywordsMax + len(all), 2: 1}
	if err := s.Summaries(t.Context(), mail.NewUIDSet(1, 2), func(m *mail.Summary) error {
		if len(m.Flags) != want[m.UID] {
			t.Errorf("UID %d has %d flags, want %d: %q", m.UID, len(m.Flags), want[m.UID], m.Flags)
		}
		delete(want, m.UID)
		return nil
	}); err != nil || len(want) > 0 {
		t.Fatal(err, want)
	}
}
