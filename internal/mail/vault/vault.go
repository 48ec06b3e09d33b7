// Package vault gives deleted messages back to an administrator, as long as the nodes that held them
// keep their contents (cluster.TypeSpec.Vault): after a client gone wild, a stolen password, a user
// who has changed her mind.
//
// A deletion without trace leaves nothing that the cluster knows of, so nothing knows where the
// contents lie. List asks every member what its own disk has of the user, and merges the answers by
// id; any node that held the message will do, whichever others are away. Restore goes to one of those
// nodes, which delivers the contents again as a new message with the time of the old.
//
// A message is restored under an id that follows from its old one; if it was deleted again, from the one that it had last. So a restoration that is repeated,
// because an answer was lost or an administrator tried again, still makes one message (D6); and the
// old id stays deleted, so that no late copy or deletion of it matters (R5). Which one that is only the nodes know that
// held it: while they may be away, nothing is restored.
package vault

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// substrate is what the vault needs of the node.
type substrate interface {
	View() *cluster.View
	KnownNodes() int
	Lookup(ctx context.Context, owner string) (cluster.Entry, error)
	List(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType) ([]cluster.Object, error)
	Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error)
	Serve(method string, handler func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error))
}

// Disk is what the vault needs of this node's disk.
type Disk interface {
	// Vaulted lists the deleted objects of an owner whose contents are still there.
	Vaulted(owner string) ([]Item, error)
	// OpenVaulted gives the contents of one. KindNotFound: not there any more.
	OpenVaulted(id cluster.ObjectID, deleted int64) (cluster.Object, io.ReadCloser, error)
}

// Item is a deleted object on one disk.
type Item struct {
	Object  cluster.Object // as it was
	Deleted int64          // when it was deleted: nanoseconds since 1970
}

// delivery is who makes a message durable; *delivery.Delivery is one.
type delivery interface {
	Restore(ctx context.Context, u mail.User, id mail.MessageID, received time.Time, body cluster.Body) error
}

// File is a temporary file.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// Limits.
const (
	ListMax    = 100_000 // messages in one list
	RestoreMax = 500     // messages restored by one call
	pageMax    = 4000    // messages in one answer of a node
	memoryMax  = 1 << 20 // bytes of a message that is restored out of memory; larger ones go through a file
	atOnce     = 8       // restorations of one call that run at once
	absentMax  = 1       // nodes that are no members while something is restored: whatever lies on two nodes has one that answers
)

// Config of a Vault. Logger may be nil: then nothing is logged.
type Config struct {
	Disk     Disk
	TempFile func() (File, error) // without a name; its space is free again when it is closed
	Logger   *slog.Logger
}

// Vault is the vault of all nodes, as one of them sees it. It is safe for concurrent use.
type Vault struct {
	cluster  substrate
	delivery delivery
	cfg      Config
	slots    chan struct{} // one element for each restoration that runs at this node
}

// New makes a Vault on a node.
func New(node substrate, d delivery, cfg Config) (*Vault, error) {
	if node == nil || d == nil || cfg.Disk == nil || cfg.TempFile == nil {
		return nil, errors.New("vault: the node, the delivery, the disk or TempFile is missing")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Vault{cluster: node, delivery: d, cfg: cfg, slots: make(chan struct{}, atOnce)}, nil
}

// Message is a deleted message that can be restored.
type Message struct {
	ID       string
	Size     int64
	Received time.Time
	Deleted  time.Time
	Restored bool    // it is in the mailbox again, under another id
	Places   []Place // where its contents are, by node

	as mail.MessageID // under which it is restored
}

// Place is one node's copy of a deleted message.
type Place struct {
	Node    cluster.NodeID
	Deleted int64
}

// List gives the messages of a user that were deleted at that time or later and can be restored, the
// first deleted first. silent are the members that did not answer: what they alone have is missing,
// as is what lies on nodes that are away. KindLimit: more than ListMax. KindUnavailable: nobody
// answered, or it is not known what the mailbox has.
func (v *Vault) List(ctx context.Context, u mail.User, since time.Time) (messages []Message, silent []cluster.NodeID, err error) {
	op := "list vault of " + string(u)
	live, err := v.live(ctx, u)
	if err != nil {
		return nil, nil, cluster.Errorf(cluster.KindUnavailable, op, "%w", err)
	}
	members := v.cluster.View().IDs()
	pages, errs := make([][]entry, len(members)), make([]error, len(members))
	var wg sync.WaitGroup
	for i, id := range members {
		wg.Go(func() { pages[i], errs[i] = v.ask(ctx, id, u, since) })
	}
	wg.Wait()
	byID := make(map[string]*Message)
	for i, id := range members {
		if cluster.IsKind(errs[i], cluster.KindLimit) {
			return nil, nil, cluster.Errorf(cluster.KindLimit, op, "%w: say since when", errs[i])
		}
		if errs[i] != nil {
			v.cfg.Logger.Warn("a node's vault is not listed", "user", u, "node", id, "err", errs[i])
			silent = append(silent, id)
			continue
		}
		for _, e := range pages[i] {
			if !live[e.ID] { // else its deletion was overtaken
				e.mergeInto(byID, id)
			}
		}
	}
	if len(silent) == len(members) {
		return nil, nil, cluster.Errorf(cluster.KindUnavailable, op, "no node answered: %w", errors.Join(errs...))
	}
	for _, m := range byID {
		m.as = restoredAs(m.ID, byID)
		m.Restored = live[m.as.String()]
		messages = append(messages, *m)
	}
	slices.SortFunc(messages, func(a, b Message) int { return cmp.Or(a.Deleted.Compare(b.Deleted), strings.Compare(a.ID, b.ID)) })
	return messages, silent, nil
}

// live gives the ids of the messages in the user's mailbox, as far as the members that answer know.
func (v *Vault) live(ctx context.Context, u mail.User) (map[string]bool, error) {
	e, err := v.cluster.Lookup(ctx, string(u))
	if err != nil {
		return nil, err
	}
	var holders cluster.ReplicaSet
	for _, f := range e.Fragments {
		if f.Type == mail.TypeMessage {
			holders = holders.Union(cluster.NewReplicaSet(f.Holders...))
		}
	}
	ids := make(map[string]bool)
	for _, id := range holders {
		objects, err := v.cluster.List(ctx, id, string(u), mail.TypeMessage)
		if err != nil {
			v.cfg.Logger.Debug("mail on a node is not known", "user", u, "node", id, "err", err)
			continue
		}
		for i := range objects {
			if !objects[i].Deleted {
				ids[objects[i].ID.ID] = true
			}
		}
	}
	return ids, nil
}

// RestoredID gives the id under which a deleted message is restored.
func RestoredID(id string) (restored mail.MessageID) {
	sum := sha256.Sum256([]byte("porcupine vault\x00" + id))
	copy(restored[:], sum[:])
	return restored
}

// restoredAs gives the id under which a message is restored now. One that was restored and deleted again gets a further id: the mailbox
// never shows what was deleted under an id again.
func restoredAs(id string, deleted map[string]*Message) mail.MessageID {
	as := RestoredID(id)
	for deleted[as.String()] != nil { // an id follows from another one: it ends after so many as there are
		as = RestoredID(as.String())
	}
	return as
}

// Outcome is what became of one message.
type Outcome struct {
	ID string
	// Err says why it was not restored. KindExists: it is in the mailbox already. KindNotFound: nothing
	// that answers has it. KindFull with mail.ErrOverQuota: the mailbox has no room.
	Err error
}

// Restore delivers deleted messages again, at most RestoreMax, and says for each what became of it, in
// their order. An error is of the whole: nothing was tried. KindUnavailable: so many nodes are away that it is not known what was
// restored before and deleted again.
func (v *Vault) Restore(ctx context.Context, u mail.User, ids []string) ([]Outcome, error) {
	op := "restore mail of " + string(u)
	if len(ids) > RestoreMax {
		return nil, cluster.Errorf(cluster.KindLimit, op, "%d messages at once, at most %d", len(ids), RestoreMax)
	}
	messages, silent, err := v.List(ctx, u, time.Time{})
	if err == nil {
		err = v.knowsDeleted(silent)
	}
	if err != nil {
		return nil, cluster.Errorf(cluster.KindOf(err), op, "%w", err)
	}
	byID := make(map[string]*Message, len(messages))
	for i := range messages {
		byID[messages[i].ID] = &messages[i]
	}
	outcomes := make([]Outcome, len(ids))
	slots := make(chan struct{}, atOnce)
	named := make(map[mail.MessageID]bool)
	var wg sync.WaitGroup
	for i, id := range ids {
		outcomes[i].ID = id
		if m := byID[id]; m != nil { // two at once would not see each other
			if named[m.as] {
				outcomes[i].Err = cluster.Errorf(cluster.KindExists, op, "it is named twice, or was restored before and deleted again, and that one is named too")
				continue
			}
			named[m.as] = true
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			outcomes[i].Err = v.restoreOne(ctx, u, byID[id])
		})
	}
	wg.Wait()
	return outcomes, nil
}

// knowsDeleted says why a message may have been restored and deleted again although none that answered has it. Who restored it
// under that id once more would be told that it is in the mailbox, and IMAP, which knows that it is deleted, would never show
// it (R5).
func (v *Vault) knowsDeleted(silent []cluster.NodeID) error {
	const op = "look for what was restored before"
	if len(silent) > 0 {
		return cluster.Errorf(cluster.KindUnavailable, op, "nodes do not answer, or cannot read their disks: %s; their logs say more, try again in a moment", cluster.NewReplicaSet(silent...))
	}
	if n := v.cluster.KnownNodes() - len(v.cluster.View().Members); n > absentMax {
		return cluster.Errorf(cluster.KindUnavailable, op, "%d nodes are away, at most %d may be: start them, or remove those that are gone for good, and try again", n, absentMax)
	}
	return nil
}

// restoreOne asks the nodes that have a message, one after the other, to deliver it again. One that has
// failed may have delivered it all the same: before the next one is asked, the mailbox is looked at.
func (v *Vault) restoreOne(ctx context.Context, u mail.User, m *Message) error {
	const op = "restore message"
	if m == nil {
		return cluster.Errorf(cluster.KindNotFound, op, "no node that answers has it (any more)")
	}
	if m.Restored {
		return cluster.Errorf(cluster.KindExists, op, "it is in the mailbox already")
	}
	var failed error
	for i, p := range m.Places {
		if i > 0 {
			live, err := v.live(ctx, u)
			if err != nil {
				return errors.Join(failed, err)
			}
			if live[m.as.String()] {
				return nil
			}
		}
		err := v.tellRestore(ctx, p.Node, restoreRequest{User: u, ID: m.ID, Deleted: p.Deleted, As: m.as.String()})
		switch cluster.KindOf(err) {
		case cluster.KindFull, cluster.KindLimit:
			return err // the mailbox or the cluster has no room: another node will not find any
		}
		if err == nil {
			return nil
		}
		failed = err
	}
	return failed
}
