package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// partial is the end of the name of a file that is being written.
const partial = ".partial"

// target is a directory that is written to. It may belong to the mail's owner, and whoever exports may be root: a link that lies in
// it leads nowhere outside, and no file is written through one.
type target struct{ *os.Root }

// openTarget opens a directory, and makes it if it is not there and make says so. The way to it is the caller's choice, links in it
// included.
func openTarget(dir string, make bool) (*target, error) {
	if make {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &target{root}, nil
}

// write writes a new file, whole and durable, and gives it its name only then. It is made under the name made: what an earlier run
// left there is removed.
func (t *target) write(made, name string, contents func(f *os.File) error) error {
	if err := t.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("what an earlier export left: %w", err)
	}
	f, err := t.OpenFile(made, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // fails where anything is, a link too
	if err != nil {
		return err
	}
	err = contents(f)
	if err == nil {
		err = f.Sync() // BEFORE it gets its name
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return t.Rename(made, name)
}

// replace writes a small file whole or not at all.
func (t *target) replace(name string, text []byte) error {
	return t.write(name+partial, name, func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
}
