package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/archive"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/store"
	"porcupine/internal/mail"
	"porcupine/internal/mail/objects"
)

// lost is a cluster that has nothing any more, and counts what it gets.
type lost struct {
	admin.Archive
	put     atomic.Int64
	removed string // a domain of which it has a tombstone
}

func (l *lost) Has(_ context.Context, owner string) (archive.Has, error) {
	h := archive.Has{Knowledge: cluster.Conclusive}
	if owner == l.removed {
		h.Objects = []archive.Known{{ID: cluster.ObjectID{Type: mail.TypeDomain, Owner: owner}, Deleted: true}}
	}
	return h, nil
}

func (l *lost) Put(_ context.Context, _ cluster.Object, body io.Reader) error {
	l.put.Add(1)
	_, err := io.Copy(io.Discard, body)
	return err
}

// backUp makes a backup of a node with one domain.
func backUp(t *testing.T, dir string, id cluster.ID, node cluster.NodeID, domain string) {
	t.Helper()
	from := filepath.Join(t.TempDir(), "store")
	s, err := store.Open(store.Config{Dir: from, ClusterID: id, Node: node, Types: objects.Types()})
	if err != nil {
		t.Fatal(err)
	}
	o := cluster.Object{ID: cluster.ObjectID{Type: mail.TypeDomain, Owner: domain}, Timestamp: cluster.Timestamp{Time: 1, Node: node},
		Replicas: cluster.NewReplicaSet(node), Size: 2, Sum: sha256.Sum256([]byte("{}"))}
	if _, err := s.Apply(t.Context(), cluster.Update{Object: o}, bytes.NewReader([]byte("{}"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(from, "LOCK")); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Backup(t.Context(), archive.Options{From: from, To: dir, Cluster: id, Node: node, Taken: day.Add(time.Duration(node) * time.Hour)}); err != nil {
		t.Fatal(err)
	}
}

// One node's backup that is damaged, unfinished or too young does not keep the others' from being restored.
func TestRestoreGoesOnWithoutABadBackup(t *testing.T) {
	l := &lost{}
	conf := openOffice(t, &office{archive: l})
	id, err := identity.Init(identity.Dir(filepath.Dir(conf)), identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, cluster.NodeID(1).String(), "files"), 0o700); err != nil { // it was interrupted
		t.Fatal(err)
	}
	backUp(t, dir, id.Cluster(), 2, "two.example")
	backUp(t, dir, id.Cluster(), 3, "three.example")
	restore := func(more ...string) (code int, said string) {
		var out bytes.Buffer
		e := &env{ctx: t.Context(), out: &out, errOut: &out}
		code = run(e, append([]string{"restore", "--from", dir, "--config", conf}, more...))
		return code, out.String()
	}
	if code, said := restore(); code != exitFailed || l.put.Swap(0) != 2 || !strings.Contains(said, "backups of 1 nodes could not be used") {
		t.Errorf("restore without node 1 = %d, want the others' objects: %s", code, said)
	}
	if code, said := restore("--before", day.Add(2*time.Hour+time.Minute).Format(time.RFC3339)); code != 0 || l.put.Swap(0) != 1 {
		t.Errorf("restore of a time when node 3 had no backup = %d, want node 2's object: %s", code, said)
	}
	damaged, err := filepath.Glob(filepath.Join(dir, cluster.NodeID(2).String(), "files", "*"))
	if err != nil || len(damaged) == 0 {
		t.Fatal(damaged, err)
	}
	for _, name := range damaged {
		if err := os.WriteFile(name, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, said := restore(); code != exitFailed || l.put.Swap(0) != 1 || !strings.Contains(said, "backups of 2 nodes could not be used") {
		t.Errorf("restore with a damaged backup of node 2 = %d, want node 3's object: %s", code, said)
	}
	if code, said := restore("--before", day.Format(time.RFC3339)); code != exitFailed || !strings.Contains(said, "no backup in it could be used") {
		t.Errorf("restore of a time when there was no backup = %d: %s", code, said)
	}
}

// Two backups have the same domain, which was removed since: it is counted once, and who names it is told
// how to bring it back.
func TestRestoreOfARemovedOwner(t *testing.T) {
	const domain = "gone.example"
	l := &lost{removed: domain}
	conf := openOffice(t, &office{archive: l})
	id, err := identity.Init(identity.Dir(filepath.Dir(conf)), identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	backUp(t, dir, id.Cluster(), 2, domain)
	backUp(t, dir, id.Cluster(), 3, domain)
	for _, tt := range []struct {
		args string
		code int
		want string
		put  int64
	}{
		{"--user " + domain, exitFailed, "gone.example: nothing could be given back: it was removed since; give --deleted", 0},
		{"--user " + domain + " --dry-run", exitFailed, "give --deleted", 0},
		{"", 0, "1 owners, 1 objects: 0 injected (0.0 MiB), 0 there already, 1 removed since and left so, 0 of owners that do not exist, 0 failed\n1 users, aliases or domains were removed since", 0},
		{"--user " + domain + " --deleted --dry-run", 0, "1 objects: 1 lacking", 0},
		{"--user other.example", exitFailed, "other.example: nothing could be given back: the source has nothing of that name", 0},
		{"--user " + domain + " --deleted", 0, "1 objects: 1 injected", 2},
	} {
		var out bytes.Buffer
		e := &env{ctx: t.Context(), out: &out, errOut: &out}
		code := run(e, append([]string{"restore", "--from", dir, "--config", conf}, strings.Fields(tt.args)...))
		if put := l.put.Swap(0); code != tt.code || !strings.Contains(out.String(), tt.want) || put != tt.put {
			t.Errorf("restore %s = %d, %d put, want %d, %d and %q in:\n%s", tt.args, code, put, tt.code, tt.put, tt.want, out.String())
		}
	}
}
