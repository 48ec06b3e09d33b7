package daemon

import (
	"github.com/prometheus/client_golang/prometheus"

	"porcupine/internal/cluster/feed"
	"porcupine/internal/cluster/node"
	"porcupine/internal/cluster/store"
	"porcupine/internal/mail/delivery/turnstile"
	"porcupine/internal/mail/index"
)

// snapshot is what the collector reads.
type snapshot struct {
	node                 node.Metrics
	store                store.Metrics
	locks                int
	certEnd, mailCertEnd float64
	short                int64
	turns                turnstile.Figures
	retriesRefused       int64
	expired              int64
	index                index.Figures
	feed                 feed.Stats
	rooms                rooms
}

func (d *daemon) snapshot() *snapshot {
	given, _ := d.locks.Held()
	s := &snapshot{
		node: d.node.Metrics(), store: d.store.Metrics(), locks: given, short: d.delivery.Short(), turns: d.delivery.Turns().Figures(),
		retriesRefused: d.delivery.RetriesRefused(), expired: d.port.Expired(), index: d.indexes.Figures(), feed: d.feed.Stats(),
		rooms: d.rooms, certEnd: float64(d.id.NotAfter().Unix()),
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
	c.add(nodeFigures)
	c.add(replicationFigures)
	c.add(storeFigures)
	c.add(serviceFigures)
	c.add(imapFigures)
	c.add(spoolFigures)
	return c
}

// adder adds one figure; it starts with its name.
type adder func(name, help string, read func(*snapshot) float64)

// add adds the figures of one room.
func (c *collector) add(list func(gauge, counter adder)) {
	of := func(kind prometheus.ValueType) adder {
		return func(name, help string, read func(*snapshot) float64) {
			c.figures = append(c.figures, figure{prometheus.NewDesc("porcupine_"+name, help, nil, nil), kind, read})
		}
	}
	list(of(prometheus.GaugeValue), of(prometheus.CounterValue))
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
