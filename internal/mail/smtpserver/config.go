package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtpserver/lineconn"
	"porcupine/internal/mail/smtpserver/spool"
)

// Role is which of the three services a Server offers.
type Role uint8

const (
	// MX takes mail for our own domains from anybody (RFC 5321), port 25.
	MX Role = iota
	// Submission takes mail from users who have logged in (RFC 6409), ports 587 and 465.
	Submission
	// LMTP takes mail from a mail server beside us and answers for each recipient (RFC 2033).
	// It knows no login: its listener belongs on a private address.
	LMTP
)

// String gives the name of the service in logs, metrics and mail.Client: "smtp", "submission" or
// "lmtp".
func (r Role) String() string { return [...]string{"smtp", "submission", "lmtp"}[r] }

// Delivery is the way into the mail service. Its methods are called from many goroutines.
type Delivery interface {
	// Verify looks a recipient up. Several things may happen:
	//
	//  1. nil: the address means the mailboxes of the Recipient, at this moment.
	//  2. KindNotFound: proven that our domain has no such mailbox: 550 5.1.1.
	//  3. KindDenied: proven that the domain is not ours: 550 5.7.1.
	//  4. KindInvalid: an address that can never be delivered to: 550 5.1.3.
	//  5. KindFull or KindLimit: 452, with 4.2.2 if mail.ErrOverQuota is in the chain.
	//  6. any other kind, no kind, or a context that ended: 451; the client tries again.
	//
	// from is the reverse-path, zero if null. A recipient without a domain is the postmaster of
	// RFC 5321 §4.5.1. size is what the client says that the message has (RFC 1870), in bytes; 0: it
	// does not say.
	Verify(ctx context.Context, from, rcpt mail.Address, size int64) (mail.Recipient, error)

	// Means says which users an address means, with the errors of Verify but for 5: a submission server asks about the
	// sender's own addresses, and the only user that one means may send under it, with a full mailbox too.
	Means(ctx context.Context, a mail.Address) ([]mail.User, error)

	// Deliver makes the message durable and gives one error for each recipient, in the
	// envelope's order; nil means durable. For an LMTP server each recipient stands for itself.
	// For the others the message has one reply: the Delivery undoes what it stored if it fails
	// for any recipient. The body is the caller's and ends with the call.
	Deliver(ctx context.Context, env mail.Envelope, body cluster.Body) []error
}

// Turns is where a session asks whether there is room for its message: delivery.Turns is one. What
// is refused is refused for now, and as early as possible.
type Turns interface {
	// AdmitsMessage reports whether a client may begin a message: it is asked at MAIL.
	AdmitsMessage() bool
	// Enter waits for the turn of a message that is here, and gives the function that ends it: leave,
	// with true AFTER the delivery, with false if there was none. waited says that the turn did
	// not come at once, so that the client may have given up meanwhile. After an error the message is not delivered.
	Enter(ctx context.Context) (waited bool, leave func(done bool), err error)
}

// room is the Turns of a Config without: there is always room.
type room struct{}

var _ Turns = room{}

func (room) AdmitsMessage() bool { return true }
func (room) Enter(context.Context) (bool, func(bool), error) {
	return false, func(bool) {}, nil
}

// Conn is a client's connection as the door hands it over; *listener.Conn is one. Its caller
// closes it.
type Conn interface {
	lineconn.Source
	// Client says who is at the other end, and whether TLS is on now.
	Client() mail.Client
	// CanStartTLS reports whether STARTTLS may be offered now.
	CanStartTLS() bool
	// StartTLS does the handshake, the go-ahead having been written. After an error the
	// connection is of no more use.
	StartTLS(ctx context.Context) error
	// ConnectionState tells about TLS; false without.
	ConnectionState() (tls.ConnectionState, bool)
	// Interrupted reports that the session is to end before its next command.
	Interrupted() bool
	// EarlyInput reports, without waiting, that the client has sent bytes that were not read.
	EarlyInput() bool
	// Gone reports, without waiting, that the client has closed its end; false where that cannot be told.
	Gone() bool
}

// Config is what a Server is made of.
type Config struct {
	Role     Role
	Hostname string // in greetings and Received headers
	Delivery Delivery
	Turns    Turns               // nil: there is room for every message
	Auth     *sasl.Authenticator // needed for Submission, unused otherwise
	Spool    spool.Files         // where messages beyond the memory limit lie, for example a spool.Dir
	Room     *spool.Room         // bounds what lies there, and may be shared; nil: one of its own with the defaults
	Observer Observer            // nil: nobody watches
	Logger   *slog.Logger        // nil: nothing is logged
	Limits   Limits
}

func (c *Config) validate() error {
	switch {
	case c.Role > LMTP:
		return fmt.Errorf("smtpserver: role %d is unknown", uint8(c.Role))
	case c.Hostname == "":
		return errors.New("smtpserver: the host name is missing")
	case c.Delivery == nil:
		return errors.New("smtpserver: the delivery is missing")
	case c.Role == Submission && c.Auth == nil:
		return errors.New("smtpserver: submission needs an authenticator")
	case c.Spool == nil:
		return errors.New("smtpserver: the spool is missing")
	}
	return nil
}
