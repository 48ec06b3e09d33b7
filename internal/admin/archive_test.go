package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/archive"
)

// fakeArchive remembers what it was given.
type fakeArchive struct {
	mu       sync.Mutex
	has      archive.Has
	put      []cluster.Object
	bodies   []string
	fail     error
	released chan struct{} // closed by release
}

func (a *fakeArchive) Checkpoint(context.Context) (Checkpoint, func() error, error) {
	if a.fail != nil {
		return Checkpoint{}, nil, a.fail
	}
	c := Checkpoint{Dir: "/data/checkpoint-1", Cluster: "0a", Node: 7, Taken: time.Unix(1, 0).UTC()}
	return c, func() error { close(a.released); return nil }, nil
}

func (a *fakeArchive) Has(_ context.Context, owner string) (archive.Has, error) {
	if owner != "any\xffthing" {
		return archive.Has{}, cluster.Errorf(cluster.KindUnavailable, "look up "+owner, "not known now")
	}
	return a.has, a.fail
}

func (a *fakeArchive) Put(_ context.Context, o cluster.Object, body io.Reader) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put, a.bodies = append(a.put, o), append(a.bodies, string(text))
	return a.fail
}

// What is asked and given over the socket arrives as it was, any bytes included.
func TestArchiveOverTheSocket(t *testing.T) {
	d := open(t)
	owner := "any\xffthing"
	d.archive.has = archive.Has{Knowledge: cluster.Complete, Floor: cluster.Timestamp{Time: 9, Node: 3}, Objects: []archive.Known{
		{ID: cluster.ObjectID{Type: "user", Owner: owner}, Timestamp: cluster.Timestamp{Time: 5, Node: 1 << 63}, Deleted: true},
		{ID: cluster.ObjectID{Type: "message", Owner: owner, ID: "\x00\xfe"}},
	}}
	got, err := d.client.Has(t.Context(), owner)
	if err != nil || !reflect.DeepEqual(got, d.archive.has) {
		t.Errorf("Has = %+v, %v, want %+v", got, err, d.archive.has)
	}
	if _, err := d.client.Has(t.Context(), "another"); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Has of another = %v", err)
	}
	contents := strings.Repeat("contents\n", 20_000)
	o := cluster.Object{ID: cluster.ObjectID{Type: "message", Owner: owner, ID: "\x00\xfe"}, Copies: 3, Attr: bytes.Repeat([]byte{0, 0xff}, cluster.AttrSizeMax/2),
		Size: int64(len(contents)), Sum: sha256.Sum256([]byte(contents))}
	if err := d.client.Put(t.Context(), o, strings.NewReader(contents)); err != nil {
		t.Fatal(err)
	}
	if len(d.archive.put) != 1 || !reflect.DeepEqual(d.archive.put[0], o) || d.archive.bodies[0] != contents {
		t.Errorf("Put gave %+v", d.archive.put)
	}
	d.archive.fail = cluster.Errorf(cluster.KindExists, "put", "it is there")
	if err := d.client.Put(t.Context(), o, strings.NewReader(contents)); !cluster.IsKind(err, cluster.KindExists) {
		t.Errorf("Put of what is there = %v", err)
	}
	resp, err := d.client.send(t.Context(), "POST", "/archive/put", strings.NewReader("no line"))
	if err != nil {
		t.Fatal(err)
	}
	if err := refusal("/archive/put", resp); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("Put of half a line = %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

// A checkpoint lasts until it is released, and no longer than its client.
func TestCheckpointIsReleased(t *testing.T) {
	d := open(t)
	c, release, err := d.client.Checkpoint(t.Context())
	if err != nil || c.Dir != "/data/checkpoint-1" || c.Node != 7 || !c.Taken.Equal(time.Unix(1, 0)) {
		t.Fatalf("Checkpoint = %+v, %v", c, err)
	}
	select {
	case <-d.archive.released:
		t.Error("the checkpoint was released while it was wanted")
	default:
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	<-d.archive.released
	d.archive.fail = cluster.Errorf(cluster.KindFull, "checkpoint", "the disk is full")
	if _, _, err := d.client.Checkpoint(t.Context()); !cluster.IsKind(err, cluster.KindFull) {
		t.Errorf("Checkpoint on a full disk = %v", err)
	}
}
