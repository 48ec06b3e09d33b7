package index

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/uidledger"
)

// What an index knows of messages that are gone is proven: all that had them were asked, or they told of it. The next index can prove it only
// when no node at all is away, and until then shows what POP3 has deleted. So BEFORE an index is dropped, idle or for want of
// memory, the ledgers say it.

// Limits of parting.
const (
	partsOnce   = 8  // indexes that are parted with at once
	partsMax    = 64 // in one round of tidy; the others wait for the next
	partTries   = 3  // times IdleAfter: an index whose ledgers cannot be written so long is dropped all the same
	memorySlack = 4  // by this part of MemoryMax indexes that are to be parted with may exceed it; beyond it they are dropped all the same
)

// depart has a message leave a folder that is gone. The ledger says it when the folder is shown, or when the index is parted with.
func (s *state) depart(f mail.FolderID, id mail.MessageID) {
	s.folder(f).ledger.Depart(uidledger.Departure{ID: id, Deleted: true})
	s.dead[id] = cluster.Timestamp{}
	s.unsaid[f] = true
	s.touch(f)
}

// tell has the ledgers say what is gone, until ctx ends. A folder that is closed cannot say it.
func (s *state) tell(ctx context.Context) error {
	for _, id := range slices.SortedFunc(maps.Keys(s.unsaid), func(a, b mail.FolderID) int { return slices.Compare(a[:], b[:]) }) {
		if ctx.Err() != nil { // reveal does not end with it
			return cluster.Errorf(cluster.KindUnavailable, "write the ledgers of "+string(s.user), "%w", context.Cause(ctx))
		}
		if f := s.folders[id]; f != nil && !s.away[id] {
			if err := s.reveal(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// owes reports whether the index knows, or was told, that messages may be gone, and the ledgers do not say it. Preconditions: Indexes.mu is
// held, and nobody has the turn or waits for it.
func (b *box) owes() bool {
	if b.state == nil || b.unsaid {
		return b.state != nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stale || slices.ContainsFunc(b.changes, func(c cluster.Change) bool { return c.State != cluster.ChangeStored })
}

// over reports whether the indexes take so much memory that one goes: one that owes nothing at once, else tidy parts with it, unless
// it is far too much. Preconditions: mu is held.
func (x *Indexes) over(owes bool) bool {
	limit := x.cfg.MemoryMax
	if owes {
		limit += limit / memorySlack
	}
	return x.cost > limit
}

// tidy parts with the indexes that are idle, or too much for the memory, and ends the watches that have run out. The one used last is not too
// much, however large it is (unqueue).
func (x *Indexes) tidy(ctx context.Context, now time.Time) {
	var dropped, owing []*box
	x.mu.Lock()
	for _, b := range x.boxes {
		for id, w := range b.watchers {
			if !now.Before(w.until) {
				delete(b.watchers, id)
			}
		}
		switch idle := now.Sub(b.used); {
		case b.line > 0 || idle < x.cfg.IdleAfter || b.state == nil && len(b.watchers) > 0:
		case idle < partTries*x.cfg.IdleAfter && b.owes():
			owing = append(owing, b)
		default:
			x.drop(b)
			dropped = append(dropped, b)
		}
	}
	left := x.cost
	for e := x.recent.Back(); e != nil && e != x.recent.Front() && left > x.cfg.MemoryMax; e = e.Prev() {
		if b := e.Value.(*box); b.line == 0 && now.Sub(b.used) < x.cfg.IdleAfter && b.owes() { // else it is among them
			owing = append(owing, b)
			left -= b.cost
		}
	}
	x.mu.Unlock()
	for _, b := range dropped {
		b.rest()
	}
	x.partAll(ctx, owing[:min(len(owing), partsMax)])
}

// partAll parts with indexes that owe something, some at once.
func (x *Indexes) partAll(ctx context.Context, owing []*box) {
	slots := make(chan struct{}, partsOnce)
	var parting sync.WaitGroup
	defer parting.Wait()
	for _, b := range owing {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		parting.Go(func() {
			defer func() { <-slots }()
			x.part(ctx, b)
		})
	}
}

// part has the ledgers say what an index owes, and drops it, unless somebody asks for it meanwhile. If it cannot be said now, it is tried
// again with the next round.
func (x *Indexes) part(ctx context.Context, b *box) {
	ctx, cancel := context.WithTimeout(ctx, x.cfg.TurnWait)
	defer cancel()
	x.mu.Lock()
	asked := b.line > 0 || x.boxes[b.user] != b
	if !asked {
		b.line++
	}
	x.mu.Unlock()
	if asked {
		return
	}
	parted := false
	select {
	case b.turn <- struct{}{}:
		err := b.say(ctx)
		if err != nil {
			x.cfg.Logger.Info("what is gone is not in the ledgers yet, trying again", "user", b.user, "err", err)
		}
		b.weigh()
		parted = x.unqueuePart(b, err == nil) // BEFORE the turn is given to somebody who may have it owe something again
		<-b.turn
	case <-ctx.Done(): // somebody else has it for so long
		x.unqueuePart(b, false)
	}
	if parted {
		b.rest()
	}
}

// unqueuePart takes part out of the line, and drops the index if that is wanted and nobody waits.
func (x *Indexes) unqueuePart(b *box, drop bool) (dropped bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	b.line--
	if dropped = drop && b.line == 0; dropped {
		x.drop(b)
	}
	return dropped
}

// say brings the index up to date and has the ledgers say what is gone. An index that is not used any more says nothing: the next one is
// built of what is on the disks. Preconditions: the caller has the turn.
func (b *box) say(ctx context.Context) error {
	s := b.state
	if s == nil {
		return nil
	}
	if t, err := b.x.termOf(b.user); err != nil || t != s.term {
		b.state = nil
		return nil //nolint:nilerr // another node manages the user
	}
	err := s.refresh(ctx)
	if err == nil && !s.broken {
		err = s.tell(ctx)
	}
	if s.broken {
		b.state = nil
	}
	return err
}
