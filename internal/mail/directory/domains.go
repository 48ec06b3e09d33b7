package directory

import (
	"context"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// DomainSettings are what an administrator says of a domain. All are optional. The addresses may be
// made later; while one does not exist, mail for it is refused like any unknown address.
type DomainSettings struct {
	Postmaster mail.Address // who gets the mail for postmaster@ the domain, unless there is such a user
	CatchAll   mail.Address // who gets the mail for all addresses that nobody has; zero: it is refused
	// Copies is how many nodes each message of its users lies on, unless the user has a number of its
	// own, at most cluster.ReplicaSetMax; zero: the cluster's number.
	Copies int
}

func (s DomainSettings) canonical(op string) (postmaster, catchAll string, err error) {
	if s.Copies < 0 || s.Copies > cluster.ReplicaSetMax {
		return "", "", cluster.Errorf(cluster.KindInvalid, op, "%d copies: write a number from 1 to %d, or 0 for the cluster's", s.Copies, cluster.ReplicaSetMax)
	}
	if !s.Postmaster.IsZero() {
		if postmaster, err = name(op, s.Postmaster); err != nil {
			return "", "", err
		}
	}
	if !s.CatchAll.IsZero() {
		if catchAll, err = name(op, s.CatchAll); err != nil {
			return "", "", err
		}
	}
	return postmaster, catchAll, nil
}

// domainName gives the canonical name of a domain, or KindInvalid.
func domainName(op, s string) (string, error) {
	n, err := mail.CanonicalDomain(s)
	if err == nil && strings.HasPrefix(n, "[") {
		return "", cluster.Errorf(cluster.KindInvalid, op, "an address literal is no domain")
	}
	if err != nil {
		return "", cluster.Errorf(cluster.KindInvalid, op, "%w", err)
	}
	return n, nil
}

// AddDomain makes a domain ours. Errors as of AddUser.
func (d *Directory) AddDomain(ctx context.Context, domain string, s DomainSettings) error {
	op := "add domain " + domain
	owner, err := domainName(op, domain)
	if err != nil {
		return err
	}
	record := Domain{Version: recordVersion, Copies: s.Copies, Created: time.Now().UTC().Truncate(time.Millisecond)}
	if record.Postmaster, record.CatchAll, err = s.canonical(op); err != nil {
		return err
	}
	contents, err := encodeRecord(&record)
	if err != nil {
		return err
	}
	_, err = d.change(ctx, change{Op: opAdd, Type: mail.TypeDomain, Owner: owner, Contents: contents})
	return err
}

// SetDomain replaces the settings of a domain. KindNotFound: proven that it is not ours.
func (d *Directory) SetDomain(ctx context.Context, domain string, s DomainSettings) error {
	op := "change domain " + domain
	owner, err := domainName(op, domain)
	if err != nil {
		return err
	}
	postmaster, catchAll, err := s.canonical(op)
	if err != nil {
		return err
	}
	return d.edit(ctx, mail.TypeDomain, owner, func(old []byte) ([]byte, error) {
		record, err := decodeDomain(old)
		if err != nil {
			return nil, cluster.Errorf(cluster.KindCorrupt, op, "%w", err)
		}
		record.Version, record.Postmaster, record.CatchAll, record.Copies = recordVersion, postmaster, catchAll, s.Copies
		return encodeRecord(record)
	})
}

// RemoveDomain makes a domain foreign. KindExists: it still has users or aliases. An address that
// is made in the same moment may slip through; it is then out of reach until the domain is added
// again.
func (d *Directory) RemoveDomain(ctx context.Context, domain string) error {
	op := "remove domain " + domain
	owner, err := domainName(op, domain)
	if err != nil {
		return err
	}
	for _, t := range []cluster.ObjectType{mail.TypeUser, mail.TypeAlias} {
		if err := d.requireNone(ctx, op, t, "@"+owner); err != nil {
			return err
		}
	}
	return d.remove(ctx, mail.TypeDomain, owner)
}

// requireNone goes through all names of a type and wants none of them in a domain.
func (d *Directory) requireNone(ctx context.Context, op string, t cluster.ObjectType, suffix string) error {
	after := ""
	for {
		page, err := d.cluster.Owners(ctx, t, after, ListMax)
		if err != nil {
			return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
		}
		if len(page) == 0 {
			return nil
		}
		for i := range page {
			after = page[i].Object.ID.Owner
			if !page[i].Object.Deleted && strings.HasSuffix(after, suffix) {
				return cluster.Errorf(cluster.KindExists, op, "it still has the %s %s: remove all its users and aliases first", t, after)
			}
		}
	}
}

// DomainInfo is a domain in a list.
type DomainInfo struct {
	Domain     string             `json:"domain"`
	Created    time.Time          `json:"created"`
	Postmaster string             `json:"postmaster,omitempty"`
	CatchAll   string             `json:"catch_all,omitempty"`
	Copies     int                `json:"copies,omitempty"`
	Nodes      cluster.ReplicaSet `json:"nodes"`
}

// ListDomains gives the next domains after a name, as ListUsers does users.
func (d *Directory) ListDomains(ctx context.Context, after string, limit int) (domains []DomainInfo, next string, err error) {
	next, err = d.list(ctx, mail.TypeDomain, after, limit, func(c *cluster.CachedObject) error {
		r, err := decodeDomain(c.Contents)
		if err != nil {
			return err
		}
		domains = append(domains, DomainInfo{Domain: c.Object.ID.Owner, Created: r.Created,
			Postmaster: r.Postmaster, CatchAll: r.CatchAll, Copies: r.Copies, Nodes: c.Object.Replicas})
		return nil
	})
	return domains, next, err
}
