package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
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
		_, err = w.Verify(ctx, mail.Address{}, a)
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
