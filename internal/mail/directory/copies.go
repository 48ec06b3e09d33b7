package directory

import (
	"context"
	"strings"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// How the domains' numbers of copies are remembered.
const (
	copiesKept    = 30 * time.Second // before the domain is asked for again
	copiesRefresh = time.Second      // while it is, and after it could not be
	copiesMax     = 4096             // domains
)

// domainCopies is how many copies of each message domains want, as of a moment ago: what a delivery
// needs of a domain whose user it has found, without one more question for every message.
type domainCopies struct {
	mu      sync.Mutex
	domains map[string]domainCopy
}

type domainCopy struct {
	copies int
	until  time.Time
}

// get gives what is known of a domain. fresh is false for the one caller that is to ask again.
func (c *domainCopies) get(domain string, now time.Time) (copies int, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.domains[domain]
	if ok && now.Before(k.until) {
		return k.copies, true
	}
	if ok {
		k.until = now.Add(copiesRefresh) // the others go on with the old number
		c.domains[domain] = k
	}
	return k.copies, false
}

func (c *domainCopies) put(domain string, copies int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.domains == nil {
		c.domains = make(map[string]domainCopy)
	}
	if _, ok := c.domains[domain]; !ok && len(c.domains) >= copiesMax {
		for old := range c.domains { // any one: it is asked for again
			delete(c.domains, old)
			break
		}
	}
	c.domains[domain] = domainCopy{copies: copies, until: until}
}

// Copies gives how many nodes the messages of a user of that name shall lie on, if the user has no
// number of its own: the domain's number, zero if it has none. A change of it is noticed within half a
// minute. If the domain cannot be asked for now, its last number counts, and if none is known, none:
// mail for a user who is known comes in, whatever part of the cluster is away.
func (d *Directory) Copies(ctx context.Context, u mail.User) int {
	_, domain, _ := strings.Cut(string(u), "@")
	last, fresh := d.copies.get(domain, time.Now())
	if fresh {
		return last
	}
	e, err := d.cluster.Lookup(ctx, domain)
	if err == nil {
		if c, ok := e.Find(mail.TypeDomain, ""); ok {
			record, decodeErr := decodeDomain(c.Contents)
			if decodeErr == nil {
				d.copies.put(domain, record.Copies, time.Now().Add(copiesKept))
				return record.Copies
			}
			err = decodeErr
		} else if e.Knowledge == cluster.Conclusive {
			d.copies.put(domain, 0, time.Now().Add(copiesKept))
			return 0
		} else {
			err = unproven("look up domain "+domain, &e)
		}
	}
	d.copies.put(domain, last, time.Now().Add(copiesRefresh))
	d.warnPaced(ctx, "domain's number of copies not known now", "domain", domain, "assumed", last, "err", err)
	return last
}

// withCopies fills in the domain's number of copies.
func (d *Directory) withCopies(ctx context.Context, b mail.Mailbox) mail.Mailbox {
	if b.Settings.Copies == 0 {
		b.Settings.Copies = d.Copies(ctx, b.User)
	}
	return b
}
