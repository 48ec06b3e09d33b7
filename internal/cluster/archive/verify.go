package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"porcupine/internal/cluster"
)

// Checked says what Verify read.
type Checked struct {
	Nodes       int
	Generations int
	Files       int
	Bytes       int64
	Faults      int
}

// Verify reads every generation of every node in a backup directory, and reports each fault in one
// line. A file that several generations share is read once. Without an error everything was read.
func Verify(ctx context.Context, dir string, report func(fault string)) (c Checked, err error) {
	nodes, err := Nodes(dir)
	if err != nil {
		return c, err
	}
	for _, node := range nodes {
		v := verification{folder: folderOf(dir, node), judged: map[string]bool{}, buf: make([]byte, 1<<20), total: &c}
		v.report = func(format string, args ...any) {
			c.Faults++
			report("node " + node.String() + ": " + fmt.Sprintf(format, args...))
		}
		c.Nodes++
		if err := v.run(ctx); err != nil {
			return c, err
		}
	}
	return c, nil
}

// verification is that of one node's folder.
type verification struct {
	folder folder
	judged map[string]bool // stored files read so far: whether they are well
	buf    []byte
	total  *Checked
	report func(format string, args ...any)
}

func (v *verification) run(ctx context.Context) error {
	names, err := v.folder.manifests()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		v.report("there is no whole backup of it")
	}
	for _, name := range names {
		m, err := v.folder.read(name)
		if err != nil {
			v.report("%v", err)
			continue
		}
		v.total.Generations++
		for i := range m.Files {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("backup verify: interrupted: %w", context.Cause(ctx))
			}
			v.file(name, &m.Files[i])
		}
	}
	return nil
}

// file judges a file, and reports it for every generation that it spoils.
func (v *verification) file(generation string, f *File) {
	well, seen := v.judged[f.stored()]
	if !seen {
		v.total.Files++
		v.total.Bytes += f.Size
		path := filepath.Join(v.folder.path, filesDir, f.stored())
		err := checkFile(path, f, v.buf)
		switch well = err == nil; {
		case well:
		case immutable(f.Name):
			v.report("%s: %s: %v: remove %s, and the next backup copies it anew if the node has it still", generation, f.Name, err, path)
		default:
			v.report("%s: %s: %v", generation, f.Name, err)
		}
		v.judged[f.stored()] = well
	} else if !well {
		v.report("%s: %s: damaged, as said above", generation, f.Name)
	}
}

// checkFile compares a file with what its manifest says.
func checkFile(path string, want *File, buf []byte) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	h := sha256.New()
	size, err := io.CopyBuffer(h, onlyReader{in}, buf)
	switch {
	case err != nil:
		return err
	case size != want.Size:
		return cluster.Errorf(cluster.KindCorrupt, "read", "%d bytes, want %d", size, want.Size)
	case hex.EncodeToString(h.Sum(nil)) != want.SHA256:
		return cluster.Errorf(cluster.KindCorrupt, "read", "its checksum does not fit")
	}
	return nil
}
