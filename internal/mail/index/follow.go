package index

import (
	"context"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// follow subscribes at the holders given, and ends the subscriptions at all others. AFTER it has returned, a listing
// misses nothing that is not told. It reports whether it began a subscription: then a listing is due, and who does not
// list says so (missed).
func (b *box) follow(ctx context.Context, holders cluster.ReplicaSet) (began bool, err error) {
	if b.x.cfg.Follow == nil {
		return false, nil
	}
	b.mu.Lock()
	var ended []func()
	var missing []cluster.NodeID
	for id, stop := range b.stops {
		if !holders.Contains(id) {
			ended = append(ended, stop)
			delete(b.stops, id)
		}
	}
	for _, id := range holders {
		if b.stops[id] == nil {
			missing = append(missing, id)
		}
	}
	b.mu.Unlock()
	for _, stop := range ended {
		stop()
	}
	for _, id := range missing {
		stop, err := b.x.cfg.Follow(ctx, id, string(b.user), b.changed)
		if err != nil {
			return began, cluster.Errorf(cluster.KindUnavailable, "follow the mail of "+string(b.user), "%w", err)
		}
		began = true
		b.mu.Lock()
		before := b.stops[id]
		b.stops[id] = stop
		b.mu.Unlock()
		if before != nil {
			before()
		}
	}
	if began {
		b.rest() // if it was dropped meanwhile
	}
	return began, nil
}

// unfollow ends all subscriptions.
func (b *box) unfollow() {
	b.mu.Lock()
	stops := b.stops
	b.stops = make(map[cluster.NodeID]func())
	b.changes, b.stale = nil, true
	b.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
}

// changed takes what the feed tells, for the next question, and tells those who watch.
func (b *box) changed(gap bool, changes []cluster.Change) {
	b.mu.Lock()
	if gap || len(b.changes)+len(changes) > changesMax {
		b.stale, b.changes = true, nil
	} else if !b.stale {
		b.changes = append(b.changes, changes...)
	}
	b.mu.Unlock()
	b.notify(foldersOf(gap, changes)...)
}

// foldersOf gives the folders that messages came into; none: it may be any.
func foldersOf(gap bool, changes []cluster.Change) (ids []mail.FolderID) {
	for i := range changes {
		a, err := mail.ParseMessageAttr(changes[i].Object.Attr)
		if gap || err != nil || changes[i].State != cluster.ChangeStored {
			return nil
		}
		if !slices.Contains(ids, a.Folder) {
			ids = append(ids, a.Folder)
		}
	}
	return ids
}

// takeChanges gives what was told since the last time. stale: list again.
func (b *box) takeChanges() (changes []cluster.Change, stale bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changes, stale = b.changes, b.stale || b.x.cfg.Follow == nil
	b.changes, b.stale = nil, false
	return changes, stale
}

// missed says that something may not have been told: the next question lists.
func (b *box) missed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stale, b.changes = true, nil
}

// notify tells the nodes that watch the user. folders are those that may have changed; none: any.
func (b *box) notify(folders ...mail.FolderID) {
	b.x.mu.Lock()
	nodes := make([]cluster.NodeID, 0, len(b.watchers))
	for id := range b.watchers {
		nodes = append(nodes, id)
	}
	b.x.mu.Unlock()
	slices.Sort(nodes)
	for _, id := range nodes {
		b.x.courier.add(id, b.user, folders)
	}
}

// watch notes that a node wants to be told, or no more. missed: since it said so before, something could not be told; or it has not said so for
// so long that it was not told of anything.
func (x *Indexes) watch(b *box, node cluster.NodeID, on bool) (missed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	w, known := b.watchers[node]
	missed = w.missed || on && !known
	if !on {
		delete(b.watchers, node)
		return missed
	}
	if b.watchers == nil {
		b.watchers = make(map[cluster.NodeID]watching)
	}
	b.watchers[node] = watching{until: time.Now().Add(x.cfg.WatchFor)}
	return missed
}

// notTold notes that a node could not be told of users.
func (x *Indexes) notTold(node cluster.NodeID, users []mail.User) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, u := range users {
		b := x.boxes[u]
		if b == nil {
			continue
		}
		if w, ok := b.watchers[node]; ok {
			w.missed = true
			b.watchers[node] = w
		}
	}
}

// look looks for fragments that are new, of users who are watched: nobody tells of those. It needs no
// index. And it has the sessions look where an index has more to show by now (state.due).
func (x *Indexes) look(ctx context.Context) {
	now := time.Now()
	x.mu.Lock()
	var watched, due []*box
	for _, b := range x.boxes {
		if len(b.watchers) == 0 {
			continue
		}
		watched = append(watched, b)
		if !b.due.IsZero() && !now.Before(b.due) {
			b.due = time.Time{} // the question that follows sets the next one
			due = append(due, b)
		}
	}
	x.mu.Unlock()
	for _, b := range due {
		b.notify()
	}
	for _, b := range watched {
		if ctx.Err() != nil {
			return
		}
		if _, err := x.termOf(b.user); err != nil {
			continue // the watchers see the new view themselves
		}
		e, ok := x.cluster.LocalEntry(ctx, string(b.user))
		if !ok || e.Knowledge == cluster.Partial {
			continue
		}
		began, err := b.follow(ctx, holdersOf(&e))
		if err != nil {
			x.cfg.Logger.Debug("not followed at all holders, trying again", "user", b.user, "err", err)
		}
		if began || err != nil {
			b.missed()
		}
		if began {
			b.notify()
		}
	}
}

// holdersOf gives the live nodes that hold messages of an entry.
func holdersOf(e *cluster.Entry) (nodes cluster.ReplicaSet) {
	for i := range e.Fragments {
		if f := &e.Fragments[i]; f.Type == mail.TypeMessage {
			nodes = nodes.Union(cluster.NewReplicaSet(f.Holders...))
		}
	}
	return nodes
}
