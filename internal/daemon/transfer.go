package daemon

import (
	"context"
	"errors"
	"io"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/smtpserver/spool"
)

// transfer brings mail in and out for the admin socket: it is a session of the user's, without a client.
type transfer struct {
	d     *daemon
	parts *parts
}

var _ admin.Transfer = transfer{}

// appendTimeout bounds the storing of messages that have come in whole: the client need not be there any more.
const appendTimeout = 2 * time.Minute

// with opens a user's mail.
func (t transfer) with(ctx context.Context, address string, do func(backend.Mailbox) error) error {
	u, err := user("open mail", address)
	if err != nil {
		return err
	}
	if _, err := t.d.directory.Mailbox(ctx, u); err != nil {
		return err
	}
	m, err := t.d.imap.Open(ctx, u, mail.Client{Service: "admin"})
	if err != nil {
		return err
	}
	return errors.Join(do(m), m.Close())
}

// folder selects a folder for reading.
func folder(ctx context.Context, m backend.Mailbox, name string, do func(backend.Selected) error) error {
	s, err := m.Select(ctx, name, true)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

func (t transfer) Folders(ctx context.Context, address string) (folders []admin.MailFolder, err error) {
	folders = []admin.MailFolder{}
	err = t.with(ctx, address, func(m backend.Mailbox) error {
		all, err := m.Folders(ctx)
		for _, f := range all {
			if f.Exists {
				folders = append(folders, admin.MailFolder{Name: f.Name, Use: f.Use, Subscribed: f.Subscribed})
			}
		}
		return err
	})
	return folders, err
}

func (t transfer) MakeFolder(ctx context.Context, address string, f admin.MailFolder) error {
	return t.with(ctx, address, func(m backend.Mailbox) error {
		all, err := m.Folders(ctx)
		if err != nil {
			return err
		}
		there, subscribed := f.Name == "INBOX", false
		for _, x := range all {
			if x.Use == f.Use && x.Exists {
				f.Use = "" // another folder has it, or it has it already
			}
			if x.Name == f.Name {
				there, subscribed = there || x.Exists, x.Subscribed
			}
		}
		if !there {
			if _, err := m.Create(ctx, f.Name, f.Use); err != nil && !cluster.IsKind(err, cluster.KindExists) {
				return err
			}
		}
		if f.Subscribed && !subscribed {
			return m.Subscribe(ctx, f.Name, true)
		}
		return nil
	})
}

// Emails waits for the parts that come in now: so an import that was killed, and is run again, finds what the part that was
// under way has become, and need not send it again. What it misses it sends, and that is the same message.
func (t transfer) Emails(ctx context.Context, address string, yield func(id string) error) error {
	if err := t.parts.wait(ctx, address); err != nil {
		return err
	}
	return t.with(ctx, address, func(m backend.Mailbox) error {
		all, err := m.Folders(ctx)
		if err != nil {
			return err
		}
		for _, f := range all {
			if !f.Exists {
				continue
			}
			err := summaries(ctx, m, f.Name, 0, func(_ backend.Selected, s *mail.Summary) error {
				id, err := emailOf(s)
				if err != nil {
					return err
				}
				return yield(id)
			})
			if err != nil && !cluster.IsKind(err, cluster.KindNotFound) {
				return err
			}
		}
		return nil
	})
}

// emailOf is the Email id of a message. While all nodes that have it are away nobody knows it, and an import that went on without would store
// the message a second time: KindUnavailable.
func emailOf(s *mail.Summary) (string, error) {
	if s.IsAway() {
		return "", cluster.Errorf(cluster.KindUnavailable, "list what the mailbox has",
			"message %s lies on nodes that are all away, and could be one of those to be imported: run the import again when they are back", s.ID)
	}
	return s.Email.String(), nil
}

// summaries yields what is known of the messages of a folder above a UID.
func summaries(ctx context.Context, m backend.Mailbox, name string, after mail.UID, yield func(backend.Selected, *mail.Summary) error) error {
	return folder(ctx, m, name, func(s backend.Selected) error {
		uids, err := s.UIDs(ctx)
		if err != nil {
			return err
		}
		return s.Summaries(ctx, uids, func(m *mail.Summary) error {
			if m.UID <= after {
				return nil
			}
			return yield(s, m)
		})
	})
}

// Append reads all messages BEFORE it stores the first, and then goes on although the client may be gone: a client that is
// killed leaves a whole part or none. A node that is killed leaves some of it, and the import that is run again stores the rest.
func (t transfer) Append(ctx context.Context, address, number, name string, next func() (admin.Incoming, error)) (err error) {
	run, err := parseNumber(number)
	if err != nil {
		return err
	}
	end := t.parts.begin(address)
	defer end()
	var spooled []*spool.Message
	defer func() {
		for _, m := range spooled {
			if closeErr := m.Close(); closeErr != nil {
				t.d.log.Warn("a spool file was not closed", "err", closeErr)
			}
		}
	}()
	var messages []backend.Append
	for {
		in, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		m := t.d.imapSpool.NewMessage()
		spooled = append(spooled, m)
		a, err := t.take(m, &in)
		if err != nil {
			return err
		}
		a.ID = importedID(run, a.Email)
		messages = append(messages, a)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	defer cancel()
	return t.with(ctx, address, func(m backend.Mailbox) error {
		_, err := m.Append(ctx, name, messages)
		return err
	})
}

// take reads one message into the spool.
func (t transfer) take(m *spool.Message, in *admin.Incoming) (a backend.Append, err error) {
	const op = "append message"
	if most := int64(t.d.cfg.SMTP.MessageSizeMax); in.Size > most {
		return a, cluster.Errorf(cluster.KindInvalid, op, "it has %d octets, at most %d can be stored (smtp.message_size_max)", in.Size, most)
	}
	if a.Email, err = mail.ParseMessageID(in.Email); err != nil {
		return a, cluster.Errorf(cluster.KindInvalid, op, "%w", err)
	}
	n, err := io.Copy(m, in.Contents)
	if err == nil {
		err = m.Finish()
	}
	if err == nil && n != in.Size {
		err = cluster.Errorf(cluster.KindInvalid, op, "%d octets of %d came", n, in.Size)
	}
	a.Body, a.Size, a.Received = m, n, in.Received
	for _, f := range in.Flags {
		a.Flags = append(a.Flags, mail.Flag(f))
	}
	return a, err
}

func (t transfer) Export(ctx context.Context, address, name string, after uint32, yield func(admin.MailHead, io.Reader) error) error {
	return t.with(ctx, address, func(m backend.Mailbox) error {
		return summaries(ctx, m, name, mail.UID(after), func(from backend.Selected, s *mail.Summary) error {
			h := admin.MailHead{UID: uint32(s.UID), Email: s.Email.String(), Received: s.Received, Size: s.Size}
			for _, f := range s.Flags {
				h.Flags = append(h.Flags, string(f))
			}
			r, err := from.Open(ctx, s.UID, 0, s.Size)
			if cluster.IsKind(err, cluster.KindNotFound) {
				return nil // deleted meanwhile
			}
			if err != nil {
				h.Size, h.Error = 0, err.Error()
				return yield(h, nil)
			}
			return errors.Join(yield(h, r), r.Close())
		})
	})
}
