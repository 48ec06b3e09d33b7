// Package delivery is the delivery proxy (Porcupine §3.5): it finds out what a recipient means,
// and makes a message durable for each user, on any node of the cluster.
//
// Verify asks the directory, one call to the user's manager in the usual case. Deliver chooses
// nodes by spread and load, and stores one object for each user. nil means durable on all of them
// (D1, D2). Of nodes that fail, others take the place: what is durable stays, and the same object, by
// the same id, is updated to lie on other nodes. Every attempt names the nodes of those before it
// among its targets, so the record of the last one tells each of them, whenever it can be reached,
// whether it is to keep its copy: whatever the cluster does, it is one message (D6). If no other node
// can take it, what is durable is enough when it is at least MinCopies; the rest follows by itself.
//
// How many deliveries work at once, and who is sent away when there are too many, is for a
// turnstile: front ends take their turn there BEFORE they call Deliver, since they know what it
// saves to say no earlier; Put takes its own. Retries have a budget of their own, which all deliveries share.
//
// An error is of a kind that says what it proves: KindNotFound and KindDenied are for good,
// everything else is for now (V1). What was stored of a message that is refused is removed by an
// update of which this node keeps the record too.
package delivery

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/delivery/turnstile"
)

// substrate is what the proxy needs of the node.
type substrate interface {
	Choose(entry cluster.Entry, t cluster.ObjectType, copies, spread int, beside, exclude []cluster.NodeID) (cluster.ReplicaSet, error)
	Update(ctx context.Context, u cluster.Update, body cluster.Body) error
	UpdateAll(ctx context.Context, us []cluster.Update) []error
	ID() cluster.NodeID
	// Timestamp gives one for a new object.
	Timestamp(ctx context.Context) (cluster.Timestamp, error)
}

// directory is who knows the users.
type directory interface {
	// Resolve says which mailboxes an address means, and Mailbox looks up one of them again. The
	// kinds of their errors are those of Verify.
	Resolve(ctx context.Context, a mail.Address) ([]mail.Mailbox, error)
	Mailbox(ctx context.Context, u mail.User) (mail.Mailbox, error)
}

// Config of a Delivery. Zero fields are the defaults.
type Config struct {
	Spread        int   // soft limit on the nodes that a user's mail lies on, if each message lay on one; default 2
	Copies        int   // nodes that each message lies on, at most cluster.ReplicaSetMax; default 2
	MinCopies     int   // nodes that it must be durable on when no more can take it; default 1
	QuotaBytes    int64 // of users without their own; default 50 GiB
	QuotaMessages int64 // default 1,000,000
	UsersMax      int   // stored to at once, for one message; default 8
	AttemptsMax   int   // choices of nodes for one user; default 4
	// AttemptTimeout is for one attempt to store; a second is added for each MiB. Default 5 s.
	AttemptTimeout time.Duration
	// Timeout is for one Deliver or Put of a small message, and for the wait of a Put for its turn; default 60 s. Larger ones have as
	// much more as an attempt has, up to TimeoutMax in all; default 9 min: SMTP clients wait for ten (RFC 5321 §4.5.3.2.6).
	Timeout    time.Duration
	TimeoutMax time.Duration
	FreshFor   time.Duration // how long Deliver takes over what Verify was told; default 3 s
	FreshMax   int           // users for whom that is kept; default 4,096
	Turns      turnstile.Config
	Logger     *slog.Logger // nil: nothing is logged
}

func (c Config) withDefaults() Config {
	cluster.Default(&c.Spread, 2)
	cluster.Default(&c.Copies, 2)
	cluster.Default(&c.MinCopies, 1)
	cluster.Default(&c.UsersMax, 8)
	cluster.Default(&c.AttemptsMax, 4)
	cluster.Default(&c.FreshMax, 4096)
	cluster.Default(&c.AttemptTimeout, 5*time.Second)
	cluster.Default(&c.Timeout, time.Minute)
	cluster.Default(&c.TimeoutMax, 9*time.Minute)
	cluster.Default(&c.FreshFor, 3*time.Second)
	cluster.Default(&c.QuotaBytes, 50<<30)
	cluster.Default(&c.QuotaMessages, 1_000_000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Turns.Logger == nil {
		c.Turns.Logger = c.Logger
	}
	return c
}

// Delivery is the proxy mail. It is safe for concurrent use.
type Delivery struct {
	cluster   substrate
	directory directory
	cfg       Config
	fresh     *freshEntries
	buffers   sync.Pool // of *[sumBuffer]byte: for reading bodies
	noRoom    *noRoom
	short     atomic.Int64
	turns     *turnstile.Turnstile
	retries   *budget
}

// Turns is where a front end takes its turn to deliver.
func (p *Delivery) Turns() *turnstile.Turnstile { return p.turns }

// RetriesRefused counts the retries for which nothing was left of the budget. For metrics.
func (p *Delivery) RetriesRefused() int64 { return p.retries.refused.Load() }

// Short counts the copies of messages that were acknowledged on fewer nodes than wanted. For metrics.
func (p *Delivery) Short() int64 { return p.short.Load() }

// New makes a Delivery.
func New(node substrate, d directory, cfg Config) (*Delivery, error) {
	if node == nil || d == nil {
		return nil, errors.New("delivery: the node or the directory is missing")
	}
	if cfg.Copies > cluster.ReplicaSetMax {
		return nil, errors.New("delivery: more copies than a replica set may have nodes")
	}
	cfg = cfg.withDefaults()
	return &Delivery{
		cluster:   node,
		directory: d,
		cfg:       cfg,
		fresh:     newFreshEntries(cfg.FreshFor, cfg.FreshMax),
		noRoom:    newNoRoom(),
		buffers:   sync.Pool{New: func() any { return new([sumBuffer]byte) }},
		turns:     turnstile.New(cfg.Turns),
		retries:   newBudget(),
	}, nil
}

// Verify says what a recipient means. Several things may happen:
//
//  1. At least one user, and all of them have room for a message of that size.
//  2. KindNotFound: proven that a domain of ours has no such address.
//  3. KindDenied: proven that the domain is not ours.
//  4. KindFull with mail.ErrOverQuota: a mailbox that it means is full, or has no room for it.
//  5. KindLimit: the address means too much.
//  6. Any other kind: it cannot be said now.
//
// size is what the message is said to have, in bytes; 0: it is not known. Then a mailbox that has any room will do, unless
// it had none just now for a message of the same sender (DeliverAll): from matters for nothing else.
func (p *Delivery) Verify(ctx context.Context, from, rcpt mail.Address, size int64) (mail.Recipient, error) {
	boxes, err := p.directory.Resolve(ctx, rcpt)
	if err != nil {
		return mail.Recipient{}, cluster.Errorf(cluster.KindOf(err), "verify recipient "+rcpt.String(), "%w", err)
	}
	now := time.Now()
	for i := range boxes {
		if err := p.checkQuota(&boxes[i], max(size, p.noRoom.take(from, boxes[i].User, now))); err != nil {
			return mail.Recipient{}, err
		}
		p.fresh.put(&boxes[i], now)
	}
	return mail.Recipient{Address: rcpt, Users: usersOf(boxes)}, nil
}

// Means says which users an address means, whether their mailboxes have room or not: who sends under an address of
// theirs stores nothing with them. The kinds of its errors are those of Verify, without KindFull.
func (p *Delivery) Means(ctx context.Context, a mail.Address) ([]mail.User, error) {
	boxes, err := p.directory.Resolve(ctx, a)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindOf(err), "look up "+a.String(), "%w", err)
	}
	return usersOf(boxes), nil
}

func usersOf(boxes []mail.Mailbox) []mail.User {
	users := make([]mail.User, len(boxes))
	for i := range boxes {
		users[i] = boxes[i].User
	}
	return users
}

// mailbox gives what is known of a user: what Verify was told, if that was just now.
func (p *Delivery) mailbox(ctx context.Context, u mail.User) (mail.Mailbox, error) {
	if box, ok := p.fresh.get(u, time.Now()); ok {
		return box, nil
	}
	box, err := p.directory.Mailbox(ctx, u)
	if err == nil {
		p.fresh.put(&box, time.Now())
	}
	return box, err
}

// checkQuota wants room for one more message of that size. The counts are those of the members
// that reported: mail on nodes that are away is not counted, and deliveries that run at the same
// moment do not see each other (Q1).
func (p *Delivery) checkQuota(b *mail.Mailbox, size int64) error {
	var count, bytes int64
	for i := range b.Entry.Fragments {
		if f := &b.Entry.Fragments[i]; f.Type == mail.TypeMessage {
			count += f.Count
			bytes += f.Bytes
		}
	}
	countMax, bytesMax := p.cfg.QuotaMessages, p.cfg.QuotaBytes
	if b.Settings.QuotaMessages > 0 {
		countMax = b.Settings.QuotaMessages
	}
	if b.Settings.QuotaBytes > 0 {
		bytesMax = b.Settings.QuotaBytes
	}
	// Not bytes+size > bytesMax: the sum could overflow.
	if count >= countMax || bytes >= bytesMax || size > bytesMax-bytes {
		return cluster.Errorf(cluster.KindFull, "deliver to "+string(b.User), "%d messages of %d, %d bytes of %d: %w",
			count, countMax, bytes, bytesMax, mail.ErrOverQuota)
	}
	return nil
}
