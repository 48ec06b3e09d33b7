package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// Limits of the tokens that one node has open.
const (
	TokenTTLMax = 10 * time.Minute
	TokensMax   = 64
)

// tokens are the join tokens that this node has issued and that are neither used nor expired. Only
// hashes are kept, so that what compares them runs in the same time whatever was guessed (row 49).
type tokens struct {
	mu   sync.Mutex
	list []openToken
}

type openToken struct {
	hash    [sha256.Size]byte // of the secret
	expires time.Time
}

// add opens a token.
func (t *tokens) add(secret [secretSize]byte, now, expires time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	if len(t.list) >= TokensMax {
		return cluster.Errorf(cluster.KindLimit, "issue join token",
			"%d tokens are open on this node, the most there may be: use one, or wait until they expire (at most %v)", len(t.list), TokenTTLMax)
	}
	t.list = append(t.list, openToken{hash: sha256.Sum256(secret[:]), expires: expires})
	return nil
}

// redeem uses a token up, and reports whether it was open. All tokens are compared, each in
// constant time.
func (t *tokens) redeem(secret []byte, now time.Time) bool {
	hash := sha256.Sum256(secret)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	found := -1
	for i := range t.list {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], t.list[i].hash[:]), i, found)
	}
	if found < 0 {
		return false
	}
	t.list = slices.Delete(t.list, found, found+1)
	return true
}

// open reports whether any token is.
func (t *tokens) open(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	return len(t.list) > 0
}

func (t *tokens) expire(now time.Time) {
	t.list = slices.DeleteFunc(t.list, func(o openToken) bool { return !now.Before(o.expires) })
}

// IssueToken opens a join token that names these addresses of this node (host:port, at most
// TokenAddrsMax) and is good for one join within ttl (0 and more than TokenTTLMax: TokenTTLMax).
// It is forgotten when the process ends.
func (i *Identity) IssueToken(addrs []string, ttl time.Duration) (Token, error) {
	if len(addrs) == 0 || len(addrs) > TokenAddrsMax {
		return Token{}, cluster.Errorf(cluster.KindInvalid, "issue join token", "%d addresses, want 1 to %d", len(addrs), TokenAddrsMax)
	}
	for _, addr := range addrs {
		if addr == "" || len(addr) > TokenAddrLenMax {
			return Token{}, cluster.Errorf(cluster.KindInvalid, "issue join token", "address %q: want 1 to %d bytes", addr, TokenAddrLenMax)
		}
	}
	if ttl <= 0 || ttl > TokenTTLMax {
		ttl = TokenTTLMax
	}
	token := Token{Authority: i.ca.fingerprint(), Addrs: slices.Clone(addrs)}
	if _, err := rand.Read(token.secret[:]); err != nil {
		return Token{}, fmt.Errorf("issue join token: %w", err)
	}
	now := i.now()
	if err := i.tokens.add(token.secret, now, now.Add(ttl)); err != nil {
		return Token{}, err
	}
	i.logger.Info("join token issued", "node", i.node, "addresses", addrs, "expires", now.Add(ttl))
	return token, nil
}
