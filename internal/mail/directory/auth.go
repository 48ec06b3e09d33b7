package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory/credential"
	"porcupine/internal/mail/directory/login"
)

// The questions that a user's manager answers.
const (
	methodAuthenticate = "mail.authenticate"
	methodSCRAM        = "mail.scram"
)

// mechanismPassword stands for every mechanism that shows the password itself.
const mechanismPassword = "password"

// loginLengthMax bounds a login name in octets, as a front end may send it.
const loginLengthMax = 512

// attempt is the payload of both questions.
type attempt struct {
	User     string     `json:"user"`
	Service  string     `json:"service"`
	Remote   netip.Addr `json:"remote,omitzero"`
	Password []byte     `json:"password,omitempty"`
}

// Authenticate checks a login name (a full address, or a local part if Config.LoginDomain is set)
// and a password. Several things may happen:
//
//  1. The user whose password it is.
//  2. KindDenied: no such user, a wrong password, or a user who may not log in. All three cost
//     the same time and say the same (attack 10), and all are proven (V1).
//  3. KindLimit: too many attempts at once, or too many wrong ones.
//  4. Any other kind: it cannot be decided now, or not within Config.LoginMax.
func (d *Directory) Authenticate(ctx context.Context, c mail.Client, name, password string) (mail.User, error) {
	user := d.loginOwner(name)
	q := attempt{User: user, Service: c.Service, Remote: c.Remote, Password: []byte(password)}
	if _, err := d.askLogin(ctx, methodAuthenticate, q); err != nil {
		return "", err
	}
	return mail.User(user), nil
}

// SCRAM gives what a server needs for SCRAM-SHA-256 with that login name. KindNotFound: proven
// that there is no such user, or the user may not log in or has no SCRAM keys; the front end must
// go on with keys that it makes up, for the name that the User beside the error is: however a
// login is written, with the domain or without, it is one name. Any other kind: it cannot be known
// now.
func (d *Directory) SCRAM(ctx context.Context, c mail.Client, name string) (mail.User, mail.SCRAMKeys, error) {
	user := d.loginOwner(name)
	b, err := d.askLogin(ctx, methodSCRAM, attempt{User: user, Service: c.Service, Remote: c.Remote})
	if err != nil {
		return mail.User(user), mail.SCRAMKeys{}, err
	}
	var keys mail.SCRAMKeys
	if err := json.Unmarshal(b, &keys); err != nil {
		return "", mail.SCRAMKeys{}, cluster.Errorf(cluster.KindInternal, "read SCRAM keys", "%w", err)
	}
	return mail.User(user), keys, nil
}

// loginOwner gives the canonical address that a login name means. A name that cannot be an
// account gets an owner that cannot either and is asked for like any other, so that it takes as long.
func (d *Directory) loginOwner(login string) string {
	if len(login) <= loginLengthMax {
		if !strings.Contains(login, "@") && d.cfg.LoginDomain != "" {
			login += "@" + d.cfg.LoginDomain
		}
		if a, err := mail.ParseAddress(login); err == nil {
			return a.Canonical()
		}
	}
	sum := sha256.Sum256([]byte(login))
	return "no login " + hex.EncodeToString(sum[:8])
}

// errLate: neither a password nor its absence was proven in Config.LoginMax.
var errLate = errors.New("it takes too long")

// askLogin asks the user's manager, again while the bucket is incomplete, for no longer than LoginMax.
func (d *Directory) askLogin(ctx context.Context, method string, q attempt) ([]byte, error) {
	payload, err := json.Marshal(q)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindInternal, "encode login", "%w", err)
	}
	// Ask goes on for as long as it may while a manager gives no answer, and a session's context has no end.
	ctx, cancel := context.WithTimeoutCause(ctx, d.cfg.LoginMax, errLate)
	defer cancel()
	p := patience{wait: d.cfg.LoginWait}
	for {
		raw, err := d.cluster.Ask(ctx, q.User, method, payload)
		if err != nil {
			return nil, cluster.Errorf(cluster.KindUnavailable, "ask for login", "%w", err)
		}
		b, again, err := decodeAnswer(raw)
		if err == nil || !again || !p.again(ctx) {
			return b, err
		}
	}
}

// serveAuthenticate answers at the manager. It must not wait for knowledge: the asker does.
func (d *Directory) serveAuthenticate(ctx context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	var q attempt
	if err := json.Unmarshal(payload, &q); err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, "decode login", "%w", err)
	}
	profile, again, err := d.localProfile(ctx, q.User)
	if err != nil {
		return encodeAnswer(nil, again, err), nil
	}
	a := login.Attempt{User: q.User, Service: q.Service, Mechanism: mechanismPassword, Remote: q.Remote,
		Password: string(q.Password), Profile: profile}
	a.Open = func() (credential.Credential, bool, error) {
		p, err := decodeProfile(profile)
		if err != nil {
			return credential.Credential{}, false, err
		}
		return p.Credential, !p.Disabled, nil
	}
	return encodeAnswer(nil, false, d.verifier.Verify(ctx, a)), nil
}

func (d *Directory) serveSCRAM(ctx context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	var q attempt
	if err := json.Unmarshal(payload, &q); err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, "decode login", "%w", err)
	}
	contents, again, err := d.localProfile(ctx, q.User)
	if err != nil {
		return encodeAnswer(nil, again, err), nil
	}
	none := cluster.Errorf(cluster.KindNotFound, "look up SCRAM keys", "there are none")
	if contents == nil {
		return encodeAnswer(nil, false, none), nil
	}
	p, err := decodeProfile(contents)
	if err != nil {
		return encodeAnswer(nil, false, cluster.Errorf(cluster.KindCorrupt, "read user "+q.User, "%w", err)), nil
	}
	s := p.Credential.SCRAM
	if s == nil || p.Disabled {
		return encodeAnswer(nil, false, none), nil
	}
	b, err := json.Marshal(mail.SCRAMKeys{Salt: s.Salt, Iterations: s.Iterations, StoredKey: s.StoredKey, ServerKey: s.ServerKey})
	if err != nil {
		return nil, cluster.Errorf(cluster.KindInternal, "encode SCRAM keys", "%w", err)
	}
	return encodeAnswer(b, false, nil), nil
}

// localProfile gives the stored profile at the manager; nil without an error: proven that there
// is none. again says that the same question may get a better answer in a moment.
func (d *Directory) localProfile(ctx context.Context, user string) (contents []byte, again bool, err error) {
	e, ok := d.cluster.LocalEntry(ctx, user)
	if !ok {
		return nil, true, cluster.Errorf(cluster.KindUnavailable, "look up user", "this node does not manage it any more")
	}
	if c, ok := e.Find(mail.TypeUser, ""); ok {
		if len(c.Contents) == 0 { // nil would say that there is no such user
			return nil, false, cluster.Errorf(cluster.KindCorrupt, "look up user", "the profile is empty")
		}
		return c.Contents, false, nil
	}
	if e.Knowledge != cluster.Conclusive {
		return nil, e.Knowledge == cluster.Partial, unproven("look up user", &e)
	}
	return nil, false, nil
}
