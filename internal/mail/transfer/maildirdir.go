package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"porcupine/internal/mail"
	"porcupine/internal/mail/maildir"
)

// Maildir writes folders to a Maildir. Each message's file is named after the time, the UID and the Email id, so what an
// earlier run has written is passed over. Contents are written as they are, with lines that end with CR LF.
func (e *Exporter) Maildir(ctx context.Context, folders []Folder, dir string) (tally Tally, err error) {
	to, err := openTarget(dir, true)
	if err != nil {
		return e.tally, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := e.subscribed(folders, to); err != nil {
		return e.tally, err
	}
	for _, f := range folders {
		name, err := e.dirName(f.Name)
		if err != nil {
			e.tally.Skipped++
			e.Report("folder "+f.Name, err)
			continue
		}
		e.tally.Folders++
		d := maildirFolder{e: e, to: to, name: f.Name, path: name}
		if err := d.write(ctx); err != nil {
			return e.tally, fmt.Errorf("folder %s to %s: %w", f.Name, filepath.Join(dir, name), err)
		}
	}
	return e.tally, nil
}

// dirName gives the directory of a folder. In modified UTF-7 a name can be longer than a file's may be: it is shortened then, as a
// folder's name, so that it can be read again.
func (e *Exporter) dirName(folder string) (string, error) {
	if _, err := maildir.DirName(folder); err != nil {
		return "", err
	}
	name := shortened(folder, func(name string) bool {
		dir, err := maildir.DirName(name)
		return err == nil && len(dir) <= fileNameMax
	})
	if name != folder {
		e.Report("folder "+folder, fmt.Errorf("its name is too long for a Maildir: it is written as %s", name))
	}
	return maildir.DirName(name)
}

// subscribed writes the list of subscriptions, in the form that has names in UTF-8.
func (e *Exporter) subscribed(folders []Folder, to *target) error {
	text := "V\t2\n\n"
	for _, f := range folders {
		if f.Subscribed {
			text += strings.ReplaceAll(f.Name, "/", "\t") + "\n"
		}
	}
	return to.replace("subscriptions", []byte(text))
}

// maildirFolder is one folder being written.
type maildirFolder struct {
	e        *Exporter
	to       *target
	name     string
	path     string          // in the target, "." for INBOX
	keywords []mail.Flag     // by their letters
	there    map[string]bool // names of files without their flags
}

func (d *maildirFolder) write(ctx context.Context) error {
	for _, dir := range []string{"tmp", "new", "cur"} { // a directory is a Maildir when it has cur
		if err := d.to.MkdirAll(path.Join(d.path, dir), 0o700); err != nil {
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
	if d.keywords, err = maildir.ReadKeywords(d.to.FS(), d.path); err != nil {
		return err
	}
	d.there = map[string]bool{}
	for _, dir := range []string{"cur", "new"} { // a program may have it renamed since
		entries, err := fs.ReadDir(d.to.FS(), path.Join(d.path, dir))
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
	tmp, name := path.Join(d.path, "tmp", unique), path.Join(d.path, "cur", maildir.FileName(unique, m.Flags, d.keywords))
	err := d.to.write(tmp, name, func(f *os.File) error {
		if _, err := io.Copy(f, m.Contents); err != nil {
			return err
		}
		return d.to.Chtimes(tmp, m.Received, m.Received) // BEFORE it is a message
	})
	if err != nil {
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
	return d.to.replace(path.Join(d.path, "dovecot-keywords"), maildir.Keywords(d.keywords))
}
