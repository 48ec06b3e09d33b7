package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"porcupine/internal/bench/client"
	"porcupine/internal/bench/ledger"
)

// Run loads the service, settles the ledger and reports. It returns an error, and a Report of what
// there was until then, if the Config is bad or ctx ends before the ledger is settled.
func Run(ctx context.Context, c Config) (Report, error) {
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	token := make([]byte, 8)
	rand.Read(token) // never fails (crypto/rand)
	r := &run{
		Config: c,
		token:  hex.EncodeToString(token),
		book:   newBook(c),
		sizes:  newSizes(c),
		filler: newFiller(mathrand.New(mathrand.NewPCG(c.Seed, 1<<63))),
	}
	if c.TLS != TLSNone {
		if r.tls = c.TLSConfig; r.tls == nil {
			r.tls = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // as documented at Config.TLS
		}
	}
	r.book.start(time.Now())
	r.load(ctx)
	r.book.stop(time.Now())
	settled := r.settle(ctx)
	rep := r.book.report(c, time.Now())
	if !settled {
		return rep, fmt.Errorf("benchmark stopped before all mailboxes were read: %w", context.Cause(ctx))
	}
	return rep, nil
}

// run is one load: what all workers share. The book has a lock of its own, the rest is constant.
type run struct {
	Config
	token  string
	book   *book
	sizes  sizes
	filler []byte
	tls    *tls.Config
}

// load runs the workers until the time is over, the sessions are used up, or ctx ends.
func (r *run) load(ctx context.Context) {
	end := time.Now().Add(r.Duration)
	var wg sync.WaitGroup
	for i := range r.Workers {
		wg.Go(func() {
			w := r.newWorker(uint64(i))
			for ctx.Err() == nil && time.Now().Before(end) && r.book.takeSession(r.Sessions) {
				w.session(ctx)
			}
		})
	}
	wg.Wait()
}

// worker runs one session after the other. One goroutine.
type worker struct {
	*run
	rng    *mathrand.Rand
	zipf   *mathrand.Zipf // nil: all users alike
	writer *writer
}

func (r *run) newWorker(i uint64) *worker {
	rng := mathrand.New(mathrand.NewPCG(r.Seed, i))
	w := &worker{run: r, rng: rng, writer: &writer{run: r.token, from: r.From, filler: r.filler, rng: rng}}
	if r.Zipf > 0 {
		w.zipf = mathrand.NewZipf(rng, r.Zipf, 1, uint64(r.Users-1))
	}
	return w
}

func (w *worker) user() int {
	if w.zipf != nil {
		return int(w.zipf.Uint64())
	}
	return w.rng.IntN(w.Users)
}

func (r *run) address(user int) string { return fmt.Sprintf(r.UserPattern, user) }

func (r *run) target(addr string) client.Target {
	return client.Target{Addr: addr, Timeout: r.Timeout, TLS: r.tls, StartTLS: r.TLS == TLSStart}
}

// shuffled gives the addresses in random order: clients of a service with several take any.
func shuffled(addrs []string, rng *mathrand.Rand) []string {
	addrs = slices.Clone(addrs)
	rng.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs
}

// dialAny opens a session with the first address that can be reached, and gives that address, or
// the last one tried.
func dialAny[S any](r *run, addrs []string, dial func(client.Target) (S, error)) (s S, addr string, err error) {
	for _, addr = range addrs {
		if s, err = dial(r.target(addr)); !errors.Is(err, client.ErrUnreachable) {
			return s, addr, err
		}
		r.book.unreachable()
	}
	return s, addr, err
}

func (w *worker) session(ctx context.Context) {
	if w.rng.Float64() >= w.SMTPShare {
		// A mailbox that another of our sessions reads is left alone: RFC 1939 §4 locks it.
		for range pickupDraws {
			if user := w.user(); w.book.lockMailbox(user) {
				w.pickup(ctx, user)
				w.book.unlockMailbox(user)
				return
			}
		}
	}
	w.deliver(ctx)
}

// pickupDraws is how often a worker draws a user whose mailbox is free before it delivers instead.
const pickupDraws = 32

func (w *worker) deliver(ctx context.Context) {
	user := w.user()
	addrs := shuffled(w.SMTP, w.rng)
	start := time.Now()
	n := w.book.enter(user)
	message := w.writer.message(n, w.address(user), w.sizes.draw(w.rng))
	w.book.seal(n, message)
	s, addr, err := dialAny(w.run, addrs, func(t client.Target) (*client.SMTP, error) { return client.DialSMTP(ctx, t) })
	done := func(o ledger.Outcome, err error) {
		w.book.delivered(delivery{n, user, addr, start, time.Now(), len(message), o, err})
	}
	if err != nil {
		done(ledger.Unsent, err)
		return
	}
	offered, err := s.Send(w.From, w.address(user), message)
	done(outcomeOf(offered, err), err)
	if err != nil {
		_ = s.Close()
		return
	}
	_ = s.Quit() // the promise was given: how the session ends is of no weight
}

func outcomeOf(offered bool, err error) ledger.Outcome {
	var refusal *client.Refusal
	switch {
	case err == nil:
		return ledger.Acked
	case errors.As(err, &refusal):
		return ledger.Refused
	case offered:
		return ledger.Ambiguous
	}
	return ledger.Unsent
}

// pickup fetches and deletes everything in a mailbox that the caller has locked.
func (w *worker) pickup(ctx context.Context, user int) {
	addrs := shuffled(w.POP3, w.rng)
	start := time.Now()
	n, addr, err := w.empty(ctx, addrs, user)
	w.book.pickedUp(pickup{user, addr, start, time.Now(), n, err})
}

// empty fetches and deletes everything in a mailbox; n is the number of messages deleted, addr the
// address used.
func (r *run) empty(ctx context.Context, addrs []string, user int) (n int, addr string, err error) {
	p, addr, err := dialAny(r, addrs, func(t client.Target) (*client.POP3, error) { return client.DialPOP3(ctx, t) })
	if err != nil {
		return 0, addr, err
	}
	page := r.book.openPage(user)
	ending := ledger.Kept
	defer func() { r.book.closePage(page, ending) }()
	messages, err := r.fetch(p, page, user)
	if err == nil {
		err = p.Delete(messages)
	}
	if err != nil {
		// Without QUIT nothing is deleted.
		_ = p.Close()
		return 0, addr, err
	}
	if err := p.Quit(); err != nil {
		ending = ledger.Unknown
		return 0, addr, err
	}
	ending = ledger.Deleted
	return len(messages), addr, nil
}

func (r *run) fetch(p *client.POP3, page *ledger.Pickup, user int) ([]client.Listed, error) {
	if err := p.Login(r.address(user), r.Password); err != nil {
		return nil, err
	}
	messages, err := p.List()
	if err != nil {
		return nil, err
	}
	return messages, p.Retrieve(messages, func(m client.Listed, fetched []byte) error {
		n, sum, ok := recognise(r.token, fetched)
		r.book.found(page, ledger.Finding{Number: n, Sum: sum, UniqueID: m.UniqueID}, ok)
		return nil
	})
}
