package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

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

// Tree is a directory with mail as a file system. It belongs to the mail's owner, who may put anything into it: a link leads
// nowhere outside, and what is neither a file nor a directory, a pipe for instance, is not waited for.
type Tree struct{ root *os.Root }

var _ fs.FS = (*Tree)(nil)

// OpenTree opens a directory. Its caller closes it.
func OpenTree(dir string) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Tree{root}, nil
}

// Close closes the directory.
func (t *Tree) Close() error { return t.root.Close() }

// Open implements fs.FS.
func (t *Tree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat() // AFTER it was opened: nobody can put another one in its place
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("it is no file but %v", info.Mode().Type())}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Maildir is a source: a Maildir with its folders.
type Maildir struct {
	User   mail.User
	Folder string // only this one; empty: all
	Name   string // of the directory, for people
	FS     fs.FS  // a Tree, unless all of it is trusted
	Max    int64  // octets of a message
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
	if err := d.read(f.Path, c); c.broken != nil {
		return errors.Join(fmt.Errorf("%s: %w", place, c.broken), c.close()) // not the message's fault: it may be taken the next time
	} else if err != nil {
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
