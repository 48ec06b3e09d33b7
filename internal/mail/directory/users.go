package directory

import (
	"context"
	"errors"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory/credential"
)

// Credential is the stored record of a password.
type Credential = credential.Credential

// ListMax bounds one page of a list.
const ListMax = 1000

// NewCredential makes the record of a password, once; any number of users may share it.
// KindInvalid: the password cannot be one.
func (d *Directory) NewCredential(password string) (Credential, error) {
	c, err := credential.New(password, d.cfg.Credentials)
	if err != nil {
		return c, cluster.Errorf(cluster.KindInvalid, "make credential", "%w", err)
	}
	return c, nil
}

// NewUser is what a user is made with.
type NewUser struct {
	Credential Credential
	Settings   mail.Settings
}

// AddUser makes a user. On return the profile is durable on two nodes at least, if two are known, and
// known to the manager. KindExists: the name is taken, by a user or an alias, or by mail of a removed user.
// KindInvalid: the address cannot be an account, or its domain is not ours. KindUnavailable: it
// cannot be proven now that the name is free, or too few nodes can take the profile.
func (d *Directory) AddUser(ctx context.Context, a mail.Address, n NewUser) (mail.User, error) {
	op := "add user " + a.String()
	owner, err := name(op, a)
	if err != nil {
		return "", err
	}
	if err := errors.Join(n.Credential.Check(), checkSettings(n.Settings)); err != nil {
		return "", cluster.Errorf(cluster.KindInvalid, op, "%w", err)
	}
	if err := d.requireDomain(ctx, op, a); err != nil {
		return "", err
	}
	p := patience{wait: d.cfg.ResolveWait}
	e, err := d.entry(ctx, &p, owner, mail.TypeUser)
	if err != nil {
		return "", err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	contents, err := encodeRecord(&Profile{Version: recordVersion, Created: now, Changed: now,
		Credential: n.Credential, Settings: n.Settings, MailAfter: removedAt(&e, mail.TypeUser)})
	if err != nil {
		return "", err
	}
	_, err = d.change(ctx, change{Op: opAdd, Type: mail.TypeUser, Owner: owner, Contents: contents})
	return mail.User(owner), err
}

// removedAt gives the timestamp of an object's tombstone, zero if there is none.
func removedAt(e *cluster.Entry, t cluster.ObjectType) cluster.Timestamp {
	for _, c := range e.Cached {
		if c.Object.ID.Type == t && c.Object.Deleted {
			return c.Object.Timestamp
		}
	}
	return cluster.Timestamp{}
}

// requireDomain wants the domain of a new name to be ours.
func (d *Directory) requireDomain(ctx context.Context, op string, a mail.Address) error {
	domain := a.Fold().Domain
	_, err := d.current(ctx, op, mail.TypeDomain, domain)
	if cluster.IsKind(err, cluster.KindNotFound) {
		return cluster.Errorf(cluster.KindInvalid, op, "domain %s is not ours: add it first", domain)
	}
	return err
}

// EditUser changes a user's profile: edit gets a copy, and may be called again if another
// change comes between. KindNotFound: proven that there is no such user.
func (d *Directory) EditUser(ctx context.Context, u mail.User, edit func(*Profile)) error {
	op := "change user " + string(u)
	return d.edit(ctx, mail.TypeUser, string(u), func(old []byte) ([]byte, error) {
		p, err := decodeProfile(old)
		if err != nil {
			return nil, cluster.Errorf(cluster.KindCorrupt, op, "%w", err)
		}
		created, floor := p.Created, p.MailAfter
		edit(p)
		p.Version, p.Created, p.MailAfter = recordVersion, created, floor
		p.Changed = time.Now().UTC().Truncate(time.Millisecond)
		if err := errors.Join(p.Credential.Check(), checkSettings(p.Settings)); err != nil {
			return nil, cluster.Errorf(cluster.KindInvalid, op, "%w", err)
		}
		return encodeRecord(p)
	})
}

// SetPassword gives a user another password. On return no member of this view accepts the old
// one (A2): the manager's soft state has the new profile, and no verified login is remembered beyond
// the profile it was verified by. A node that is away still has the old one on its disk: alone with
// itself it would accept it, until it meets the others again and hears of the new one. Of two
// passwords set on two sides of a partition, the later one stays.
func (d *Directory) SetPassword(ctx context.Context, u mail.User, c Credential) error {
	return d.EditUser(ctx, u, func(p *Profile) { p.Credential = c })
}

// UserInfo is a user in a list.
type UserInfo struct {
	User     mail.User          `json:"user"`
	Created  time.Time          `json:"created"`
	Changed  time.Time          `json:"changed"`
	Disabled bool               `json:"disabled"`
	SCRAM    bool               `json:"scram"`
	Settings mail.Settings      `json:"settings"`
	Nodes    cluster.ReplicaSet `json:"nodes"` // that the profile lies on
}

// ListUsers gives the next users after a name, in order, at most limit (ListMax if 0), and the
// name to go on with: empty after the last.
func (d *Directory) ListUsers(ctx context.Context, after string, limit int) (users []UserInfo, next string, err error) {
	next, err = d.list(ctx, mail.TypeUser, after, limit, func(c *cluster.CachedObject) error {
		p, err := decodeProfile(c.Contents)
		if err != nil {
			return err
		}
		users = append(users, infoOf(c, p))
		return nil
	})
	return users, next, err
}

func infoOf(c *cluster.CachedObject, p *Profile) UserInfo {
	return UserInfo{User: mail.User(c.Object.ID.Owner), Created: p.Created, Changed: p.Changed,
		Disabled: p.Disabled, SCRAM: p.Credential.SCRAM != nil, Settings: p.Settings, Nodes: c.Object.Replicas}
}

// User gives what ListUsers would say of one user, and the user's mail map. KindNotFound: proven that
// there is none.
func (d *Directory) User(ctx context.Context, u mail.User) (info UserInfo, fragments []cluster.Placed, err error) {
	patience := patience{wait: d.cfg.ResolveWait}
	e, err := d.entry(ctx, &patience, string(u), mail.TypeUser)
	if err != nil {
		return info, nil, err
	}
	c, ok := e.Find(mail.TypeUser, "")
	if !ok {
		return info, nil, absent("look up user "+string(u), &e)
	}
	p, err := decodeProfile(c.Contents)
	if err != nil {
		return info, nil, cluster.Errorf(cluster.KindCorrupt, "read user "+string(u), "%w", err)
	}
	for _, f := range e.Fragments {
		if f.Type == mail.TypeMessage {
			fragments = append(fragments, f)
		}
	}
	return infoOf(&c, p), fragments, nil
}

// list visits one page of the live objects of a type.
func (d *Directory) list(ctx context.Context, t cluster.ObjectType, after string, limit int,
	visit func(*cluster.CachedObject) error) (next string, err error) {
	if limit <= 0 || limit > ListMax {
		limit = ListMax
	}
	for visited := 0; visited < limit; {
		page, err := d.cluster.Owners(ctx, t, after, ListMax) // some are tombstones
		if err != nil {
			return "", cluster.Errorf(cluster.KindOf(err), "list objects of type "+string(t), "%w", err)
		}
		if len(page) == 0 {
			return "", nil
		}
		for i := range page {
			after = page[i].Object.ID.Owner
			if page[i].Object.Deleted {
				continue
			}
			if err := visit(&page[i]); err != nil {
				return "", cluster.Errorf(cluster.KindCorrupt, "read "+string(t)+" "+after, "%w", err)
			}
			if visited++; visited == limit {
				break
			}
		}
	}
	return after, nil
}
