// Package iocount wraps a file system and counts the fsyncs that go through it, those of the
// write-ahead log apart. Counting where the calls happen gives the truth about durability costs
// that no engine statistic gives: every fsync, of every file, asked for by anyone.
package iocount

import (
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS counts. Read the counters at any time, from any goroutine.
type FS struct {
	vfs.FS
	Syncs    atomic.Int64 // fsync and fdatasync of files and directories
	LogSyncs atomic.Int64 // those of write-ahead logs
}

var _ vfs.FS = (*FS)(nil)

// New wraps fs.
func New(fs vfs.FS) *FS { return &FS{FS: fs} }

// Unwrap gives the file system underneath.
func (f *FS) Unwrap() vfs.FS { return f.FS }

// Create counts the syncs of a new file.
func (f *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	return f.wrap(name, file, err)
}

// OpenReadWrite counts the syncs of a file opened for writing.
func (f *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name, category, opts...)
	return f.wrap(name, file, err)
}

// ReuseForWrite counts the syncs of a recycled file under its new name.
func (f *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, category)
	return f.wrap(newname, file, err)
}

// OpenDir counts the syncs of a directory.
func (f *FS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.wrap(name, file, err)
}

func (f *FS) wrap(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &countedFile{File: file, fs: f, log: strings.HasSuffix(name, ".log")}, nil
}

type countedFile struct {
	vfs.File
	fs  *FS
	log bool
}

func (c *countedFile) count() {
	c.fs.Syncs.Add(1)
	if c.log {
		c.fs.LogSyncs.Add(1)
	}
}

func (c *countedFile) Sync() error {
	c.count()
	return c.File.Sync()
}

func (c *countedFile) SyncData() error {
	c.count()
	return c.File.SyncData()
}

func (c *countedFile) SyncTo(length int64) (bool, error) {
	full, err := c.File.SyncTo(length)
	if full {
		c.count()
	}
	return full, err
}
