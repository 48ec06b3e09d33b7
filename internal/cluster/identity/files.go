package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"porcupine/internal/cluster"
)

// FileName is the file in the data directory that holds the identity.
const FileName = "identity.pem"

// fileSizeMax bounds what is read of it.
const fileSizeMax = 64 << 10

// Files keeps the identity file. Dir is the one on disk; MemFiles the one for tests.
type Files interface {
	// ReadFile gives the contents; an error that is fs.ErrNotExist if there is no such file.
	ReadFile(name string) ([]byte, error)
	// WriteFile replaces the contents in one step, durably, readable by the owner alone: after a
	// crash the file has the old contents or the new.
	WriteFile(name string, data []byte) error
}

// Dir keeps files in a directory of that path. It makes the directory (mode 0700) when it writes.
type Dir string

var _ Files = Dir("")

// ReadFile refuses a file that others than its owner may read or write: a key in it must be
// taken for stolen.
func (d Dir) ReadFile(name string) ([]byte, error) {
	path := filepath.Join(string(d), name)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, cluster.Errorf(cluster.KindDenied, "read "+path,
			"its mode is %04o, so that others than its owner can use the keys in it: run chmod 600 %s", info.Mode().Perm(), path)
	}
	if info.Size() > fileSizeMax {
		return nil, cluster.Errorf(cluster.KindLimit, "read "+path, "%d bytes, at most %d allowed", info.Size(), fileSizeMax)
	}
	return os.ReadFile(path)
}

// WriteFile writes a temporary file, syncs it, renames it and syncs the directory.
func (d Dir) WriteFile(name string, data []byte) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(d), name+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	err = writeSynced(f, data)
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(string(d), name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(string(d))
}

func writeSynced(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// MemFiles keeps files in memory. The zero value is empty and ready. Safe for concurrent use.
type MemFiles struct {
	mu    sync.Mutex
	files map[string][]byte
}

var _ Files = (*MemFiles)(nil)

// ReadFile gives a copy of the contents.
func (m *MemFiles) ReadFile(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.files[name]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	return append([]byte(nil), data...), nil
}

// WriteFile keeps a copy of the contents.
func (m *MemFiles) WriteFile(name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files == nil {
		m.files = make(map[string][]byte)
	}
	m.files[name] = append([]byte(nil), data...)
	return nil
}
