package imapproxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/smtpserver/spool"
)

// substrate is what the proxy needs of the node.
type substrate interface {
	ID() cluster.NodeID
	View() *cluster.View
	Ask(ctx context.Context, owner, method string, payload []byte) ([]byte, error)
	Serve(method string, handler func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error))
	OpenRange(ctx context.Context, on cluster.NodeID, id cluster.ObjectID, offset, length int64) (cluster.Object, io.ReadCloser, error)
	Pieces(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType, pieces []cluster.Piece) ([]cluster.Derived, error)
	Derived(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType, ids []string) ([]cluster.Derived, error)
}

// store is who places messages; *delivery.Delivery is one.
type store interface {
	// Put stores a message for a user under that id, and gives the object as it lies. What fails is removed again.
	Put(ctx context.Context, u mail.User, id mail.MessageID, attr mail.MessageAttr, body cluster.Body) (cluster.Object, error)
	// PutOnce is Put for a message that may have been stored under that id before. Nothing is removed of what fails.
	PutOnce(ctx context.Context, u mail.User, id mail.MessageID, attr mail.MessageAttr, body cluster.Body) (cluster.Object, error)
	// Withdraw removes what Put has stored. It gives how many could not be removed, and may be seen.
	Withdraw(ctx context.Context, objects []cluster.Object) (left int)
}

// directory is who knows the users; *directory.Directory is one.
type directory interface {
	Mailbox(ctx context.Context, u mail.User) (mail.Mailbox, error)
}

// Config of a Proxy. ClusterID and Spool are required; zero fields are the defaults.
type Config struct {
	ClusterID     cluster.ID    // what owners are hashed to buckets with
	Spool         *spool.Spool  // holds messages while they are copied
	QuotaBytes    int64         // of users without their own, as of the delivery; default 50 GiB
	QuotaMessages int64         // default 1,000,000
	AskTimeout    time.Duration // for one question to the manager; default 30 s
	CopiesMax     int           // messages that one COPY copies at once; default 4
	AppendsMax    int           // messages that one APPEND stores at once; default 16
	UsersMax      int           // users that are watched at one time; default 100,000
	RenewsMax     int           // watches that are renewed at once; default 8
	Logger        *slog.Logger  // nil: nothing is logged
}

func (c Config) withDefaults() Config {
	cluster.Default(&c.CopiesMax, 4)
	cluster.Default(&c.AppendsMax, 16)
	cluster.Default(&c.UsersMax, 100_000)
	cluster.Default(&c.RenewsMax, 8)
	cluster.Default(&c.AskTimeout, 30*time.Second)
	cluster.Default(&c.QuotaBytes, 50<<30)
	cluster.Default(&c.QuotaMessages, 1_000_000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Proxy opens mailboxes for the sessions of one node. It is safe for concurrent use.
type Proxy struct {
	cluster   substrate
	store     store
	directory directory
	cfg       Config
	watches   *watches
}

var _ backend.Mailboxes = (*Proxy)(nil)

// New makes a Proxy.
func New(node substrate, s store, d directory, cfg Config) (*Proxy, error) {
	if node == nil || s == nil || d == nil || cfg.Spool == nil {
		return nil, errors.New("imapproxy: the node, the store, the directory or the spool is missing")
	}
	if cfg.ClusterID == (cluster.ID{}) {
		return nil, errors.New("imapproxy: the cluster id is missing")
	}
	cfg = cfg.withDefaults()
	p := &Proxy{cluster: node, store: s, directory: d, cfg: cfg}
	p.watches = newWatches(p)
	return p, nil
}

// Register makes the node take notices of changes. Call it once, before the node starts.
func (p *Proxy) Register() { p.cluster.Serve(talk.MethodChanged, p.watches.serve) }

// Run keeps the watches of this node's sessions alive until ctx ends.
func (p *Proxy) Run(ctx context.Context) { p.watches.run(ctx) }

// Open begins a session. It asks the manager once, so that a user whose mail cannot be reached hears it now.
func (p *Proxy) Open(ctx context.Context, u mail.User, c mail.Client) (backend.Mailbox, error) {
	m := &mailbox{proxy: p, user: u}
	m.life, m.end = context.WithCancel(context.Background())
	if _, err := m.ask(ctx, &talk.Question{Op: talk.OpFind, Name: "INBOX"}); err != nil {
		m.end()
		p.cfg.Logger.Debug("mailbox not opened", "user", u, "service", c.Service, "err", err)
		return nil, err
	}
	return m, nil
}

// ask puts a question to the user's manager. Its answer is progress (backend.Progress).
func (p *Proxy) ask(ctx context.Context, u mail.User, q *talk.Question) (talk.Answer, error) {
	op := "ask for the mail of " + string(u)
	q.User = u
	ctx, cancel := context.WithTimeout(ctx, p.cfg.AskTimeout)
	defer cancel()
	payload := q.Marshal()
	if len(payload) > talk.SizeMax {
		return talk.Answer{}, cluster.Errorf(cluster.KindLimit, op, "a question of %d octets, at most %d allowed", len(payload), talk.SizeMax)
	}
	b, err := p.cluster.Ask(ctx, string(u), talk.Method, payload)
	if err != nil {
		return talk.Answer{}, err
	}
	a, err := talk.ParseAnswer(b)
	if err != nil {
		return talk.Answer{}, cluster.Errorf(cluster.KindInternal, op, "%w", err)
	}
	backend.Progress(ctx)
	return a, nil
}
