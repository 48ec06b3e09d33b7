package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"porcupine/internal/cluster"
)

// Limits of a backup.
const (
	ManifestMax = 256 << 20 // bytes
	FilesMax    = 1 << 20   // files of one generation
	KeepDefault = 7         // generations of one node
	KeepMax     = 1000
)

// manifestFormat is the version of manifests; another one is refused.
const manifestFormat = 1

// manifestTime is the form of a manifest's name: in order of name is in order of time.
const manifestTime = "20060102T150405.000Z"

const manifestSuffix = ".json"

// Manifest describes one generation.
type Manifest struct {
	Format  int            `json:"format"`
	Cluster string         `json:"cluster"` // hexadecimal cluster.ID
	Node    cluster.NodeID `json:"node"`
	Taken   time.Time      `json:"taken"`            // when the store's moment was
	Number  uint32         `json:"number,omitempty"` // counts the backups of the node; 0: by a version that did not count
	Files   []File         `json:"files"`            // in order of name
}

// File is one file of the store.
type File struct {
	Name     string `json:"name"` // in the store's directory
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	Modified int64  `json:"modified"` // of the store's file, in nanoseconds since 1970
}

// stored is the file's name in the folder's files: two files are one only if they have the same name and
// contents.
func (f *File) stored() string { return f.Name + "-" + f.SHA256[:32] }

// isDue reports whether the backup of that number reads the stored file again: each is read once in so many backups.
func (f *File) isDue(number uint32, every int) bool {
	sum, err := strconv.ParseUint(f.SHA256[:8], 16, 32)
	return err != nil || uint32(sum)%uint32(every) == number%uint32(every)
}

// immutable reports whether the engine never changes a file once it is written: its tables.
func immutable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// ClusterID gives the cluster that the generation is of.
func (m *Manifest) ClusterID() (id cluster.ID, err error) {
	b, err := hex.DecodeString(m.Cluster)
	if err == nil && len(b) != len(id) {
		err = fmt.Errorf("%d bytes, want %d", len(b), len(id))
	}
	if err != nil {
		return id, fmt.Errorf("cluster id %q: %w", m.Cluster, err)
	}
	copy(id[:], b)
	return id, nil
}

// Size is the sum of the sizes of the generation's files.
func (m *Manifest) Size() (n int64) {
	for i := range m.Files {
		n += m.Files[i].Size
	}
	return n
}

// name is the manifest's file name.
func (m *Manifest) name() string { return m.Taken.UTC().Format(manifestTime) + manifestSuffix }

// sumLine begins the last line of a manifest's file: the checksum of all that is before it.
const sumLine = "sha256 "

// format gives the manifest as the bytes of its file.
func (m *Manifest) format() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	if err := enc.Encode(m); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.Bytes())
	fmt.Fprintf(&b, "%s%s\n", sumLine, hex.EncodeToString(sum[:]))
	return b.Bytes(), nil
}

// ParseManifest reads a manifest's file. What it accepts names plain files only: nothing in it leads
// out of a directory.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) > ManifestMax {
		return nil, fmt.Errorf("%d bytes, at most %d", len(text), ManifestMax)
	}
	body, last, found := bytes.Cut(text, []byte("\n"+sumLine))
	if !found {
		return nil, fmt.Errorf("no checksum at its end: it is cut off")
	}
	body = append(bytes.Clone(body), '\n')
	sum := sha256.Sum256(body)
	if string(last) != hex.EncodeToString(sum[:])+"\n" {
		return nil, fmt.Errorf("the checksum at its end does not fit: it is damaged")
	}
	var m Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	return &m, m.check()
}

func (m *Manifest) check() error {
	switch {
	case m.Format != manifestFormat:
		return fmt.Errorf("format %d, this program reads %d: use the version that wrote it", m.Format, manifestFormat)
	case m.Node == cluster.NoNode:
		return fmt.Errorf("it names no node")
	case len(m.Files) == 0 || len(m.Files) > FilesMax:
		return fmt.Errorf("%d files, want 1 to %d", len(m.Files), FilesMax)
	}
	if _, err := m.ClusterID(); err != nil {
		return err
	}
	for i := range m.Files {
		f := &m.Files[i]
		if err := plainName(f.Name); err != nil {
			return err
		}
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != sha256.Size || f.Size < 0 {
			return fmt.Errorf("file %s: size %d, checksum %q", f.Name, f.Size, f.SHA256)
		}
		if i > 0 && m.Files[i-1].Name >= f.Name {
			return fmt.Errorf("file %q after %q", f.Name, m.Files[i-1].Name)
		}
	}
	return nil
}

// plainName refuses what is not the name of a file in a directory.
func plainName(name string) error {
	if name == "" || len(name) > 200 || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") || name != filepath.Base(name) {
		return fmt.Errorf("%q is no file name", name)
	}
	return nil
}
