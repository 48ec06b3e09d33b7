package archive

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"porcupine/internal/cluster"
)

// Clone makes a store directory in to, which must not exist, out of a generation in the backup directory
// dir. Every file is compared with its checksum: KindCorrupt, and nothing is left, if one is damaged.
func Clone(ctx context.Context, dir string, m *Manifest, to string) error {
	source := filepath.Join(folderOf(dir, m.Node).path, filesDir)
	return clone(ctx, to, len(m.Files), func(i int, buf []byte) (err error) {
		f := &m.Files[i]
		from := filepath.Join(source, f.stored())
		if immutable(f.Name) {
			if err = checkFile(from, f, buf); err == nil {
				err = link(from, filepath.Join(to, f.Name), buf)
			}
		} else {
			var sum []byte
			if _, sum, err = copyFile(from, filepath.Join(to, f.Name), buf); err == nil && hex.EncodeToString(sum) != f.SHA256 {
				err = cluster.Errorf(cluster.KindCorrupt, "read", "its checksum does not fit")
			}
		}
		if err != nil {
			return fmt.Errorf("%s of the backup: %w", f.stored(), err)
		}
		return nil
	})
}

// CloneStore makes a store directory in to, which must not exist, out of one that no process has
// open, and leaves that as it is.
func CloneStore(ctx context.Context, from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && e.Name() != "LOCK" {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return cluster.Errorf(cluster.KindNotFound, "read the store", "%s holds no store", from)
	}
	return clone(ctx, to, len(names), func(i int, buf []byte) error {
		a, b := filepath.Join(from, names[i]), filepath.Join(to, names[i])
		if immutable(names[i]) {
			return link(a, b, buf)
		}
		_, _, err := copyFile(a, b, buf)
		return err
	})
}

// clone makes the directory and has file add each of count files.
func clone(ctx context.Context, to string, count int, file func(i int, buf []byte) error) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return fmt.Errorf("make a store to read from: %w", err)
	}
	buf := make([]byte, 1<<20)
	for i := range count {
		err := ctx.Err()
		if err == nil {
			err = file(i, buf)
		} else {
			err = fmt.Errorf("interrupted: %w", context.Cause(ctx))
		}
		if err != nil {
			return errors.Join(explainFull(filepath.Dir(to), fmt.Errorf("make a store to read from: %w", err)), os.RemoveAll(to))
		}
	}
	return nil
}

// link gives a file that never changes a second name, or copies it where that is not possible.
func link(from, to string, buf []byte) error {
	if os.Link(from, to) == nil {
		return nil
	}
	_, _, err := copyFile(from, to, buf)
	return err
}
