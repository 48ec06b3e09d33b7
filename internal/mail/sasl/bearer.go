package sasl

import (
	"context"

	gosasl "github.com/emersion/go-sasl"

	"porcupine/internal/mail"
)

// TokenLengthMax bounds a bearer token, in octets.
const TokenLengthMax = 8 << 10

// TokenChecker knows bearer tokens (RFC 6750), for OAUTHBEARER. It is called from many goroutines.
type TokenChecker interface {
	// CheckToken gives the user that a token was issued for. login is whom the client wants to be; empty: it
	// did not say. Errors: cluster.KindDenied if the token is not good, or not for that user; any
	// other kind if it cannot be known now (V1).
	CheckToken(ctx context.Context, c mail.Client, login, token string) (mail.User, error)
}

// bearer is OAUTHBEARER (RFC 7628). A token that is refused is refused twice: by a message that tells
// the client why, and, after the client's answer to that, by the failure (§3.2.3).
type bearer struct {
	x       *Exchange
	refusal error
}

func (b *bearer) step(ctx context.Context, response []byte) ([]byte, bool, error) {
	if b.refusal != nil {
		return nil, false, b.refusal
	}
	if response == nil { // the client speaks first
		return []byte{}, false, nil
	}
	var user mail.User
	var verdict error
	server := gosasl.NewOAuthBearerServer(func(o gosasl.OAuthBearerOptions) *gosasl.OAuthBearerError {
		if user, verdict = b.x.auth.token(ctx, b.x.client, o.Username, o.Token); verdict != nil {
			return &gosasl.OAuthBearerError{Status: "invalid_token", Schemes: "bearer"}
		}
		return nil
	})
	why, done, err := server.Next(response)
	switch {
	case verdict != nil && !isRefusal(verdict):
		return nil, false, verdict
	case verdict != nil:
		b.refusal = verdict
		return why, false, nil //nolint:nilerr // the client hears why first, and the failure after it
	case err != nil || !done:
		b.refusal = invalid("OAUTHBEARER message is malformed")
		return why, false, nil //nolint:nilerr // as above
	}
	b.x.user = user
	return nil, true, nil
}

// token checks a bearer token, behind the guard.
func (a *Authenticator) token(ctx context.Context, c mail.Client, login, token string) (mail.User, error) {
	if login != "" {
		if err := checkText("user name", login, LoginLengthMax); err != nil {
			return "", err
		}
	}
	if err := checkText("token", token, TokenLengthMax); err != nil {
		return "", err
	}
	return a.guarded(ctx, c, login, func() (mail.User, error) { return a.cfg.Tokens.CheckToken(ctx, c, login, token) })
}
