package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"porcupine/internal/mail"
	"porcupine/internal/mail/maildir"
	"porcupine/internal/mail/mbox"
)

// Mbox is a source: one file, whose messages go into one folder.
type Mbox struct {
	User   mail.User
	Folder string
	Name   string // of the file, for people
	File   io.Reader
	Max    int64 // octets of a message
}

// Run shows all messages, in the file's order.
func (b *Mbox) Run(ctx context.Context, to Sink) error {
	if err := to.Folder(ctx, Folder{Name: b.Folder}); err != nil {
		return err
	}
	ids := newOccurrences(b.User)
	r := mbox.NewReader(b.File, 0)
	for ctx.Err() == nil {
		c := newContents(b.Max)
		m, err := r.Read(c)
		var large *TooLargeError
		switch {
		case err == nil:
			err = to.Message(ctx, &Message{Place: b.place(m.Offset), Folder: b.Folder, Email: ids.next(b.Folder, c.digest()),
				Flags: m.Flags, Received: m.Date, Size: c.size, Body: c.body(), done: c.close})
			if err != nil {
				return err
			}
		case errors.As(err, &large):
			to.Skipped(b.place(m.Offset), err)
			if err := c.close(); err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			return c.close()
		default:
			return errors.Join(fmt.Errorf("%s: %w", b.place(r.Offset()), err), c.close())
		}
	}
	return ctx.Err()
}

func (b *Mbox) place(offset int64) string { return fmt.Sprintf("%s at octet %d", b.Name, offset) }

// Maildir is a source: a Maildir with its folders.
type Maildir struct {
	User   mail.User
	Folder string // only this one; empty: all
	Name   string // of the directory, for people
	FS     fs.FS
	Max    int64 // octets of a message
}

// Run shows all folders, INBOX first, each with its messages, oldest first.
func (d *Maildir) Run(ctx context.Context, to Sink) error {
	folders, err := maildir.Folders(d.FS)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Name, err)
	}
	found := false
	ids := newOccurrences(d.User)
	for _, f := range folders {
		if d.Folder != "" && d.Folder != f.Name {
			continue
		}
		found = true
		if err := to.Folder(ctx, Folder{Name: f.Name, Subscribed: f.Subscribed}); err != nil {
			return err
		}
		files, err := maildir.Files(d.FS, f)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
		for i := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := d.file(ctx, f.Name, &files[i], ids, to); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("%s: there is no folder %q", d.Name, d.Folder)
	}
	return nil
}

func (d *Maildir) file(ctx context.Context, folder string, f *maildir.File, ids *occurrences, to Sink) error {
	place := d.Name + "/" + f.Path
	c := newContents(d.Max)
	if err := d.read(f.Path, c); err != nil {
		to.Skipped(place, err)
		return c.close()
	}
	return to.Message(ctx, &Message{Place: place, Folder: folder, Email: ids.next(folder, c.digest()),
		Flags: f.Flags, Received: f.Received, Size: c.size, Body: c.body(), done: c.close})
}

func (d *Maildir) read(name string, to io.Writer) error {
	in, err := d.FS.Open(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(&crlf{w: to}, in)
	return errors.Join(err, in.Close())
}
