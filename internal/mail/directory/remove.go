package directory

import (
	"context"
	"errors"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Limits of the removal of a user's mail.
const (
	purgeBatchMax  = 500 // messages deleted with one call to each node
	purgeRoundsMax = 3   // looks for mail that came while the rest was deleted
)

// RemoveUser removes a user and the user's mail, in this order: first the profile becomes a
// tombstone, from then on no mail comes in and nobody logs in; then the messages are deleted in
// batches. It gives how many were deleted. If it fails half-way, repeat it: it goes on where it
// stopped. A message that has a copy here goes everywhere, at nodes that are away when they are back;
// what lies on such nodes alone stays there unseen: nobody has the name, and a later account of the
// same name is shown only what came after the removal (Profile.MailAfter).
// KindNotFound: proven that there is no such user and none was removed with mail left.
func (d *Directory) RemoveUser(ctx context.Context, u mail.User) (deleted int, err error) {
	p := patience{wait: d.cfg.ResolveWait}
	e, err := d.entry(ctx, &p, string(u), mail.TypeUser)
	if err != nil {
		return 0, err
	}
	missing := false
	if _, ok := e.Find(mail.TypeUser, ""); ok || removedAt(&e, mail.TypeUser).IsZero() {
		err = d.remove(ctx, mail.TypeUser, string(u))
		if missing = cluster.IsKind(err, cluster.KindNotFound); err != nil && !missing {
			return 0, err
		}
	} else {
		missing, err = true, cluster.Errorf(cluster.KindNotFound, "remove user "+string(u), "it is removed already")
	}
	for range purgeRoundsMax {
		n, purgeErr := d.purge(ctx, u)
		deleted += n
		if purgeErr != nil {
			return deleted, cluster.Errorf(cluster.KindOf(purgeErr), "remove mail of "+string(u), "%w (repeat the removal to go on)", purgeErr)
		}
		if n == 0 {
			break
		}
	}
	if missing && deleted == 0 {
		return 0, err
	}
	return deleted, nil
}

// leftTypes are the types of what a user leaves behind, in the order in which it is deleted: messages, then what IMAP
// knew of them. What stayed of that would be joined with what a later account of the same name writes.
func leftTypes() []cluster.ObjectType {
	return []cluster.ObjectType{mail.TypeMessage, mail.TypeLedger, mail.TypeFolders}
}

// purge deletes all objects of a user who has no profile any more, and gives how many messages those were.
func (d *Directory) purge(ctx context.Context, u mail.User) (deleted int, err error) {
	p := patience{wait: d.cfg.ResolveWait}
	e, err := d.entry(ctx, &p, string(u))
	if err != nil {
		return 0, err
	}
	if _, ok := e.Find(mail.TypeUser, ""); ok {
		return 0, cluster.Errorf(cluster.KindExists, "remove mail of "+string(u), "the user has been made again")
	}
	if e.Knowledge == cluster.Partial {
		return 0, unproven("list mail of "+string(u), &e)
	}
	for _, t := range leftTypes() {
		for _, holder := range d.holders(&e, t) {
			objects, err := d.cluster.List(ctx, holder, string(u), t)
			if err != nil {
				return deleted, err
			}
			n, err := d.deleteAll(ctx, objects, holder)
			if t == mail.TypeMessage {
				deleted += n
			}
			if err != nil {
				return deleted, err
			}
		}
	}
	return deleted, nil
}

// holders lists the members that hold objects of the owner, of that type.
func (d *Directory) holders(e *cluster.Entry, t cluster.ObjectType) cluster.ReplicaSet {
	var ids []cluster.NodeID
	for i := range e.Fragments {
		if e.Fragments[i].Type == t {
			ids = append(ids, e.Fragments[i].Holders...)
		}
	}
	view := d.cluster.View()
	for i := range e.Cached {
		if o := &e.Cached[i].Object; o.ID.Type == t && !o.Deleted {
			ids = append(ids, slices.DeleteFunc(slices.Clone(o.Replicas), func(id cluster.NodeID) bool { return !view.Contains(id) })...)
		}
	}
	return cluster.NewReplicaSet(ids...)
}

func (d *Directory) deleteAll(ctx context.Context, objects []cluster.Object, holder cluster.NodeID) (deleted int, err error) {
	for len(objects) > 0 {
		batch := objects[:min(len(objects), purgeBatchMax)]
		objects = objects[len(batch):]
		updates := make([]cluster.Update, len(batch))
		for i, o := range batch {
			updates[i] = cluster.Update{
				Object:   cluster.Object{ID: o.ID, Deleted: true},
				Previous: cluster.NewReplicaSet(append([]cluster.NodeID{holder}, o.Replicas...)...),
			}
		}
		errs := d.cluster.UpdateAll(ctx, updates)
		var failed error
		for _, err := range errs {
			if mail.Holds(err) {
				deleted++
			} else {
				failed = errors.Join(failed, err)
			}
		}
		if failed != nil {
			return deleted, failed
		}
	}
	return deleted, nil
}
