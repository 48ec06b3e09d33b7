package imapproxy

import (
	"fmt"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// U5: what two sides of a partition gave one message together, each as many keywords as it may, is read by everybody afterwards.
func TestU5_KeywordsOfTwoSides(t *testing.T) {
	w := newWorld(t, 3)
	w.deliver(t, 1)
	_, s := w.pick(t, 1, "INBOX")
	show(t, s)
	give := func(manager cluster.NodeID, prefix string) {
		t.Helper()
		w.MoveBucket(string(user), manager)
		_, s := w.pick(t, manager, "INBOX")
		change := backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}}
		for i := range 100 {
			change.Flags = append(change.Flags, mail.Flag(fmt.Sprintf("%s%03d", prefix, i)))
		}
		if _, _, err := s.Store(t.Context(), mail.NewUIDSet(1), change, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.SetMembers(1)
	give(1, "a")
	w.SetMembers(2, 3)
	give(2, "b")
	w.SetMembers(1, 2, 3)
	_, s = w.pick(t, 3, "INBOX")
	told := 0
	if err := s.Summaries(t.Context(), mustUIDs(t, s), func(m *mail.Summary) error { told = len(m.Flags); return nil }); err != nil {
		t.Fatal(err)
	}
	if told <= 101 {
		t.Errorf("%d flags are told, of 201", told)
	}
}
