// Package imaptest is mail in memory for the tests of the IMAP front end: a small and correct
// backend.Mailboxes, which fails where a test says so.
package imaptest

import (
	"context"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// Mail is the mail of all users. It is safe for concurrent use.
type Mail struct {
	mu       sync.Mutex
	now      func() time.Time
	users    map[mail.User]*account
	failures map[string]error
	open     int
	ids      byte // the last message id
}

var _ backend.Mailboxes = (*Mail)(nil)

// New makes mail in which every user has an INBOX. now is the clock of SAVEDATE and of messages
// without a date.
func New(now func() time.Time) *Mail {
	return &Mail{now: now, users: map[mail.User]*account{}, failures: map[string]error{}}
}

// Fail makes a method fail with an error, until it is called with nil. Methods are named as in
// package backend: "Open", "Append", "Selected.Sync", "Selected.Open".
func (m *Mail) Fail(method string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures[method] = err
}

// Sessions counts what is open: mailboxes and selected folders.
func (m *Mail) Sessions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open
}

// Open opens a user's mail.
func (m *Mail) Open(_ context.Context, u mail.User, _ mail.Client) (backend.Mailbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failures["Open"]; err != nil {
		return nil, err
	}
	m.open++
	return &mailbox{m: m, a: m.account(u)}, nil
}

// SetQuota sets the limits of a user.
func (m *Mail) SetQuota(u mail.User, bytes, messages int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.account(u)
	a.bytesMax, a.messagesMax = bytes, messages
}

// Deliver puts a message into a folder, as SMTP would, and gives its UID.
func (m *Mail) Deliver(u mail.User, folder, text string, received time.Time, flags ...mail.Flag) mail.UID {
	m.mu.Lock()
	a := m.account(u)
	f := a.folders[folder]
	if f == nil {
		f = a.create(folder, "")
	}
	uid := m.add(f, []byte(text), received, flags).uid
	tell := a.watchers(f.id)
	m.mu.Unlock()
	tell()
	return uid
}

// Remove expunges messages, as another session would.
func (m *Mail) Remove(u mail.User, folder string, uids ...mail.UID) {
	m.mu.Lock()
	a := m.account(u)
	f := a.folders[folder]
	f.remove(mail.NewUIDSet(uids...))
	tell := a.watchers(f.id)
	m.mu.Unlock()
	tell()
}

// SetFlags gives a message flags, as another session would.
func (m *Mail) SetFlags(u mail.User, folder string, uid mail.UID, flags ...mail.Flag) {
	m.mu.Lock()
	a := m.account(u)
	f := a.folders[folder]
	if i, ok := f.find(uid); ok {
		f.change(f.messages[i], backend.FlagChange{Op: backend.FlagsReplace, Flags: flags})
	}
	tell := a.watchers(f.id)
	m.mu.Unlock()
	tell()
}

// account gives a user's mail.
func (m *Mail) account(u mail.User) *account {
	a := m.users[u]
	if a == nil {
		a = &account{folders: map[string]*folder{}, subscribed: map[string]bool{}, own: map[string]string{}}
		inbox := a.create("INBOX", "")
		inbox.id = mail.Inbox
		m.users[u] = a
	}
	return a
}

// add puts a message into a folder.
func (m *Mail) add(f *folder, body []byte, received time.Time, flags []mail.Flag) *message {
	m.ids++
	msg := &message{body: body, received: received, saved: m.now(), uid: f.uidNext}
	msg.id[15] = m.ids
	msg.email = msg.id
	if received.IsZero() {
		msg.received = msg.saved
	}
	f.uidNext++
	f.messages = append(f.messages, msg)
	f.change(msg, backend.FlagChange{Op: backend.FlagsReplace, Flags: flags})
	return msg
}

// errGone is the answer to names that mean nothing.
func errGone(op, name string) error {
	return cluster.Errorf(cluster.KindNotFound, op, "no folder %q", name)
}

// Create makes a folder, with a special use or "".
func (m *Mail) Create(u mail.User, name, use string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.account(u).create(name, use)
}

// Subscribe subscribes a user to folders, whether they are there or not.
func (m *Mail) Subscribe(u mail.User, names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range names {
		m.account(u).subscribed[n] = true
	}
}

// Drop takes a folder away, and leaves those below it: what a partition can bring about.
func (m *Mail) Drop(u mail.User, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.account(u).folders, name)
}

// Forget takes a user and all mail away.
func (m *Mail) Forget(u mail.User) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.users, u)
}
