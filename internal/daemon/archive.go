package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/archive"
	"porcupine/internal/mail/directory"
	"porcupine/internal/mail/objects"
)

// archivist makes checkpoints for backups, and takes in what a backup has and the cluster lacks.
type archivist struct {
	d  *daemon
	mu sync.Mutex // held while there is a checkpoint
}

var _ admin.Archive = (*archivist)(nil)

// checkpointPrefix begins the name of a checkpoint in the data directory: on the same disk as the store,
// so that it costs links and no copies.
const checkpointPrefix = "checkpoint-"

// How long a new checkpoint waits for the end of the last one, whose client has gone already.
const (
	checkpointWait  = 3 * time.Second
	checkpointRetry = 20 * time.Millisecond
)

// Checkpoint implements admin.Archive. What a crash left of an earlier one is removed first.
func (a *archivist) Checkpoint(ctx context.Context) (c admin.Checkpoint, release func() error, err error) {
	const op = "checkpoint"
	for began := time.Now(); !a.mu.TryLock(); {
		if time.Since(began) > checkpointWait || !sleep(ctx, checkpointRetry) {
			return c, nil, cluster.Errorf(cluster.KindExists, op, "a backup of this node is being made already")
		}
	}
	defer func() {
		if err != nil {
			a.mu.Unlock()
		}
	}()
	if err := a.removeCheckpoints(); err != nil {
		return c, nil, fmt.Errorf("%s: %w", op, err)
	}
	id, now := a.d.id.Cluster(), time.Now()
	c = admin.Checkpoint{
		Dir:     filepath.Join(a.d.cfg.DataDir, checkpointPrefix+now.UTC().Format("20060102T150405.000")),
		Cluster: hex.EncodeToString(id[:]), Node: a.d.id.Node(), Taken: now,
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, nil, fmt.Errorf("%s: %w", op, err)
	}
	if err := a.d.store.Checkpoint(c.Dir); err != nil {
		return c, nil, errors.Join(err, os.RemoveAll(c.Dir))
	}
	return c, func() error {
		defer a.mu.Unlock()
		return os.RemoveAll(c.Dir)
	}, nil
}

func (a *archivist) removeCheckpoints() error {
	entries, err := os.ReadDir(a.d.cfg.DataDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), checkpointPrefix) {
			if err := os.RemoveAll(filepath.Join(a.d.cfg.DataDir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Has implements archive.Live: the profiles that the manager knows, and what the holders of each fragment
// list. One holder of a fragment is enough; that none answers is an error, and not "nothing".
func (a *archivist) Has(ctx context.Context, owner string) (archive.Has, error) {
	e, err := a.d.node.Lookup(ctx, owner)
	if err != nil {
		return archive.Has{}, err
	}
	h := archive.Has{Knowledge: e.Knowledge}
	if h.Floor, err = directory.MailFloor(&e); err != nil && !cluster.IsKind(err, cluster.KindUnavailable) && !cluster.IsKind(err, cluster.KindNotFound) {
		return h, err
	}
	for i := range e.Cached {
		o := &e.Cached[i].Object
		h.Objects = append(h.Objects, archive.Known{ID: o.ID, Timestamp: o.Timestamp, Deleted: o.Deleted})
	}
	listed := map[listing]bool{}
	for i := range e.Fragments {
		if err := a.list(ctx, owner, &e.Fragments[i], listed, &h); err != nil {
			return h, err
		}
	}
	return h, nil
}

// listing is one node's list of one owner's objects of a type: it covers every fragment there.
type listing struct {
	node cluster.NodeID
	of   cluster.ObjectType
}

// list adds the objects of a fragment, as the first of its holders that answers lists them.
func (a *archivist) list(ctx context.Context, owner string, f *cluster.Placed, listed map[listing]bool, h *archive.Has) error {
	for _, node := range f.Holders {
		if listed[listing{node, f.Type}] {
			return nil
		}
	}
	var err error = cluster.Errorf(cluster.KindUnavailable, "list "+owner, "no node that is here holds it")
	for _, node := range f.Holders {
		var objects []cluster.Object
		if objects, err = a.d.node.List(ctx, node, owner, f.Type); err != nil {
			continue
		}
		listed[listing{node, f.Type}] = true
		for _, o := range objects {
			h.Objects = append(h.Objects, archive.Known{ID: o.ID, Timestamp: o.Timestamp, Deleted: o.Deleted})
		}
		return nil
	}
	return err
}

// Put implements archive.Live.
func (a *archivist) Put(ctx context.Context, o cluster.Object, body io.Reader) error {
	op := "put " + string(o.ID.Type) + " of " + o.ID.Owner
	s, err := spoolObject(a.d.cfg.DataDir, &o, body)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	defer func() {
		if err := s.close(); err != nil {
			a.d.log.Warn("a spool file was not closed", "err", err)
		}
	}()
	e, err := a.d.node.Lookup(ctx, o.ID.Owner)
	if err != nil {
		return err
	}
	u := cluster.Update{Object: o}
	u.Object.Timestamp, u.Object.Deleted = cluster.Timestamp{}, false
	if u.Object.Replicas, err = a.place(&e, &u); err != nil {
		return err
	}
	var short *cluster.Shortfall
	if err := a.d.node.Update(ctx, u, s.body); err != nil && !errors.As(err, &short) {
		return err
	}
	return nil // a shortfall is durable somewhere, and its record brings the rest
}

// place chooses the nodes for an object that comes back. A profile needs proof that there is none: two of
// one name would be one too many.
func (a *archivist) place(e *cluster.Entry, u *cluster.Update) (cluster.ReplicaSet, error) {
	c, id := a.d.cfg.Cluster, u.Object.ID
	if !cached(id.Type) {
		copies := u.Object.Copies
		if copies == 0 {
			copies = c.MessageCopies
		}
		return a.d.node.Choose(*e, id.Type, copies, c.Spread+copies-1, nil, nil)
	}
	if _, found := e.Find(id.Type, id.ID); found {
		return nil, cluster.Errorf(cluster.KindExists, "put "+id.Owner, "it is there already")
	}
	if e.Knowledge < cluster.Conclusive {
		return nil, cluster.Errorf(cluster.KindUnavailable, "put "+id.Owner, "so many nodes are absent that it may exist on one of them: start them, or strike those that will not come back with 'porcupine node remove'")
	}
	for i := range e.Cached {
		if e.Cached[i].Object.ID == id { // a tombstone, which must hear of it
			u.Previous = e.Cached[i].Object.Replicas
		}
	}
	return a.d.node.Choose(cluster.Entry{Owner: id.Owner}, id.Type, c.ProfileCopies, c.ProfileCopies, nil, nil)
}

// cached reports whether a type of the mail service is one that managers keep in memory.
func cached(t cluster.ObjectType) bool {
	for _, spec := range objects.Types() {
		if spec.Name == t {
			return spec.Cached
		}
	}
	return false
}

// spooled is the contents of an object, which must be readable more than once.
type spooled struct {
	body cluster.Body
	file *os.File // nil: in memory
}

// spoolMemoryMax is the largest contents that are kept in memory; larger ones go to a file without a
// name in the data directory.
const spoolMemoryMax = 1 << 20

// spoolObject reads an object's contents and compares them with its size and checksum: KindCorrupt.
func spoolObject(dir string, o *cluster.Object, from io.Reader) (s spooled, err error) {
	h := sha256.New()
	from = io.TeeReader(io.LimitReader(from, o.Size+1), h)
	var n int64
	if o.Size <= spoolMemoryMax {
		var text []byte
		text, err = io.ReadAll(from)
		s.body, n = bytes.NewReader(text), int64(len(text))
	} else {
		s, n, err = spoolFile(dir, from)
	}
	if err == nil && (n != o.Size || !bytes.Equal(h.Sum(nil), o.Sum[:])) {
		err = cluster.Errorf(cluster.KindCorrupt, "read its contents", "%d bytes of %d came, or their checksum does not fit", n, o.Size)
	}
	if err != nil {
		return s, errors.Join(err, s.close())
	}
	return s, nil
}

func spoolFile(dir string, from io.Reader) (s spooled, n int64, err error) {
	f, err := os.CreateTemp(dir, "spool-")
	if err != nil {
		return s, 0, err
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return s, 0, err
	}
	n, err = io.Copy(f, from)
	s.body = io.NewSectionReader(f, 0, n)
	return s, n, err
}

func (s spooled) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
