package directory

import (
	"context"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Resolve says which mailboxes an address means. The usual case, an address that is a user, is
// one call to the user's manager. Otherwise, in this order: an alias of that name; and, if it is
// proven that nobody has the name, the address without its detail; the domain's postmaster; the
// domain's catch-all. Several things may happen:
//
//  1. At least one mailbox, none twice, in the order of the aliases' targets.
//  2. KindNotFound: proven that a domain of ours has no such address.
//  3. KindDenied: proven that the domain is not ours.
//  4. KindLimit: the address means too much: AliasDepthMax or UsersMax.
//  5. Any other kind: it cannot be said now. An alias that leads nowhere is such a case too: it
//     is somebody's mistake, and mail should wait until it is mended.
func (d *Directory) Resolve(ctx context.Context, a mail.Address) ([]mail.Mailbox, error) {
	if a.Domain == "" {
		var err error
		if a, err = d.completePostmaster(ctx, a); err != nil {
			return nil, err
		}
	}
	r := resolution{d: d, patience: patience{wait: d.cfg.ResolveWait}}
	if err := r.add(ctx, a.Fold(), 0); err != nil {
		return nil, err
	}
	if len(r.found) == 0 {
		return nil, cluster.Errorf(cluster.KindInternal, "resolve "+a.Canonical(), "the alias leads only to itself or to addresses that are gone: correct it")
	}
	return r.found, nil
}

// Mailbox looks up one user; Settings.Copies is the domain's number if the user has none. KindNotFound:
// proven that there is none.
func (d *Directory) Mailbox(ctx context.Context, u mail.User) (mail.Mailbox, error) {
	p := patience{wait: d.cfg.ResolveWait}
	e, err := d.entry(ctx, &p, string(u), mail.TypeUser)
	if err != nil {
		return mail.Mailbox{}, err
	}
	box, ok, err := mailboxIn(string(u), e)
	if err == nil && !ok {
		err = absent("look up user "+string(u), &e)
	}
	if err != nil {
		return mail.Mailbox{}, err
	}
	return d.withCopies(ctx, box), nil
}

// mailboxIn gives the user of that name, if the entry has one.
func mailboxIn(owner string, e cluster.Entry) (mail.Mailbox, bool, error) {
	p, ok, err := profileIn(owner, &e)
	if !ok || err != nil {
		return mail.Mailbox{}, false, err
	}
	return mail.Mailbox{User: mail.User(owner), Settings: p.Settings, Entry: e}, true, nil
}

func profileIn(owner string, e *cluster.Entry) (*mailPart, bool, error) {
	c, ok := e.Find(mail.TypeUser, "")
	if !ok {
		return nil, false, nil
	}
	p, err := decodeMailPart(c.Contents)
	if err != nil {
		return nil, false, cluster.Errorf(cluster.KindCorrupt, "read user "+owner, "%w", err)
	}
	return p, true, nil
}

// MailFloor gives the timestamp that a message must be newer than to belong to the user whose
// entry it is (Profile.MailAfter). KindUnavailable: the entry has no profile.
func MailFloor(e *cluster.Entry) (cluster.Timestamp, error) {
	p, ok, err := profileIn(e.Owner, e)
	if err != nil {
		return cluster.Timestamp{}, err
	}
	if !ok {
		return cluster.Timestamp{}, unproven("read user "+e.Owner, e)
	}
	return p.MailAfter, nil
}

// resolution is one Resolve on its way.
type resolution struct {
	d        *Directory
	patience patience
	found    []mail.Mailbox
	visited  []string // names that were looked up: what ends loops
}

// add adds what a canonical address means.
func (r *resolution) add(ctx context.Context, a mail.Address, depth int) error {
	owner := a.String()
	if depth > AliasDepthMax {
		return cluster.Errorf(cluster.KindLimit, "resolve "+owner, "aliases lead to aliases more than %d deep", AliasDepthMax)
	}
	done, proven, err := r.addName(ctx, owner, depth)
	if done || err != nil {
		return err
	}
	// A name with a separator in it may be somebody's own: until it is proven that it is not, the
	// mail is not another's.
	if base, _ := a.SplitDetail(r.d.cfg.Separators); proven && base != a {
		done, sure, err := r.addName(ctx, base.String(), depth)
		if done || err != nil {
			return err
		}
		proven = sure
	}
	return r.addByDomain(ctx, a, proven, depth)
}

// addName adds the user or the alias of exactly that name. If there is none, done is false, and
// proven says whether that is certain.
func (r *resolution) addName(ctx context.Context, owner string, depth int) (done, proven bool, err error) {
	if slices.Contains(r.visited, owner) {
		return true, true, nil
	}
	e, err := r.d.entry(ctx, &r.patience, owner, mail.TypeUser, mail.TypeAlias)
	if err != nil {
		return false, false, err
	}
	box, ok, err := mailboxIn(owner, e)
	if err != nil {
		return false, false, err
	}
	if ok {
		if len(r.found) == UsersMax {
			return false, false, cluster.Errorf(cluster.KindLimit, "resolve "+owner, "address means more than %d users", UsersMax)
		}
		if depth > 0 { // only aliases can come back to a name
			r.visited = append(r.visited, owner)
		}
		r.found = append(r.found, r.d.withCopies(ctx, box))
		return true, true, nil
	}
	c, ok := e.Find(mail.TypeAlias, "")
	if !ok {
		return false, e.Knowledge == cluster.Conclusive, nil
	}
	r.visited = append(r.visited, owner)
	alias, err := decodeAlias(c.Contents)
	if err != nil {
		return false, false, cluster.Errorf(cluster.KindCorrupt, "read alias "+owner, "%w", err)
	}
	return true, true, r.addTargets(ctx, owner, alias.Targets, depth)
}

// addTargets adds what an alias means. Targets that are proven gone are passed over.
func (r *resolution) addTargets(ctx context.Context, owner string, targets []string, depth int) error {
	for _, t := range targets {
		a, err := mail.ParseAddress(t)
		if err != nil {
			return cluster.Errorf(cluster.KindCorrupt, "read alias "+owner, "%w", err)
		}
		err = r.add(ctx, a, depth+1)
		if cluster.IsKind(err, cluster.KindNotFound) || cluster.IsKind(err, cluster.KindDenied) {
			r.d.warnPaced(ctx, "alias target does not exist", "alias", owner, "target", t)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addByDomain decides on an address that is nobody's: proven says whether that is certain. A
// catch-all must not get the mail of a user who is merely unknown at the moment.
func (r *resolution) addByDomain(ctx context.Context, a mail.Address, proven bool, depth int) error {
	op := "resolve " + a.String()
	e, err := r.d.entry(ctx, &r.patience, a.Domain, mail.TypeDomain)
	if err != nil {
		return err
	}
	c, ok := e.Find(mail.TypeDomain, "")
	switch {
	case !ok && e.Knowledge == cluster.Conclusive:
		return cluster.Errorf(cluster.KindDenied, op, "domain is not ours")
	case !ok:
		return unproven(op, &e)
	case !proven:
		return cluster.Errorf(cluster.KindUnavailable, op, "not known here, and it is not proven that it does not exist: try again later")
	}
	domain, err := decodeDomain(c.Contents)
	if err != nil {
		return cluster.Errorf(cluster.KindCorrupt, "read domain "+a.Domain, "%w", err)
	}
	base, _ := a.SplitDetail(r.d.cfg.Separators)
	target := domain.CatchAll
	if base.Local == "postmaster" && domain.Postmaster != "" {
		target = domain.Postmaster
	}
	if target == "" {
		return cluster.Errorf(cluster.KindNotFound, op, "no such address in our domain")
	}
	r.visited = append(r.visited, a.String())
	t, err := mail.ParseAddress(target)
	if err != nil {
		return cluster.Errorf(cluster.KindCorrupt, "read domain "+a.Domain, "%w", err)
	}
	if slices.Contains(r.visited, t.String()) {
		return cluster.Errorf(cluster.KindNotFound, op, "no such address in our domain")
	}
	return r.add(ctx, t, depth+1)
}
