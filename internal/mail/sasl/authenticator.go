package sasl

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// The mechanisms, by their registered names.
const (
	MechanismPlain       = "PLAIN"
	MechanismLogin       = "LOGIN"
	MechanismScramSHA256 = "SCRAM-SHA-256"
	// MechanismScramSHA256Plus is SCRAM-SHA-256 bound to the TLS connection (RFC 5802 §6): whoever sits between
	// client and server, with a certificate that the client took for ours, cannot pass the login on.
	MechanismScramSHA256Plus = "SCRAM-SHA-256-PLUS"
	// MechanismOAuthBearer is a token of somebody else's that says who the client is (RFC 7628).
	MechanismOAuthBearer = "OAUTHBEARER"
	// MechanismPassword is what the Observer is told for Authenticator.Login: not a SASL
	// mechanism, the protocol's own login command.
	MechanismPassword = "password"
)

// Limits of what a client may send.
const (
	LineLengthMax     = 12 << 10 // octets of one base64 line (RFC 4954 §4; attack 11)
	LoginLengthMax    = 512      // octets
	PasswordLengthMax = 1024     // octets
)

// ErrAborted says that the client gave up the exchange with "*" (RFC 4954 §4, RFC 5034 §4).
var ErrAborted = errors.New("authentication aborted by the client")

// ScramIterationsDefault is the iteration count shown for unknown users. It must be the count
// that most real users have, or the difference gives them away.
const ScramIterationsDefault = 600_000

// Observer counts the ends of authentications. It must not block.
type Observer interface {
	// Authenticated: an attempt with that mechanism ended, the Guard's delay included in took.
	// err is nil, ErrAborted, or a *cluster.Error.
	Authenticated(c mail.Client, mechanism string, took time.Duration, err error)
}

// Config describes an Authenticator. Backend is required.
type Config struct {
	Backend Backend
	// Guard slows down guessing. Nil: a guard of its own with default limits. The front ends of a
	// node should share one.
	Guard *Guard
	// AllowPlaintext offers logins without TLS. Only for a listener on loopback or behind
	// somebody else's TLS.
	AllowPlaintext bool
	// FakeSecret keys the made-up salts of unknown users. All nodes of a cluster should have the
	// same one, kept across restarts, so that a user who does not exist has the same salt
	// always and everywhere. Empty: drawn at random (correct for a single process only).
	FakeSecret []byte
	// ScramIterations is the iteration count shown for unknown users; 0 means
	// ScramIterationsDefault.
	ScramIterations int
	// NoScram leaves SCRAM out: no password has keys for it. A client that prefers it could never log in, since it does not try
	// another mechanism when that fails.
	NoScram bool
	// Tokens checks bearer tokens. Nil: OAUTHBEARER is not offered.
	Tokens   TokenChecker
	Observer Observer // nil: nothing is counted
}

// Authenticator makes Exchanges. It is immutable and safe for concurrent use.
type Authenticator struct{ cfg Config }

// New makes an Authenticator; the error says what of the config is wrong.
func New(cfg Config) (*Authenticator, error) {
	if cfg.Backend == nil {
		return nil, errors.New("sasl config: Backend is nil")
	}
	if cfg.ScramIterations < 0 {
		return nil, fmt.Errorf("sasl config: ScramIterations is %d; want a positive number, or 0 for the default", cfg.ScramIterations)
	}
	if cfg.ScramIterations == 0 {
		cfg.ScramIterations = ScramIterationsDefault
	}
	if cfg.Guard == nil {
		g, err := NewGuard(GuardConfig{})
		if err != nil {
			return nil, err
		}
		cfg.Guard = g
	}
	if len(cfg.FakeSecret) == 0 {
		cfg.FakeSecret = make([]byte, 32)
		rand.Read(cfg.FakeSecret) // never fails (crypto/rand)
	}
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	return &Authenticator{cfg: cfg}, nil
}

type noObserver struct{}

func (noObserver) Authenticated(mail.Client, string, time.Duration, error) {}

// Mechanisms lists what this client is offered now, strongest first; empty: no login on this connection as it
// is, since it is in clear and logins in clear are not allowed (attack 4).
func (a *Authenticator) Mechanisms(c mail.Client) []string {
	if !a.Allowed(c) {
		return nil
	}
	var offered []string
	if c.Exporter != "" && !a.cfg.NoScram {
		offered = append(offered, MechanismScramSHA256Plus)
	}
	if !a.cfg.NoScram {
		offered = append(offered, MechanismScramSHA256)
	}
	offered = append(offered, MechanismPlain, MechanismLogin)
	if a.cfg.Tokens != nil {
		offered = append(offered, MechanismOAuthBearer)
	}
	return offered
}

// Allowed reports whether this client may log in on its connection as it is.
func (a *Authenticator) Allowed(c mail.Client) bool { return c.TLS || a.cfg.AllowPlaintext }

// Start begins an exchange. The mechanism's name is compared without regard to case. An error is
// of KindInvalid: the mechanism is unknown, or not offered on this connection.
func (a *Authenticator) Start(c mail.Client, mechanism string) (*Exchange, error) {
	x := &Exchange{auth: a, client: c, began: time.Now()}
	switch {
	case !a.Allowed(c):
		return nil, cluster.Errorf(cluster.KindInvalid, "start authentication", "no login without TLS")
	case strings.EqualFold(mechanism, MechanismPlain):
		x.mechanism, x.steps = MechanismPlain, &plain{x: x}
	case strings.EqualFold(mechanism, MechanismLogin):
		x.mechanism, x.steps = MechanismLogin, &login{x: x}
	case strings.EqualFold(mechanism, MechanismScramSHA256) && !a.cfg.NoScram:
		x.mechanism, x.steps = MechanismScramSHA256, &scram{x: x}
	case strings.EqualFold(mechanism, MechanismScramSHA256Plus) && c.Exporter != "" && !a.cfg.NoScram:
		x.mechanism, x.steps = MechanismScramSHA256Plus, &scram{x: x, plus: true}
	case strings.EqualFold(mechanism, MechanismOAuthBearer) && a.cfg.Tokens != nil:
		x.mechanism, x.steps = MechanismOAuthBearer, &bearer{x: x}
	default:
		return nil, cluster.Errorf(cluster.KindInvalid, "start authentication", "mechanism is not offered")
	}
	return x, nil
}

// Login checks a user name and password that came by the protocol's own command (POP3 USER and
// PASS, RFC 1939 §7). Errors are those of Exchange.Next.
func (a *Authenticator) Login(ctx context.Context, c mail.Client, login, password string) (mail.User, error) {
	began := time.Now()
	if !a.Allowed(c) {
		return "", cluster.Errorf(cluster.KindInvalid, "log in", "no login without TLS")
	}
	u, err := a.password(ctx, c, login, password)
	a.cfg.Observer.Authenticated(c, MechanismPassword, time.Since(began), err)
	return u, err
}

// password checks a password, behind the guard.
func (a *Authenticator) password(ctx context.Context, c mail.Client, login, password string) (mail.User, error) {
	if err := checkText("user name", login, LoginLengthMax); err != nil {
		return "", err
	}
	if err := checkText("password", password, PasswordLengthMax); err != nil {
		return "", err
	}
	return a.guarded(ctx, c, login, func() (mail.User, error) { return a.cfg.Backend.Authenticate(ctx, c, login, password) })
}

// guarded makes one attempt when the guard lets it.
func (a *Authenticator) guarded(ctx context.Context, c mail.Client, login string, check func() (mail.User, error)) (mail.User, error) {
	attempt, err := a.cfg.Guard.Admit(ctx, c, login)
	if err != nil {
		return "", err
	}
	outcome := Undecided
	defer func() { attempt.Done(outcome) }()
	u, err := check()
	switch {
	case err == nil:
		outcome = Succeeded
		return u, nil
	case isRefusal(err):
		outcome = Failed
		return "", errDenied()
	}
	return "", unknown("authenticate", err)
}

// isRefusal reports whether a backend's error means that the credentials are wrong, and not that
// nothing can be said.
func isRefusal(err error) bool {
	k := cluster.KindOf(err)
	return k == cluster.KindDenied || k == cluster.KindNotFound
}

// errDenied is the one error for unknown users and wrong passwords.
func errDenied() error {
	return cluster.Errorf(cluster.KindDenied, "authenticate", "user name or password is wrong")
}

// unknown passes on a backend's error that decides nothing. A kind that would read as a verdict
// on the client's message becomes internal.
func unknown(op string, err error) error {
	k := cluster.KindOf(err)
	if k == cluster.KindInvalid {
		k = cluster.KindInternal
	}
	return cluster.Errorf(k, op, "%w", err)
}

func invalid(format string, args ...any) error {
	return cluster.Errorf(cluster.KindInvalid, "authenticate", format, args...)
}

// checkText checks a user name or password: UTF-8, no control characters (RFC 4616 §2), not
// empty, not too long. The text itself never gets into the error.
func checkText(what, s string, lengthMax int) error {
	switch {
	case s == "":
		return invalid("%s is empty", what)
	case len(s) > lengthMax:
		return invalid("%s is longer than %d octets", what, lengthMax)
	case !utf8.ValidString(s):
		return invalid("%s is not UTF-8", what)
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f {
			return invalid("%s contains a control character", what)
		}
	}
	return nil
}
