package directory

import (
	"context"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// postmasterKept is how long the cluster's first domain is remembered. Looking for it asks every
// node, which nobody may cause at will by writing to the postmaster.
const postmasterKept = time.Minute

// firstDomain is the cluster's first domain, as it was a moment ago.
type firstDomain struct {
	mu    sync.Mutex
	name  string
	until time.Time
}

func (f *firstDomain) get(now time.Time) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.name, now.Before(f.until)
}

func (f *firstDomain) set(name string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.name, f.until = name, until
}

// completePostmaster gives the address that needs no domain (RFC 5321 §4.5.1) one that is ours.
func (d *Directory) completePostmaster(ctx context.Context, a mail.Address) (mail.Address, error) {
	op := "resolve " + a.String()
	if a.Fold().Local != "postmaster" {
		return a, cluster.Errorf(cluster.KindDenied, op, "address has no domain")
	}
	if d.cfg.PostmasterDomain != "" {
		return mail.Address{Local: a.Local, Domain: d.cfg.PostmasterDomain}, nil
	}
	if name, ok := d.first.get(time.Now()); ok {
		if _, err := d.current(ctx, op, mail.TypeDomain, name); err == nil {
			return mail.Address{Local: a.Local, Domain: name}, nil
		}
		d.first.set("", time.Time{}) // it is not ours any more, or cannot be asked about
	}
	domains, _, err := d.ListDomains(ctx, "", 1)
	if err != nil { // of whatever kind: it proves nothing about the address (V1)
		return a, cluster.Errorf(cluster.KindUnavailable, op, "%w", err)
	}
	if len(domains) == 0 {
		return a, cluster.Errorf(cluster.KindUnavailable, op, "no domain is known here")
	}
	d.first.set(domains[0].Domain, time.Now().Add(postmasterKept))
	return mail.Address{Local: a.Local, Domain: domains[0].Domain}, nil
}
