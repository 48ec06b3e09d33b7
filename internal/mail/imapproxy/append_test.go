package imapproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

var errUnreadable = errors.New("it cannot be read")

// unreadable is a message whose octets are gone.
type unreadable struct{}

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errUnreadable }

func appends(count int) []backend.Append {
	list := make([]backend.Append, count)
	for i := range list {
		body := fmt.Appendf(nil, "Subject: %d\r\n\r\ntext %d\r\n", i+1, i+1)
		list[i] = backend.Append{Body: bytes.NewReader(body), Size: int64(len(body))}
	}
	return list
}

// RFC 3502 §6.3.11: the messages of one command get numbers in their order, though they are stored several at once; and if
// one cannot be stored none is there.
func TestMultiAppend(t *testing.T) {
	w := newWorld(t, 3)
	const count = 40
	m := w.open(t, 2)
	list := appends(count)
	list[17].Body = unreadable{}
	if _, err := m.Append(t.Context(), "INBOX", list); !cluster.IsKind(err, cluster.KindUnavailable) || !errors.Is(err, errUnreadable) {
		t.Fatalf("Append of a message that cannot be read = %v", err)
	}
	if got := len(w.Objects(string(user), mail.TypeMessage)); got != 0 {
		t.Fatalf("%d copies are left of an APPEND that failed", got)
	}
	p, err := m.Append(t.Context(), "INBOX", appends(count))
	if err != nil || len(p.To) != count {
		t.Fatalf("Append = %+v, %v", p, err)
	}
	_, s := w.pick(t, 3, "INBOX")
	for i, uid := range p.To {
		body, err := s.Open(t.Context(), uid, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("Subject: %d\r\n\r\ntext %d\r\n", i+1, i+1)
		if got, err := io.ReadAll(body); err != nil || string(got) != want {
			t.Errorf("UID %d of message %d is %q, %v", uid, i+1, got, err)
		}
	}
}
