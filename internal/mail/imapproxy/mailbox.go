package imapproxy

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
)

// mailbox is one session's mail.
type mailbox struct {
	proxy    *Proxy
	user     mail.User
	life     context.Context // ends at Close
	end      context.CancelFunc
	selected *selected // nil: none
	watcher  *watcher  // nil: none
}

var _ backend.Mailbox = (*mailbox)(nil)

// begin ties a call to the life of the session.
func (m *mailbox) begin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(m.life, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

func (m *mailbox) ask(ctx context.Context, q *talk.Question) (talk.Answer, error) {
	ctx, done := m.begin(ctx)
	defer done()
	return m.proxy.ask(ctx, m.user, q)
}

// change puts a question that changes something: the manager knows it again by its number.
func (m *mailbox) change(ctx context.Context, q *talk.Question) (talk.Answer, error) {
	rand.Read(q.Request[:]) // never fails (crypto/rand)
	return m.ask(ctx, q)
}

func (m *mailbox) Folders(ctx context.Context) ([]backend.Folder, error) {
	a, err := m.ask(ctx, &talk.Question{Op: talk.OpFolders})
	return a.Folders, err
}

func (m *mailbox) Create(ctx context.Context, name, use string) (mail.FolderID, error) {
	if err := checkName(name); err != nil {
		return mail.FolderID{}, err
	}
	a, err := m.change(ctx, &talk.Question{Op: talk.OpCreate, Name: name, Use: use})
	return a.Folder, err
}

func (m *mailbox) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	_, err := m.change(ctx, &talk.Question{Op: talk.OpDelete, Name: name, Folder: m.idOf(ctx, name)})
	return err
}

func (m *mailbox) Rename(ctx context.Context, from, to string) error {
	for _, name := range []string{from, to} {
		if err := checkName(name); err != nil {
			return err
		}
	}
	_, err := m.change(ctx, &talk.Question{Op: talk.OpRename, Name: from, To: to, Folder: m.idOf(ctx, from)})
	return err
}

// idOf gives the id of a folder that is to be deleted or renamed. The question may be carried again after that was done, to a manager
// that did not do it: by the id it knows. Zero: it is INBOX, or not found; why not, the question itself will tell.
func (m *mailbox) idOf(ctx context.Context, name string) mail.FolderID {
	a, err := m.ask(ctx, &talk.Question{Op: talk.OpFind, Name: name})
	if err != nil {
		return mail.FolderID{}
	}
	return a.Folder
}

func (m *mailbox) Subscribe(ctx context.Context, name string, on bool) error {
	if err := checkName(name); err != nil {
		return err
	}
	_, err := m.change(ctx, &talk.Question{Op: talk.OpSubscribe, Name: name, On: on})
	return err
}

func (m *mailbox) Status(ctx context.Context, name string) (backend.Status, error) {
	if err := checkName(name); err != nil {
		return backend.Status{}, err
	}
	a, err := m.ask(ctx, &talk.Question{Op: talk.OpStatus, Name: name})
	return a.Status, err
}

// checkName wants a name that a question can carry. Everything else about names the tree of folders decides.
func checkName(name string) error {
	if name == "" || len(name) > talk.NameMax {
		return cluster.Errorf(cluster.KindInvalid, "find a folder", "a name of %d octets, want 1 to %d", len(name), talk.NameMax)
	}
	return nil
}

func (m *mailbox) Quota(ctx context.Context) (backend.Quota, error) {
	ctx, done := m.begin(ctx)
	defer done()
	box, err := m.proxy.directory.Mailbox(ctx, m.user)
	if err != nil {
		return backend.Quota{}, cluster.Errorf(cluster.KindOf(err), "read the quota of "+string(m.user), "%w", err)
	}
	q := backend.Quota{BytesMax: box.Settings.QuotaBytes, MessagesMax: box.Settings.QuotaMessages}
	if q.BytesMax <= 0 {
		q.BytesMax = m.proxy.cfg.QuotaBytes
	}
	if q.MessagesMax <= 0 {
		q.MessagesMax = m.proxy.cfg.QuotaMessages
	}
	for i := range box.Entry.Fragments {
		if f := &box.Entry.Fragments[i]; f.Type == mail.TypeMessage {
			q.Messages += f.Count
			q.Bytes += f.Bytes
		}
	}
	return q, nil
}

func (m *mailbox) Metadata(ctx context.Context, name string) (map[string]string, error) {
	a, err := m.ask(ctx, &talk.Question{Op: talk.OpMetadata, Name: name})
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(a.Values))
	for _, v := range a.Values {
		values[v.Name] = v.Value
	}
	return values, nil
}

func (m *mailbox) SetMetadata(ctx context.Context, name string, values map[string]*string) error {
	q := &talk.Question{Op: talk.OpSetMetadata, Name: name}
	for _, entry := range slices.SortedFunc(maps.Keys(values), strings.Compare) {
		v := values[entry]
		switch {
		case entry == "" || len(entry) > talk.NameMax || v != nil && len(*v) > talk.ValueSizeMax:
			return cluster.Errorf(cluster.KindLimit, "set metadata", "an entry or its value is too long")
		case v == nil:
			q.Cleared = append(q.Cleared, entry)
		default:
			q.Values = append(q.Values, talk.Value{Name: entry, Value: *v})
		}
	}
	if len(values) > talk.ValuesMax {
		return cluster.Errorf(cluster.KindLimit, "set metadata", "%d entries, at most %d allowed", len(values), talk.ValuesMax)
	}
	_, err := m.change(ctx, q)
	return err
}

func (m *mailbox) Watch(notify func(mail.FolderID)) {
	m.proxy.watches.end(m.watcher)
	m.watcher = nil
	if notify != nil {
		m.watcher = m.proxy.watches.begin(m.user, func(folders []mail.FolderID) {
			if len(folders) == 0 {
				folders = []mail.FolderID{mail.Inbox}
			}
			for _, f := range folders {
				notify(f)
			}
		})
	}
}

// Select opens a folder. The UIDs are those of one moment, or of what is left of it when they come in several pages.
func (m *mailbox) Select(ctx context.Context, name string, readOnly bool) (backend.Selected, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	a, err := m.ask(ctx, &talk.Question{Op: talk.OpSelect, Name: name})
	if err != nil {
		return nil, err
	}
	s := &selected{m: m, readOnly: readOnly, status: a.Status, mark: a.Mark, lies: make(map[mail.UID]talk.Lie)}
	if s.known, err = m.uids(ctx, s.status.ID, &a); err != nil {
		return nil, err
	}
	s.status.Messages = s.known.Len()
	m.selected = s
	return s, nil
}

// uids gives the messages of a folder that an answer tells of, with those that did not go into it.
func (m *mailbox) uids(ctx context.Context, folder mail.FolderID, first *talk.Answer) (mail.UIDSet, error) {
	all, next := first.UIDs, first.Next
	for next > 0 {
		a, err := m.ask(ctx, &talk.Question{Op: talk.OpUIDs, Folder: folder, Mark: first.Mark, After: next})
		if err != nil {
			return nil, err
		}
		if a.More && a.Next <= next {
			return nil, cluster.Errorf(cluster.KindInternal, "ask for messages", "the manager's answer does not go on")
		}
		all, next = all.Union(a.UIDs), a.Next
	}
	return all, nil
}

// now is the time of what came without one.
func now(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

func (m *mailbox) Close() error {
	m.Watch(nil)
	if m.selected != nil {
		m.selected.Watch(nil)
	}
	m.end()
	return nil
}
