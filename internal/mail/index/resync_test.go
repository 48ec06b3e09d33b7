package index

import (
	"slices"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
)

// RFC 7162 §3.2.6, Q2: a client that comes back is told of all that went and changed, in as many answers as it takes.
func TestResyncInPages(t *testing.T) {
	for name, test := range map[string]struct{ count, ranges int }{
		"pages of what went":         {100, 7},
		"the last page is full":      {100, 10},
		"all goes into one answer":   {100, 50},
		"pages of what changed":      {4*talk.PageMax + 10, 3 * talk.PageMax},
		"pages of one and the other": {4*talk.PageMax + 10, talk.PageMax + 100},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{RangesMax: test.ranges, EndsKept: test.count}, 2)
			u := w.user("a", test.count)
			w.MoveBucket(string(u), 1)
			began := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
			var odd, even []mail.UID
			for uid := mail.UID(1); int(uid) <= test.count; uid += 2 {
				odd, even = append(odd, uid), append(even, uid+1)
			}
			n := byte(0)
			change := func(q talk.Question, uids []mail.UID) {
				for part := range slices.Chunk(uids, talk.PageMax) {
					n++
					q.User, q.Mark, q.UIDs, q.Request = u, began.Mark, mail.NewUIDSet(part...), [16]byte{9, n}
					w.mustAsk(t, q)
				}
			}
			change(talk.Question{Op: talk.OpMove, To: "Archive"}, odd)
			change(talk.Question{Op: talk.OpStore, FlagOp: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}}, even)
			now := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
			var vanished mail.UIDSet
			var changed []mail.UID
			q := talk.Question{Op: talk.OpSince, User: u, Mark: now.Mark, ModSeq: began.Status.HighestModSeq}
			for more := true; more; {
				a := w.mustAsk(t, q)
				if more = a.More; more && a.Next <= q.After || len(a.Vanished) > test.ranges {
					t.Fatalf("after %d it goes on after %d, with %d ranges", q.After, a.Next, len(a.Vanished))
				}
				if len(a.Vanished) > 0 && a.Vanished[0].First <= q.After {
					t.Errorf("UID %d is told again after %d", a.Vanished[0].First, q.After)
				}
				vanished, q.After = vanished.Union(a.Vanished), a.Next
				for i := range a.Summaries {
					changed = append(changed, a.Summaries[i].UID)
				}
			}
			if !slices.Equal(vanished, mail.NewUIDSet(odd...)) {
				t.Errorf("%d are told that vanished, want %d", vanished.Len(), len(odd))
			}
			if !slices.Equal(changed, even) {
				t.Errorf("%d are told that changed, want %d", len(changed), len(even))
			}
		})
	}
}

// C1: a session's node that does not understand what it is told when too much has gone is not told that it knows all: its session ends.
func TestC1_SyncOfAnOlderNode(t *testing.T) {
	w := newWorld(t, Config{RangesMax: 2}, 2)
	u := w.user("a", 9)
	began := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Mark: began.Mark, UIDs: mail.NewUIDSet(1, 3, 5, 7), To: "Archive", Request: [16]byte{1}})
	sync := talk.Question{Op: talk.OpSync, User: u, Mark: began.Mark}
	if _, _, err := w.ask(sync); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("an older one is told %v", err)
	}
	sync.On = true
	a := w.mustAsk(t, sync)
	if want := mail.NewUIDSet(2, 4); !slices.Equal(a.UIDs, want) || a.Next != 4 || len(a.Vanished) > 0 {
		t.Errorf("UIDs = %v, Next = %d, Vanished = %v", a.UIDs, a.Next, a.Vanished)
	}
}
