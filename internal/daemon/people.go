package daemon

import (
	"cmp"
	"context"
	"sync"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory"
)

// people shows the directory to the admin socket: text in, text out.
type people struct{ d *daemon }

var _ admin.Directory = people{}

func parse(op, text string) (mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return a, cluster.Errorf(cluster.KindInvalid, op, "%w: write name@domain", err)
	}
	return a, nil
}

func user(op, text string) (mail.User, error) {
	a, err := parse(op, text)
	return mail.User(a.Canonical()), err
}

func (p people) AddUser(ctx context.Context, address, password string) error {
	a, err := parse("add user", address)
	if err != nil {
		return err
	}
	credential, err := p.d.directory.NewCredential(password)
	if err != nil {
		return err
	}
	_, err = p.d.directory.AddUser(ctx, a, directory.NewUser{Credential: credential})
	return err
}

// usersAtOnce bounds the users that one command works on at the same time.
const usersAtOnce = 16

func (p people) AddUsers(ctx context.Context, addresses []string, password string) error {
	// Derived when the first user is missing: when all are there it costs nothing.
	derive := sync.OnceValues(func() (directory.Credential, error) { return p.d.directory.NewCredential(password) })
	return inParallel(ctx, addresses, usersAtOnce, func(ctx context.Context, text string) error {
		a, err := parse("add user", text)
		if err != nil {
			return err
		}
		_, err = p.d.directory.Mailbox(ctx, mail.User(a.Canonical()))
		if !cluster.IsKind(err, cluster.KindNotFound) {
			return err // there already, or not known now
		}
		credential, err := derive()
		if err != nil {
			return err
		}
		_, err = p.d.directory.AddUser(ctx, a, directory.NewUser{Credential: credential})
		return err
	})
}

func (p people) SetPassword(ctx context.Context, address, password string) error {
	u, err := user("set password", address)
	if err != nil {
		return err
	}
	credential, err := p.d.directory.NewCredential(password)
	if err != nil {
		return err
	}
	return p.d.directory.SetPassword(ctx, u, credential)
}

func (p people) RemoveUser(ctx context.Context, address string) error {
	u, err := user("remove user", address)
	if err != nil {
		return err
	}
	deleted, err := p.d.directory.RemoveUser(ctx, u)
	if err == nil {
		p.d.log.Info("user removed", "user", u, "messages_deleted", deleted)
	}
	return err
}

func (p people) EditUser(ctx context.Context, address string, c admin.UserChange) error {
	u, err := user("change user", address)
	if err != nil {
		return err
	}
	return p.d.directory.EditUser(ctx, u, func(profile *directory.Profile) {
		set(&profile.Settings.QuotaBytes, c.QuotaBytes)
		set(&profile.Settings.QuotaMessages, c.QuotaMessages)
		set(&profile.Disabled, c.Disabled)
		set(&profile.Settings.Copies, c.Copies)
	})
}

// set changes a field if there is a new value.
func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func (p people) ListUsers(ctx context.Context, after string, limit int) ([]admin.User, error) {
	infos, _, err := p.d.directory.ListUsers(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	users, items := make([]admin.User, len(infos)), make([]*admin.User, len(infos))
	for i, u := range infos {
		users[i] = p.shown(ctx, &u)
		items[i] = &users[i]
	}
	err = inParallel(ctx, items, usersAtOnce, func(ctx context.Context, u *admin.User) (err error) {
		u.Messages, u.Bytes, err = p.usage(ctx, mail.User(u.Address))
		return err
	})
	return users, err
}

// shown gives what the socket shows of a user, without the mail.
func (p people) shown(ctx context.Context, u *directory.UserInfo) admin.User {
	s := u.Settings
	return admin.User{Address: string(u.User), Created: u.Created, Changed: u.Changed, Disabled: u.Disabled,
		QuotaBytes: s.QuotaBytes, QuotaMessages: s.QuotaMessages, Copies: s.Copies,
		CopiesWanted: cmp.Or(s.Copies, p.d.directory.Copies(ctx, u.User), p.d.cfg.Cluster.MessageCopies)}
}

func (p people) ShowUser(ctx context.Context, address string) (admin.UserDetail, error) {
	u, err := user("show user", address)
	if err != nil {
		return admin.UserDetail{}, err
	}
	info, fragments, err := p.d.directory.User(ctx, u)
	if err != nil {
		return admin.UserDetail{}, err
	}
	detail := admin.UserDetail{User: p.shown(ctx, &info), SCRAM: info.SCRAM, ProfileNodes: info.Nodes, Mail: []admin.Fragment{}}
	for _, f := range fragments {
		detail.Messages += f.Count
		detail.Bytes += f.Bytes
		detail.Mail = append(detail.Mail, admin.Fragment{Nodes: f.Replicas, Live: f.Holders, Messages: f.Count, Bytes: f.Bytes})
	}
	return detail, nil
}

// usage sums what the user's mail map says of the user's fragments.
func (p people) usage(ctx context.Context, u mail.User) (messages, bytes int64, err error) {
	e, err := p.d.node.Lookup(ctx, string(u))
	if err != nil {
		return 0, 0, err
	}
	for _, f := range e.Fragments {
		if f.Type == mail.TypeMessage {
			messages += f.Count
			bytes += f.Bytes
		}
	}
	return messages, bytes, nil
}

func (p people) AddDomain(ctx context.Context, x admin.Domain) error {
	settings, err := domainSettings("add domain "+x.Domain, x)
	if err != nil {
		return err
	}
	return p.d.directory.AddDomain(ctx, x.Domain, settings)
}

func (p people) SetDomain(ctx context.Context, x admin.Domain) error {
	settings, err := domainSettings("change domain "+x.Domain, x)
	if err != nil {
		return err
	}
	return p.d.directory.SetDomain(ctx, x.Domain, settings)
}

func domainSettings(op string, x admin.Domain) (s directory.DomainSettings, err error) {
	for _, f := range []struct {
		text  string
		field *mail.Address
	}{{x.Postmaster, &s.Postmaster}, {x.CatchAll, &s.CatchAll}} {
		if f.text == "" {
			continue
		}
		if *f.field, err = parse(op, f.text); err != nil {
			return s, err
		}
	}
	s.Copies = x.Copies
	return s, nil
}

func (p people) RemoveDomain(ctx context.Context, domain string) error {
	return p.d.directory.RemoveDomain(ctx, domain)
}

func (p people) ListDomains(ctx context.Context, after string, limit int) ([]admin.Domain, error) {
	infos, _, err := p.d.directory.ListDomains(ctx, after, limit)
	domains := make([]admin.Domain, len(infos))
	for i, d := range infos {
		domains[i] = admin.Domain{Domain: d.Domain, Postmaster: d.Postmaster, CatchAll: d.CatchAll, Copies: d.Copies}
	}
	return domains, err
}

func (p people) AddAlias(ctx context.Context, alias string, targets []string) error {
	a, err := parse("add alias", alias)
	if err != nil {
		return err
	}
	addrs := make([]mail.Address, len(targets))
	for i, t := range targets {
		if addrs[i], err = parse("add alias", t); err != nil {
			return err
		}
	}
	return p.d.directory.AddAlias(ctx, a, addrs)
}

func (p people) RemoveAlias(ctx context.Context, alias string) error {
	a, err := parse("remove alias", alias)
	if err != nil {
		return err
	}
	return p.d.directory.RemoveAlias(ctx, a)
}

func (p people) ListAliases(ctx context.Context, after string, limit int) ([]admin.Alias, error) {
	infos, _, err := p.d.directory.ListAliases(ctx, after, limit)
	aliases := make([]admin.Alias, len(infos))
	for i, a := range infos {
		aliases[i] = admin.Alias{Address: a.Address, Targets: a.Targets}
	}
	return aliases, err
}
