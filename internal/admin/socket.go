package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// SocketName is the admin socket's name in the data directory.
const SocketName = "admin.sock"

// SocketPathMax is the longest path of a Unix socket that every system takes: sun_path has 104
// bytes on some and 108 on others, the last one zero.
const SocketPathMax = 103

// descriptors is where a system with a proc file system shows a process its open files.
const descriptors = "/proc/self/fd"

// Listen opens the admin socket for the node's own user alone. The caller holds the lock of the
// data directory: a socket that is there was left over from a crash and is removed.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	addr, done, err := shorten(path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	defer done()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: addr, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("admin socket %s: %w", path, err)
	}
	ln.SetUnlinkOnClose(false) // by its short name it would not be found
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), ln.Close())
	}
	return &socket{UnixListener: ln, path: path}, nil
}

// socket is a listener that removes its file.
type socket struct {
	*net.UnixListener
	path string
}

// Close closes the socket and removes its file; closing again is an error.
func (s *socket) Close() error {
	if err := s.UnixListener.Close(); err != nil {
		return err
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	addr, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	return new(net.Dialer).DialContext(ctx, "unix", addr)
}

// shorten gives a name for a socket that fits into a socket address, good until done is called. A
// path that is too long is reached through its open directory, where the system shows that as a
// path.
func shorten(path string) (addr string, done func(), err error) {
	if len(path) <= SocketPathMax {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short := fmt.Sprintf("%s/%d", descriptors, dir.Fd())
	if _, err := os.Stat(short); err != nil {
		return "", nil, errors.Join(fmt.Errorf("its path %s has %d bytes, and this system takes %d: choose a shorter data_dir", path, len(path), SocketPathMax), dir.Close())
	}
	// An error of closing a directory that was only looked up loses nothing.
	return filepath.Join(short, filepath.Base(path)), func() { _ = dir.Close() }, nil
}
