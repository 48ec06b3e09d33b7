package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Quotas hold at RCPT and at DATA, for messages and bytes, also in a burst.
func TestAttack47_Quota(t *testing.T) {
	w := newWorld(t, Config{QuotaMessages: 3, QuotaBytes: 1000})
	ctx := context.Background()
	want := func(step string, err error, over bool) {
		t.Helper()
		if errors.Is(err, mail.ErrOverQuota) != over || over && !cluster.IsKind(err, cluster.KindFull) || !over && err != nil {
			t.Errorf("%s: %v, want over quota %v", step, err, over)
		}
	}
	verify := func(u string) error {
		a, err := mail.ParseAddress(u)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Verify(ctx, mail.Address{}, a, 0)
		return err
	}
	env := w.envelope(t, "a@x.test")
	for i := range 3 {
		want(fmt.Sprint("message ", i), w.Deliver(ctx, env, body)[0], false)
	}
	want("message too many", w.Deliver(ctx, env, body)[0], true)
	want("recipient that is full", verify("a@x.test"), true)
	env = w.envelope(t, "b@x.test")
	want("message too large", w.Deliver(ctx, env, bytes.NewReader(make([]byte, 1001)))[0], true)
	want("message that just fits", w.Deliver(ctx, env, bytes.NewReader(make([]byte, 1000)))[0], false)
	want("no octet left", verify("b@x.test"), true)
	w.people.settings["c@x.test"] = mail.Settings{QuotaMessages: 1, QuotaBytes: 5000}
	env = w.envelope(t, "c@x.test")
	want("a user's own limit", w.Deliver(ctx, env, bytes.NewReader(make([]byte, 4000)))[0], false)
	want("is kept", verify("c@x.test"), true)
}

// Whose address it is does not depend on room, and asking spends nothing of what is remembered of senders.
func TestMeansNeedsNoRoom(t *testing.T) {
	w := newWorld(t, Config{QuotaMessages: 1})
	w.people.gone["none@x.test"] = true
	w.people.aliases["team@x.test"] = []mail.User{"a@x.test", "b@x.test"}
	if errs := w.Deliver(context.Background(), w.envelope(t, "a@x.test"), body); errs[0] != nil {
		t.Fatal(errs[0])
	}
	w.noRoom.put(mail.Address{}, "b@x.test", 1, time.Now())
	for address, want := range map[string]string{"a@x.test": "[a@x.test]", "team@x.test": "[a@x.test b@x.test]", "none@x.test": "[]"} {
		a, err := mail.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		users, err := w.Means(context.Background(), a)
		if fmt.Sprint(users) != want || cluster.IsKind(err, cluster.KindNotFound) != (want == "[]") {
			t.Errorf("Means(%s) = %v, %v, want %s", address, users, err, want)
		}
	}
	if w.noRoom.take(mail.Address{}, "b@x.test", time.Now()) != 1 {
		t.Error("Means has taken what was remembered of a sender")
	}
}

// One recipient without room for a message does not keep it from the others: where its size is known it
// is refused at RCPT, and where it is not, when the message comes again. Nobody sees a message
// that is then taken away.
func TestOneWithoutRoomDoesNotKeepMailFromTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.people.settings["little@x.test"] = mail.Settings{QuotaBytes: 1000}
		w.people.aliases["team@x.test"] = []mail.User{"free@x.test", "little@x.test"}
		ctx, sender := context.Background(), mail.Address{Local: "s", Domain: "y.test"}
		verify := func(rcpt string, size int64, over bool) mail.Recipient {
			t.Helper()
			a, err := mail.ParseAddress(rcpt)
			if err != nil {
				t.Fatal(err)
			}
			r, err := w.Verify(ctx, sender, a, size)
			if errors.Is(err, mail.ErrOverQuota) != over || !over && err != nil {
				t.Fatalf("Verify(%s, %d) = %v, want over quota %v", rcpt, size, err, over)
			}
			return r
		}
		big := bytes.NewReader(make([]byte, 5000))
		fail := func() {
			t.Helper()
			env := mail.Envelope{From: sender, Recipients: []mail.Recipient{verify("little@x.test", 0, false), verify("free@x.test", 0, false)}}
			before := w.Updates.Load()
			if got := kinds(w.DeliverAll(ctx, env, big)); got != "full, full" {
				t.Fatalf("DeliverAll = %s", got)
			}
			if n := w.Updates.Load() - before; n != 0 {
				t.Errorf("%d updates for a message that is refused: it was seen", n)
			}
		}
		verify("little@x.test", 5000, true)
		verify("team@x.test", 5000, true)
		verify("little@x.test", 1000, false)
		fail()
		verify("free@x.test", 0, false)
		verify("little@x.test", 0, true) // it comes again
		verify("little@x.test", 0, false)
		fail()
		time.Sleep(noRoomFor)
		verify("little@x.test", 0, false)
		fail()
		w.people.settings["little@x.test"] = mail.Settings{QuotaBytes: 6000}
		verify("little@x.test", 0, false) // it has room now
		w.people.settings["little@x.test"] = mail.Settings{QuotaBytes: 1000}
		verify("little@x.test", 0, false)
		alone := mail.Envelope{From: sender, Recipients: []mail.Recipient{verify("little@x.test", 0, false)}}
		if got := kinds(w.DeliverAll(ctx, alone, big)); got != "full" {
			t.Fatalf("DeliverAll = %s", got)
		}
		verify("little@x.test", 0, false) // nobody else waits for that one
	})
}

// Q2: who had no room is remembered for a bounded number.
func TestNoRoomIsBounded(t *testing.T) {
	n := newNoRoom()
	now := time.Unix(1e9, 0)
	for i := range 2 * noRoomMax {
		n.put(mail.Address{}, mail.User(fmt.Sprint(i)), 1, now)
	}
	if len(n.sizes) != noRoomMax {
		t.Errorf("%d are remembered, want %d", len(n.sizes), noRoomMax)
	}
}

// What Verify was told is kept for a bounded number of users, and without their passwords.
func TestFreshEntriesAreBounded(t *testing.T) {
	f := newFreshEntries(time.Second, 10)
	now := time.Unix(1e9, 0)
	for i := range 100 {
		f.put(&mail.Mailbox{User: mail.User(fmt.Sprint(i)), Entry: cluster.Entry{Cached: make([]cluster.CachedObject, 1)}}, now)
		now = now.Add(10 * time.Millisecond)
	}
	if len(f.boxes) > 10 {
		t.Errorf("%d entries are kept, want at most 10", len(f.boxes))
	}
	box, ok := f.get("99", now)
	if !ok || box.Entry.Cached != nil {
		t.Errorf("get = %+v, %v", box, ok)
	}
	if _, ok := f.get("99", now.Add(time.Second)); ok {
		t.Error("an entry that is too old is given")
	}
}
