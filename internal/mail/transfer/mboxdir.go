package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/mbox"
)

// Reader gives the messages of a folder on their way out, ascending by UID, above a UID.
type Reader func(ctx context.Context, folder string, yield func(Outgoing) error) error

// Outgoing is a message on its way out.
type Outgoing struct {
	UID      mail.UID
	Email    mail.MessageID
	Flags    []mail.Flag
	Received time.Time
	Size     int64
	Contents io.Reader // valid until yield returns
	Err      error     // the contents cannot be read: Contents is nil
}

// Exporter writes folders.
type Exporter struct {
	Read Reader
	// Report tells of each message that is skipped.
	Report func(place string, err error)
	// Progress is told the counts after each message.
	Progress func(Tally)

	tally Tally
}

// skips reports whether a message cannot be had, and counts it then.
func (e *Exporter) skips(folder string, m *Outgoing) bool {
	if m.Err == nil {
		return false
	}
	e.tally.Skipped++
	e.Report(fmt.Sprintf("folder %s, UID %d", folder, m.UID), m.Err)
	return true
}

func (e *Exporter) stored(m *Outgoing) {
	e.tally.Stored++
	e.tally.Octets += m.Size
	e.Progress(e.tally)
}

// Mbox writes folders to files, one each: to the file place if only is a folder's name, else to NAME.mbox in the directory
// place, '/' in the name as %2F. A file has its name when it is complete; one that is there is left as it
// is, and its folder passed over.
func (e *Exporter) Mbox(ctx context.Context, folders []Folder, only, place string) (tally Tally, err error) {
	dir := place
	if only != "" {
		dir = filepath.Dir(place)
	}
	to, err := openTarget(dir, only == "")
	if err != nil {
		return e.tally, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	for _, f := range folders {
		name := filepath.Base(place)
		if only == "" {
			if name = fileName(f.Name); name != escape(f.Name)+mboxEnd {
				e.Report("folder "+f.Name, fmt.Errorf("its name is too long for a file: it is written to %s", name))
			}
		}
		path := filepath.Join(dir, name)
		e.tally.Folders++
		if at, err := to.Lstat(name); err == nil && at.IsDir() {
			return e.tally, fmt.Errorf("folder %s to %s: that is a directory: move it away, or export to another place", f.Name, path)
		} else if err == nil {
			e.Report(path, errors.New("it is there already: remove it to have the folder written again"))
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return e.tally, err
		}
		if err := to.write(name+partial, name, func(w *os.File) error { return e.stream(ctx, f.Name, w) }); err != nil {
			return e.tally, fmt.Errorf("folder %s to %s: %w", f.Name, path, err)
		}
	}
	return e.tally, nil
}

// MboxTo writes one folder to w, which is no file that could be left without a name: after an error, what w
// got is a part.
func (e *Exporter) MboxTo(ctx context.Context, folder string, w io.Writer) (Tally, error) {
	e.tally.Folders++
	if err := e.stream(ctx, folder, w); err != nil {
		return e.tally, fmt.Errorf("folder %s: %w", folder, err)
	}
	return e.tally, nil
}

func (e *Exporter) stream(ctx context.Context, folder string, to io.Writer) error {
	w := mbox.NewWriter(to)
	err := e.Read(ctx, folder, func(m Outgoing) error {
		if e.skips(folder, &m) {
			return nil
		}
		if err := w.Write(m.Received, m.Flags, m.Contents); err != nil {
			return err
		}
		e.stored(&m)
		return nil
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// mboxEnd is the end of the name of a folder's file.
const mboxEnd = ".mbox"

// fileName gives the name of a folder's file. What escape makes longer than a file's name may be is shortened.
func fileName(folder string) string {
	return escape(shortened(folder, func(name string) bool { return len(escape(name)+mboxEnd+partial) <= fileNameMax })) + mboxEnd
}

// escape makes a file's name, without its end.
func escape(folder string) string {
	name := strings.NewReplacer("%", "%25", "/", "%2F", "\\", "%5C", ":", "%3A").Replace(folder)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return name
}
