package daemon

import (
	"github.com/prometheus/client_golang/prometheus"

	"porcupine/internal/cluster/node"
	"porcupine/internal/cluster/store"
)

// snapshot is what the collector reads.
type snapshot struct {
	node                 node.Metrics
	store                store.Metrics
	locks                int
	certEnd, mailCertEnd float64
	short                int64
}

func (d *daemon) snapshot() *snapshot {
	given, _ := d.locks.Held()
	s := &snapshot{
		node: d.node.Metrics(), store: d.store.Metrics(), locks: given, short: d.delivery.Short(),
		certEnd: float64(d.id.NotAfter().Unix()),
	}
	if certs := d.certs.Load(); certs != nil {
		s.mailCertEnd = float64(certs.notAfter().Unix())
	}
	return s
}

// figure is one number that a room counts itself and the collector reads when asked.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*snapshot) float64
}

// collector gives the figures of the node, the store and the locks at the moment of a scrape.
type collector struct {
	d       *daemon
	figures []figure
	events  *prometheus.Desc
	// Calls to other nodes, by method.
	calls, callsSent, callsReceived *prometheus.Desc
}

func newCollector(d *daemon) *collector {
	c := &collector{d: d, events: prometheus.NewDesc("porcupine_membership_events_total", "Events of the membership protocol.", []string{"event"}, nil),
		calls:         prometheus.NewDesc("porcupine_calls_total", "Calls made to other nodes.", []string{"method"}, nil),
		callsSent:     prometheus.NewDesc("porcupine_calls_sent_bytes_total", "Bytes of payloads and bodies sent in calls to other nodes.", []string{"method"}, nil),
		callsReceived: prometheus.NewDesc("porcupine_calls_received_bytes_total", "Bytes of payloads and bodies in their answers.", []string{"method"}, nil),
	}
	counter := func(name, help string, read func(*snapshot) float64) {
		c.figures = append(c.figures, figure{prometheus.NewDesc("porcupine_"+name, help, nil, nil), prometheus.CounterValue, read})
	}
	gauge := func(name, help string, read func(*snapshot) float64) {
		c.figures = append(c.figures, figure{prometheus.NewDesc("porcupine_"+name, help, nil, nil), prometheus.GaugeValue, read})
	}
	gauge("epoch_counter", "Counter of the installed epoch.", func(s *snapshot) float64 { return float64(s.node.EpochCounter) })
	gauge("members", "Nodes in the view.", func(s *snapshot) float64 { return float64(s.node.Members) })
	gauge("known_nodes", "Nodes ever met and not removed.", func(s *snapshot) float64 { return float64(s.node.Known) })
	gauge("buckets_managed", "Buckets that this node manages.", func(s *snapshot) float64 { return float64(s.node.BucketsManaged) })
	gauge("buckets_incomplete", "Of them, not told in full by every member.", func(s *snapshot) float64 { return float64(s.node.BucketsIncomplete) })
	gauge("owners_managed", "Owners with soft state here.", func(s *snapshot) float64 { return float64(s.node.OwnersManaged) })
	gauge("soft_state_bytes", "Estimate of the memory that soft state takes.", func(s *snapshot) float64 { return float64(s.node.SoftBytes) })
	gauge("owed_buckets", "Buckets whose manager has not acknowledged what this node holds.", func(s *snapshot) float64 { return float64(s.node.OwedBuckets) })
	gauge("owed_holdings", "Single holdings whose manager has not acknowledged them.", func(s *snapshot) float64 { return float64(s.node.OwedHoldings) })
	counter("lookups_total", "Lookups made by this node.", func(s *snapshot) float64 { return float64(s.node.Lookups) })
	counter("retries_total", "Calls tried again because the view was changing.", func(s *snapshot) float64 { return float64(s.node.Retries) })
	counter("fenced_total", "Requests refused because they came from another epoch.", func(s *snapshot) float64 { return float64(s.node.Fenced) })
	counter("clock_skew_total", "Stamps and updates from too far in the future.", func(s *snapshot) float64 { return float64(s.node.Skewed) })
	counter("pushes_total", "Reports sent to managers.", func(s *snapshot) float64 { return float64(s.node.Pushes) })
	counter("push_failures_total", "Reports that managers did not take; they are sent again.", func(s *snapshot) float64 { return float64(s.node.PushFailures) })
	counter("buckets_scanned_total", "Buckets read from disk for a new manager.", func(s *snapshot) float64 { return float64(s.node.BucketsScanned) })
	counter("membership_dropped_total", "Membership messages not sent because too many were under way.", func(s *snapshot) float64 { return float64(s.node.MessagesDropped) })
	counter("registrations_late_total", "Commits whose manager did not hear of them in time.", func(s *snapshot) float64 { return float64(s.node.RegistrationsLate) })

	gauge("store_pending", "Updates waiting for their durable commit.", func(s *snapshot) float64 { return float64(s.store.Pending) })
	counter("store_commits_total", "Durable commits.", func(s *snapshot) float64 { return float64(s.store.Commits) })
	counter("store_commit_seconds_total", "Time that durable commits took.", func(s *snapshot) float64 { return s.store.CommitTime.Seconds() })
	counter("store_updates_total", "Updates in durable commits.", func(s *snapshot) float64 { return float64(s.store.Updates) })
	counter("store_bytes_total", "Bytes of contents taken in.", func(s *snapshot) float64 { return float64(s.store.Bytes) })
	counter("store_log_syncs_total", "Fsyncs of the write-ahead log.", func(s *snapshot) float64 { return float64(s.store.LogSyncs) })
	counter("store_syncs_total", "Fsyncs of all files.", func(s *snapshot) float64 { return float64(s.store.Syncs) })
	counter("store_refused_total", "Updates refused because the disk was full.", func(s *snapshot) float64 { return float64(s.store.Refused) })
	counter("store_corrupt_total", "Damaged records and contents met.", func(s *snapshot) float64 { return float64(s.store.Corrupt) })
	counter("store_stalls_total", "Times that writes waited for flushes or compactions.", func(s *snapshot) float64 { return float64(s.store.Stalls) })
	counter("store_broken_total", "Broken rules of the layout; anything but 0 is a bug.", func(s *snapshot) float64 { return float64(s.store.Broken) })
	gauge("store_objects", "Objects held, without those that managers keep in memory: messages.", func(s *snapshot) float64 { return float64(s.store.Objects) })
	gauge("store_content_bytes", "Bytes of the contents of all objects.", func(s *snapshot) float64 { return float64(s.store.Contents) })
	gauge("store_disk_free_bytes", "Free space on the disk.", func(s *snapshot) float64 { return float64(s.store.DiskFree) })
	gauge("maildrop_locks_given", "Maildrop locks that this node gives as manager.", func(s *snapshot) float64 { return float64(s.locks) })
	counter("delivery_short_total", "Messages acknowledged on fewer nodes than wanted; repair brings the rest.", func(s *snapshot) float64 { return float64(s.short) })
	gauge("certificate_not_after_seconds", "When this node's certificate for the cluster port ends, in seconds since 1970.", func(s *snapshot) float64 { return s.certEnd })
	gauge("mail_certificate_not_after_seconds", "When the certificate shown to mail clients ends, in seconds since 1970; 0 before there is one.", func(s *snapshot) float64 { return s.mailCertEnd })
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		ch <- f.desc
	}
	ch <- c.events
	ch <- c.calls
	ch <- c.callsSent
	ch <- c.callsReceived
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.d.snapshot()
	for _, f := range c.figures {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.read(s))
	}
	for name, n := range s.node.Events {
		ch <- prometheus.MustNewConstMetric(c.events, prometheus.CounterValue, float64(n), name)
	}
	for method, t := range c.d.port.Traffic() {
		ch <- prometheus.MustNewConstMetric(c.calls, prometheus.CounterValue, float64(t.Calls), method)
		ch <- prometheus.MustNewConstMetric(c.callsSent, prometheus.CounterValue, float64(t.Sent), method)
		ch <- prometheus.MustNewConstMetric(c.callsReceived, prometheus.CounterValue, float64(t.Received), method)
	}
}
