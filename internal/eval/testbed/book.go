package testbed

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"porcupine/internal/mail"
)

// readersMax bounds the maildrops that Missing reads at once.
const readersMax = 16

// book keeps the account of the messages of a load, by their numbers. A nil book keeps none.
type book struct {
	mu    sync.Mutex
	acked map[uint64]struct{} // a client was told that they are durable
	seen  map[uint64]struct{} // a client has read them
}

func newBook() *book {
	return &book{acked: map[uint64]struct{}{}, seen: map[uint64]struct{}{}}
}

const headingPrefix = "Subject: "

// heading is how a message begins that has a number.
func heading(number uint64) string {
	return headingPrefix + strconv.FormatUint(number, 10) + "\r\n\r\n"
}

func (b *book) acknowledged(number uint64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acked[number] = struct{}{}
}

// saw notes a message that was read.
func (b *book) saw(text []byte) {
	if b == nil {
		return
	}
	line, _, _ := bytes.Cut(text, []byte("\r\n"))
	number, err := strconv.ParseUint(string(bytes.TrimPrefix(line, []byte(headingPrefix))), 10, 64)
	if err != nil {
		return // no message of a load; then the one it was is missing
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[number] = struct{}{}
}

// missing counts the messages that were acknowledged and not seen.
func (b *book) missing() (acked, missing int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := range b.acked {
		if _, ok := b.seen[n]; !ok {
			missing++
		}
	}
	return len(b.acked), missing
}

// Missing reads the mailboxes of all users, AFTER Stop, and counts the messages that were acknowledged, and those
// of them that nobody has ever read and that are not there. The load must have kept an account.
func (r *Running) Missing(ctx context.Context) (acknowledged, missing int, err error) {
	g, reading := errgroup.WithContext(ctx)
	g.SetLimit(readersMax)
	up := r.bed.Up()
	for i := range r.load.Users {
		g.Go(func() error { return r.readAll(reading, up[i%len(up)], &r.load.Users[i]) })
	}
	if err := g.Wait(); err != nil {
		return 0, 0, fmt.Errorf("read all mailboxes: %w", err)
	}
	acknowledged, missing = r.book.missing()
	return acknowledged, missing, nil
}

// openTries is how often a mailbox is opened that a session which was cut off may still hold.
const openTries = 40

func (r *Running) readAll(ctx context.Context, n *Node, u *User) error {
	client := mail.Client{Service: "pop3"}
	drop, err := n.within().Retrieval().Open(ctx, u.Name, client)
	for i := 0; err != nil && i < openTries; i++ {
		if err := wait(ctx, addPause); err != nil {
			return err
		}
		drop, err = n.within().Retrieval().Open(ctx, u.Name, client)
	}
	if err != nil {
		return err
	}
	for i := range drop.Messages() {
		if err := r.read(ctx, drop, i); err != nil {
			_ = drop.Close() // the error of the reading says more
			return err
		}
	}
	return drop.Close()
}
