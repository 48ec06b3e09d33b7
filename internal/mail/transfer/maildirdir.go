package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"porcupine/internal/mail"
	"porcupine/internal/mail/maildir"
)

// Maildir writes folders to a Maildir. Each message's file is named after the time, the UID and the Email id, so what an
// earlier run has written is passed over. Contents are written as they are, with lines that end with CR LF.
func (e *Exporter) Maildir(ctx context.Context, folders []Folder, target string) (Tally, error) {
	if err := e.subscribed(folders, target); err != nil {
		return e.tally, err
	}
	for _, f := range folders {
		name, err := maildir.DirName(f.Name)
		if err != nil {
			return e.tally, err
		}
		e.tally.Folders++
		d := maildirFolder{e: e, name: f.Name, path: filepath.Join(target, name)}
		if err := d.write(ctx); err != nil {
			return e.tally, fmt.Errorf("folder %s to %s: %w", f.Name, d.path, err)
		}
	}
	return e.tally, nil
}

// subscribed writes the list of subscriptions, in the form that has names in UTF-8.
func (e *Exporter) subscribed(folders []Folder, target string) error {
	if err := os.MkdirAll(target, 0o700); err != nil {
		return err
	}
	text := "V\t2\n\n"
	for _, f := range folders {
		if f.Subscribed {
			text += strings.ReplaceAll(f.Name, "/", "\t") + "\n"
		}
	}
	return replace(filepath.Join(target, "subscriptions"), []byte(text))
}

// replace writes a small file whole or not at all.
func replace(path string, text []byte) error {
	f, err := os.OpenFile(path+partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+partial, path)
}

// maildirFolder is one folder being written.
type maildirFolder struct {
	e        *Exporter
	name     string
	path     string
	keywords []mail.Flag     // by their letters
	there    map[string]bool // names of files without their flags
}

func (d *maildirFolder) write(ctx context.Context) error {
	for _, dir := range []string{"tmp", "new", "cur"} { // a directory is a Maildir when it has cur
		if err := os.MkdirAll(filepath.Join(d.path, dir), 0o700); err != nil {
			return err
		}
	}
	if err := d.learn(); err != nil {
		return err
	}
	return d.e.Read(ctx, d.name, d.message)
}

// learn reads what an earlier run has written.
func (d *maildirFolder) learn() (err error) {
	if d.keywords, err = maildir.ReadKeywords(os.DirFS(d.path), "."); err != nil {
		return err
	}
	d.there = map[string]bool{}
	for _, dir := range []string{"cur", "new"} { // a program may have it renamed since
		entries, err := os.ReadDir(filepath.Join(d.path, dir))
		if err != nil {
			return err
		}
		for _, e := range entries {
			unique, _, _ := strings.Cut(e.Name(), ":")
			d.there[unique] = true
		}
	}
	return nil
}

func (d *maildirFolder) message(m Outgoing) error {
	if d.e.skips(d.name, &m) {
		return nil
	}
	unique := fmt.Sprintf("%d.U%d_%s.porcupine", m.Received.Unix(), m.UID, m.Email)
	if d.there[unique] {
		d.e.tally.There++
		d.e.Progress(d.e.tally)
		return nil
	}
	if err := d.letters(&m); err != nil {
		return err
	}
	tmp := filepath.Join(d.path, "tmp", unique)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, m.Contents)
	if err == nil {
		err = f.Sync() // BEFORE it is a message
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(tmp, m.Received, m.Received); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(d.path, "cur", maildir.FileName(unique, m.Flags, d.keywords))); err != nil {
		return err
	}
	d.e.stored(&m)
	return nil
}

// letters gives the keywords of a message letters, and writes those down BEFORE a file's name has them. A keyword for
// which there is no letter left is reported.
func (d *maildirFolder) letters(m *Outgoing) error {
	changed := false
	for _, k := range m.Flags {
		if maildir.HasLetter(k) || slices.Contains(d.keywords, k) {
			continue
		}
		free := slices.Index(d.keywords, "")
		if free < 0 {
			d.e.Report(fmt.Sprintf("folder %s, UID %d", d.name, m.UID), fmt.Errorf("keyword %s is left out: a Maildir's folder has room for %d", k, len(d.keywords)))
			continue
		}
		d.keywords[free], changed = k, true
	}
	if !changed {
		return nil
	}
	return replace(filepath.Join(d.path, "dovecot-keywords"), maildir.Keywords(d.keywords))
}
