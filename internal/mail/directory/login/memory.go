package login

import (
	"net/netip"
	"time"

	"porcupine/internal/mail"
)

// remembered reports a verified login that is not too old.
func (v *Verifier) remembered(key digest) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.rememberedLocked(key)
}

func (v *Verifier) rememberedLocked(key digest) bool {
	until, ok := v.verified[key]
	if ok && !v.cfg.Now().Before(until) {
		delete(v.verified, key)
		return false
	}
	return ok
}

func (v *Verifier) remember(key digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.cfg.Now()
	if len(v.verified) >= v.cfg.CacheMax {
		makeRoom(v.verified, func(until time.Time) bool { return !now.Before(until) })
	}
	v.verified[key] = now.Add(v.cfg.CacheTTL)
}

// account is one network that tries one account.
type account struct {
	user    string
	network netip.Prefix
}

func accountOf(a Attempt) account {
	return account{user: a.User, network: mail.NetworkOf(a.Remote)}
}

// failure counts wrong passwords; one is forgiven each FailureTTL.
type failure struct {
	count int
	since time.Time // when the last one was forgiven, or the first one came
}

// countTry counts an attempt as failed until forgive or uncountTry says otherwise.
func (v *Verifier) countTry(who account) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.cfg.Now()
	f := v.failures[who]
	if f == nil {
		if len(v.failures) >= v.cfg.AccountsMax {
			makeRoom(v.failures, func(f *failure) bool { return f.left(now, v.cfg.FailureTTL) == 0 })
		}
		f = &failure{since: now}
		v.failures[who] = f
	}
	left := f.left(now, v.cfg.FailureTTL)
	if left < f.count {
		f.since = f.since.Add(time.Duration(f.count-left) * v.cfg.FailureTTL)
		f.count = left
	}
	if f.count == 0 {
		f.since = now
	}
	if f.count >= v.cfg.FailuresMax {
		return false
	}
	f.count++
	return true
}

func (f *failure) left(now time.Time, ttl time.Duration) int {
	return max(0, f.count-int(now.Sub(f.since)/ttl))
}

func (v *Verifier) uncountTry(who account) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.failures[who]; f != nil && f.count > 0 {
		f.count--
	}
}

func (v *Verifier) forgive(who account) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.failures, who)
}

// roomScanMax bounds the work of making room.
const roomScanMax = 64

// makeRoom looks at some entries in the map's random order, drops those that are over, and one
// in any case.
func makeRoom[K comparable, V any](m map[K]V, over func(V) bool) {
	scanned, dropped := 0, 0
	var last K
	for k, value := range m {
		if over(value) {
			delete(m, k)
			dropped++
		} else {
			last = k
		}
		if scanned++; scanned == roomScanMax {
			break
		}
	}
	if dropped == 0 {
		delete(m, last)
	}
}
