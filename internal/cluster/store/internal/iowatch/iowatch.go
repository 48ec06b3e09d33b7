// Package iowatch wraps a file system and watches what goes through it: it counts the fsyncs,
// those of the write-ahead log apart, it reports the first error of a write or fsync that
// leaves what is durable unknown, and it knows for how long the disk has owed an answer.
//
// All are done here because only here is the truth known. No engine statistic counts every
// fsync of every file, the engine learns of a broken log by panicking with its locks held, and of a
// disk that hangs it does not learn at all.
package iowatch

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS watches. Read the counters at any time, from any goroutine.
type FS struct {
	vfs.FS
	Syncs    atomic.Int64 // fsync and fdatasync of files and directories
	LogSyncs atomic.Int64 // those of write-ahead logs
	Underway *Underway    // deeds that commits wait for

	dir     string      // see New
	onError func(error) // see New
}

var _ vfs.FS = (*FS)(nil)

// New wraps fs; now is the clock that deeds are timed with. onError is called with each error of writing, syncing, closing or making a
// write-ahead log in dir, or of syncing dir, BEFORE the engine sees the error; if onError does
// not return, the engine never does. Files elsewhere, such as those of a copy, may fail.
func New(fs vfs.FS, dir string, now func() time.Time, onError func(error)) *FS {
	return &FS{FS: fs, Underway: NewUnderway(now), dir: dir, onError: onError}
}

// Unwrap gives the file system underneath.
func (f *FS) Unwrap() vfs.FS { return f.FS }

// Create watches a new file.
func (f *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	place := f.begin(f.isLog(name), DeedMake)
	file, err := f.FS.Create(name, category)
	f.Underway.End(place)
	return f.watch(name, file, f.isLog(name), err)
}

// OpenReadWrite watches a file opened for writing.
func (f *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	place := f.begin(f.isLog(name), DeedMake)
	file, err := f.FS.OpenReadWrite(name, category, opts...)
	f.Underway.End(place)
	return f.watch(name, file, f.isLog(name), err)
}

// ReuseForWrite watches a recycled file under its new name.
func (f *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	place := f.begin(f.isLog(newname), DeedMake)
	file, err := f.FS.ReuseForWrite(oldname, newname, category)
	f.Underway.End(place)
	return f.watch(newname, file, f.isLog(newname), err)
}

// OpenDir watches a directory.
func (f *FS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.watch(name, file, name == f.dir, err)
}

// isLog reports whether the name is that of a write-ahead log in the directory.
func (f *FS) isLog(name string) bool {
	return strings.HasSuffix(name, ".log") && f.PathDir(name) == f.PathDir(f.PathJoin(f.dir, "x"))
}

// watch wraps a file; critical means that an error of it leaves what is durable unknown.
func (f *FS) watch(name string, file vfs.File, critical bool, err error) (vfs.File, error) {
	if err != nil {
		return nil, f.report(critical && f.isLog(name), err)
	}
	return &watchedFile{File: file, fs: f, critical: critical, log: f.isLog(name)}, nil
}

func (f *FS) report(critical bool, err error) error {
	if err != nil && critical {
		f.onError(err)
	}
	return err
}

// begin is Underway.Begin if commits wait for it.
func (f *FS) begin(critical bool, d Deed) int {
	if !critical {
		return placesMax
	}
	return f.Underway.Begin(d)
}

type watchedFile struct {
	vfs.File
	fs       *FS
	critical bool
	log      bool
}

func (w *watchedFile) count() {
	w.fs.Syncs.Add(1)
	if w.log {
		w.fs.LogSyncs.Add(1)
	}
}

func (w *watchedFile) Write(p []byte) (int, error) {
	place := w.fs.begin(w.critical, DeedWrite)
	n, err := w.File.Write(p)
	w.fs.Underway.End(place)
	return n, w.fs.report(w.critical, err)
}

func (w *watchedFile) Sync() error {
	w.count()
	place := w.fs.begin(w.critical, DeedSync)
	err := w.File.Sync()
	w.fs.Underway.End(place)
	return w.fs.report(w.critical, err)
}

func (w *watchedFile) SyncData() error {
	w.count()
	place := w.fs.begin(w.critical, DeedSync)
	err := w.File.SyncData()
	w.fs.Underway.End(place)
	return w.fs.report(w.critical, err)
}

func (w *watchedFile) SyncTo(length int64) (bool, error) {
	place := w.fs.begin(w.critical, DeedSync)
	full, err := w.File.SyncTo(length)
	w.fs.Underway.End(place)
	if full {
		w.count()
	}
	return full, w.fs.report(w.critical, err)
}

func (w *watchedFile) Close() error {
	place := w.fs.begin(w.log, DeedMake)
	err := w.File.Close()
	w.fs.Underway.End(place)
	return w.fs.report(w.log, err)
}
