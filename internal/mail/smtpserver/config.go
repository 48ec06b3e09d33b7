package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
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
	// RFC 5321 §4.5.1. A submission server also asks about the sender's own address: the only
	// User it means may send under it.
	Verify(ctx context.Context, from, rcpt mail.Address) (mail.Recipient, error)

	// Deliver makes the message durable and gives one error for each recipient, in the
	// envelope's order; nil means durable. For an LMTP server each recipient stands for itself.
	// For the others the message has one reply: the Delivery undoes what it stored if it fails
	// for any recipient. The body is the caller's and ends with the call.
	Deliver(ctx context.Context, env mail.Envelope, body cluster.Body) []error
}

// Authenticator is who knows the users. Its methods are called from many goroutines.
type Authenticator interface {
	// Mechanisms lists the SASL mechanisms to offer, best first.
	Mechanisms() []string
	// Start begins an exchange; false: there is no such mechanism.
	Start(mechanism string, client mail.Client) (Exchange, bool)
}

// Exchange is one SASL exchange, seen from the server (RFC 4422 §3).
type Exchange interface {
	// Next takes the client's response, decoded, and gives the next challenge, or done, or the
	// error that ends the exchange: KindDenied or KindInvalid are a failed login, the rest is
	// temporary. A nil response is "no initial response", which an empty one is not.
	Next(ctx context.Context, response []byte) (challenge []byte, done bool, err error)
	// User says who logged in, after done.
	User() mail.User
}

// Config is what a Server is made of.
type Config struct {
	Role     Role
	Hostname string      // in greetings and Received headers
	TLS      *tls.Config // for STARTTLS; nil: not offered
	// AllowPlaintextAuth permits AUTH without TLS. For loopback only.
	AllowPlaintextAuth bool

	Delivery Delivery
	Auth     Authenticator // needed for Submission, unused otherwise
	SpoolDir string        // where messages beyond the memory limit lie; they have no names there
	Observer Observer      // nil: nobody watches
	Logger   *slog.Logger  // nil: nothing is logged
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
	case c.SpoolDir == "":
		return errors.New("smtpserver: the spool directory is missing")
	}
	return nil
}
