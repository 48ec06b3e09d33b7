package bench

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// readersMax bounds the mailboxes read at once when settling.
const readersMax = 32

// settlePause is the wait between two readings of the same mailbox when settling.
const settlePause = 100 * time.Millisecond

// settle reads the mailboxes until the ledger can be closed:
//
//  1. every mailbox that was sent to, once;
//  2. those that still owe messages, or could not be read, until none is left or Settle has passed
//     without progress;
//  3. every mailbox once more: a deleted message that came back would be there.
//
// It gives false if ctx ended first.
func (r *run) settle(ctx context.Context) bool {
	rng := rand.New(rand.NewPCG(r.Seed, 1<<63+1))
	all := r.book.mailboxes()
	r.readAll(ctx, rng, all)
	r.readRest(ctx, rng)
	r.readAll(ctx, rng, all)
	r.readRest(ctx, rng) // those that the last round could not read
	return ctx.Err() == nil
}

func (r *run) readRest(ctx context.Context, rng *rand.Rand) {
	missing, owing, unread := r.book.standing()
	deadline := time.Now().Add(r.Settle)
	for ctx.Err() == nil && len(owing)+len(unread) > 0 && time.Now().Before(deadline) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(settlePause):
		}
		rest := append(owing, unread...)
		slices.Sort(rest)
		r.readAll(ctx, rng, slices.Compact(rest))
		before, unreadBefore := missing, len(unread)
		missing, owing, unread = r.book.standing()
		if missing < before || len(unread) < unreadBefore {
			deadline = time.Now().Add(r.Settle)
		}
	}
}

// readAll reads and empties the mailboxes, several at once, each from any address that can be reached.
func (r *run) readAll(ctx context.Context, rng *rand.Rand, users []int) {
	slots := make(chan struct{}, readersMax)
	var wg sync.WaitGroup
	for _, user := range users {
		if ctx.Err() != nil {
			break
		}
		addrs := shuffled(r.POP3, rng)
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			_, _, err := r.empty(ctx, addrs, user)
			r.book.setUnread(user, err)
		})
	}
	wg.Wait()
}
