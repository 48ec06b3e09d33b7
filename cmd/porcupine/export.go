package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"porcupine/internal/admin"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/transfer"
)

type exportCmd struct {
	configFlag
	User   string `required:"" placeholder:"ADDRESS" help:"Whose mail."`
	Folder string `placeholder:"NAME" help:"Only this folder. Default: all."`
	Format string `default:"mbox" enum:"mbox,maildir" help:"mbox or maildir."`
	Target string `arg:"" type:"path" help:"The Maildir; or a directory that gets a file NAME.mbox for each folder; with --folder, that file itself, or '-' for standard output."`
}

func (c *exportCmd) Run(e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	m, err := newMover(e, &c.configFlag, c.User)
	if err != nil {
		return err
	}
	folders, err := m.folders(e.ctx, imap.CanonicalName(c.Folder))
	if err != nil {
		return err
	}
	out := &transfer.Exporter{Read: m.read, Report: m.skipped, Progress: m.progress}
	var tally transfer.Tally
	switch {
	case c.Format == "maildir":
		tally, err = out.Maildir(e.ctx, folders, c.Target)
	case c.Target == standardStream:
		tally, err = out.MboxTo(e.ctx, folders[0].Name, e.out)
	default:
		tally, err = out.Mbox(e.ctx, folders, c.Folder, c.Target)
	}
	fmt.Fprintf(e.errOut, "%d folders: %d messages written (%s), %d there already, %d skipped\n", tally.Folders, tally.Stored, mebibytes(tally.Octets), tally.There, tally.Skipped)
	if err != nil && c.Target == standardStream {
		return fmt.Errorf("%w; standard output got a part of the folder only", err)
	}
	return m.outcome(tally, err)
}

// standardStream stands for standard input as a source, and for standard output as a target.
const standardStream = "-"

// check refuses what cannot be written where it shall go, BEFORE any message is read.
func (c *exportCmd) check() error {
	if c.Target == standardStream {
		if c.Format == "maildir" {
			return errors.New("a Maildir is a directory and cannot go to standard output: name a directory, or leave --format away and name one folder with --folder")
		}
		if c.Folder == "" {
			return errors.New("standard output takes one folder: name it with --folder, for example --folder INBOX, or give a directory that gets a file for each folder")
		}
		return nil
	}
	at, err := os.Stat(c.Target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it will be made
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	switch {
	case c.Format == "mbox" && c.Folder != "" && at.IsDir():
		return fmt.Errorf("%s is a directory: with --folder, name the file to write, for example %s", c.Target, filepath.Join(c.Target, "NAME.mbox"))
	case c.Format == "mbox" && c.Folder != "":
		return fmt.Errorf("%s is there already, and nothing was written: remove it to have the folder written again, or name another file", c.Target)
	case !at.IsDir() && c.Format == "mbox":
		return fmt.Errorf("%s is a file: name a directory, which gets a file for each folder, or one folder with --folder and a file that is not there yet", c.Target)
	case !at.IsDir():
		return fmt.Errorf("%s is a file: name a directory for the Maildir", c.Target)
	}
	return nil
}

// folders lists the user's folders, or the one wanted.
func (m *mover) folders(ctx context.Context, only string) (folders []transfer.Folder, err error) {
	all, err := m.client.Folders(ctx, m.address)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if only == "" || only == f.Name {
			folders = append(folders, transfer.Folder{Name: f.Name, Use: f.Use, Subscribed: f.Subscribed})
		}
	}
	if len(folders) == 0 {
		return nil, fmt.Errorf("%s has no folder %q", m.address, only)
	}
	return folders, nil
}

// read gives the messages of a folder. What the node could not open, and what was cut off, is not there: the caller hears it.
func (m *mover) read(ctx context.Context, folder string, yield func(transfer.Outgoing) error) error {
	return m.client.Export(ctx, m.address, folder, 0, func(h admin.MailHead, contents io.Reader) error {
		id, err := mail.ParseMessageID(h.Email)
		if err != nil {
			return err
		}
		x := transfer.Outgoing{UID: mail.UID(h.UID), Email: id, Received: h.Received, Size: h.Size, Contents: contents}
		for _, f := range h.Flags {
			x.Flags = append(x.Flags, mail.Flag(f))
		}
		slices.Sort(x.Flags)
		if h.Error != "" {
			x.Err, x.Contents = errors.New(h.Error), nil
		}
		return yield(x)
	})
}
