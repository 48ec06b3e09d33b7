package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"porcupine/internal/config"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/pop3server"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtpserver"
	"porcupine/internal/mail/smtpserver/spool"
)

// frontEnds opens the mail listeners one by one.
type frontEnds struct {
	d     *daemon
	certs *certificates
	gate  *listener.Gate
	auth  *sasl.Authenticator
	open  []running
	imap  *imapserver.Server // nil: not opened yet
}

// running is one listener that serves.
type running struct {
	field  string
	server *listener.Server
	ended  chan struct{}
}

// openFrontEnds opens SMTP, LMTP, submission, POP3 and IMAP.
func (d *daemon) openFrontEnds() error {
	certs, err := newCertificates(d.cfg.TLS, d.cfg.Hostname, d.log, time.Now)
	if err != nil {
		return err
	}
	gate, err := listener.NewGate(listener.GateConfig{ConnectionsMax: d.cfg.Limits.Connections, PerNetworkMax: d.cfg.Limits.ConnectionsPerIP})
	if err != nil {
		return err
	}
	auth, err := d.authenticator()
	if err != nil {
		return err
	}
	d.certs.Store(certs)
	f := &frontEnds{d: d, certs: certs, gate: gate, auth: auth}
	f.warnOfPlaintext()
	d.atEnd("front ends", f.stop)
	return errors.Join(f.openSMTP(), f.openPOP3(), f.openIMAP())
}

// stop closes all listeners at once; running sessions get their grace. Those that do not finish
// are cut off: their clients have no answer and try again.
func (f *frontEnds) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.d.grace())
	defer cancel()
	errs := make([]error, len(f.open))
	var wg sync.WaitGroup
	for i, r := range f.open {
		wg.Go(func() {
			if f.d.hasFailed() {
				r.server.Close()
			} else if err := r.server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
				f.d.log.Warn("sessions did not finish in time", "field", r.field, "err", err)
			} else if err != nil {
				errs[i] = fmt.Errorf("%s: %w", r.field, err)
			}
			<-r.ended
		})
	}
	wg.Wait()
	if f.imap != nil {
		f.imap.Close() // AFTER the last session
	}
	return errors.Join(errs...)
}

// warnOfPlaintext says so if passwords can be read on a network.
func (f *frontEnds) warnOfPlaintext() {
	c := f.d.cfg
	if !c.Auth.AllowPlaintext {
		return
	}
	for _, addr := range []string{c.SMTP.SubmissionListen, c.POP3.Listen, c.IMAP.Listen} {
		if addr != config.Off && !isLoopback(addr) {
			f.d.log.Warn("logins in clear are permitted on an address that others can reach: anybody on the way reads the passwords",
				"field", "auth.allow_plaintext", "listen", addr)
		}
	}
}

// isLoopback reports whether a listen address can be reached from this machine alone.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (d *daemon) authenticator() (*sasl.Authenticator, error) {
	secret, err := d.id.Secret("fake SCRAM salts")
	if err != nil {
		return nil, err
	}
	return sasl.New(sasl.Config{
		Backend:         d.directory,
		Guard:           d.guard,
		AllowPlaintext:  d.cfg.Auth.AllowPlaintext,
		FakeSecret:      secret,
		ScramIterations: max(0, d.cfg.Auth.SCRAMIterations),
		NoScram:         d.cfg.Auth.SCRAMIterations < 0,
		Observer:        loginCounts{d.metrics},
	})
}

func (f *frontEnds) openSMTP() error {
	c := f.d.cfg.SMTP
	services := []struct {
		field, addr string
		role        smtpserver.Role
		implicitTLS bool
	}{
		{"smtp.listen", c.Listen, smtpserver.MX, false},
		{"smtp.lmtp_listen", c.LMTPListen, smtpserver.LMTP, false},
		{"smtp.submission_listen", c.SubmissionListen, smtpserver.Submission, false},
		{"smtp.submissions_listen", c.SubmissionsListen, smtpserver.Submission, true},
	}
	for _, s := range services {
		server, err := smtpserver.New(smtpserver.Config{
			Role: s.role, Hostname: f.d.cfg.Hostname, Delivery: f.d.deliveryFor(s.role), Turns: f.d.delivery.Turns(), Auth: f.auth,
			Spool: spool.Dir(f.d.cfg.DataDir), Room: f.d.rooms.roomOf(s.role == smtpserver.Submission), Observer: smtpCounts{f.d.metrics}, Logger: f.d.log,
			Limits: smtpserver.Limits{
				MessageSizeMax: int64(c.MessageSizeMax), RecipientsMax: c.RecipientsMax,
				CommandTimeout: c.CommandTimeout.D(), DataTimeout: c.DataTimeout.D(),
			},
		})
		if err != nil {
			return fmt.Errorf("%s: %w", s.field, err)
		}
		err = f.listen(s.field, s.addr, listener.Config{
			Service: s.role.String(), ALPN: "smtp", ImplicitTLS: s.implicitTLS,
			Handler: func(ctx context.Context, c *listener.Conn) { server.ServeConn(ctx, c) },
			Refusal: func(why listener.Reason) string { return smtpserver.Refusal(string(why)) },
			HasRoom: f.d.delivery.Turns().AdmitsConnection,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *frontEnds) openPOP3() error {
	c := f.d.cfg.POP3
	server, err := pop3server.New(pop3server.Config{
		Auth: f.auth, Maildrops: maildrops{f.d.retrieval, f.d.log}, IdleTimeout: c.IdleTimeout.D(),
		Logger: f.d.log, Observer: popCounts{f.d.metrics},
	})
	if err != nil {
		return fmt.Errorf("pop3: %w", err)
	}
	lc := listener.Config{Service: pop3Service, ALPN: pop3server.ALPN, Handler: server.Serve, Refusal: pop3server.Refusal}
	if err := f.listen("pop3.listen", c.Listen, lc); err != nil {
		return err
	}
	lc.ImplicitTLS = true
	return f.listen("pop3.tls_listen", c.TLSListen, lc)
}

func (f *frontEnds) openIMAP() error {
	c := f.d.cfg.IMAP
	server, err := imapserver.New(imapserver.Config{
		Auth: f.auth, Mailboxes: f.d.imap, Spool: f.d.imapSpool, IdleTimeout: c.IdleTimeout.D(), Compress: c.Compress,
		AppendLimit: int64(f.d.cfg.SMTP.MessageSizeMax), Logger: f.d.log, Observer: imapCounts{f.d.metrics},
	})
	if err != nil {
		return fmt.Errorf("imap: %w", err)
	}
	f.imap = server
	lc := listener.Config{Service: imapService, ALPN: imapserver.ALPN, Handler: server.Serve, Refusal: imapserver.Refusal}
	if err := f.listen("imap.listen", c.Listen, lc); err != nil {
		return err
	}
	lc.ImplicitTLS = true
	return f.listen("imap.tls_listen", c.TLSListen, lc)
}

// listen opens one listener, which serves until the daemon stops.
func (f *frontEnds) listen(field, addr string, c listener.Config) error {
	if addr == config.Off {
		return nil
	}
	c.Certificate, c.Gate, c.Logger, c.Observer = f.certs.get, f.gate, f.d.log, door{f.d.metrics}
	hasRoom := c.HasRoom
	c.HasRoom = func() bool { // a node whose disk hangs can do nothing for anybody
		return f.d.node.Outage() == nil && (hasRoom == nil || hasRoom())
	}
	server, err := listener.New(c)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s: %w%s", field, err, advice(err))
	}
	f.d.metrics.connections.WithLabelValues(c.Service) // there from the start, at 0
	r := running{field: field, server: server, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		if err := server.Serve(ln); err != nil {
			f.d.fatal(fmt.Errorf("%s: %w", field, err)) // better no node than one that is deaf
		}
	}()
	f.open = append(f.open, r)
	return nil
}

// advice says what to do about a listener that cannot be opened.
func advice(err error) string {
	switch {
	case errors.Is(err, syscall.EACCES):
		return ": ports below 1024 need root, the capability CAP_NET_BIND_SERVICE, or another port in the configuration"
	case errors.Is(err, syscall.EADDRINUSE):
		return ": another program listens there; stop it or choose another port in the configuration"
	}
	return ""
}
