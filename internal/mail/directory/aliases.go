package directory

import (
	"context"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// AddAlias makes an address that means others. Errors as of AddUser; KindInvalid also if a
// target is proven not to exist: an alias can only mean addresses of ours, for now.
func (d *Directory) AddAlias(ctx context.Context, a mail.Address, targets []mail.Address) error {
	op := "add alias " + a.String()
	owner, err := name(op, a)
	if err != nil {
		return err
	}
	if len(targets) == 0 || len(targets) > AliasTargetsMax {
		return cluster.Errorf(cluster.KindInvalid, op, "%d targets, want 1 to %d", len(targets), AliasTargetsMax)
	}
	if err := d.requireDomain(ctx, op, a); err != nil {
		return err
	}
	record := Alias{Version: recordVersion, Created: time.Now().UTC().Truncate(time.Millisecond)}
	for _, t := range targets {
		canonical := t.Canonical()
		if slices.Contains(record.Targets, canonical) {
			continue
		}
		if canonical == owner {
			return cluster.Errorf(cluster.KindInvalid, op, "an alias cannot lead to itself")
		}
		if err := d.requireTarget(ctx, op, t); err != nil {
			return err
		}
		record.Targets = append(record.Targets, canonical)
	}
	contents, err := encodeRecord(&record)
	if err != nil {
		return err
	}
	_, err = d.change(ctx, change{Op: opAdd, Type: mail.TypeAlias, Owner: owner, Contents: contents})
	return err
}

func (d *Directory) requireTarget(ctx context.Context, op string, t mail.Address) error {
	_, err := d.Resolve(ctx, t)
	switch cluster.KindOf(err) {
	case cluster.KindNotFound, cluster.KindDenied:
		return cluster.Errorf(cluster.KindInvalid, op, "target %s does not exist here: %w", t, err)
	}
	return err
}

// RemoveAlias removes an alias. KindNotFound: proven that there is none.
func (d *Directory) RemoveAlias(ctx context.Context, a mail.Address) error {
	return d.remove(ctx, mail.TypeAlias, a.Canonical())
}

// AliasInfo is an alias in a list.
type AliasInfo struct {
	Address string             `json:"address"`
	Created time.Time          `json:"created"`
	Targets []string           `json:"targets"`
	Nodes   cluster.ReplicaSet `json:"nodes"`
}

// ListAliases gives the next aliases after a name, as ListUsers does users.
func (d *Directory) ListAliases(ctx context.Context, after string, limit int) (aliases []AliasInfo, next string, err error) {
	next, err = d.list(ctx, mail.TypeAlias, after, limit, func(c *cluster.CachedObject) error {
		r, err := decodeAlias(c.Contents)
		if err != nil {
			return err
		}
		aliases = append(aliases, AliasInfo{Address: c.Object.ID.Owner, Created: r.Created, Targets: r.Targets, Nodes: c.Object.Replicas})
		return nil
	})
	return aliases, next, err
}
