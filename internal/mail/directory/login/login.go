// Package login decides, at a user's manager, whether a password is right, and keeps that cheap:
//
//   - a [Verifier] remembers verified logins for a while, so that the tenth of a minute does not
//     pay for argon2 again. It remembers only a keyed hash over everything the verdict rests on
//     (attack 14), under a key that exists in this process only;
//   - few derivations run at once, few more wait, and not for long; the rest is refused for the moment (attack 12);
//   - equal attempts that come together share one derivation;
//   - one network guessing at one account gets few tries, whichever nodes it connects to, since
//     they all end here (attack 9). Others are not slowed down by it.
//
// A user who does not exist costs the same as one whose password is wrong (attack 10).
package login

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/directory/credential"
)

// WaitMaxDefault is shorter than a call between nodes may take, so that who asks hears that there are too many logins, and
// not that the manager is silent: he would ask again and stand at the end of the queue.
const WaitMaxDefault = 5 * time.Second

// errSwamped: those before it in the queue took as long as an attempt may wait.
var errSwamped = errors.New("too many logins at once: try again in a moment")

// Config bounds a Verifier. Zero fields are the defaults.
type Config struct {
	Derivations int           // at once, 19 MiB each; default 4
	QueueMax    int           // attempts that wait for one; default 256
	WaitMax     time.Duration // for how long; default WaitMaxDefault
	CacheMax    int           // verified logins remembered; default 16,384
	CacheTTL    time.Duration // how long; default 5 min
	FailuresMax int           // wrong passwords in a row of one network for one account; default 20
	FailureTTL  time.Duration // after which one of them is forgiven; default 30 s
	AccountsMax int           // pairs of account and network with failures remembered; default 16,384
	// Decoy says how costly a user who does not exist is: the parameters of new credentials.
	Decoy credential.Params
	Now   func() time.Time // default time.Now
}

func (c Config) withDefaults() Config {
	cluster.Default(&c.Derivations, 4)
	cluster.Default(&c.QueueMax, 256)
	cluster.Default(&c.CacheMax, 16384)
	cluster.Default(&c.FailuresMax, 20)
	cluster.Default(&c.AccountsMax, 16384)
	cluster.Default(&c.WaitMax, WaitMaxDefault)
	cluster.Default(&c.CacheTTL, 5*time.Minute)
	cluster.Default(&c.FailureTTL, 30*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Attempt is one login to be decided.
type Attempt struct {
	User      string // canonical
	Service   string // "pop3", "submission"
	Mechanism string // "password": PLAIN, LOGIN and USER/PASS all show the password itself
	Remote    netip.Addr
	Password  string
	// Profile is the stored profile, byte for byte. Whatever changes in it ends what was
	// remembered. Nil: there is no such user.
	Profile []byte
	// Open gives the credential in the profile, and false if the user may not log in. It is called
	// only if nothing is remembered.
	Open func() (credential.Credential, bool, error)
}

// Verifier decides attempts. It is safe for concurrent use.
type Verifier struct {
	cfg   Config
	key   [32]byte // drawn at start; what is remembered is worthless without it
	decoy credential.Credential
	slots chan struct{} // one element for each derivation that runs
	queue chan struct{} // one for each attempt that runs or waits

	mu       sync.Mutex
	verified map[digest]time.Time // until when
	flights  map[digest]*flight
	failures map[account]*failure
}

type digest [sha256.Size]byte

// flight is a derivation that runs, for all equal attempts that wait for it.
type flight struct {
	done chan struct{}
	err  error // set before done is closed
}

// New makes a Verifier.
func New(cfg Config) *Verifier {
	cfg = cfg.withDefaults()
	v := &Verifier{
		cfg:      cfg,
		decoy:    credential.Decoy(cfg.Decoy),
		slots:    make(chan struct{}, cfg.Derivations),
		queue:    make(chan struct{}, cfg.Derivations+cfg.QueueMax),
		verified: make(map[digest]time.Time),
		flights:  make(map[digest]*flight),
		failures: make(map[account]*failure),
	}
	rand.Read(v.key[:]) // never fails (crypto/rand)
	return v
}

const op = "verify login"

// Verify decides an attempt. nil: the password is right. KindDenied: it is wrong, or there is no
// such user, or the user may not log in; nobody can tell which. KindLimit: too many attempts, or it
// would have to wait for longer than WaitMax. KindUnavailable: ctx ended first. KindCorrupt: the stored record is malformed.
func (v *Verifier) Verify(ctx context.Context, a Attempt) error {
	key := v.digest(a)
	if a.Profile != nil && v.remembered(key) {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, v.cfg.WaitMax, errSwamped)
	defer cancel()
	return v.derive(ctx, key, a)
}

// digest covers everything the verdict depends on, each part with its length.
func (v *Verifier) digest(a Attempt) (d digest) {
	mac := hmac.New(sha256.New, v.key[:])
	var n [8]byte
	for _, part := range [...]string{a.User, a.Service, a.Mechanism, a.Password} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		mac.Write(n[:])
		mac.Write([]byte(part))
	}
	mac.Write(a.Profile) // last, so it needs no length
	mac.Sum(d[:0])
	return d
}

// derive runs one derivation for all equal attempts of the moment. If the one that runs it gives
// up, another does.
func (v *Verifier) derive(ctx context.Context, key digest, a Attempt) error {
	for {
		v.mu.Lock()
		if v.rememberedLocked(key) { // an equal attempt has landed since we looked
			v.mu.Unlock()
			return nil
		}
		f := v.flights[key]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			v.flights[key] = f
			v.mu.Unlock()
			return v.fly(ctx, f, key, a)
		}
		v.mu.Unlock()
		select {
		case <-f.done:
			if !cluster.IsKind(f.err, cluster.KindUnavailable) && !errors.Is(f.err, errSwamped) {
				return f.err
			}
		case <-ctx.Done():
			return waited(ctx)
		}
	}
}

// waited is the error of an attempt that waited until ctx ended.
func waited(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errSwamped) {
		return cluster.Errorf(cluster.KindLimit, op, "%w", cause)
	}
	return cluster.Errorf(cluster.KindUnavailable, op, "%w", cause)
}

// fly runs a derivation and tells those who wait for it.
func (v *Verifier) fly(ctx context.Context, f *flight, key digest, a Attempt) error {
	f.err = v.try(ctx, key, a)
	v.mu.Lock()
	delete(v.flights, key)
	v.mu.Unlock()
	close(f.done)
	return f.err
}

// try decides an attempt and counts it. Equal attempts at once are one guess.
func (v *Verifier) try(ctx context.Context, key digest, a Attempt) error {
	// The try is counted before it runs, so that many at once cannot outrun the count.
	who := accountOf(a)
	if !v.countTry(who) {
		return cluster.Errorf(cluster.KindLimit, op, "too many wrong passwords from this network: wait a minute")
	}
	err := v.check(ctx, a)
	switch {
	case err == nil:
		v.remember(key)
		v.forgive(who)
	case !cluster.IsKind(err, cluster.KindDenied):
		v.uncountTry(who)
	}
	return err
}

func (v *Verifier) check(ctx context.Context, a Attempt) error {
	select {
	case v.queue <- struct{}{}:
		defer func() { <-v.queue }()
	default:
		return cluster.Errorf(cluster.KindLimit, op, "%w", errSwamped)
	}
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		return waited(ctx)
	}
	stored, allowed := v.decoy, false
	if a.Profile != nil {
		var err error
		if stored, allowed, err = a.Open(); err != nil {
			return cluster.Errorf(cluster.KindCorrupt, op+" of "+a.User, "%w", err)
		}
	}
	ok, err := stored.Verify(a.Password)
	if err != nil {
		return cluster.Errorf(cluster.KindCorrupt, op+" of "+a.User, "%w", err)
	}
	if !ok || !allowed {
		return cluster.Errorf(cluster.KindDenied, op, "user name or password is wrong")
	}
	return nil
}
