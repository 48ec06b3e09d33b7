package pop3server

import (
	"errors"
	"log/slog"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/pop3"
	"porcupine/internal/mail/sasl"
)

// ALPN is the protocol's name for listener.Config (RFC 7301 registry).
const ALPN = "pop3"

// Defaults and bounds of Config.
const (
	IdleTimeoutMin        = 10 * time.Minute // RFC 1939 §3: the autologout timer is at least this
	IdleTimeoutDefault    = IdleTimeoutMin
	LoginTimeoutDefault   = 3 * time.Minute
	WriteTimeoutDefault   = time.Minute
	ServiceTimeoutDefault = time.Minute

	LoginCommandsMaxDefault = 100
	BadCommandsMaxDefault   = 20
	AuthFailuresMaxDefault  = 3
)

// Config describes a Server. Auth and Maildrops are required; a zero limit means the default.
type Config struct {
	Auth      *sasl.Authenticator
	Maildrops Maildrops

	// IdleTimeout closes a logged-in session whose next command does not come, whole, in that
	// time; at least IdleTimeoutMin.
	IdleTimeout time.Duration
	// LoginTimeout is the time from the connection to the login. It is shorter than the ten
	// minutes of RFC 1939 §3 on purpose: who has not logged in holds a connection for nothing.
	LoginTimeout time.Duration
	// WriteTimeout is the time in which the client must take 16 KiB.
	WriteTimeout time.Duration
	// ServiceTimeout bounds the opening of a mailbox, the wait for each piece of a message, and the
	// deletions of QUIT.
	ServiceTimeout time.Duration

	LoginCommandsMax int // commands before the login
	BadCommandsMax   int // commands that are not understood or make no sense, in one session
	AuthFailuresMax  int // failed logins in one connection

	Logger   *slog.Logger // nil: no logs
	Observer Observer     // nil: nothing is counted
}

// Observer counts what sessions do. It is called from many goroutines and must not block.
type Observer interface {
	// SessionStarted: a connection was greeted.
	SessionStarted(c mail.Client)
	// SessionEnded: the connection is about to close; why is one of the Ended constants.
	SessionEnded(c mail.Client, lasted time.Duration, why string)
	// Command: a command was answered; ok: with +OK.
	Command(verb pop3.Verb, ok bool, took time.Duration)
	// LoggedIn: a client tried to open a mailbox: the outcome of Maildrops.Open.
	LoggedIn(c mail.Client, took time.Duration, err error)
	// Retrieved: RETR or TOP was answered, for which that many octets of text were read.
	Retrieved(octets int64, took time.Duration)
}

// Why a session ended.
const (
	EndedQuit      = "quit"
	EndedGone      = "client gone"
	EndedTimeout   = "timeout"
	EndedShutdown  = "shutdown"
	EndedLockLost  = "lock lost"
	EndedAbuse     = "too many bad commands or failed logins"
	EndedProtocol  = "protocol violation"
	EndedReadError = "message unreadable"
	EndedTLS       = "TLS handshake failed"
	EndedPanic     = "panic"
)

// Refusal makes the line for a client that the listener turns away; for listener.Config.
func Refusal(why listener.Reason) string {
	return string(pop3.AppendErr(nil, pop3.SysTemp, string(why)+"; try again later"))
}

// withDefaults checks the config and fills what was left zero.
func (c Config) withDefaults() (Config, error) {
	if c.Auth == nil || c.Maildrops == nil {
		return c, errors.New("pop3 config: Auth and Maildrops are required")
	}
	err := errors.Join(
		listener.Settle("pop3",
			listener.Setting[time.Duration]{Name: "IdleTimeout", Value: &c.IdleTimeout, Default: IdleTimeoutDefault, Min: IdleTimeoutMin},
			listener.Setting[time.Duration]{Name: "LoginTimeout", Value: &c.LoginTimeout, Default: LoginTimeoutDefault},
			listener.Setting[time.Duration]{Name: "WriteTimeout", Value: &c.WriteTimeout, Default: WriteTimeoutDefault},
			listener.Setting[time.Duration]{Name: "ServiceTimeout", Value: &c.ServiceTimeout, Default: ServiceTimeoutDefault}),
		listener.Settle("pop3",
			listener.Setting[int]{Name: "LoginCommandsMax", Value: &c.LoginCommandsMax, Default: LoginCommandsMaxDefault},
			listener.Setting[int]{Name: "BadCommandsMax", Value: &c.BadCommandsMax, Default: BadCommandsMaxDefault},
			listener.Setting[int]{Name: "AuthFailuresMax", Value: &c.AuthFailuresMax, Default: AuthFailuresMaxDefault}))
	if err != nil {
		return c, err
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
func (noObserver) Command(pop3.Verb, bool, time.Duration)          {}
func (noObserver) LoggedIn(mail.Client, time.Duration, error)      {}
func (noObserver) Retrieved(int64, time.Duration)                  {}
