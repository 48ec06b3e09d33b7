package testbed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/daemon"
	"porcupine/internal/mail"
	"porcupine/internal/mail/retrieval"
)

const (
	// deliverShare is the share of sessions that deliver a message; the others fetch and delete all mail
	// of a user (TOCS §5.1).
	deliverShare = 0.9
	// messageSize is the size of the messages. The simulated disk charges by the message, and what lies in
	// memory is not to be much.
	messageSize = 1 << 10
	// Pauses of a client whose session failed.
	pauseFirst = 20 * time.Millisecond
	pauseMax   = 500 * time.Millisecond
)

// Load is a closed loop of clients.
type Load struct {
	Users   []User
	Clients int // sessions under way at any time
	// Account has every message numbered, and remembered until Missing.
	Account bool
}

// Counts are what clients saw.
type Counts struct {
	Delivered int64 // messages that were acknowledged
	Fetched   int64 // messages that were read and deleted
	Failed    int64 // sessions that ended with an error
}

// Running is a load under way.
type Running struct {
	bed    *Bed
	load   Load
	book   *book // nil: no account is kept
	cancel context.CancelFunc
	work   sync.WaitGroup

	numbers                    atomic.Uint64 // of messages
	delivered, fetched, failed atomic.Int64
	lastError                  atomic.Pointer[error]
}

// Start begins a load. Stop ends it.
func (b *Bed) Start(l Load) *Running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{bed: b, load: l, cancel: cancel}
	if l.Account {
		r.book = newBook()
	}
	for range l.Clients {
		c := &client{r: r, rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
		r.work.Go(func() { c.run(ctx) })
	}
	return r
}

// Stop ends the load at once: sessions under way are cut off.
func (r *Running) Stop() {
	r.cancel()
	r.work.Wait()
}

// Counts gives what the clients have seen so far.
func (r *Running) Counts() Counts {
	return Counts{Delivered: r.delivered.Load(), Fetched: r.fetched.Load(), Failed: r.failed.Load()}
}

// LastError gives the error of the last session that failed; nil: none did.
func (r *Running) LastError() error {
	if p := r.lastError.Load(); p != nil {
		return *p
	}
	return nil
}

// client is one client.
type client struct {
	r    *Running
	rng  *rand.Rand
	body [messageSize]byte
}

// run has one session after the other, each with any node that runs: who finds that a node is down tries another.
func (c *client) run(ctx context.Context) {
	pause := pauseFirst
	for ctx.Err() == nil {
		err := c.session(ctx)
		if err == nil {
			pause = pauseFirst
			continue
		}
		if ctx.Err() != nil {
			return
		}
		c.r.failed.Add(1)
		c.r.lastError.Store(&err)
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
		pause = min(2*pause, pauseMax)
	}
}

var errDown = errors.New("no node runs")

func (c *client) session(ctx context.Context) error {
	nodes := c.r.bed.Nodes
	var l *life
	for i, first := 0, c.rng.IntN(len(nodes)); i < len(nodes) && l == nil; i++ {
		l = nodes[(first+i)%len(nodes)].life.Load()
	}
	if l == nil {
		return errDown
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(l.ctx, cancel) // the connection breaks when the node dies
	defer stop()
	u := &c.r.load.Users[c.rng.IntN(len(c.r.load.Users))]
	if c.rng.Float64() < deliverShare {
		return c.deliver(ctx, l, u)
	}
	return c.fetch(ctx, l.node, u)
}

// deliver is what an SMTP session does of MAIL, RCPT and DATA.
func (c *client) deliver(ctx context.Context, l *life, u *User) error {
	d := l.node.Delivery().AllOrNone()
	rcpt, err := d.Verify(ctx, mail.Address{}, u.Address, int64(len(c.body)))
	if err != nil {
		return err
	}
	for i := range c.body {
		c.body[i] = byte(' ' + c.rng.IntN(64))
	}
	number := c.r.numbers.Add(1)
	copy(c.body[:], heading(number))
	env := mail.Envelope{Recipients: []mail.Recipient{rcpt}, Received: time.Now()}
	if err := d.Deliver(ctx, env, cluster.Body(bytes.NewReader(c.body[:])))[0]; err != nil {
		return err
	}
	if l.ctx.Err() != nil {
		return l.ctx.Err() // it was stored, but nobody could be told
	}
	c.r.delivered.Add(1)
	c.r.book.acknowledged(number)
	return nil
}

// fetch is what a POP3 session does that reads and deletes everything.
func (c *client) fetch(ctx context.Context, n *daemon.Within, u *User) (err error) {
	drop, err := n.Retrieval().Open(ctx, u.Name, mail.Client{Service: "pop3", Remote: netip.AddrFrom4([4]byte{127, 0, 0, 1})})
	if err != nil {
		if errors.Is(err, mail.ErrInUse) {
			return nil // another client reads it just now
		}
		return err
	}
	defer func() { err = errors.Join(err, drop.Close()) }()
	all := make([]int, len(drop.Messages()))
	for i := range all {
		all[i] = i
		if err := c.r.read(ctx, drop, i); err != nil {
			return err
		}
	}
	if err := drop.Delete(ctx, all); err != nil {
		return err
	}
	c.r.fetched.Add(int64(len(all)))
	return nil
}

// read reads one message whole.
func (r *Running) read(ctx context.Context, drop *retrieval.Maildrop, i int) error {
	m, err := drop.Read(ctx, i)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(m, messageSize+1))
	if err = errors.Join(err, m.Close()); err == nil {
		r.book.saw(text)
	}
	return err
}

// Window lets the load run for warm, and then for length, and gives the messages that the disks stored in that
// time, counting each copy. It forgets what the disks remember.
func (r *Running) Window(ctx context.Context, warm, length time.Duration) (stored int, err error) {
	if err := wait(ctx, warm); err != nil {
		return 0, err
	}
	for _, n := range r.bed.Nodes {
		n.Disk.Forget()
	}
	from := time.Now()
	if err := wait(ctx, length); err != nil {
		return 0, err
	}
	for _, n := range r.bed.Nodes {
		k, _ := n.Disk.Served(from, from.Add(length))
		stored += k
	}
	return stored, nil
}

// wait waits.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
