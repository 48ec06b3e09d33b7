package imapserver

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtpserver/spool"
)

// ALPN is the protocol's name for listener.Config (RFC 7301 registry).
const ALPN = "imap"

// Defaults and bounds of Config.
const (
	IdleTimeoutMin        = 30 * time.Minute // RFC 9051 §5.4: the autologout timer is at least this
	IdleTimeoutDefault    = IdleTimeoutMin
	LoginTimeoutDefault   = 3 * time.Minute
	WriteTimeoutDefault   = time.Minute
	ServiceTimeoutDefault = time.Minute
	KeepAliveDefault      = 4 * time.Minute

	LoginCommandsMaxDefault = 100
	BadCommandsMaxDefault   = 20
	AuthFailuresMaxDefault  = 3
	AppendLimitDefault      = 64 << 20
	WorkersDefault          = 256
)

// Time that a client has for a literal: as long as for a line, and more for more octets.
const (
	literalTimeout = 2 * time.Minute
	literalRateMin = 1 << 10 // octets a second
)

// Config describes a Server. Auth, Mailboxes and Spool are required; a zero limit means the default.
type Config struct {
	Auth      *sasl.Authenticator
	Mailboxes Mailboxes
	Spool     *spool.Spool // holds messages while they come in

	// IdleTimeout closes a logged-in session whose next command does not come, whole, in that
	// time; at least IdleTimeoutMin. Inside IDLE it counts from the client's last word too (RFC 2177).
	IdleTimeout time.Duration
	// LoginTimeout is the time from the connection to the login.
	LoginTimeout time.Duration
	// WriteTimeout is the time in which the client must take 16 KiB.
	WriteTimeout time.Duration
	// ServiceTimeout bounds each call for mail, and the wait for each piece of a message, or for each step of a call that
	// has many.
	ServiceTimeout time.Duration
	// KeepAlive is how often a client inside IDLE hears that the server is there, so that routers on
	// the way do not forget the connection. While a command changes many messages it is every 30 s at least.
	KeepAlive time.Duration

	LoginCommandsMax int   // commands before the login
	BadCommandsMax   int   // commands that are not understood or make no sense: before the login in all, then in a row
	AuthFailuresMax  int   // failed logins in one connection
	AppendLimit      int64 // octets of one message (RFC 7889)
	Workers          int   // sessions inside IDLE that are told news at the same time

	// Compress offers COMPRESS=DEFLATE (RFC 4978). It is off by default: it costs a megabyte a session, and
	// what is secret and what an attacker chose are compressed together.
	Compress bool

	Logger   *slog.Logger // nil: no logs
	Observer Observer     // nil: nothing is counted
}

// Observer counts what sessions do. It is called from many goroutines and must not block.
type Observer interface {
	// SessionStarted: a connection was greeted.
	SessionStarted(c mail.Client)
	// SessionEnded: the connection is about to close; why is one of the Ended constants.
	SessionEnded(c mail.Client, lasted time.Duration, why string)
	// Command: a command was answered. result is "OK", "NO", "BAD", or "" if the session ended first.
	Command(verb imap.Verb, result string, took time.Duration)
	// LoggedIn: a client tried to open its mail: the outcome of Mailboxes.Open.
	LoggedIn(c mail.Client, took time.Duration, err error)
	// Fetched: that many octets of messages were sent for one FETCH.
	Fetched(octets int64)
	// Appended: that many octets of messages were stored by one command.
	Appended(octets int64)
	// Told: a session inside IDLE was told news, that long after they were noticed.
	Told(after time.Duration)
}

// Why a session ended.
const (
	EndedLogout    = "logout"
	EndedGone      = "client gone"
	EndedTimeout   = "timeout"
	EndedShutdown  = "shutdown"
	EndedLost      = "cannot go on"
	EndedAbuse     = "too many bad commands or failed logins"
	EndedProtocol  = "protocol violation"
	EndedReadError = "message unreadable"
	EndedTLS       = "TLS handshake failed"
	EndedPanic     = "panic"
)

// Refusal makes the line for a client that the listener turns away; for listener.Config.
func Refusal(why listener.Reason) string {
	return "* BYE [UNAVAILABLE] " + string(why) + "; try again later\r\n"
}

// withDefaults checks the config and fills what was left zero.
func (c Config) withDefaults() (Config, error) {
	if c.Auth == nil || c.Mailboxes == nil || c.Spool == nil {
		return c, errors.New("imap config: Auth, Mailboxes and Spool are required")
	}
	err := errors.Join(
		listener.Settle("imap",
			listener.Setting[time.Duration]{Name: "IdleTimeout", Value: &c.IdleTimeout, Default: IdleTimeoutDefault, Min: IdleTimeoutMin},
			listener.Setting[time.Duration]{Name: "LoginTimeout", Value: &c.LoginTimeout, Default: LoginTimeoutDefault},
			listener.Setting[time.Duration]{Name: "WriteTimeout", Value: &c.WriteTimeout, Default: WriteTimeoutDefault},
			listener.Setting[time.Duration]{Name: "ServiceTimeout", Value: &c.ServiceTimeout, Default: ServiceTimeoutDefault},
			listener.Setting[time.Duration]{Name: "KeepAlive", Value: &c.KeepAlive, Default: KeepAliveDefault}),
		listener.Settle("imap",
			listener.Setting[int]{Name: "LoginCommandsMax", Value: &c.LoginCommandsMax, Default: LoginCommandsMaxDefault},
			listener.Setting[int]{Name: "BadCommandsMax", Value: &c.BadCommandsMax, Default: BadCommandsMaxDefault},
			listener.Setting[int]{Name: "AuthFailuresMax", Value: &c.AuthFailuresMax, Default: AuthFailuresMaxDefault},
			listener.Setting[int]{Name: "Workers", Value: &c.Workers, Default: WorkersDefault}))
	if err != nil {
		return c, err
	}
	if c.AppendLimit == 0 {
		c.AppendLimit = AppendLimitDefault
	}
	if c.AppendLimit < 0 || c.AppendLimit > 1<<32-1 {
		return c, fmt.Errorf("imap config: AppendLimit is %d; want a positive number of 32 bits (RFC 7889 §5), or 0 for %d", c.AppendLimit, AppendLimitDefault)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	return c, nil
}

type noObserver struct{}

func (noObserver) SessionStarted(mail.Client)                      {}
func (noObserver) SessionEnded(mail.Client, time.Duration, string) {}
func (noObserver) Command(imap.Verb, string, time.Duration)        {}
func (noObserver) LoggedIn(mail.Client, time.Duration, error)      {}
func (noObserver) Fetched(int64)                                   {}
func (noObserver) Appended(int64)                                  {}
func (noObserver) Told(time.Duration)                              {}
