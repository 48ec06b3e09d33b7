package daemon

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/delivery"
	"porcupine/internal/mail/directory"
	"porcupine/internal/mail/directory/credential"
	"porcupine/internal/mail/directory/login"
	"porcupine/internal/mail/mailbox"
	"porcupine/internal/mail/pop3server"
	"porcupine/internal/mail/retrieval"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtpserver"
)

// openMail makes the mail service on the node and registers its methods.
func (d *daemon) openMail() (err error) {
	d.metrics = newMetrics()
	d.metrics.registry.MustRegister(newCollector(d))
	c := d.cfg
	d.directory, err = directory.New(d.node, directory.Config{
		Copies:      c.Cluster.ProfileCopies,
		Credentials: credential.Params{SCRAMIterations: max(0, c.Auth.SCRAMIterations), NoSCRAM: c.Auth.SCRAMIterations < 0},
		Login:       login.Config{Derivations: derivations(c.Auth.Derivations), CacheTTL: c.Auth.CacheTTL.D()},
		Logger:      d.log,
	})
	if err != nil {
		return err
	}
	d.locks, err = mailbox.New(d.node, mailbox.Config{ClusterID: d.id.Cluster()})
	if err != nil {
		return err
	}
	d.directory.Register()
	d.locks.Register()
	if err := d.openGuard(); err != nil {
		return err
	}
	cfg := delivery.Config{
		Spread: c.Cluster.Spread, Copies: c.Cluster.MessageCopies, MinCopies: c.Cluster.MinCopies,
		QuotaBytes: int64(c.Limits.MailboxBytes), QuotaMessages: c.Limits.MailboxMessages, Logger: d.log,
	}
	change(d.adjust.Delivery, &cfg)
	if d.delivery, err = delivery.New(d.node, d.directory, cfg); err != nil {
		return err
	}
	d.retrieval, err = retrieval.New(d.node, d.locks, retrieval.Config{Floor: directory.MailFloor, Logger: d.log})
	if err != nil {
		return err
	}
	d.rooms = d.newRooms()
	if err := d.openIMAP(); err != nil {
		return err
	}
	return d.openVault()
}

// openGuard makes what slows guessing down, one for the whole cluster.
func (d *daemon) openGuard() error {
	secret, err := d.id.Secret("failed logins")
	if err != nil {
		return err
	}
	if d.guard, err = sasl.NewGuard(sasl.GuardConfig{Secret: secret}); err != nil {
		return err
	}
	d.guard.Share(d.node)
	return nil
}

// tellOfLogins tells the other nodes how attempts to log in end here.
func (d *daemon) tellOfLogins(ctx context.Context) { d.guard.Tell(ctx, d.node, d.log) }

// derivations is how many passwords are derived at once: more than there are processors would take
// their memory and gain no time.
func derivations(configured int) int { return min(configured, runtime.GOMAXPROCS(0)) }

// deliveryFor gives a front end its way into the mail service: with LMTP each recipient stands
// for itself, with the others a message is delivered to all or to none.
func (d *daemon) deliveryFor(role smtpserver.Role) smtpserver.Delivery {
	if role == smtpserver.LMTP {
		return d.delivery
	}
	return d.delivery.AllOrNone()
}

// maildrops shows the retrieval proxy to POP3.
type maildrops struct {
	*retrieval.Retrieval
	log *slog.Logger
}

var _ pop3server.Maildrops = maildrops{}

func (m maildrops) Open(ctx context.Context, u mail.User, c mail.Client) (pop3server.Maildrop, error) {
	drop, err := m.Retrieval.Open(ctx, u, c)
	if err != nil {
		return nil, err
	}
	return maildrop{drop, m.log}, nil
}

// maildrop logs what its front end cannot tell the client.
type maildrop struct {
	*retrieval.Maildrop
	log *slog.Logger
}

func (m maildrop) Close() {
	if err := m.Maildrop.Close(); err != nil {
		m.log.Warn("maildrop not given back; its lease will run out", "err", err)
	}
}

// How often profiles that could lie on more nodes are looked for after a new view, until none is
// left: the first time soon, then ever more slowly.
const (
	widenFirst = 2 * time.Second
	widenMax   = time.Minute
)

// widen gives profiles that were made while the cluster was small their further nodes, after
// every change of view.
func (d *daemon) widen(ctx context.Context) {
	for {
		changed := d.node.Changed()
		for pause := widenFirst; ; pause = min(2*pause, widenMax) {
			if !sleep(ctx, pause) {
				return
			}
			n, err := d.directory.Widen(ctx)
			if n > 0 {
				d.log.Info("profiles were given more nodes", "profiles", n)
			}
			if err == nil {
				break
			}
			d.log.Debug("not all profiles could be given more nodes yet", "err", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// sleep waits; false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
