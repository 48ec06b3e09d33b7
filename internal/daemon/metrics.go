package daemon

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/pop3"
	"porcupine/internal/mail/pop3server"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtp"
	"porcupine/internal/mail/smtpserver"
)

// Buckets of the latency histograms, in seconds: from a reply out of memory to a time-out.
var latencyBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// metrics counts what the front ends do and gathers what the other rooms count themselves.
type metrics struct {
	registry *prometheus.Registry

	connections                   *prometheus.GaugeVec
	refused, handshakes, panics   *prometheus.CounterVec
	sessions, commands, logins    *prometheus.CounterVec
	messages, messageBytes        *prometheus.CounterVec
	deliver, command, login, open *prometheus.HistogramVec
	retrieved, retrievedBytes     prometheus.Counter
	told                          prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "porcupine", Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "porcupine", Name: name, Help: help, Buckets: latencyBuckets}, labels)
		m.registry.MustRegister(h)
		return h
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "porcupine", Name: "build_info", Help: "Always 1; the label tells the version.",
		ConstLabels: prometheus.Labels{"version": Version()}})
	build.Set(1)
	m.registry.MustRegister(build)
	m.connections = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "porcupine", Name: "connections", Help: "Client connections open now."}, []string{"service"})
	m.registry.MustRegister(m.connections, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.refused = counter("connections_refused_total", "Client connections turned away at the door.", "service", "reason")
	m.handshakes = counter("tls_handshakes_total", "TLS handshakes with clients.", "service", "result")
	m.panics = counter("panics_total", "Sessions ended by a fault of ours; only their connection was lost.", "service")
	m.sessions = counter("sessions_total", "Sessions ended, by the reason.", "service", "end")
	m.commands = counter("commands_total", "Commands answered.", "service", "command", "reply")
	m.command = histogram("command_seconds", "Time to answer a command.", "service")
	m.messages = counter("messages_total", "Messages answered, by the reply.", "service", "reply")
	m.messageBytes = counter("message_bytes_total", "Bytes of messages that came in.", "service")
	m.deliver = histogram("delivery_seconds", "Time to make a message durable.", "service")
	m.logins = counter("logins_total", "Ends of authentications.", "service", "mechanism", "result")
	m.login = histogram("login_seconds", "Time of an authentication, delays included.", "service")
	m.open = histogram("mailbox_open_seconds", "Time to lock and list a mailbox.", "service")
	m.told = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "porcupine", Name: "imap_told_seconds",
		Help: "Time from a change in a folder to the word to a client in IDLE.", Buckets: latencyBuckets})
	m.registry.MustRegister(m.told)
	retrieved := counter("retrieved_total", "Messages sent to clients.")
	m.retrieved = retrieved.WithLabelValues()
	m.retrievedBytes = counter("retrieved_bytes_total", "Octets of messages sent to clients.").WithLabelValues()
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// result names the outcome of something in a label.
func result(err error) string {
	if err == nil {
		return "ok"
	}
	return cluster.KindOf(err).String()
}

// door counts for the listeners.
type door struct{ *metrics }

var _ listener.Observer = door{}

func (m door) Opened(service string) { m.connections.WithLabelValues(service).Inc() }
func (m door) Refused(service string, why listener.Reason) {
	m.refused.WithLabelValues(service, string(why)).Inc()
}
func (m door) Closed(service string, _ time.Duration) { m.connections.WithLabelValues(service).Dec() }
func (m door) Handshake(service string, _ time.Duration, err error) {
	m.handshakes.WithLabelValues(service, map[bool]string{true: "ok", false: "failed"}[err == nil]).Inc()
}
func (m door) Panicked(service string) { m.panics.WithLabelValues(service).Inc() }

// smtpCounts counts for SMTP, LMTP and submission.
type smtpCounts struct{ *metrics }

var _ smtpserver.Observer = smtpCounts{}

func (m smtpCounts) SessionStarted(mail.Client) {}
func (m smtpCounts) Command(c mail.Client, verb smtp.Verb, code int, d time.Duration) {
	m.commands.WithLabelValues(c.Service, verb.String(), strconv.Itoa(code)).Inc()
	m.command.WithLabelValues(c.Service).Observe(d.Seconds())
}
func (m smtpCounts) Message(c mail.Client, s smtpserver.Message) {
	m.messages.WithLabelValues(c.Service, strconv.Itoa(s.Code)).Inc()
	m.messageBytes.WithLabelValues(c.Service).Add(float64(s.Bytes))
	if s.Deliver > 0 {
		m.deliver.WithLabelValues(c.Service).Observe(s.Deliver.Seconds())
	}
}
func (m smtpCounts) SessionEnded(c mail.Client, s smtpserver.SessionStats) {
	m.sessions.WithLabelValues(c.Service, s.End).Inc()
}

// popCounts counts for POP3.
type popCounts struct{ *metrics }

var _ pop3server.Observer = popCounts{}

const pop3Service = "pop3"

func (m popCounts) SessionStarted(mail.Client) {}
func (m popCounts) SessionEnded(c mail.Client, _ time.Duration, why string) {
	m.sessions.WithLabelValues(c.Service, why).Inc()
}
func (m popCounts) Command(verb pop3.Verb, ok bool, took time.Duration) {
	m.commands.WithLabelValues(pop3Service, verb.String(), map[bool]string{true: "+OK", false: "-ERR"}[ok]).Inc()
	m.command.WithLabelValues(pop3Service).Observe(took.Seconds())
}
func (m popCounts) LoggedIn(c mail.Client, took time.Duration, err error) {
	m.open.WithLabelValues(c.Service).Observe(took.Seconds())
}
func (m popCounts) Retrieved(octets int64, _ time.Duration) {
	m.retrieved.Inc()
	m.retrievedBytes.Add(float64(octets))
}

// loginCounts counts for SASL.
type loginCounts struct{ *metrics }

var _ sasl.Observer = loginCounts{}

func (m loginCounts) Authenticated(c mail.Client, mechanism string, took time.Duration, err error) {
	m.logins.WithLabelValues(c.Service, mechanism, result(err)).Inc()
	m.login.WithLabelValues(c.Service).Observe(took.Seconds())
}
