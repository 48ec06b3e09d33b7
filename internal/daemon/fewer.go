package daemon

import (
	"context"
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/directory"
)

// After a node has come or gone lists are refused for a moment, until the others have told what they hold: who takes a node out that has
// just left shall not have to ask twice.
const (
	listWait  = 15 * time.Second // for lists that are whole
	listEvery = 100 * time.Millisecond
)

// staying counts the members that stay without one: those that drain, or are on their way out, do not.
func staying(v *cluster.View, loads map[cluster.NodeID]cluster.Load, without cluster.NodeID) (n int) {
	for _, id := range v.IDs() {
		if id != without && !loads[id].Draining {
			n++
		}
	}
	return n
}

// enoughStay wants as many nodes to stay without one as messages are to have copies. Whoever takes nodes out until one has the only
// copy of everything shall have said so.
func (d *daemon) enoughStay(ctx context.Context, op string, without cluster.NodeID) error {
	stay := 0
	who, err := whenWhole(ctx, func() (string, error) {
		stay = staying(d.node.View(), d.node.Loads(), without)
		return d.wantsMore(ctx, stay)
	})
	switch {
	case err != nil:
		return cluster.Errorf(cluster.KindOf(err), op, "%d of the nodes that are there and do not drain would stay, and whether a domain or a user wants more copies cannot be said now: %w: try again, or give --fewer-copies if it does not matter", stay, err)
	case who != "":
		return cluster.Errorf(cluster.KindInvalid, op, "%d of the nodes that are there and do not drain would stay, and %s: start nodes that are absent, or add one ('porcupine token', 'porcupine join'), or give --fewer-copies if fewer copies are meant", stay, who)
	}
	return nil
}

// whenWhole asks, and again for a while if that is not possible now.
func whenWhole(ctx context.Context, ask func() (string, error)) (string, error) {
	for end := time.Now().Add(listWait); ; {
		found, err := ask()
		if !cluster.IsKind(err, cluster.KindUnavailable) || !time.Now().Before(end) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(listEvery):
		}
	}
}

// wantsMore says whose messages are to lie on more nodes than that; "": nobody's.
func (d *daemon) wantsMore(ctx context.Context, nodes int) (who string, err error) {
	if n := d.cfg.Cluster.MessageCopies; n > nodes {
		return fmt.Sprintf("messages are to lie on %d (cluster.message_copies)", n), nil
	}
	if nodes >= cluster.ReplicaSetMax {
		return "", nil // nobody can want more
	}
	const format = "the messages of %s %s are to lie on %d"
	who, err = firstListed(ctx, d.directory.ListDomains, func(x *directory.DomainInfo) string {
		if x.Copies <= nodes {
			return ""
		}
		return fmt.Sprintf(format, "the domain", x.Domain, x.Copies)
	})
	if who != "" || err != nil {
		return who, err
	}
	return firstListed(ctx, d.directory.ListUsers, func(u *directory.UserInfo) string {
		if u.Settings.Copies <= nodes {
			return ""
		}
		return fmt.Sprintf(format, "the user", u.User, u.Settings.Copies)
	})
}

// firstListed walks a paged list and gives the first text that is not empty.
func firstListed[T any](ctx context.Context, list func(context.Context, string, int) ([]T, string, error), text func(*T) string) (string, error) {
	for after := ""; ; {
		items, next, err := list(ctx, after, directory.ListMax)
		if err != nil {
			return "", err
		}
		for i := range items {
			if found := text(&items[i]); found != "" {
				return found, nil
			}
		}
		if after = next; after == "" {
			return "", nil
		}
	}
}
