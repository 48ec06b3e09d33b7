package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"

	xdg "github.com/xdg-go/scram"

	"porcupine/internal/mail"
)

// saltLength is the length of made-up salts in bytes. It must be that of the real ones.
const saltLength = 16

// bindingType is the one channel binding that is offered. tls-unique is not safe, and not there in
// TLS 1.3; tls-server-end-point tells nothing of who holds a stolen key.
const bindingType = xdg.ChannelBindingTLSExporter

// scram is SCRAM-SHA-256 (RFC 5802, RFC 7677), with channel binding (RFC 9266) or without.
//
// The client's proof is what a guess is, so the Guard stands before the second step; the first
// costs a lookup and tells nothing: a user who does not exist has a salt like any other, made
// from the name by HMAC, so that it is the same at every try (RFC 5802 §9, attack 10).
type scram struct {
	x     *Exchange
	plus  bool // the mechanism with channel binding
	conv  *xdg.ServerConversation
	login string
	user  mail.User
	fake  bool // the credentials are made up: no proof is good
	stage int
}

func (s *scram) step(ctx context.Context, response []byte) ([]byte, bool, error) {
	if response == nil { // the client speaks first
		return []byte{}, false, nil
	}
	s.stage++
	switch s.stage {
	case 1:
		return s.first(ctx, string(response))
	case 2:
		return s.proof(ctx, string(response))
	}
	// The client has seen the server's signature and says, with nothing, that it is content.
	if len(response) != 0 {
		return nil, false, invalid("SCRAM message after the end")
	}
	s.x.user = s.user
	return nil, true, nil
}

// first takes the client-first-message and gives salt and iteration count.
func (s *scram) first(ctx context.Context, message string) ([]byte, bool, error) {
	var verdict error
	server, err := xdg.SHA256.NewServer(func(login string) (xdg.StoredCredentials, error) {
		c, err := s.lookup(ctx, login)
		verdict = err
		return c, err
	})
	if err != nil {
		return nil, false, unknown("start SCRAM", err)
	}
	if s.conv, err = s.converse(server, message); err != nil {
		return nil, false, err
	}
	challenge, err := s.conv.Step(message)
	switch {
	case verdict != nil:
		return nil, false, verdict
	case err != nil:
		return nil, false, invalid("SCRAM client-first-message is malformed, or its channel binding does not fit what was offered")
	}
	if authzid := s.conv.AuthzID(); authzid != "" && authzid != s.login {
		return nil, false, invalid("the authorization identity is not the authentication identity")
	}
	return []byte(challenge), false, nil
}

// converse begins the conversation. A client that says it would bind but was not offered to ("y", RFC
// 5802 §6), when we do offer it, has seen a list that somebody shortened: the library refuses it.
func (s *scram) converse(server *xdg.Server, message string) (*xdg.ServerConversation, error) {
	exporter := s.x.client.Exporter
	switch {
	case s.plus:
		return server.NewConversationWithChannelBindingRequired(xdg.ChannelBinding{Type: bindingType, Data: []byte(exporter)}), nil
	case strings.HasPrefix(message, "p="):
		return nil, invalid("channel binding belongs to %s", MechanismScramSHA256Plus)
	case exporter != "":
		return server.NewConversationWithChannelBinding(xdg.ChannelBinding{Type: bindingType, Data: []byte(exporter)}), nil
	}
	return server.NewConversation(), nil
}

// lookup gives the credentials of a login, made up if there are none.
func (s *scram) lookup(ctx context.Context, login string) (xdg.StoredCredentials, error) {
	if err := checkText("user name", login, LoginLengthMax); err != nil {
		return xdg.StoredCredentials{}, err
	}
	s.login = login
	user, k, err := s.x.auth.cfg.Backend.SCRAM(ctx, s.x.client, login)
	if err != nil && !isRefusal(err) {
		return xdg.StoredCredentials{}, unknown("look up SCRAM keys", err)
	}
	// The made-up ones are computed always, so that both ways cost the same.
	made := s.x.auth.fakeKeys(user, login)
	if err != nil {
		s.fake, k, user = true, made, ""
	}
	if len(k.StoredKey) != sha256.Size || len(k.ServerKey) != sha256.Size || k.Iterations <= 0 || len(k.Salt) == 0 {
		return xdg.StoredCredentials{}, unknown("look up SCRAM keys", errors.New("stored keys are malformed"))
	}
	s.user = user
	return xdg.StoredCredentials{
		KeyFactors: xdg.KeyFactors{Salt: string(k.Salt), Iters: k.Iterations},
		StoredKey:  k.StoredKey,
		ServerKey:  k.ServerKey,
	}, nil
}

// proof takes the client-final-message and gives the server's signature.
func (s *scram) proof(ctx context.Context, message string) ([]byte, bool, error) {
	attempt, err := s.x.auth.cfg.Guard.Admit(ctx, s.x.client, s.login)
	if err != nil {
		return nil, false, err
	}
	outcome := Undecided
	defer func() { attempt.Done(outcome) }()
	signature, err := s.conv.Step(message)
	if err != nil || !s.conv.Valid() || s.fake {
		outcome = Failed
		return nil, false, errDenied()
	}
	outcome = Succeeded
	return []byte(signature), false, nil
}

// nameOf gives one name for all the ways to write a login.
func nameOf(login string) string {
	if address, err := mail.ParseAddress(login); err == nil {
		return address.Canonical()
	}
	return strings.ToLower(login)
}

// fakeKeys makes up what a user who does not exist has stored: always the same for the same name,
// and nothing that anybody could know a proof for. Logins that would be one address are one name,
// as they are for users who exist.
func (a *Authenticator) fakeKeys(user mail.User, login string) mail.SCRAMKeys {
	name := string(user)
	if name == "" {
		name = nameOf(login)
	}
	derive := func(label string) []byte {
		mac := hmac.New(sha256.New, a.cfg.FakeSecret)
		mac.Write([]byte(label))
		mac.Write([]byte{0})
		mac.Write([]byte(name))
		return mac.Sum(nil)
	}
	return mail.SCRAMKeys{
		Salt:       derive("salt")[:saltLength],
		Iterations: a.cfg.ScramIterations,
		StoredKey:  derive("stored key"),
		ServerKey:  derive("server key"),
	}
}
