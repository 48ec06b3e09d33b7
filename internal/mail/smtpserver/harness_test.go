package smtpserver_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtp"
	"porcupine/internal/mail/smtpserver"
	"porcupine/internal/mail/smtpserver/spool"
)

// memListener hands connections in memory to a server.
type memListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
	from  netip.AddrPort // of the clients
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), done: make(chan struct{}), from: clientAddr}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *memListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(serverAddr) }

var (
	clientAddr = netip.MustParseAddrPort("192.0.2.1:40000")
	serverAddr = netip.MustParseAddrPort("192.0.2.25:25")
)

// dial connects; before is what the client has sent by the time it is accepted.
func (l *memListener) dial(before string) (net.Conn, error) {
	client, server := listenertest.Pipe(l.from, serverAddr)
	if _, err := io.WriteString(client, before); err != nil {
		return nil, err
	}
	l.conns <- server
	return client, nil
}

// stored is a message that the fake Delivery was given.
type stored struct {
	env  mail.Envelope
	body string
}

// fakeDelivery is a mail service with one domain in memory.
type fakeDelivery struct {
	domain string

	mu       sync.Mutex
	messages []stored
	users    map[string]bool  // by local part
	verify   error            // answers all
	deliver  map[string]error // by local part
	room     map[string]int64 // by local part
	full     map[string]bool  // by local part: they have no room at all
	hold     chan struct{}    // Deliver waits for it, or for its context
	asked    int
}

func newDelivery() *fakeDelivery {
	return &fakeDelivery{domain: "example.test", full: map[string]bool{}, users: map[string]bool{"u0": true, "u1": true, "u2": true, "postmaster": true, "team": true, "grüße": true}}
}

func (d *fakeDelivery) Verify(ctx context.Context, _, rcpt mail.Address, size int64) (mail.Recipient, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if rcpt.Domain == "" {
		rcpt.Domain = d.domain
	}
	canonical := rcpt.Fold()
	switch {
	case d.verify != nil:
		return mail.Recipient{}, d.verify
	case canonical.Domain != d.domain:
		return mail.Recipient{}, cluster.Errorf(cluster.KindDenied, "verify", "not our domain")
	case !d.users[canonical.Local]:
		return mail.Recipient{}, cluster.Errorf(cluster.KindNotFound, "verify", "no such user")
	case d.full[canonical.Local] && size != notAsked, d.room[canonical.Local] > 0 && size > d.room[canonical.Local]:
		return mail.Recipient{}, cluster.Errorf(cluster.KindFull, "verify", "%w", mail.ErrOverQuota)
	case canonical.Local == "team":
		return mail.Recipient{Address: rcpt, Users: []mail.User{"u0@example.test", "u1@example.test"}}, nil
	case canonical.Local == "postmaster":
		return mail.Recipient{Address: rcpt, Users: []mail.User{"u0@example.test"}}, nil
	}
	return mail.Recipient{Address: rcpt, Users: []mail.User{mail.User(canonical.String())}}, nil
}

// notAsked is a size for which nobody needs room.
const notAsked = -1

// Means finds whom Verify would, with room or without.
func (d *fakeDelivery) Means(ctx context.Context, a mail.Address) ([]mail.User, error) {
	r, err := d.Verify(ctx, mail.Address{}, a, notAsked)
	return r.Users, err
}

func (d *fakeDelivery) Deliver(ctx context.Context, env mail.Envelope, body cluster.Body) []error {
	if d.hold != nil {
		select {
		case <-d.hold:
		case <-ctx.Done():
		}
	}
	errs := make([]error, len(env.Recipients))
	text, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, r := range env.Recipients {
		errs[i] = errors.Join(err, ctx.Err(), d.deliver[r.Address.Local])
		if e := d.deliver[r.Address.Local]; e != nil {
			errs[i] = e
		}
	}
	if errors.Join(errs...) == nil {
		d.messages = append(d.messages, stored{env, string(text)})
	}
	return errs
}

func (d *fakeDelivery) got() []stored {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]stored(nil), d.messages...)
}

// passwords is a sasl.Backend in which every password is "secret".
type passwords struct{ err error }

func (p passwords) Authenticate(_ context.Context, _ mail.Client, login, password string) (mail.User, error) {
	if p.err != nil {
		return "", p.err
	}
	if password != "secret" {
		return "", cluster.Errorf(cluster.KindDenied, "authenticate", "wrong")
	}
	return mail.User(login), nil
}

func (passwords) SCRAM(_ context.Context, _ mail.Client, login string) (mail.User, mail.SCRAMKeys, error) {
	const iterations = 4096
	salt := []byte("0123456789abcdef")
	salted, err := pbkdf2.Key(sha256.New, "secret", salt, iterations, sha256.Size)
	if err != nil {
		return "", mail.SCRAMKeys{}, err
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	storedKey := sha256.Sum256(mac("Client Key"))
	return mail.User(login), mail.SCRAMKeys{Salt: salt, Iterations: iterations, StoredKey: storedKey[:], ServerKey: mac("Server Key")}, nil
}

// host runs a Server behind a real listener.Server over connections in memory.
type host struct {
	t        testing.TB
	delivery *fakeDelivery
	door     *listener.Server
	server   *smtpserver.Server
	ln       *memListener
	served   chan error
}

type option func(*smtpserver.Config, *listener.Config)

func withLimits(f func(*smtpserver.Limits)) option {
	return func(c *smtpserver.Config, _ *listener.Config) { f(&c.Limits) }
}

// start runs a server; it is stopped by host.stop, or at the end of the test.
func start(t testing.TB, role smtpserver.Role, options ...option) *host {
	t.Helper()
	h := &host{t: t, delivery: newDelivery(), ln: newMemListener(), served: make(chan error, 1)}
	cfg := smtpserver.Config{Role: role, Hostname: "mx.example.test", Delivery: h.delivery, Spool: spool.Dir(t.TempDir())}
	cfg.Limits.LingerMax = 20 * time.Millisecond
	door := listener.Config{Service: role.String()}
	if role == smtpserver.Submission {
		cfg.Auth = newAuth(t, passwords{}, true)
	}
	var err error
	for _, o := range options {
		o(&cfg, &door)
	}
	if h.server, err = smtpserver.New(cfg); err != nil {
		t.Fatal(err)
	}
	door.Handler = func(ctx context.Context, c *listener.Conn) { h.server.ServeConn(ctx, c) }
	if h.door, err = listener.New(door); err != nil {
		t.Fatal(err)
	}
	go func() { h.served <- h.door.Serve(h.ln) }()
	t.Cleanup(h.stop)
	return h
}

func newAuth(t testing.TB, b sasl.Backend, plaintext bool) *sasl.Authenticator {
	t.Helper()
	a, err := sasl.New(sasl.Config{Backend: b, AllowPlaintext: plaintext})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h *host) stop() {
	if h.served != nil {
		h.door.Close()
		if err := <-h.served; err != nil {
			h.t.Error(err)
		}
		h.served = nil
	}
}

// client is a client that speaks by hand.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

// connect connects and reads the greeting.
func (h *host) connect() *client {
	h.t.Helper()
	c := h.connectEarly("")
	c.want("220 ")
	return c
}

// connectEarly connects without reading the greeting.
func (h *host) connectEarly(before string) *client {
	h.t.Helper()
	conn, err := h.ln.dial(before)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return &client{t: h.t, Conn: conn, r: bufio.NewReader(conn)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatalf("send %.40q: %v", s, err)
	}
}

// reply reads a reply with all its lines; "" at the end of the connection.
func (c *client) reply() string {
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		all.WriteString(line)
		if err != nil || len(line) < 4 || line[3] == ' ' {
			return all.String()
		}
	}
}

// want reads a reply that begins with prefix.
func (c *client) want(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) || got == "" {
		c.t.Fatalf("reply = %q, want %q...", got, prefix)
	}
	return got
}

// do sends a command and wants a reply.
func (c *client) do(command, prefix string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	got := c.reply()
	if !strings.HasPrefix(got, prefix) || got == "" {
		c.t.Fatalf("reply to %.60q = %q, want %q...", command, got, prefix)
	}
	return got
}

// wantClosed reads the end of the connection.
func (c *client) wantClosed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil && !errors.Is(err, io.ErrClosedPipe) {
		c.t.Fatalf("after the end: %q, %v; want the connection closed", rest, err)
	}
}

// hello is what begins most tests.
func (c *client) hello() *client {
	c.t.Helper()
	c.do("EHLO client.example", "250-")
	return c
}

// envelope begins a message.
func (c *client) envelope(rcpts ...string) *client {
	c.t.Helper()
	c.do("MAIL FROM:<alice@sender.example>", "250 ")
	for _, r := range rcpts {
		c.do("RCPT TO:<"+r+">", "250 ")
	}
	return c
}

// without takes the trace fields off a stored message.
func without(t testing.TB, body string) string {
	t.Helper()
	_, rest, ok := strings.Cut(body, "\tid ")
	if !ok || !strings.HasPrefix(body, "Return-Path: <") {
		t.Fatalf("stored message has no trace fields: %.200q", body)
	}
	for {
		_, after, _ := strings.Cut(rest, "\r\n")
		rest = after
		if !strings.HasPrefix(rest, "\t") {
			return rest
		}
	}
}

// observer keeps what it hears.
type observer struct {
	mu       sync.Mutex
	started  int
	commands []string
	messages []smtpserver.Message
	ended    chan smtpserver.SessionStats
}

func (o *observer) SessionStarted(mail.Client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.started++
}

func (o *observer) Command(_ mail.Client, v smtp.Verb, code int, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.commands = append(o.commands, fmt.Sprintf("%v %d", v, code))
}

func (o *observer) Message(_ mail.Client, m smtpserver.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.messages = append(o.messages, m)
}

func (o *observer) SessionEnded(_ mail.Client, s smtpserver.SessionStats) { o.ended <- s }
