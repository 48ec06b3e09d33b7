package directory

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory/credential"
	"porcupine/internal/mail/directory/login"
)

// reader is what the directory asks the substrate to find.
type reader interface {
	Lookup(ctx context.Context, owner string) (cluster.Entry, error)
	Owners(ctx context.Context, t cluster.ObjectType, after string, limit int) ([]cluster.CachedObject, error)
	List(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType) ([]cluster.Object, error)
}

// writer is what the directory asks the substrate to store.
type writer interface {
	Choose(entry cluster.Entry, t cluster.ObjectType, copies, spread int, beside, exclude []cluster.NodeID) (cluster.ReplicaSet, error)
	Update(ctx context.Context, u cluster.Update, body cluster.Body) error
	UpdateAll(ctx context.Context, us []cluster.Update) []error
}

// manager is how a question gets to the node that manages a name, and what it finds there.
type manager interface {
	Ask(ctx context.Context, owner, method string, payload []byte) ([]byte, error)
	Serve(method string, handler func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error))
	LocalEntry(ctx context.Context, owner string) (cluster.Entry, bool)
}

// members is what the directory knows of the cluster's nodes.
type members interface {
	ID() cluster.NodeID
	View() *cluster.View
	KnownNodes() int
}

// substrate is the node that the directory runs on.
type substrate interface {
	reader
	writer
	manager
	members
}

// Config of a Directory. Zero fields are the defaults.
type Config struct {
	Copies int // nodes that a profile, an alias or a domain lies on; default 3
	// ResolveWait bounds how long Resolve waits for an incomplete bucket before it says
	// KindUnavailable; default 2 s.
	ResolveWait time.Duration
	// LoginWait is the same for logins; default 5 s.
	LoginWait time.Duration
	// LoginMax bounds a login as a whole, with the waits for other nodes: default 15 s, which people and their programs
	// wait for. Then it is KindUnavailable.
	LoginMax time.Duration
	// SettleWait bounds how long a change waits until the manager knows it; default 5 s.
	SettleWait time.Duration
	// StoreWait bounds one attempt to store a change on its nodes; default 5 s.
	StoreWait time.Duration
	// Separators are the characters that part a detail from a local part; default "+".
	// NoDetail switches sub-addressing off.
	Separators string
	NoDetail   bool
	// LoginDomain is put behind a login name without "@"; empty: such logins are wrong.
	LoginDomain string
	// PostmasterDomain is whose postmaster an address without a domain means; empty: that of the
	// cluster's first domain.
	PostmasterDomain string
	Credentials      credential.Params // how costly new passwords are
	Login            login.Config
	Logger           *slog.Logger // nil: nothing is logged
}

// Limits of what one address may mean.
const (
	AliasDepthMax   = 8   // aliases that lead to aliases
	AliasTargetsMax = 100 // targets of one alias
	UsersMax        = 200 // mailboxes that one address means
)

func (c Config) withDefaults() Config {
	cluster.Default(&c.ResolveWait, 2*time.Second)
	cluster.Default(&c.LoginWait, 5*time.Second)
	cluster.Default(&c.LoginMax, 15*time.Second)
	cluster.Default(&c.SettleWait, 5*time.Second)
	cluster.Default(&c.StoreWait, 5*time.Second)
	cluster.Default(&c.Copies, 3)
	if c.Separators == "" {
		c.Separators = "+"
	}
	if c.NoDetail {
		c.Separators = ""
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Login.Decoy = c.Credentials
	return c
}

// Directory answers for one node. It is safe for concurrent use.
type Directory struct {
	cluster  substrate
	cfg      Config
	verifier *login.Verifier
	locks    *nameLocks
	first    firstDomain
	copies   domainCopies
	warned   atomic.Int64 // when a paced warning was last given: nanoseconds since 1970
}

// New makes a Directory on a node.
func New(node substrate, cfg Config) (*Directory, error) {
	if node == nil {
		return nil, errors.New("directory: the node is missing")
	}
	if cfg.Copies > cluster.ReplicaSetMax {
		return nil, errors.New("directory: more copies than a replica set may have nodes")
	}
	cfg = cfg.withDefaults()
	return &Directory{cluster: node, cfg: cfg, verifier: login.New(cfg.Login), locks: newNameLocks()}, nil
}

// warnEvery is the pace of warnings that anybody may cause at will by writing to an address.
const warnEvery = 10 * time.Second

// warnPaced warns, if the last time was not just now; else the line is for debugging only.
func (d *Directory) warnPaced(ctx context.Context, msg string, args ...any) {
	level := slog.LevelDebug
	now, last := time.Now().UnixNano(), d.warned.Load()
	if now-last >= int64(warnEvery) && d.warned.CompareAndSwap(last, now) {
		level = slog.LevelWarn
	}
	d.cfg.Logger.Log(ctx, level, msg, args...)
}

// Register makes the node answer the directory's questions. Call it once, before the node starts.
func (d *Directory) Register() {
	d.cluster.Serve(methodAuthenticate, d.serveAuthenticate)
	d.cluster.Serve(methodSCRAM, d.serveSCRAM)
	d.cluster.Serve(methodChange, d.serveChange)
}

// patience is the time that one operation may spend waiting for an incomplete bucket, over all
// its steps.
type patience struct {
	wait  time.Duration
	until time.Time
	pause time.Duration
}

// Pauses between two looks at an incomplete bucket.
const (
	pauseFirst = 10 * time.Millisecond
	pauseMax   = 200 * time.Millisecond
)

// again waits a little, and reports false when the time is used up or ctx has ended.
func (p *patience) again(ctx context.Context) bool {
	now := time.Now()
	if p.until.IsZero() {
		p.until, p.pause = now.Add(p.wait), pauseFirst
	}
	left := p.until.Sub(now)
	if left <= 0 {
		return false
	}
	pause(ctx, min(p.pause, left))
	p.pause = min(2*p.pause, pauseMax)
	return ctx.Err() == nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// entry looks a name up. While its bucket is incomplete and it has none of the live objects
// that the caller wants, it asks again, as long as the patience lasts.
func (d *Directory) entry(ctx context.Context, p *patience, owner string, want ...cluster.ObjectType) (cluster.Entry, error) {
	for {
		e, err := d.cluster.Lookup(ctx, owner)
		if err != nil {
			return e, cluster.Errorf(cluster.KindUnavailable, "look up "+owner, "%w", err)
		}
		if e.Knowledge != cluster.Partial || hasAny(&e, want) || !p.again(ctx) {
			return e, nil
		}
	}
}

func hasAny(e *cluster.Entry, types []cluster.ObjectType) bool {
	for _, t := range types {
		if _, ok := e.Find(t, ""); ok {
			return true
		}
	}
	return false
}

// absent gives the error for an object that is not in the entry: KindNotFound if that proves
// anything (V1), else KindUnavailable.
func absent(op string, e *cluster.Entry) error {
	if e.Knowledge == cluster.Conclusive {
		return cluster.Errorf(cluster.KindNotFound, op, "does not exist")
	}
	return unproven(op, e)
}

func unproven(op string, e *cluster.Entry) error {
	return cluster.Errorf(cluster.KindUnavailable, op,
		"not known here, and that is %s, not conclusive (a node is starting or away): try again later", e.Knowledge)
}

// name gives the canonical form of an account's address, or KindInvalid.
func name(op string, a mail.Address) (string, error) {
	if err := a.CheckAccount(); err != nil {
		return "", cluster.Errorf(cluster.KindInvalid, op, "%w", err)
	}
	return a.Canonical(), nil
}
