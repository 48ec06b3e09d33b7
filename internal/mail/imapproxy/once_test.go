package imapproxy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// imported are messages of an import: they have the same ids each time.
func imported(count int) (messages []backend.Append) {
	for i := range count {
		text := fmt.Sprintf("Subject: x\r\n\r\nletter %d\r\n", i)
		messages = append(messages, backend.Append{ID: mail.MessageID{1, byte(i)}, Email: mail.MessageID{2, byte(i)}, Body: strings.NewReader(text),
			Size: int64(len(text)), Flags: []mail.Flag{mail.FlagFlagged}, Received: time.Unix(1_700_000_000+int64(i), 0)})
	}
	return messages
}

var letters = []string{`INBOX letter 0 [\Flagged]`, `INBOX letter 1 [\Flagged]`, `INBOX letter 2 [\Flagged]`}

// dying is a store whose process ends before or after it has stored so many messages.
type dying struct {
	store
	left  atomic.Int64
	after bool
}

func (d *dying) PutOnce(ctx context.Context, u mail.User, id mail.MessageID, attr mail.MessageAttr, body cluster.Body) (o cluster.Object, err error) {
	killed := cluster.Errorf(cluster.KindUnavailable, "put", "killed")
	left := d.left.Add(-1)
	if left >= 0 {
		return d.store.PutOnce(ctx, u, id, attr, body)
	}
	if d.after && left == -1 {
		if _, err := d.store.PutOnce(ctx, u, id, attr, body); err != nil {
			return o, err
		}
	}
	return o, killed
}

// D6: an import that is broken off at any of its writes, and done again at another node, has each message once, with its flags.
func TestD6_ImportBrokenOffAnywhere(t *testing.T) {
	again := func(t *testing.T, w *world, k int, what string) {
		t.Helper()
		w.MoveBucket(string(user), cluster.NodeID(k%4+1))
		w.restart(t)
		if _, err := w.open(t, 3).Append(t.Context(), "INBOX", imported(3)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		want(t, what, w.everything(t), letters)
	}
	for k := range crashesMax {
		w := newWorld(t, 4)
		m := w.open(t, 2)
		w.crash.left.Store(int64(k))
		_, err := m.Append(t.Context(), "INBOX", imported(3))
		crashed := w.crash.left.Load() == 0
		w.crash.left.Store(-1)
		if err == nil {
			want(t, fmt.Sprintf("answered with %d writes left", k), w.everything(t), letters)
		}
		again(t, w, k, fmt.Sprintf("again after %d writes of the manager", k))
		if !crashed {
			break
		}
	}
	for k := range 4 {
		for _, after := range []bool{false, true} {
			w := newWorld(t, 4)
			d := &dying{store: w.nodes[1].delivery, after: after}
			d.left.Store(int64(k))
			w.nodes[1].proxy.store = d
			if _, err := w.open(t, 2).Append(t.Context(), "INBOX", imported(3)); (err == nil) != (k == 3) {
				t.Fatalf("killed after %d messages: %v", k, err)
			}
			again(t, w, k, fmt.Sprintf("again after %d messages, the next one stored: %v", k, after))
		}
	}
}

// What is imported is numbered in the order in which it came, also if all has the same date, and ids say another order.
func TestImportKeepsTheOrder(t *testing.T) {
	w := newWorld(t, 4)
	messages := imported(40)
	var want []mail.MessageID
	for i := range messages {
		messages[i].ID[15], messages[i].Received = byte(i*97), time.Unix(1_700_000_000, 0)
		messages[i].ID[0], messages[i].ID[1] = byte(i*101), byte(i)
		want = append(want, messages[i].Email)
	}
	m := w.open(t, 2)
	if _, err := m.Append(t.Context(), "INBOX", messages); err != nil {
		t.Fatal(err)
	}
	_, s := w.pick(t, 1, "INBOX")
	uids, err := s.UIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []mail.MessageID
	if err := s.Summaries(t.Context(), uids, func(x *mail.Summary) error { got = append(got, x.Email); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the order is %x, want %x", got, want)
	}
}

// What the user has done with an imported message meanwhile stands: one that was moved stays where it is, and one that was
// deleted does not come back.
func TestImportAgainAfterTheUser(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorld(t, 4)
		m := w.open(t, 2)
		if _, err := m.Append(t.Context(), "INBOX", imported(3)); err != nil {
			t.Fatal(err)
		}
		m, s := w.pick(t, 1, "INBOX")
		if _, err := s.Move(t.Context(), mail.NewUIDSet(1), "Archive"); err != nil {
			t.Fatal(err)
		}
		expunge(t, s, 2)
		if restart {
			w.MoveBucket(string(user), 4)
			w.restart(t)
		}
		if _, err := m.Append(t.Context(), "INBOX", imported(3)); err != nil {
			t.Fatal(err)
		}
		want(t, "after the import was done again", w.everything(t), []string{`Archive letter 0 [\Flagged]`, letters[2]})
		if on := w.Copies(mail.MessageID{1, 1}.Object(user)); len(on) > 0 {
			t.Errorf("the message that was deleted lies on %v", on)
		}
	}
}

// A message that an import skips because of its flags is not there.
func TestImportOfFlagsThatCannotBe(t *testing.T) {
	if flagSizeMax != uidledger.KeywordLenMax {
		t.Errorf("flags may have %d octets, and %d in a ledger", flagSizeMax, uidledger.KeywordLenMax)
	}
	for name, flags := range map[string][]mail.Flag{"empty": {""}, "long": {mail.Flag(strings.Repeat("x", flagSizeMax+1))}, "many": make([]mail.Flag, talk.FlagsMax+1)} {
		w := newWorld(t, 4)
		messages := imported(2)
		messages[1].Flags = flags
		if _, err := w.open(t, 2).Append(t.Context(), "INBOX", messages); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		want(t, name, w.everything(t), nil)
	}
}

func expunge(t *testing.T, s backend.Selected, uids ...mail.UID) {
	t.Helper()
	if _, _, err := s.Store(t.Context(), mail.NewUIDSet(uids...), backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagDeleted}}, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Expunge(t.Context(), mail.NewUIDSet(uids...)); err != nil {
		t.Fatal(err)
	}
}

// D6: a message that two nodes have stored at the same time, on nodes of which none has heard of both, is one message, and
// all copies of it go with it, in whatever order the manager hears of them.
func TestD6_ImportedTwiceAtTheSameTime(t *testing.T) {
	for _, order := range []string{"listed", "older first", "newer first"} {
		t.Run(order, func(t *testing.T) {
			w := newWorld(t, 5)
			w.feed = &feed{calls: make(map[*func(bool, []cluster.Change)]cluster.NodeID)}
			w.restart(t)
			x := imported(1)[0]
			halves := [][]cluster.NodeID{{1, 2}, {3, 4}}
			half := func(members []cluster.NodeID) {
				w.SetMembers(members...)
				w.MoveBucket(string(user), members[0])
			}
			whole := func() { half([]cluster.NodeID{1, 2, 3, 4, 5}) }
			for _, members := range halves { // there is mail on both: the manager need not list it again
				half(members)
				w.deliver(t, members[0])
			}
			whole()
			m, s := w.pick(t, 1, "INBOX")
			if order == "listed" {
				w.restart(t)
			}
			var told []cluster.Change
			for _, members := range halves {
				at, err := w.Node(members[0]).Timestamp(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				o := cluster.Object{ID: x.ID.Object(user), Replicas: cluster.NewReplicaSet(members...), Copies: 2, Size: x.Size,
					Timestamp: at, Attr: mail.MessageAttr{Received: x.Received, Email: x.Email}.Append(nil)}
				for _, node := range members {
					w.Put(node, o, []byte("Subject: x\r\n\r\nletter 0\r\n"))
				}
				told = append(told, cluster.Change{Object: o, State: cluster.ChangeStored})
			}
			if order == "newer first" {
				slices.Reverse(told)
			}
			if order != "listed" {
				for _, c := range told {
					w.feed.tell(false, c)
					synced(t, s)
				}
			}
			if _, err := m.Append(t.Context(), "INBOX", imported(1)); err != nil {
				t.Fatal(err)
			}
			_, s = w.pick(t, 1, "INBOX")
			want(t, "INBOX", w.everything(t), []string{letters[0], "INBOX text 1 []", "INBOX text 2 []"})
			uids, err := s.UIDs(t.Context())
			if err != nil || uids.Len() != 3 {
				t.Fatalf("UIDs = %v, %v", uids, err)
			}
			for u := range uids.All() {
				expunge(t, s, u)
			}
			if on := w.Copies(x.ID.Object(user)); len(on) > 0 {
				t.Errorf("after it was deleted it lies on %v", on)
			}
		})
	}
}
