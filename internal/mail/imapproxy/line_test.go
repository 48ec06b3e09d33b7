package imapproxy

import (
	"sync"
	"testing"

	"porcupine/internal/mail/imapserver/backend"
)

// C1: of a user with many sessions, a shared mailbox, each goes on after a failover, though all ask the new manager at once.
func TestC1_ManySessionsAtAFailover(t *testing.T) {
	const sessions = 300
	w := newWorld(t, 3)
	w.fill(10)
	var all []backend.Selected
	for range sessions {
		_, s := w.pick(t, 2, "INBOX")
		all = append(all, s)
	}
	w.MoveBucket(string(user), 3)
	errs := make([]error, sessions)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { _, errs[i] = all[i].Sync(t.Context()) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("session %d cannot go on: %v", i, err)
		}
	}
}
