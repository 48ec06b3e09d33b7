package sasl

import (
	"context"

	gosasl "github.com/emersion/go-sasl"

	"porcupine/internal/mail"
)

// plain is PLAIN (RFC 4616): one message, authzid NUL authcid NUL password.
type plain struct{ x *Exchange }

func (p *plain) step(ctx context.Context, response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte{}, false, nil
	}
	var user mail.User
	var verdict error
	checked := false
	server := gosasl.NewPlainServer(func(authzid, authcid, password string) error {
		checked = true
		// Nobody acts for anybody else here (attack 11).
		if authzid != "" && authzid != authcid {
			verdict = invalid("the authorization identity is not the authentication identity")
			return verdict
		}
		user, verdict = p.x.auth.password(ctx, p.x.client, authcid, password)
		return verdict
	})
	if _, done, err := server.Next(response); !checked || !done && err == nil {
		return nil, false, invalid("PLAIN message is malformed")
	}
	if verdict != nil {
		return nil, false, verdict
	}
	p.x.user = user
	return nil, true, nil
}

// login is LOGIN: the server asks for the user name, then for the password. An initial response
// is the user name.
type login struct {
	x       *Exchange
	name    string
	hasName bool
}

func (l *login) step(ctx context.Context, response []byte) ([]byte, bool, error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case !l.hasName:
		if err := checkText("user name", string(response), LoginLengthMax); err != nil {
			return nil, false, err
		}
		l.name, l.hasName = string(response), true
		return []byte("Password:"), false, nil
	}
	user, err := l.x.auth.password(ctx, l.x.client, l.name, string(response))
	if err != nil {
		return nil, false, err
	}
	l.x.user = user
	return nil, true, nil
}
