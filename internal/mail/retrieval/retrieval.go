// Package retrieval is the retrieval proxy (Porcupine §3.6): it makes one maildrop of the
// fragments that a user's mail lies in, for one session on any node.
//
// Open takes the maildrop's lock, asks the user's manager for the mail map, and has a survey
// (internal/mail/survey) list what lies there. What it shows is all that lies on the members of the view. While the manager's bucket is incomplete it waits, and a member that does
// not answer is an error: a maildrop is shown whole or not at all (V2). Only what lies on nodes
// that are away is left out; it is there again when they are.
//
// A message that was stored twice, because a delivery could not know that it had succeeded, has
// one id in both places: it is shown once and deleted in both (D6). A copy that is damaged or gone is
// passed over for another replica's (D5); a deletion stands when one node has it durable, and its
// record takes it to the others (D4).
//
// POP3 knows one folder, and that is INBOX. A user who has only ever used POP3 has no other, and nothing more is asked. Of a user
// with folders the index at the user's manager (internal/mail/index) is asked which of the listed messages are in INBOX:
// the others are neither shown nor deleted. If it cannot be asked, the maildrop cannot be opened for now (V2).
package retrieval

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/survey"
)

// substrate is what the proxy needs of the node.
type substrate interface {
	ID() cluster.NodeID
	View() *cluster.View
	// Pending gives the durable commits that a node has to do, as last heard.
	Pending(id cluster.NodeID) int
	Lookup(ctx context.Context, owner string) (cluster.Entry, error)
	Ask(ctx context.Context, owner, method string, payload []byte) ([]byte, error)
	List(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType) ([]cluster.Object, error)
	Open(ctx context.Context, on cluster.NodeID, id cluster.ObjectID) (cluster.Object, io.ReadCloser, error)
	UpdateAll(ctx context.Context, us []cluster.Update) []error
}

// Lock is a session's hold on a maildrop; *mailbox.Lock is one.
type Lock interface {
	Lost() <-chan struct{}
	Confirm(ctx context.Context) error
	Close() error
}

// locks is who gives the locks; *mailbox.Locks is one, with L its *Lock.
type locks[L Lock] interface {
	// Acquire takes the lock of a user's maildrop, or fails, with mail.ErrInUse in the chain if
	// another session has it.
	Acquire(ctx context.Context, u mail.User) (L, error)
}

// Config of a Retrieval. Floor is required; zero fields are the defaults.
type Config struct {
	// Floor gives the timestamp that a message must be newer than to be the user's: what is not
	// was a former user's of that name.
	Floor        func(e *cluster.Entry) (cluster.Timestamp, error)
	CompleteWait time.Duration // for an incomplete bucket; default 10 s
	AskTimeout   time.Duration // for one question to the index of a user with folders; default 30 s
	ListsMax     int           // listings of one Open that run at once; default 8
	MessagesMax  int           // in one maildrop; default 1,000,000
	Logger       *slog.Logger  // nil: nothing is logged
}

// Retrieval opens maildrops. It is safe for concurrent use.
type Retrieval struct {
	cluster substrate
	cfg     Config
	survey  *survey.Survey
	acquire func(ctx context.Context, u mail.User) (Lock, error)
}

// New makes a Retrieval.
func New[L Lock](node substrate, l locks[L], cfg Config) (*Retrieval, error) {
	if node == nil || l == nil || cfg.Floor == nil {
		return nil, errors.New("retrieval: the node, the locks or Floor is missing")
	}
	if cfg.CompleteWait <= 0 {
		cfg.CompleteWait = 10 * time.Second
	}
	if cfg.AskTimeout <= 0 {
		cfg.AskTimeout = 30 * time.Second
	}
	if cfg.MessagesMax <= 0 {
		cfg.MessagesMax = 1_000_000
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	acquire := func(ctx context.Context, u mail.User) (Lock, error) { return l.Acquire(ctx, u) }
	return &Retrieval{cluster: node, cfg: cfg, survey: survey.New(node, cfg.ListsMax), acquire: acquire}, nil
}

// Open takes the lock of the user's maildrop and lists it. KindUnavailable: with mail.ErrInUse,
// another session has it; otherwise it cannot be shown whole now, or it is not known what of it is in INBOX. KindLimit:
// the user has more than MessagesMax messages. KindCorrupt: the user's folders are damaged. The caller must Close the Maildrop.
func (p *Retrieval) Open(ctx context.Context, u mail.User, c mail.Client) (*Maildrop, error) {
	lock, err := p.acquire(ctx, u)
	if err != nil {
		return nil, err
	}
	d := &Maildrop{proxy: p, user: u, lock: lock}
	if err := d.load(ctx); err != nil {
		// The lock's lease ends what Close cannot.
		if closeErr := lock.Close(); closeErr != nil {
			p.cfg.Logger.Warn("mailbox lock not released", "user", u, "service", c.Service, "err", closeErr)
		}
		return nil, err
	}
	return d, nil
}

// Pauses between two looks at an incomplete bucket.
const (
	pauseFirst = 10 * time.Millisecond
	pauseMax   = 200 * time.Millisecond
)

// collect looks the user up and lists all fragments that are not of a former user of that name. While the bucket is incomplete, or a node
// that should hold a fragment does not answer, it begins again, up to CompleteWait: either the
// node answers again, or the next view is without it (V2). folders: the user has folders beside INBOX.
func (p *Retrieval) collect(ctx context.Context, u mail.User) (found []survey.Message, folders bool, err error) {
	op := "open mailbox " + string(u)
	deadline := time.Now().Add(p.cfg.CompleteWait)
	for pause := pauseFirst; ; pause = min(2*pause, pauseMax) {
		e, err := p.lookup(ctx, u, deadline)
		if err != nil {
			return nil, false, cluster.Errorf(cluster.KindUnavailable, op, "%w", err)
		}
		if e.Knowledge == cluster.Partial {
			err = cluster.Errorf(cluster.KindUnavailable, op, "its manager is still hearing from the nodes: try again in a moment")
		} else {
			floor, floorErr := p.cfg.Floor(&e)
			if floorErr != nil {
				return nil, false, cluster.Errorf(cluster.KindOf(floorErr), op, "%w", floorErr)
			}
			var l survey.Listing
			if l, err = p.survey.List(ctx, &e, floor); err == nil {
				return l.Messages, hasFolders(&e, floor, l.Messages), nil
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || !time.Now().Before(deadline) {
			return nil, false, err
		}
	}
}

// lookup asks the user's manager, not longer than the deadline.
func (p *Retrieval) lookup(ctx context.Context, u mail.User, deadline time.Time) (cluster.Entry, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return p.cluster.Lookup(ctx, string(u))
}
