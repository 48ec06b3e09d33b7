package smtpserver

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"porcupine/internal/mail"
)

// networksMax bounds the networks that refusals remembers.
const networksMax = 16 << 10

// refusals rations what one network may learn about which addresses do not exist, over all its
// connections (attack 10). Each refused recipient is a debt of every, paid by waiting; a network
// that owes most of them or more is asked to come again later. Addresses of private networks and
// of this machine are not rationed: what connects from there, such as a mail server in front of
// this one, brings the mail of many.
type refusals struct {
	most  int
	every time.Duration

	mu   sync.Mutex
	paid map[netip.Prefix]time.Time // when each network's debt is paid
}

func newRefusals(most int, every time.Duration) *refusals {
	return &refusals{most: most, every: every, paid: make(map[netip.Prefix]time.Time)}
}

// isOfThisSite reports an address of a private network or of this machine.
func isOfThisSite(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback()
}

// isOver reports a network that has used up its ration.
func (r *refusals) isOver(from netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paid[mail.NetworkOf(from)].Sub(now) > time.Duration(r.most-1)*r.every
}

// count adds a refused recipient to a network's debt.
func (r *refusals) count(from netip.Addr, now time.Time) {
	if isOfThisSite(from) {
		return
	}
	n := mail.NetworkOf(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.paid[n]; !ok && len(r.paid) >= networksMax {
		maps.DeleteFunc(r.paid, func(_ netip.Prefix, paid time.Time) bool { return !paid.After(now) })
		if len(r.paid) >= networksMax {
			clear(r.paid) // against so many networks at once this is no defence
		}
	}
	paid := r.paid[n]
	if paid.Before(now) {
		paid = now
	}
	r.paid[n] = paid.Add(r.every)
}
