package imaptest

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// account is all of one user's mail.
type account struct {
	folders               map[string]*folder
	subscribed            map[string]bool
	own                   map[string]string // annotations of the mailbox
	bytesMax, messagesMax int64
	validity              uint32
	ids                   byte
	open                  []*selected
	watching              []*mailbox
}

// create makes a folder and what is missing above it.
func (a *account) create(name, use string) *folder {
	for i := range name {
		if name[i] == '/' && a.folders[name[:i]] == nil {
			a.create(name[:i], "")
		}
	}
	a.validity++
	a.ids++
	f := &folder{name: name, use: use, uidValidity: a.validity, uidNext: 1, modseq: 1, annotations: map[string]string{}}
	f.id[15] = a.ids
	a.folders[name] = f
	return f
}

// watchers gives what tells the sessions that a folder changed; to be called without the lock.
func (a *account) watchers(id mail.FolderID) func() {
	var calls []func()
	for _, s := range a.open {
		if s.f.id == id && s.notify != nil {
			calls = append(calls, s.notify)
		}
	}
	for _, b := range a.watching {
		notify := b.notify
		calls = append(calls, func() { notify(id) })
	}
	return func() {
		for _, c := range calls {
			c()
		}
	}
}

// mailbox is a session of a user.
type mailbox struct {
	m      *Mail
	a      *account
	notify func(mail.FolderID)
}

var _ backend.Mailbox = (*mailbox)(nil)

// do runs f with the lock, unless the method is to fail, and then tells who watches the folder.
func (b *mailbox) do(method string, f func() (*folder, error)) error {
	b.m.mu.Lock()
	if err := b.m.failures[method]; err != nil {
		b.m.mu.Unlock()
		return err
	}
	changed, err := f()
	tell := func() {}
	if changed != nil {
		tell = b.a.watchers(changed.id)
	}
	b.m.mu.Unlock()
	tell()
	return err
}

// on runs f on a folder with the lock.
func (b *mailbox) on(method, name string, f func(*folder) error) error {
	return b.do(method, func() (*folder, error) {
		if b.a.folders[name] == nil {
			return nil, errGone(method, name)
		}
		return nil, f(b.a.folders[name])
	})
}

func (b *mailbox) Folders(context.Context) (list []backend.Folder, err error) {
	err = b.do("Folders", func() (*folder, error) {
		names := map[string]bool{}
		for n := range b.a.folders {
			names[n] = true
		}
		for n := range b.a.subscribed {
			names[n] = true
		}
		for _, n := range slices.Sorted(maps.Keys(names)) {
			x := backend.Folder{Name: n, Subscribed: b.a.subscribed[n]}
			if f := b.a.folders[n]; f != nil {
				x.Exists, x.ID, x.Use = true, f.id, f.use
			}
			list = append(list, x)
		}
		return nil, nil
	})
	return list, err
}

func (b *mailbox) Create(_ context.Context, name, use string) (id mail.FolderID, err error) {
	err = b.do("Create", func() (*folder, error) {
		switch {
		case b.a.folders[name] != nil:
			return nil, cluster.Errorf(cluster.KindExists, "create folder", "%q exists", name)
		case name == "" || strings.Contains(name, "//") || strings.HasPrefix(name, "/"):
			return nil, cluster.Errorf(cluster.KindInvalid, "create folder", "no such name")
		}
		id = b.a.create(name, use).id
		return nil, nil
	})
	return id, err
}

func (b *mailbox) Delete(_ context.Context, name string) error {
	return b.on("Delete", name, func(*folder) error {
		if name == "INBOX" {
			return cluster.Errorf(cluster.KindDenied, "delete folder", "INBOX stays")
		}
		for n := range b.a.folders {
			if strings.HasPrefix(n, name+"/") {
				return cluster.Errorf(cluster.KindDenied, "delete folder", "there are folders below it")
			}
		}
		delete(b.a.folders, name)
		return nil
	})
}

func (b *mailbox) Rename(_ context.Context, from, to string) error {
	return b.on("Rename", from, func(f *folder) error {
		if b.a.folders[to] != nil {
			return cluster.Errorf(cluster.KindExists, "rename folder", "%q exists", to)
		}
		if from == "INBOX" {
			dst := b.a.create(to, "")
			for _, msg := range f.messages {
				c := b.m.add(dst, msg.body, msg.received, msg.flags)
				c.id, c.email = msg.id, msg.email
			}
			f.remove(f.uids())
			return nil
		}
		for _, n := range slices.Collect(maps.Keys(b.a.folders)) {
			if rest, ok := strings.CutPrefix(n, from); ok && (rest == "" || rest[0] == '/') {
				x := b.a.folders[n]
				delete(b.a.folders, n)
				x.name = to + rest
				b.a.folders[x.name] = x
			}
		}
		return nil
	})
}

func (b *mailbox) Subscribe(_ context.Context, name string, on bool) error {
	return b.do("Subscribe", func() (*folder, error) {
		if on {
			b.a.subscribed[name] = true
		} else {
			delete(b.a.subscribed, name)
		}
		return nil, nil
	})
}

func (b *mailbox) Status(_ context.Context, name string) (st backend.Status, err error) {
	err = b.on("Status", name, func(f *folder) error { st = f.status(); return nil })
	return st, err
}

func (b *mailbox) Append(_ context.Context, name string, messages []backend.Append) (p backend.Placed, err error) {
	err = b.do("Append", func() (*folder, error) {
		f := b.a.folders[name]
		if f == nil {
			return nil, errGone("append", name)
		}
		q := b.a.quota()
		var bodies [][]byte
		for _, a := range messages {
			body := make([]byte, a.Size)
			if _, err := a.Body.ReadAt(body, 0); err != nil && err != io.EOF {
				return nil, err
			}
			bodies = append(bodies, body)
			q.Bytes, q.Messages = q.Bytes+a.Size, q.Messages+1
		}
		if q.BytesMax > 0 && q.Bytes > q.BytesMax || q.MessagesMax > 0 && q.Messages > q.MessagesMax {
			return nil, cluster.Errorf(cluster.KindFull, "append", "%w", mail.ErrOverQuota)
		}
		p.UIDValidity = f.uidValidity
		for i, a := range messages {
			p.To = append(p.To, b.m.add(f, bodies[i], a.Received, a.Flags).uid)
			if a.Replaces != 0 {
				b.replaced(a.Replaces)
			}
		}
		return f, nil
	})
	return p, err
}

// replaced expunges a message of this session's selected folder.
func (b *mailbox) replaced(uid mail.UID) {
	for _, s := range b.a.open {
		if s.b == b {
			s.f.remove(mail.NewUIDSet(uid))
		}
	}
}

func (b *mailbox) Select(_ context.Context, name string, readOnly bool) (sel backend.Selected, err error) {
	err = b.on("Select", name, func(f *folder) error {
		s := &selected{b: b, f: f, uids: f.uids(), status: f.status(), readOnly: readOnly}
		b.a.open = append(b.a.open, s)
		b.m.open++
		sel = s
		return nil
	})
	return sel, err
}

// quota sums up what is used.
func (a *account) quota() backend.Quota {
	q := backend.Quota{BytesMax: a.bytesMax, MessagesMax: a.messagesMax}
	for _, f := range a.folders {
		q.Messages += int64(len(f.messages))
		q.Bytes += f.status().Size
	}
	return q
}

func (b *mailbox) Quota(context.Context) (q backend.Quota, err error) {
	err = b.do("Quota", func() (*folder, error) { q = b.a.quota(); return nil, nil })
	return q, err
}

func (b *mailbox) Metadata(_ context.Context, name string) (values map[string]string, err error) {
	if name == "" {
		err = b.do("Metadata", func() (*folder, error) { values = maps.Clone(b.a.own); return nil, nil })
		return values, err
	}
	err = b.on("Metadata", name, func(f *folder) error { values = maps.Clone(f.annotations); return nil })
	return values, err
}

func (b *mailbox) SetMetadata(_ context.Context, name string, values map[string]*string) error {
	set := func(to map[string]string) {
		for k, v := range values {
			if v == nil {
				delete(to, k)
			} else {
				to[k] = *v
			}
		}
	}
	if name == "" {
		return b.do("SetMetadata", func() (*folder, error) { set(b.a.own); return nil, nil })
	}
	return b.on("SetMetadata", name, func(f *folder) error { set(f.annotations); return nil })
}

func (b *mailbox) Watch(notify func(mail.FolderID)) {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	b.notify = notify
	b.a.watching = slices.DeleteFunc(b.a.watching, func(x *mailbox) bool { return x == b })
	if notify != nil {
		b.a.watching = append(b.a.watching, b)
	}
}

func (b *mailbox) Close() error {
	b.Watch(nil)
	return b.do("Close", func() (*folder, error) { b.m.open--; return nil, nil })
}
