package client

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoStartTLS says that the service does not offer STARTTLS (or STLS in POP3).
var ErrNoStartTLS = errors.New("the service does not offer TLS by command")

// protocol is how the sessions of a protocol begin.
type protocol interface {
	// greeting reads what the service says first.
	greeting() error
	// capabilities asks what the service can do: once, and again when TLS has begun, since what came in the clear may be anybody's.
	capabilities() (startTLS bool, err error)
	// askTLS is the command after which TLS begins.
	askTLS() error
}

// open connects and begins a session, with TLS if the target wants it.
func open[P protocol](ctx context.Context, t Target, session func(*wire) P) (P, error) {
	var none P
	w, err := dial(ctx, t)
	if err != nil {
		return none, err
	}
	p := session(w)
	if err := begin(ctx, w, t, p); err != nil {
		_ = w.close() // the first error is the one to tell
		return none, err
	}
	return p, nil
}

func begin(ctx context.Context, w *wire, t Target, p protocol) error {
	if err := p.greeting(); err != nil {
		return err
	}
	startTLS, err := p.capabilities()
	if err != nil || t.TLS == nil || !t.StartTLS {
		return err
	}
	if !startTLS {
		return fmt.Errorf("start TLS with %s: %w", t.Addr, ErrNoStartTLS)
	}
	if err := p.askTLS(); err != nil {
		return err
	}
	if err := w.startTLS(ctx, t); err != nil {
		return err
	}
	_, err = p.capabilities()
	return err
}
