package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"porcupine/internal/cluster"
)

// Options say what Backup copies, and where.
type Options struct {
	From    string         // a directory that nothing changes meanwhile: a store's checkpoint
	To      string         // the backup directory; made if absent
	Cluster cluster.ID     // that the store is of
	Node    cluster.NodeID // likewise
	Taken   time.Time      // the moment of the checkpoint
	Keep    int            // generations of this node that are kept, this one included; 0: KeepDefault
}

// Done says what Backup did.
type Done struct {
	Manifest *Manifest
	Copied   int      // files
	Bytes    int64    // of those
	Reread   int      // files of earlier backups that were compared with their checksums
	Damaged  []string // those that did not match, and were copied anew
	Removed  int      // generations that were older than Keep
}

// Backup adds a generation. A file that an earlier one has is not copied again, but read once in Keep backups: if it
// has been damaged in the backup directory, it is copied anew, for all generations that name it. Otherwise damage of one
// file would be in all later generations, and in the end in all there are. An error leaves no generation behind, and all older ones as they were.
// KindExists: another backup of the node is being made. KindFull: the backup directory's disk is full.
func Backup(ctx context.Context, o Options) (done Done, err error) {
	o.Keep = cmp.Or(o.Keep, KeepDefault)
	if o.Keep < 1 || o.Keep > KeepMax {
		return done, cluster.Errorf(cluster.KindInvalid, "backup", "keep %d generations: want 1 to %d", o.Keep, KeepMax)
	}
	f := folderOf(o.To, o.Node)
	if err := f.make(); err != nil {
		return done, explainFull(o.To, err)
	}
	unlock, err := f.lock()
	if err != nil {
		return done, err
	}
	defer unlock()
	if err := f.sweep(); err != nil {
		return done, err
	}
	w, err := newWriter(f, &o)
	if err != nil {
		return done, err
	}
	done.Manifest = &w.manifest
	if err := w.copyAll(ctx, o.From); err != nil {
		return done, explainFull(o.To, errors.Join(err, f.sweep()))
	}
	done.Copied, done.Bytes, done.Reread, done.Damaged = w.copied, w.bytes, w.reread, w.damaged
	if err := w.commit(); err != nil {
		return done, explainFull(o.To, err)
	}
	done.Removed, err = f.prune(o.Keep)
	return done, err
}

func explainFull(dir string, err error) error {
	if err != nil && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return cluster.Errorf(cluster.KindFull, "backup", "the disk of %s is full; no backup was made, older ones are as they were: free some space there, or keep fewer generations: %w", dir, err)
	}
	return err
}

// writer makes one generation.
type writer struct {
	folder   folder
	manifest Manifest
	before   map[string]File // of the generation before this, by name
	every    int             // backups in which each of its files is read once
	buf      []byte
	copied   int
	bytes    int64
	reread   int
	damaged  []string
}

func newWriter(f folder, o *Options) (*writer, error) {
	w := &writer{folder: f, every: o.Keep, buf: make([]byte, 1<<20), before: map[string]File{}, manifest: Manifest{
		Format: manifestFormat, Cluster: hex.EncodeToString(o.Cluster[:]), Node: o.Node, Taken: o.Taken.UTC().Truncate(time.Millisecond), Number: 1,
	}}
	names, err := f.manifests()
	if err != nil || len(names) == 0 {
		return w, err
	}
	last, err := f.read(names[len(names)-1])
	if err != nil {
		return nil, err
	}
	if last.Cluster != w.manifest.Cluster {
		return nil, cluster.Errorf(cluster.KindDenied, "backup", "%s holds backups of another cluster: give each cluster a directory of its own", f.path)
	}
	if !w.manifest.Taken.After(last.Taken) {
		return nil, cluster.Errorf(cluster.KindInvalid, "backup", "there is a backup of %v already, this one is of %v: set this machine's clock; if it is right, and was ahead when that one was made, remove %s",
			last.Taken, w.manifest.Taken, filepath.Join(f.path, last.name()))
	}
	w.manifest.Number = last.Number + 1
	for _, file := range last.Files {
		w.before[file.Name] = file
	}
	return w, nil
}

func (w *writer) copyAll(ctx context.Context, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("backup: read the checkpoint: %w", err)
	}
	if len(entries) > FilesMax {
		return cluster.Errorf(cluster.KindLimit, "backup", "the store has %d files, at most %d", len(entries), FilesMax)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("backup: interrupted: %w", context.Cause(ctx))
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("backup: read the checkpoint: %w", err)
		}
		if !info.Mode().IsRegular() {
			return cluster.Errorf(cluster.KindInvalid, "backup", "%s in the checkpoint is no file", e.Name())
		}
		file, err := w.file(from, info)
		if err != nil {
			return fmt.Errorf("backup of %s: %w", e.Name(), err)
		}
		w.manifest.Files = append(w.manifest.Files, file)
	}
	return nil
}

// file gives the entry of one file, and copies it unless it is there.
func (w *writer) file(from string, info fs.FileInfo) (File, error) {
	modified := info.ModTime().UnixNano()
	if old, ok := w.before[info.Name()]; ok && immutable(old.Name) && old.Size == info.Size() && old.Modified == modified {
		if w.isThere(&old) {
			return old, nil
		}
	}
	file := File{Name: info.Name(), Modified: modified}
	if err := plainName(file.Name); err != nil {
		return file, err
	}
	part := filepath.Join(w.folder.path, filesDir, file.Name+unfinished)
	size, sum, err := copyFile(filepath.Join(from, file.Name), part, w.buf)
	if err != nil {
		return file, err
	}
	file.Size, file.SHA256 = size, hex.EncodeToString(sum)
	w.copied++
	w.bytes += size
	return file, os.Rename(part, filepath.Join(w.folder.path, filesDir, file.stored()))
}

// isThere reports whether a file of the generation before is stored still, whole as far as is known.
func (w *writer) isThere(f *File) bool {
	path := filepath.Join(w.folder.path, filesDir, f.stored())
	stored, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	due := f.isDue(w.manifest.Number, w.every)
	switch {
	case err != nil:
	case stored.Size() != f.Size:
		err = cluster.Errorf(cluster.KindCorrupt, "read", "%d bytes, want %d", stored.Size(), f.Size)
	case due:
		w.reread++
		err = checkFile(path, f, w.buf)
	}
	if err != nil {
		w.damaged = append(w.damaged, fmt.Sprintf("%s: %v", path, err))
	}
	return err == nil
}

// copyFile copies a file durably and gives its size and SHA-256.
func copyFile(from, to string, buf []byte) (size int64, sum []byte, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, nil, err
	}
	h := sha256.New()
	size, err = io.CopyBuffer(io.MultiWriter(out, h), onlyReader{in}, buf)
	if err == nil {
		err = out.Sync()
	}
	return size, h.Sum(nil), errors.Join(err, out.Close())
}

// onlyReader hides what else a file can do, so that CopyBuffer uses its buffer.
type onlyReader struct{ io.Reader }

// commit writes the manifest: AFTER the files are durable, names included.
func (w *writer) commit() error {
	if err := syncDir(filepath.Join(w.folder.path, filesDir)); err != nil {
		return err
	}
	text, err := w.manifest.format()
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	path := filepath.Join(w.folder.path, w.manifest.name())
	if err := writeDurably(path+unfinished, text); err != nil {
		return fmt.Errorf("backup: write the manifest: %w", err)
	}
	if err := os.Rename(path+unfinished, path); err != nil {
		return fmt.Errorf("backup: write the manifest: %w", err)
	}
	return syncDir(w.folder.path)
}

func writeDurably(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
