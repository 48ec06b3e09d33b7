package imapproxy

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"sync"
	"sync/atomic"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/smtpserver/spool"
)

// sized is a message of an APPEND as a body.
type sized struct {
	io.ReaderAt
	size int64
}

func (b sized) Size() int64 { return b.size }

// find gives the folder of a name. KindNotFound: there is none.
func (m *mailbox) find(ctx context.Context, name string) (mail.FolderID, error) {
	if err := checkName(name); err != nil {
		return mail.FolderID{}, err
	}
	a, err := m.ask(ctx, &talk.Question{Op: talk.OpFind, Name: name})
	return a.Folder, err
}

// Append stores the messages, several at once, and AFTER that asks for their numbers. If either fails, all of them are removed. AFTER that
// it has what they replace expunged.
func (m *mailbox) Append(ctx context.Context, name string, messages []backend.Append) (backend.Placed, error) {
	ctx, done := m.begin(ctx)
	defer done()
	if len(messages) == 0 || len(messages) > talk.PageMax {
		return backend.Placed{}, cluster.Errorf(cluster.KindLimit, "append to "+name, "%d messages at once, want 1 to %d", len(messages), talk.PageMax)
	}
	folder, err := m.find(ctx, name)
	if err != nil {
		return backend.Placed{}, err
	}
	if messages[0].ID != (mail.MessageID{}) {
		return backend.Placed{}, m.appendOnce(ctx, name, folder, messages)
	}
	items, err := m.putAll(ctx, messages, func(ctx context.Context, a *backend.Append) (cluster.Object, error) {
		attr := mail.MessageAttr{Received: now(a.Received), Folder: folder, Email: a.Email}
		return m.proxy.store.Put(ctx, m.user, mail.NewMessageID(), attr, sized{a.Body, a.Size})
	})
	if err != nil {
		return backend.Placed{}, m.undo(ctx, items, cluster.Errorf(cluster.KindOf(err), "append to "+name, "%w", err))
	}
	var replaced []mail.UID
	for i := range messages {
		if messages[i].Replaces != 0 {
			replaced = append(replaced, messages[i].Replaces)
		}
	}
	a, err := m.change(ctx, &talk.Question{Op: talk.OpPlaced, Folder: folder, Items: items})
	if err != nil {
		return backend.Placed{}, m.undo(ctx, items, err)
	}
	if err := m.replace(ctx, folder, replaced); err != nil {
		return backend.Placed{}, err
	}
	return placed(a.Placed, nil, len(items)), nil
}

// putAll stores the messages of one APPEND, AppendsMax at once: those that wait for a disk share its syncs.
func (m *mailbox) putAll(ctx context.Context, messages []backend.Append, put func(context.Context, *backend.Append) (cluster.Object, error)) ([]talk.Item, error) {
	return m.proxy.putEach(ctx, len(messages), m.proxy.cfg.AppendsMax, func(ctx context.Context, i int) (talk.Item, error) {
		o, err := put(ctx, &messages[i])
		return talk.Item{Object: o, Flags: messages[i].Flags}, err
	})
}

// putEach stores so many messages, most of them at one time, and says that it gets on (backend.Progress). It gives those that were
// stored, in order, also if not all were: after the first that fails none is begun, and those that wait for their turn are called
// off. The error is of the first.
func (p *Proxy) putEach(ctx context.Context, count, most int, put func(ctx context.Context, i int) (talk.Item, error)) (items []talk.Item, err error) {
	together, callOff := context.WithCancel(ctx)
	defer callOff()
	all := make([]talk.Item, count)
	stored := make([]bool, count)
	var first atomic.Pointer[error]
	p.atOnce(count, most, func(i int) {
		if first.Load() != nil {
			return
		}
		item, err := put(together, i)
		if err != nil {
			first.CompareAndSwap(nil, &err) // BEFORE the others fail because of it
			callOff()
			return
		}
		all[i], stored[i] = item, true
		backend.Progress(ctx)
	})
	for i := range all {
		if stored[i] {
			items = append(items, all[i])
		}
	}
	if failed := first.Load(); failed != nil {
		err = *failed
	}
	return items, err
}

// atOnce does count things, at most most of them at one time, and waits for all.
func (p *Proxy) atOnce(count, most int, do func(i int)) {
	if count == 1 {
		do(0)
		return
	}
	slots := make(chan struct{}, most)
	var wg sync.WaitGroup
	for i := range count {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

// replace has messages of the selected folder expunged (RFC 8508). It is a question of its own: when it fails nobody knows
// whether they are gone, so what takes their place stays (D4). The client may find both.
func (m *mailbox) replace(ctx context.Context, folder mail.FolderID, uids []mail.UID) error {
	if len(uids) == 0 || m.selected == nil {
		return nil
	}
	_, err := m.change(ctx, &talk.Question{Op: talk.OpPlaced, Folder: folder, UIDs: mail.NewUIDSet(uids...), From: m.selected.status.ID, Mark: m.selected.mark})
	return err
}

// placed leaves the numbers out unless there is one for each message.
func placed(p backend.Placed, from []mail.UID, count int) backend.Placed {
	if len(p.To) != count {
		return backend.Placed{}
	}
	p.From = from
	return p
}

// undo removes what was stored for a command that has failed, and gives why it has. backend.ErrLeft: something is left.
func (m *mailbox) undo(ctx context.Context, items []talk.Item, cause error) error {
	if left := m.discard(ctx, items); left > 0 {
		return cluster.Errorf(cluster.KindOf(cause), "undo", "%w (%d of %d), and it failed because: %w", backend.ErrLeft, left, len(items), cause)
	}
	return cause
}

// discard removes what was stored. It gives how many are left.
func (m *mailbox) discard(ctx context.Context, items []talk.Item) (left int) {
	objects := make([]cluster.Object, len(items))
	for i := range items {
		objects[i] = items[i].Object
	}
	return m.proxy.store.Withdraw(ctx, objects)
}

// Copy stores a new message for each, of the same contents and the same Email id, and AFTER that asks for their
// numbers. If any of it fails, all of them are removed (RFC 9051 §6.4.7).
func (s *selected) Copy(ctx context.Context, uids mail.UIDSet, to string) (backend.Placed, error) {
	ctx, done := s.m.begin(ctx)
	defer done()
	folder, err := s.m.find(ctx, to)
	if err != nil {
		return backend.Placed{}, err
	}
	var request [16]byte
	rand.Read(request[:]) // never fails (crypto/rand)
	var all []talk.Item
	var p backend.Placed
	var from []mail.UID
	err = s.where(ctx, uids, func(ls []talk.Lie) error {
		items, err := s.copyPage(ctx, ls, folder, request)
		all = append(all, items...)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return nil
		}
		a, err := s.m.change(ctx, &talk.Question{Op: talk.OpPlaced, Folder: folder, Items: items})
		if err != nil {
			return err
		}
		for i := range ls {
			from = append(from, ls[i].UID)
		}
		p.UIDValidity, p.To = a.Placed.UIDValidity, append(p.To, a.Placed.To...)
		return nil
	})
	if err != nil {
		return backend.Placed{}, s.m.undo(ctx, all, err)
	}
	return placed(p, from, len(all)), nil
}

// copyPage stores the copies, CopiesMax at once. It gives those that were stored, in order, also if not all were.
func (s *selected) copyPage(ctx context.Context, ls []talk.Lie, folder mail.FolderID, request [16]byte) ([]talk.Item, error) {
	items, err := s.m.proxy.putEach(ctx, len(ls), s.m.proxy.cfg.CopiesMax, func(ctx context.Context, i int) (talk.Item, error) {
		o, err := s.copyOne(ctx, &ls[i], folder, request)
		return talk.Item{Object: o, Flags: ls[i].Flags}, err
	})
	if err != nil {
		err = cluster.Errorf(cluster.KindOf(err), "copy message", "%w", err)
	}
	return items, err
}

func (s *selected) copyOne(ctx context.Context, l *talk.Lie, folder mail.FolderID, request [16]byte) (cluster.Object, error) {
	body, err := s.fetch(ctx, l)
	if err != nil {
		if cluster.IsKind(err, cluster.KindNotFound) { // gone meanwhile: nothing about the target folder
			err = cluster.Errorf(cluster.KindUnavailable, "read the message", "%w", err)
		}
		return cluster.Object{}, err
	}
	sum := sha256.Sum256(append(request[:], l.ID[:]...))
	var id mail.MessageID
	copy(id[:], sum[:])
	o, err := s.m.proxy.store.Put(ctx, s.m.user, id, mail.MessageAttr{Received: l.Received, Folder: folder, Email: l.Email}, body)
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	return o, err
}

// fetch reads a message into the spool. The caller closes it.
func (s *selected) fetch(ctx context.Context, l *talk.Lie) (*spool.Message, error) {
	r, err := s.openAt(ctx, l)
	if err != nil {
		return nil, err
	}
	m := s.m.proxy.cfg.Spool.NewMessage()
	_, err = io.Copy(m, advancing{r, ctx})
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = m.Finish()
	}
	if err == nil && m.Size() != l.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		_ = m.Close() // what failed says more
		return nil, cluster.Errorf(cluster.KindUnavailable, "read message "+l.ID.String(), "%w", err)
	}
	return m, nil
}

// advancing is a reader that says that something comes.
type advancing struct {
	io.Reader
	ctx context.Context // of the call that reads
}

func (a advancing) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if n > 0 {
		backend.Progress(a.ctx)
	}
	return n, err
}
