package testbed

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory"
)

// User is one that mail is delivered to.
type User struct {
	Address mail.Address
	Name    mail.User
}

// triesMax bounds the names that are tried for one user in the buckets wanted.
const triesMax = 1 << 20

// AddUsers makes users who have no mail yet, with so many copies of each message, whose buckets are all of those
// from 0 to buckets-1 in turn: the users fall to a range of buckets evenly.
func (b *Bed) AddUsers(ctx context.Context, count, copies, buckets int) ([]User, error) {
	if buckets < 1 || buckets > cluster.BucketCount {
		return nil, fmt.Errorf("users in %d buckets: want 1 to %d", buckets, cluster.BucketCount)
	}
	credential, err := b.Nodes[0].within().Directory().NewCredential("secret of the evaluation")
	if err != nil {
		return nil, err
	}
	users := make([]User, count)
	g, adding := errgroup.WithContext(ctx)
	g.SetLimit(usersAtOnce)
	up := b.Up()
	for i := range users {
		a, err := b.draw(cluster.Bucket(i*buckets/count), cluster.Bucket((i+1)*buckets/count))
		if err != nil {
			return nil, err
		}
		g.Go(func() error {
			name, err := addUser(adding, up[i%len(up)], a, directory.NewUser{Credential: credential, Settings: mail.Settings{Copies: copies}})
			users[i] = User{Address: a, Name: name}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("make %d users: %w", count, err)
	}
	return users, nil
}

// How often a user is tried to be made, and the pause between: while a view changes nothing can be proven.
const (
	addTries = 60
	addPause = 500 * time.Millisecond
)

func addUser(ctx context.Context, n *Node, a mail.Address, u directory.NewUser) (name mail.User, err error) {
	for range addTries {
		name, err = n.within().Directory().AddUser(ctx, a, u)
		switch {
		case err == nil:
			return name, nil
		case cluster.IsKind(err, cluster.KindExists): // an earlier try
			return mail.User(a.Canonical()), nil
		case !cluster.IsKind(err, cluster.KindUnavailable):
			return "", err
		}
		if err := wait(ctx, addPause); err != nil {
			return "", err
		}
	}
	return "", err
}

// draw gives an address that nobody has yet whose bucket is at least from, and below to, or from itself.
func (b *Bed) draw(from, to cluster.Bucket) (mail.Address, error) {
	for range triesMax {
		a := mail.Address{Local: fmt.Sprintf("u%d", b.users.Add(1)), Domain: domain}
		if k := b.id.BucketOf(a.Canonical()); k == from || k >= from && k < to {
			return a, nil
		}
	}
	return mail.Address{}, fmt.Errorf("no name found in bucket %d", from)
}
