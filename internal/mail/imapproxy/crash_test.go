package imapproxy

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// crashesMax is more writes than any change makes.
const crashesMax = 60

// D4: each change is broken off before every one of its writes. What was answered stands; what was not has happened or
// has not, and no message is lost or there twice.
func TestD4_CrashBeforeEveryWrite(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name   string
		change func(m backend.Mailbox, s backend.Selected) error
		before []string // what there is if it has not happened
		after  []string // and if it has
	}{
		{"move", func(_ backend.Mailbox, s backend.Selected) error {
			_, err := s.Move(ctx, mail.NewUIDSet(1, 2), "Archive")
			return err
		}, []string{`INBOX text 1 [\Flagged]`, "INBOX text 2 []"}, []string{`Archive text 1 [\Flagged]`, "Archive text 2 []"}},
		{"copy", func(_ backend.Mailbox, s backend.Selected) error {
			_, err := s.Copy(ctx, mail.NewUIDSet(1), "Archive")
			return err
		}, []string{`INBOX text 1 [\Flagged]`, "INBOX text 2 []"}, []string{`Archive text 1 [\Flagged]`, `INBOX text 1 [\Flagged]`, "INBOX text 2 []"}},
		{"expunge", func(_ backend.Mailbox, s backend.Selected) error {
			if _, _, err := s.Store(ctx, mail.NewUIDSet(2), backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagDeleted}}, 0); err != nil {
				return err
			}
			return s.Expunge(ctx, nil)
		}, []string{`INBOX text 1 [\Flagged]`, "INBOX text 2 []"}, []string{`INBOX text 1 [\Flagged]`}},
		{"append", func(m backend.Mailbox, _ backend.Selected) error {
			body := []byte("Subject: x\r\n\r\ndraft\r\n")
			_, err := m.Append(ctx, "Archive", []backend.Append{{Body: bytes.NewReader(body), Size: int64(len(body)), Flags: []mail.Flag{mail.FlagDraft}}})
			return err
		}, []string{`INBOX text 1 [\Flagged]`, "INBOX text 2 []"}, []string{`Archive draft [\Draft]`, `INBOX text 1 [\Flagged]`, "INBOX text 2 []"}},
		{"rename", func(m backend.Mailbox, _ backend.Selected) error { return m.Rename(ctx, "INBOX", "Archive/old") },
			[]string{`INBOX text 1 [\Flagged]`, "INBOX text 2 []"}, []string{`Archive/old text 1 [\Flagged]`, "Archive/old text 2 []"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for k := range int64(crashesMax) {
				w := newWorld(t, 3)
				w.deliver(t, 1)
				w.deliver(t, 1)
				m, s := w.pick(t, 2, "INBOX")
				if _, _, err := s.Store(ctx, mail.NewUIDSet(1), backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagFlagged}}, 0); err != nil {
					t.Fatal(err)
				}
				w.crash.left.Store(k)
				err := tt.change(m, s)
				crashed := w.crash.left.Load() == 0
				w.crash.left.Store(-1)
				w.MoveBucket(string(user), cluster.NodeID(k%3+1))
				w.restart(t)
				got := w.everything(t)
				unflagged := slices.Clone(got) // \Deleted may stand though the expunge does not
				for i := range unflagged {
					unflagged[i] = strings.Replace(unflagged[i], `[\Deleted]`, "[]", 1)
				}
				switch {
				case err == nil && !slices.Equal(got, tt.after):
					t.Fatalf("answered with %d writes left: %q, want %q", k, got, tt.after)
				case !slices.Equal(unflagged, tt.before) && !slices.Equal(got, tt.after) && !isBetween(got, tt.before, tt.after):
					t.Fatalf("crashed after %d writes: %q, want %q or %q", k, got, tt.before, tt.after)
				}
				if !crashed {
					return
				}
			}
			t.Fatalf("not done after %d writes", crashesMax)
		})
	}
}

// isBetween reports whether each message is where it was or where it was to be.
func isBetween(got, before, after []string) bool {
	if len(before) != len(after) || len(got) != len(after) {
		return false
	}
	for _, line := range got {
		if !slices.Contains(before, line) && !slices.Contains(after, line) {
			return false
		}
	}
	return true
}

// everything gives all messages of all folders: folder, text and flags.
func (w *world) everything(t *testing.T) (all []string) {
	t.Helper()
	m := w.open(t, 1)
	names, err := m.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range names {
		if !f.Exists {
			continue
		}
		s, err := m.Select(t.Context(), f.Name, true)
		if err != nil {
			t.Fatalf("Select %s: %v", f.Name, err)
		}
		for _, line := range show(t, s) {
			_, rest, _ := strings.Cut(line, " ")
			all = append(all, f.Name+" "+rest)
		}
	}
	slices.Sort(all)
	return all
}

// D4: a question that is carried twice, because its answer was lost, is carried out once.
func TestD6_QuestionsAgain(t *testing.T) {
	w := newWorld(t, 3)
	for range 3 {
		w.deliver(t, 1)
	}
	_, s := w.pick(t, 2, "INBOX")
	_, err := s.Move(t.Context(), mail.NewUIDSet(1), "Archive")
	if err != nil {
		t.Fatal(err)
	}
	w.SetFaults(1, faultsMute())
	w.SetFaults(2, faultsMute())
	// All writes are done, and no answer comes: the client is told that it cannot be said.
	if _, err := s.Move(t.Context(), mail.NewUIDSet(2), "Archive"); err == nil {
		t.Log("the third replica was enough")
	}
	w.SetFaults(1, faultsNone())
	w.SetFaults(2, faultsNone())
	w.restart(t)
	want(t, "everything", w.everything(t), []string{"Archive text 1 []", "Archive text 2 []", "INBOX text 3 []"})
}
