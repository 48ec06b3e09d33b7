package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"porcupine/internal/cluster"
)

// Names in a node's folder.
const (
	lockFile   = "lock"
	filesDir   = "files"
	unfinished = ".part" // ends the name of what is being written
)

// folder is one node's part of a backup directory.
type folder struct{ path string }

// folderOf is a node's folder; it may not exist.
func folderOf(dir string, node cluster.NodeID) folder {
	return folder{filepath.Join(dir, node.String())}
}

// Nodes lists the nodes that a backup directory has folders of, ascending. KindNotFound if there are
// none.
func Nodes(dir string) ([]cluster.NodeID, error) {
	op := "backup directory " + dir
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cluster.Errorf(cluster.KindNotFound, op, "there is no such directory")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	var nodes []cluster.NodeID
	for _, e := range entries {
		if id, err := cluster.ParseNodeID(e.Name()); err == nil && e.IsDir() {
			nodes = append(nodes, id)
		}
	}
	if len(nodes) == 0 {
		return nil, cluster.Errorf(cluster.KindNotFound, op, "it holds no backup of any node")
	}
	slices.Sort(nodes)
	return nodes, nil
}

// make makes the folder.
func (f folder) make() error {
	if err := os.MkdirAll(filepath.Join(f.path, filesDir), 0o700); err != nil {
		return fmt.Errorf("backup directory: %w", err)
	}
	return syncDir(filepath.Dir(f.path))
}

// lock makes this process the only one that writes the folder. unlock, or the end of the process,
// gives it back.
func (f folder) lock() (unlock func(), err error) {
	path := filepath.Join(f.path, lockFile)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("backup directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(cluster.Errorf(cluster.KindExists, "backup", "another backup of this node is being made in %s: %w", f.path, err), file.Close())
	}
	return func() { _ = file.Close() }, nil // nothing was written that could fail to arrive
}

// manifests lists the names of the generations, the oldest first.
func (f folder) manifests() ([]string, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, fmt.Errorf("backup directory: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), manifestSuffix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// read reads one generation's manifest: KindCorrupt if it is damaged.
func (f folder) read(name string) (*Manifest, error) {
	path := filepath.Join(f.path, name)
	text, err := readAtMost(path, ManifestMax)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", path, err)
	}
	m, err := ParseManifest(text)
	if err == nil && m.Node.String() != filepath.Base(f.path) {
		err = fmt.Errorf("it is of node %s", m.Node)
	}
	if err != nil {
		return nil, cluster.Errorf(cluster.KindCorrupt, "manifest "+path, "%w", err)
	}
	return m, nil
}

func readAtMost(path string, most int64) (text []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	text, err = io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	return text, err
}

// Newest gives the newest generation of a node that can be read and was taken before a time, if that
// is not zero. KindNotFound if there is none; a damaged manifest is passed over and told to warn.
func Newest(dir string, node cluster.NodeID, before time.Time, warn func(error)) (*Manifest, error) {
	f := folderOf(dir, node)
	names, err := f.manifests()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Backward(names) {
		m, err := f.read(name)
		switch {
		case err != nil:
			warn(err)
		case before.IsZero() || m.Taken.Before(before):
			return m, nil
		}
	}
	return nil, cluster.Errorf(cluster.KindNotFound, "backup of node "+node.String(), "%s holds no whole backup of it, or none so old", dir)
}

// sweep removes what interrupted backups have left, and the files that no manifest names. A manifest
// that cannot be read stops it: what it names is not known.
func (f folder) sweep() error {
	names, err := f.manifests()
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, name := range names {
		m, err := f.read(name)
		if err != nil {
			return fmt.Errorf("%w: remove it if it cannot be repaired, then make the backup again", err)
		}
		for i := range m.Files {
			wanted[m.Files[i].stored()] = true
		}
	}
	for dir, keep := range map[string]func(name string) bool{
		f.path:                          func(name string) bool { return !strings.HasSuffix(name, unfinished) },
		filepath.Join(f.path, filesDir): func(name string) bool { return wanted[name] },
	} {
		if err := removeBut(dir, keep); err != nil {
			return err
		}
	}
	return nil
}

// removeBut removes the files of a directory that are not to be kept.
func removeBut(dir string, keep func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("backup directory: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || keep(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("backup directory: %w", err)
		}
	}
	return nil
}

// prune removes the oldest manifests beyond keep, BEFORE the files that they alone name.
func (f folder) prune(keep int) (removed int, err error) {
	names, err := f.manifests()
	if err != nil {
		return 0, err
	}
	for ; len(names) > keep; names = names[1:] {
		if err := os.Remove(filepath.Join(f.path, names[0])); err != nil {
			return removed, fmt.Errorf("backup directory: %w", err)
		}
		removed++
	}
	if removed == 0 {
		return 0, nil
	}
	if err := syncDir(f.path); err != nil {
		return removed, err
	}
	return removed, f.sweep()
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("backup directory: %w", err)
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // some network file systems cannot, and make names durable by themselves
	}
	if err = errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("backup directory: make %s durable: %w", dir, err)
	}
	return nil
}
