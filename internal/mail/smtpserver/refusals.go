package smtpserver

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"porcupine/internal/mail"
)

// networksMax bounds the networks and sites that refusals remembers.
const networksMax = 16 << 10

// rationsPerSite is how many networks' ration all those of one IPv6 /48 have together.
const rationsPerSite = 4

// refusals rations what one network may learn about which addresses do not exist, over all its
// connections (attack 10). Each refused recipient is a debt of every, paid by waiting; a network
// that owes most of them or more is asked to come again later. So is every network of an IPv6 /48 of which the networks
// owe four times as many: who has a /48 has 65,536 networks. Addresses of private networks and
// of this machine are not rationed: what connects from there, such as a mail server in front of
// this one, brings the mail of many.
type refusals struct {
	most  int
	every time.Duration

	mu   sync.Mutex
	paid map[netip.Prefix]time.Time // when the debt of each network or site is paid
}

func newRefusals(most int, every time.Duration) *refusals {
	return &refusals{most: most, every: every, paid: make(map[netip.Prefix]time.Time)}
}

// debtor is a network or site that owes for a refused recipient.
type debtor struct {
	prefix netip.Prefix
	every  time.Duration // what it owes for one
}

// debtors gives who owes for what was refused to an address.
func (r *refusals) debtors(from netip.Addr) []debtor {
	network := mail.NetworkOf(from)
	all := []debtor{{network, r.every}}
	if site, ok := mail.SiteOf(network); ok {
		all = append(all, debtor{site, r.every / rationsPerSite})
	}
	return all
}

// isOver reports an address whose network, or site, has used up its ration: what is owed for one fewer, and any more.
func (r *refusals) isOver(from netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.debtors(from) {
		if r.paid[d.prefix].Sub(now) > time.Duration(r.most)*r.every-d.every {
			return true
		}
	}
	return false
}

// count adds a refused recipient to the debt of a network and its site.
func (r *refusals) count(from netip.Addr, now time.Time) {
	if mail.IsOfThisSite(from) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.debtors(from) {
		r.chargeLocked(d, now)
	}
}

func (r *refusals) chargeLocked(d debtor, now time.Time) {
	if _, ok := r.paid[d.prefix]; !ok && len(r.paid) >= networksMax {
		maps.DeleteFunc(r.paid, func(_ netip.Prefix, paid time.Time) bool { return !paid.After(now) })
		if len(r.paid) >= networksMax {
			clear(r.paid) // against so many networks at once this is no defence
		}
	}
	paid := r.paid[d.prefix]
	if paid.Before(now) {
		paid = now
	}
	r.paid[d.prefix] = paid.Add(d.every)
}
