package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/transfer"
)

type importCmd struct {
	configFlag
	User   string `required:"" placeholder:"ADDRESS" help:"Whose mailbox the mail goes into."`
	Folder string `placeholder:"NAME" help:"mbox: the folder that the messages go into, default INBOX. Otherwise: only this folder of the source."`
	Format string `default:"" enum:",mbox,maildir,imap" placeholder:"FORMAT" help:"mbox, maildir or imap. Default: imap of an imaps:// or imap:// address, maildir of a directory, else mbox."`
	remoteFlags
	Source string `arg:"" help:"A file in mbox format, '-' for standard input; a Maildir; or another server, as imaps://HOST[:PORT] or imap://HOST[:PORT]."`
}

// exitSkipped says that all went well but for messages that had to be left out.
const exitSkipped = 3

func (c *importCmd) Run(e *env) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	m, err := newMover(e, &c.configFlag, c.User)
	if err != nil {
		return err
	}
	c.Format = cmp.Or(c.Format, formatOf(c.Source))
	limit := int64(cfg.SMTP.MessageSizeMax)
	source, done, err := c.open(e, m.user, limit)
	if err != nil {
		return err
	}
	in := &transfer.Importer{Mailbox: m, Source: strings.Join([]string{c.Format, c.Source, c.Folder, c.RemoteUser}, "\n"), Report: m.skipped, Progress: m.progress}
	tally, err := in.Run(e.ctx, source)
	err = errors.Join(err, done())
	fmt.Fprintf(e.errOut, "%d folders: %d messages stored (%s), %d there already, %d skipped\n", tally.Folders, tally.Stored, mebibytes(tally.Octets), tally.There, tally.Skipped)
	return m.outcome(tally, err)
}

// formatOf says what a source is that no format was given for.
func formatOf(source string) string {
	if strings.HasPrefix(source, "imaps://") || strings.HasPrefix(source, "imap://") {
		return "imap"
	}
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		return "maildir"
	}
	return "mbox"
}

// checkMaildir wants a directory to be a Maildir. One that is empty, or of another kind, would be imported as nothing.
func checkMaildir(source string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is a file: leave --format out if it is in mbox format, or name a Maildir", source)
	}
	if info, err = os.Stat(filepath.Join(source, "cur")); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is a directory without a directory cur in it, so it is no Maildir: name one, or a file in mbox format", source)
	}
	return nil
}

// open makes the source, and what closes it.
func (c *importCmd) open(e *env, user mail.User, limit int64) (source func(context.Context, transfer.Sink) error, done func() error, err error) {
	nothing := func() error { return nil }
	switch c.Format {
	case "maildir":
		if err := checkMaildir(c.Source); err != nil {
			return nil, nil, err
		}
		tree, err := transfer.OpenTree(c.Source)
		if err != nil {
			return nil, nil, err
		}
		d := &transfer.Maildir{User: user, Folder: imap.CanonicalName(c.Folder), Name: c.Source, FS: tree, Max: limit}
		return d.Run, tree.Close, nil
	case "imap":
		s, err := c.server(user, imap.CanonicalName(c.Folder), c.Source, limit)
		if err != nil {
			return nil, nil, err
		}
		return s.Run, nothing, nil
	}
	b := &transfer.Mbox{User: user, Folder: imap.CanonicalName(c.Folder), Name: c.Source, Max: limit}
	if b.Folder == "" {
		b.Folder = "INBOX"
	}
	if c.Source == standardStream {
		b.Name, b.File = "standard input", e.in
		return b.Run, nothing, nil
	}
	f, err := os.Open(c.Source)
	if err != nil {
		return nil, nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return nil, nil, errors.Join(cmp.Or(err, fmt.Errorf("%s is a directory: name a file in mbox format, or leave --format out if it is a Maildir", c.Source)), f.Close())
	}
	b.File = f
	return b.Run, f.Close, nil
}

// progressEvery is how often progress is shown.
const progressEvery = 2 * time.Second

// mover is a mailbox of the running node, for import and export.
type mover struct {
	env     *env
	client  *admin.Client
	address string
	user    mail.User
	shown   time.Time
	number  string // of the import
}

var _ transfer.Mailbox = (*mover)(nil)

func newMover(e *env, flags *configFlag, address string) (*mover, error) {
	a, err := parseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("--user: %w", err)
	}
	cfg, err := flags.load()
	if err != nil {
		return nil, err
	}
	user := mail.User(a.Canonical())
	return &mover{env: e, client: admin.NewClient(filepath.Join(cfg.DataDir, admin.SocketName)), address: string(user), user: user, shown: time.Now()}, nil
}

func (m *mover) skipped(place string, err error) { fmt.Fprintf(m.env.errOut, "%s: %v\n", place, err) }

// progress shows the counts now and then.
func (m *mover) progress(t transfer.Tally) {
	if now := time.Now(); now.Sub(m.shown) >= progressEvery {
		m.shown = now
		fmt.Fprintf(m.env.errOut, "%d folders, %d messages (%s), %d there already, %d skipped\n", t.Folders, t.Stored, mebibytes(t.Octets), t.There, t.Skipped)
	}
}

// outcome is how the command ends.
func (m *mover) outcome(t transfer.Tally, err error) error {
	switch {
	case err != nil && t.Stored+t.There == 0:
		return err
	case err != nil:
		return fmt.Errorf("%w; what was done stays: run the same command again to go on", err)
	case t.Skipped > 0:
		return exitCode(exitSkipped)
	}
	return nil
}

func (m *mover) Emails(ctx context.Context, yield func(mail.MessageID) error) error {
	return m.client.Emails(ctx, m.address, func(text string) error {
		id, err := mail.ParseMessageID(text)
		if err != nil {
			return err
		}
		return yield(id)
	})
}

func (m *mover) Begin(ctx context.Context, source string) (err error) {
	m.number, err = m.client.BeginImport(ctx, m.address, source)
	return err
}

func (m *mover) End(ctx context.Context, source string) error {
	return m.client.EndImport(ctx, m.address, source)
}

func (m *mover) MakeFolder(ctx context.Context, f transfer.Folder) error {
	return m.client.MakeFolder(ctx, m.address, admin.MailFolder{Name: f.Name, Use: f.Use, Subscribed: f.Subscribed})
}

func (m *mover) Append(ctx context.Context, folder string, messages []*transfer.Message) error {
	incoming := make([]admin.Incoming, len(messages))
	for i, x := range messages {
		h := admin.MailHead{Email: x.Email.String(), Received: x.Received, Size: x.Size}
		for _, f := range x.Flags {
			h.Flags = append(h.Flags, string(f))
		}
		incoming[i] = admin.Incoming{MailHead: h, Contents: io.NewSectionReader(x.Body, 0, x.Size)}
	}
	return m.client.Append(ctx, m.address, m.number, folder, incoming)
}
