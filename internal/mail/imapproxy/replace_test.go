package imapproxy

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// D4: wherever the manager crashes in a REPLACE, the old message is there or the new one, and if the client was told
// that it is done the new one. What failed must not take back the new message when the old one is gone.
func TestD4_ReplaceBrokenOff(t *testing.T) {
	for left := range int64(24) {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			w := newWorld(t, 3)
			w.deliver(t, 1)
			m, s := w.pick(t, 2, "INBOX")
			want(t, "INBOX", show(t, s), []string{"1 text 1 []"})
			w.crash.left.Store(left)
			body := []byte("Subject: draft\r\n\r\nnew\r\n")
			_, err := m.Append(t.Context(), "INBOX", []backend.Append{{Body: bytes.NewReader(body), Size: int64(len(body)), Replaces: 1}})
			w.crash.left.Store(-1)
			w.restart(t)
			_, s = w.pick(t, 3, "INBOX")
			var texts []string
			for u := range mustUIDs(t, s).All() {
				if r, err := s.Open(t.Context(), u, 0, -1); err == nil {
					_ = r.Close()
					texts = append(texts, text(t, s, u))
				}
			}
			isNew, isOld := slices.Contains(texts, "new"), slices.Contains(texts, "text 1")
			switch {
			case err == nil && (!isNew || isOld):
				t.Errorf("after a REPLACE that is done: %q", texts)
			case !isNew && !isOld:
				t.Errorf("both messages are lost: %q, %v", texts, err)
			}
		})
	}
}

func mustUIDs(t testing.TB, s backend.Selected) mail.UIDSet {
	t.Helper()
	uids, err := s.UIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return uids
}
