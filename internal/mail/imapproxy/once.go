package imapproxy

import (
	"context"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
)

// appendOnce stores messages that may have been stored before under the same ids, by a call that was broken off anywhere, or
// that is still under way on another node. What the manager does not know is stored: if it comes to be stored twice, it is one
// message all the same (D6). AFTER that all get their numbers and flags. What fails leaves what was stored, for the call that
// comes again. KindInvalid: one has flags that a message cannot have; BEFORE anything is stored, since nothing is taken back.
func (m *mailbox) appendOnce(ctx context.Context, name string, folder mail.FolderID, messages []backend.Append) error {
	for i := range messages {
		if err := checkFlags(messages[i].Flags); err != nil {
			return cluster.Errorf(cluster.KindInvalid, "append to "+name, "%w", err)
		}
	}
	known, err := m.known(ctx, folder, messages)
	if err != nil {
		return err
	}
	here := make(map[mail.MessageID]bool)
	var wanted []backend.Append
	for i := range messages {
		if known[i] == talk.KnownElsewhere || known[i] == talk.KnownDead {
			continue // what the user has done with it stands
		}
		here[messages[i].ID] = known[i] == talk.KnownHere
		wanted = append(wanted, messages[i])
	}
	items, failed := m.putAll(ctx, wanted, func(ctx context.Context, a *backend.Append) (cluster.Object, error) {
		if here[a.ID] {
			return cluster.Object{ID: a.ID.Object(m.user)}, nil
		}
		attr := mail.MessageAttr{Received: now(a.Received), Folder: folder, Email: a.Email}
		return m.proxy.store.PutOnce(ctx, m.user, a.ID, attr, sized{a.Body, a.Size})
	})
	if failed != nil {
		failed = cluster.Errorf(cluster.KindOf(failed), "append to "+name, "%w", failed)
	}
	if len(items) == 0 {
		return failed
	}
	if _, err := m.change(ctx, &talk.Question{Op: talk.OpPlaced, Folder: folder, Items: items}); err != nil {
		m.discardDead(ctx, folder, items, messages)
		return err
	}
	return failed
}

// flagSizeMax is the size of the longest flag that a manager takes, in octets (uidledger.KeywordLenMax).
const flagSizeMax = 128

func checkFlags(flags []mail.Flag) error {
	if len(flags) > talk.FlagsMax {
		return cluster.Errorf(cluster.KindInvalid, "store flags", "%d flags, at most %d allowed", len(flags), talk.FlagsMax)
	}
	for _, f := range flags {
		if f == "" || len(f) > flagSizeMax {
			return cluster.Errorf(cluster.KindInvalid, "store flags", "a flag of %d octets: 1 to %d are allowed", len(f), flagSizeMax)
		}
	}
	return nil
}

// known asks the manager what it knows of messages, in their order.
func (m *mailbox) known(ctx context.Context, folder mail.FolderID, messages []backend.Append) ([]talk.Known, error) {
	q := &talk.Question{Op: talk.OpKnown, Folder: folder}
	for i := range messages {
		q.Messages = append(q.Messages, messages[i].ID)
	}
	a, err := m.ask(ctx, q)
	if cluster.IsKind(err, cluster.KindInvalid) { // a manager of an older version; about the messages it says nothing
		err = cluster.Errorf(cluster.KindUnavailable, "append messages", "the manager cannot be asked what it knows: is that node of an older version? %w", err)
	}
	if err == nil && len(a.Known) != len(messages) {
		err = cluster.Errorf(cluster.KindUnavailable, "append messages", "the manager tells of %d messages, %d were asked for", len(a.Known), len(messages))
	}
	return a.Known, err
}

// discardDead removes what was stored here while the user deleted it: what an import stores again must not bring it back.
func (m *mailbox) discardDead(ctx context.Context, folder mail.FolderID, items []talk.Item, messages []backend.Append) {
	ctx = context.WithoutCancel(ctx)
	known, err := m.known(ctx, folder, messages)
	if err != nil {
		m.proxy.cfg.Logger.Debug("not known what became of messages", "user", m.user, "err", err)
		return // whoever comes again asks again
	}
	dead := make(map[string]bool)
	for i := range messages {
		dead[messages[i].ID.String()] = known[i] == talk.KnownDead
	}
	var gone []talk.Item
	for _, it := range items {
		if dead[it.Object.ID.ID] && len(it.Object.Replicas) > 0 {
			gone = append(gone, it)
		}
	}
	m.discard(ctx, gone)
}
