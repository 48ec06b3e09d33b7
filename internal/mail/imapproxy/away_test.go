package imapproxy

import (
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/message"
)

// V2: a message that lies on nodes that are away is in the folder, with its flags, and is never said to be gone: a client
// takes what it misses for deleted. What needs the message itself fails for the time being.
func TestV2_MessagesThatAreAway(t *testing.T) {
	w := newWorld(t, 5)
	for i, on := range []cluster.ReplicaSet{{1, 2}, {4, 5}, {1, 2}} {
		id := mail.NewMessageID().Object(user)
		attr := mail.MessageAttr{Received: time.Unix(1_700_000_000+int64(i), 0)}.Append(nil)
		for _, node := range on {
			w.Put(node, cluster.Object{ID: id, Replicas: on, Copies: 2, Attr: attr, Timestamp: cluster.Timestamp{Time: int64(i + 2), Node: 1}},
				fmt.Appendf(nil, "Subject: %d\r\n\r\ntext %d\r\n", i+1, i+1))
		}
	}
	_, s := w.pick(t, 1, "INBOX")
	want(t, "INBOX", show(t, s), []string{"1 text 1 []", "2 text 2 []", "3 text 3 []"})
	if _, _, err := s.Store(t.Context(), mail.NewUIDSet(2), backend.FlagChange{Flags: []mail.Flag{mail.FlagFlagged}}, 0); err != nil {
		t.Fatal(err)
	}
	w.SetMembers(1, 2, 3)
	_, again := w.pick(t, 2, "INBOX")
	for name, s := range map[string]backend.Selected{"a new session": again, "an old session": s} {
		uids := mustUIDs(t, s)
		if uids.Len() != 3 {
			t.Fatalf("%s sees %v", name, uids)
		}
		var seen []string
		if err := s.Summaries(t.Context(), uids, func(m *mail.Summary) error {
			seen = append(seen, fmt.Sprint(m.UID, m.Flags, m.IsAway()))
			return nil
		}); err != nil {
			t.Fatalf("%s: Summaries: %v", name, err)
		}
		want(t, name, seen, []string{"1 [] false", `2 [\Flagged] true`, "3 [] false"})
		if _, err := s.Open(t.Context(), 2, 0, -1); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("%s: Open = %v", name, err)
		}
		count := 0
		if err := s.Structures(t.Context(), uids, func(mail.UID, *message.Index) error { count++; return nil }); err != nil || count != 2 {
			t.Errorf("%s: %d structures, %v", name, count, err)
		}
		if _, err := s.Copy(t.Context(), uids, "Archive"); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("%s: Copy = %v", name, err)
		}
		if done, _, err := s.Store(t.Context(), mail.NewUIDSet(2), backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagFlagged}}, 0); err != nil || len(done) != 1 {
			t.Errorf("%s: Store = %v, %v", name, done, err)
		}
	}
	w.SetMembers(1, 2, 3, 4, 5)
	want(t, "INBOX", show(t, s), []string{"1 text 1 []", `2 text 2 [\Flagged]`, "3 text 3 []"})
	// A move is a matter of the ledgers alone.
	w.SetMembers(1, 2, 3)
	if p, err := s.Move(t.Context(), mail.NewUIDSet(2), "Archive"); err != nil || len(p.To) != 1 {
		t.Errorf("Move of a message that is away = %+v, %v", p, err)
	}
	w.SetMembers(1, 2, 3, 4, 5)
	_, archive := w.pick(t, 3, "Archive")
	want(t, "Archive", show(t, archive), []string{`1 text 2 [\Flagged]`})
}
