package daemon

import (
	"context"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/feed"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/imapproxy"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/index"
	"porcupine/internal/mail/smtpserver/spool"
)

// Memory for messages that come in by APPEND or are being copied; what exceeds it lies in unlinked files.
const (
	imapSpoolMax      = 256 << 10 // of one message
	imapSpoolTotalMax = 64 << 20
)

// openIMAP makes what stands behind IMAP sessions: the feed of changes, the indexes of the mailboxes that this
// node manages, and the proxy that gives them to sessions here.
func (d *daemon) openIMAP() (err error) {
	d.feed = feed.New(d.node, d.log)
	d.node.SetWatcher(d.feed)
	d.atEnd("change feed", func(context.Context) error { d.feed.Close(); return nil })
	d.indexes, err = index.New(d.node, index.Config{
		ClusterID: d.id.Cluster(), Floor: directory.MailFloor, Follow: d.follow, MemoryMax: int64(d.cfg.IMAP.IndexMemory), Logger: d.log,
	})
	if err != nil {
		return err
	}
	d.indexes.Register()
	d.imapSpool = spool.NewIn(d.rooms.users, spool.Dir(d.cfg.DataDir), imapSpoolMax, imapSpoolTotalMax)
	d.imap, err = imapproxy.New(d.node, d.delivery, d.directory, imapproxy.Config{
		ClusterID: d.id.Cluster(), Spool: d.imapSpool,
		QuotaBytes: int64(d.cfg.Limits.MailboxBytes), QuotaMessages: d.cfg.Limits.MailboxMessages, Logger: d.log,
	})
	if err != nil {
		return err
	}
	d.imap.Register()
	return nil
}

// follow shows the change feed to the indexes.
func (d *daemon) follow(ctx context.Context, holder cluster.NodeID, owner string, on func(gap bool, changes []cluster.Change)) (stop func(), err error) {
	s, err := d.feed.Subscribe(ctx, holder, owner, []cluster.ObjectType{mail.TypeMessage}, func(e feed.Event) { on(e.Gap, e.Changes) })
	if err != nil {
		return nil, err
	}
	return s.Close, nil
}

// imapCounts counts for IMAP.
type imapCounts struct{ *metrics }

var _ imapserver.Observer = imapCounts{}

const imapService = "imap"

func (m imapCounts) SessionStarted(mail.Client) {}
func (m imapCounts) SessionEnded(c mail.Client, _ time.Duration, why string) {
	m.sessions.WithLabelValues(c.Service, why).Inc()
}
func (m imapCounts) Command(verb imap.Verb, result string, took time.Duration) {
	if result == "" {
		result = "none"
	}
	m.commands.WithLabelValues(imapService, string(verb), result).Inc()
	m.command.WithLabelValues(imapService).Observe(took.Seconds())
}
func (m imapCounts) LoggedIn(c mail.Client, took time.Duration, _ error) {
	m.open.WithLabelValues(c.Service).Observe(took.Seconds())
}
func (m imapCounts) Fetched(octets int64) { m.retrievedBytes.Add(float64(octets)) }
func (m imapCounts) Appended(octets int64) {
	m.messageBytes.WithLabelValues(imapService).Add(float64(octets))
}
func (m imapCounts) Told(after time.Duration) { m.told.Observe(after.Seconds()) }

// imapFigures are those of the indexes and of the change feed.
func imapFigures(gauge, counter adder) {
	gauge("imap_indexes", "Mailboxes of which this node holds the index.", func(s *snapshot) float64 { return float64(s.index.Loaded) })
	gauge("imap_index_bytes", "Memory of these indexes, about.", func(s *snapshot) float64 { return float64(s.index.Bytes) })
	gauge("imap_watched", "Mailboxes of which sessions want to hear changes.", func(s *snapshot) float64 { return float64(s.index.Watched) })
	counter("imap_index_loads_total", "Indexes built from the disks.", func(s *snapshot) float64 { return float64(s.index.Loads) })
	counter("imap_index_relists_total", "Mailboxes listed again, after changes that were lost and for new fragments.", func(s *snapshot) float64 { return float64(s.index.Relists) })
	counter("imap_index_evictions_total", "Indexes dropped: idle, or for want of memory.", func(s *snapshot) float64 { return float64(s.index.Evictions) })
	counter("imap_index_refused_total", "Questions refused since too many waited for one mailbox.", func(s *snapshot) float64 { return float64(s.index.Refused) })
	counter("imap_notices_lost_total", "Notices of changes that could not be told; sessions hear later.", func(s *snapshot) float64 { return float64(s.index.NoticesLost) })
	gauge("feed_subscriptions", "Subscriptions to changes at this node.", func(s *snapshot) float64 { return float64(s.feed.Held) })
	counter("feed_told_total", "Changes told to other nodes.", func(s *snapshot) float64 { return float64(s.feed.Told) })
	counter("feed_gaps_total", "Times that changes were lost, and listed instead.", func(s *snapshot) float64 { return float64(s.feed.Gaps) })
}
