package retrieval

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Maildrop is what is in one user's INBOX as one session sees it: fixed when it was opened. It is used by one
// goroutine.
type Maildrop struct {
	proxy    *Retrieval
	user     mail.User
	lock     Lock
	messages []message
	listed   []mail.Listed
	listedAt time.Time          // when it was last asked where the messages lie
	moved    map[string]message // where they lay then, by id; nil: as in messages
	folders  bool               // the user has folders beside INBOX, as far as was heard
}

// message is one message and where it lies.
type message struct {
	id       string
	folder   mail.FolderID // that it was put in; the user may have moved it since
	size     int64
	arrived  int64 // nanoseconds since 1970
	version  cluster.Timestamp
	holders  []cluster.NodeID   // that listed it: those to read it from first
	replicas cluster.ReplicaSet // all that must hear of its deletion
}

// load fills the maildrop.
func (d *Maildrop) load(ctx context.Context) error {
	messages, err := d.list(ctx)
	if err != nil {
		return err
	}
	d.listedAt = time.Now()
	if len(messages) > d.proxy.cfg.MessagesMax {
		return cluster.Errorf(cluster.KindLimit, "open mailbox "+string(d.user),
			"it has %d messages, at most %d can be shown", len(messages), d.proxy.cfg.MessagesMax)
	}
	if messages, err = d.inInbox(ctx, messages); err != nil { // AFTER the listing: what it says is newer
		return err
	}
	slices.SortFunc(messages, func(a, b message) int {
		return cmp.Or(cmp.Compare(a.arrived, b.arrived), cmp.Compare(a.id, b.id))
	})
	d.messages = messages
	d.listed = make([]mail.Listed, len(messages))
	for i, m := range messages {
		d.listed[i] = mail.Listed{ID: m.id, Size: m.size}
	}
	return nil
}

// list gives the user's messages as they lie now, of all folders, by id.
func (d *Maildrop) list(ctx context.Context) ([]message, error) {
	found, folders, err := d.proxy.collect(ctx, d.user)
	if err != nil {
		return nil, err
	}
	d.folders = d.folders || folders
	messages := make([]message, len(found))
	for i := range found {
		f := &found[i]
		messages[i] = message{id: f.Object.ID.ID, size: f.Object.Size, version: f.Object.Timestamp, holders: f.Holders, replicas: f.Nodes}
		messages[i].arrived, messages[i].folder = arrival(&f.Object)
	}
	return messages, nil
}

// arrival gives when the message was accepted, and into which folder. Attributes of a version that is not known here
// leave the time of the update, which is close, and INBOX.
func arrival(o *cluster.Object) (at int64, folder mail.FolderID) {
	if a, err := mail.ParseMessageAttr(o.Attr); err == nil {
		return a.Received.UnixNano(), a.Folder
	}
	return o.Timestamp.Time, mail.Inbox
}

// Messages lists the messages, oldest first. The slice is the Maildrop's; do not change it.
func (d *Maildrop) Messages() []mail.Listed { return d.listed }

// Lost is closed when the session has lost the maildrop.
func (d *Maildrop) Lost() <-chan struct{} { return d.lock.Lost() }

// Close gives the maildrop back. An error says that the next session may have to wait for it.
func (d *Maildrop) Close() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("close mailbox %s: %w", d.user, err)
	}
	return nil
}
