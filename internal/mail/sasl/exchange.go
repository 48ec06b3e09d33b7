package sasl

import (
	"bytes"
	"context"
	"encoding/base64"
	"time"

	"porcupine/internal/mail"
)

// Exchange is one run of a mechanism. It belongs to one goroutine and is used once.
type Exchange struct {
	auth      *Authenticator
	client    mail.Client
	mechanism string
	began     time.Time
	steps     stepper
	started   bool
	ended     bool
	user      mail.User
}

// stepper is a mechanism: decoded bytes in and out. response is nil only for the first step of a
// client that sent no initial response. It sets the exchange's user before it says done.
type stepper interface {
	step(ctx context.Context, response []byte) (challenge []byte, done bool, err error)
}

// Next takes the client's next line, without its line end, and gives what to answer:
//
//  1. done is false and err nil: send challenge, in base64 already (perhaps empty), and read a
//     line.
//  2. done is true: the client is User. No challenge is left over.
//  3. err is not nil: the exchange has failed; the package comment lists the errors.
//
// The first call takes the initial response of the AUTH command, nil if there is none; "=" stands
// for an empty one (RFC 4954 §4, RFC 5034 §4). Next may wait for the Guard and the Backend.
// response is not kept.
func (x *Exchange) Next(ctx context.Context, response []byte) (challenge []byte, done bool, err error) {
	if x.ended {
		return nil, false, invalid("the exchange has ended")
	}
	challenge, done, err = x.next(ctx, response)
	if err != nil || done {
		x.ended = true
		x.auth.cfg.Observer.Authenticated(x.client, x.mechanism, time.Since(x.began), err)
	}
	return challenge, done, err
}

func (x *Exchange) next(ctx context.Context, response []byte) (challenge []byte, done bool, err error) {
	plain, err := x.decode(response)
	if err != nil {
		return nil, false, err
	}
	raw, done, err := x.steps.step(ctx, plain)
	if err != nil || done {
		return nil, done, err
	}
	challenge = make([]byte, base64.StdEncoding.EncodedLen(len(raw)))
	base64.StdEncoding.Encode(challenge, raw)
	return challenge, false, nil
}

// decode gives the bytes of a line: nil only if the first line is missing.
func (x *Exchange) decode(line []byte) ([]byte, error) {
	first := !x.started
	x.started = true
	switch {
	case len(line) > LineLengthMax:
		return nil, invalid("response is longer than %d octets", LineLengthMax)
	case first && line == nil:
		return nil, nil
	case first && string(line) == "=":
		return []byte{}, nil
	case string(line) == "*":
		return nil, ErrAborted
	case bytes.ContainsAny(line, "\r\n"): // the decoder would skip them
		return nil, invalid("response is not base64")
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(b, line)
	if err != nil {
		// The cause would show a piece of the secret's position, and is of no use.
		return nil, invalid("response is not base64")
	}
	return b[:n], nil
}

// User gives the user that logged in; empty before Next said done.
func (x *Exchange) User() mail.User { return x.user }

// Mechanism gives the mechanism's registered name.
func (x *Exchange) Mechanism() string { return x.mechanism }
