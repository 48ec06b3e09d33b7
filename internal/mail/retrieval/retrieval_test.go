package retrieval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

const user = mail.User("u@x.test")

var client = mail.Client{Service: "pop3"}

// freeLocks gives a lock to everybody who asks, unless told otherwise.
type freeLocks struct {
	err     error // of Acquire
	confirm error // of Confirm
	open    int   // locks that were not closed
}

type freeLock struct{ *freeLocks }

func (l *freeLocks) Acquire(context.Context, mail.User) (*freeLock, error) {
	if l.err != nil {
		return nil, l.err
	}
	l.open++
	return &freeLock{l}, nil
}

func (l *freeLock) Lost() <-chan struct{}         { return nil }
func (l *freeLock) Confirm(context.Context) error { return l.confirm }
func (l *freeLock) Close() error                  { l.open--; return nil }

// world is a cluster of three nodes and a proxy on node 1.
type world struct {
	*clustertest.Cluster
	*Retrieval
	locks freeLocks
	floor cluster.Timestamp
}

func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	types := append(mail.Types(), cluster.TypeSpec{Name: mail.TypeFolders, Cached: true}, cluster.TypeSpec{Name: mail.TypeLedger, Inline: true})
	w := &world{Cluster: clustertest.New(3, types)}
	cfg.Floor = func(*cluster.Entry) (cluster.Timestamp, error) { return w.floor, nil }
	var err error
	if w.Retrieval, err = New(w.Node(1), &w.locks, cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

// put stores a message that arrived at that second on each of the nodes, with a replica set of
// its own unless a set is given.
func (w *world) put(u mail.User, id byte, second int64, set cluster.ReplicaSet, on ...cluster.NodeID) string {
	message := mail.MessageID{id}
	attr := mail.MessageAttr{Received: time.Unix(second, 0)}.Append(nil)
	for _, n := range on {
		replicas := set
		if replicas == nil {
			replicas = cluster.NewReplicaSet(n)
		}
		w.Put(n, cluster.Object{ID: message.Object(u), Replicas: replicas, Attr: attr}, fmt.Appendf(nil, "%s %x", u, id))
	}
	return message.String()
}

func (w *world) open(t *testing.T) *Maildrop {
	t.Helper()
	d, err := w.Open(context.Background(), user, client)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return d
}

func ids(d *Maildrop) (ids []string) {
	for _, m := range d.Messages() {
		ids = append(ids, m.ID)
	}
	return ids
}

func read(t *testing.T, d *Maildrop, i int) string {
	t.Helper()
	r, err := d.Read(context.Background(), i)
	if err != nil {
		t.Fatalf("Read(%d): %v", i, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func kind(err error) string {
	if err == nil {
		return "ok"
	}
	return cluster.KindOf(err).String()
}

// Porcupine §3.6: the maildrop is the union of the fragments, oldest message first.
func TestPaper36_UnionOfFragments(t *testing.T) {
	w := newWorld(t, Config{})
	c := w.put(user, 3, 30, nil, 3)
	a := w.put(user, 2, 10, nil, 2)
	b := w.put(user, 1, 20, nil, 1)
	e := w.put(user, 5, 40, nil, 1)
	d := w.put(user, 4, 40, nil, 2) // at the same moment: by id
	w.put("v@x.test", 9, 5, nil, 1)
	drop := w.open(t)
	if want := []string{a, b, c, d, e}; !slices.Equal(ids(drop), want) {
		t.Errorf("Messages = %v, want %v", ids(drop), want)
	}
	if got := read(t, drop, 0); got != "u@x.test 2" || drop.Messages()[0].Size != int64(len(got)) {
		t.Errorf("message 0 is %q, listed with %d octets", got, drop.Messages()[0].Size)
	}
	if err := drop.Delete(context.Background(), []int{0, 2, 4}); err != nil {
		t.Fatal(err)
	}
	if err := drop.Close(); err != nil || w.locks.open != 0 {
		t.Errorf("Close = %v, %d locks are open", err, w.locks.open)
	}
	if got := ids(w.open(t)); !slices.Equal(got, []string{b, d}) {
		t.Errorf("after Delete: %v, want %v", got, []string{b, d})
	}
	if _, err := drop.Read(context.Background(), 0); kind(err) != "not found" {
		t.Errorf("Read of a deleted message = %v", err)
	}
}

// A1: another user's messages are never among one's own, whatever lies beside them.
func TestA1_OnlyOnesOwn(t *testing.T) {
	w := newWorld(t, Config{})
	for i := range byte(30) {
		w.put(user, i, int64(i), nil, cluster.NodeID(i%3+1))
		w.put("u@x.tes", i+100, int64(i), nil, cluster.NodeID(i%3+1))
		w.put("u@x.test2", i+150, int64(i), nil, cluster.NodeID(i%3+1))
	}
	d := w.open(t)
	if len(d.Messages()) != 30 {
		t.Errorf("%d messages, want 30", len(d.Messages()))
	}
	for i := range d.Messages() {
		if got := read(t, d, i); !strings.HasPrefix(got, "u@x.test ") {
			t.Errorf("message %d is %q", i, got)
		}
	}
	// Nor is what a former user of the name left.
	w.floor = cluster.Timestamp{Time: 1 << 40}
	if got := ids(w.open(t)); len(got) != 0 {
		t.Errorf("a former user's messages are shown: %v", got)
	}
}

// D6: one id is one message, wherever its copies lie, and all of them are deleted.
func TestD6_CopiesAreOneMessage(t *testing.T) {
	w := newWorld(t, Config{})
	a := w.put(user, 1, 10, nil, 1, 2, 3)                      // left over by retries
	b := w.put(user, 2, 20, cluster.NewReplicaSet(2, 3), 2, 3) // replicated
	drop := w.open(t)
	if want := []string{a, b}; !slices.Equal(ids(drop), want) {
		t.Fatalf("Messages = %v, want %v", ids(drop), want)
	}
	if err := drop.Delete(context.Background(), []int{0, 1}); err != nil {
		t.Fatal(err)
	}
	if left := w.Objects(string(user), mail.TypeMessage); len(left) != 0 {
		t.Errorf("copies left: %v", left)
	}
}

// V2: while the bucket is incomplete nothing is shown; Open waits, and says it cannot be shown.
func TestV2_NeverAnEmptyViewFromIgnorance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		a := w.put(user, 1, 10, nil, 2)
		w.SetKnowledge(cluster.Partial)
		began := time.Now()
		if _, err := w.Open(context.Background(), user, client); kind(err) != "unavailable" {
			t.Errorf("Open = %v, want unavailable", err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("Open took %v, want 10s", took)
		}
		if w.locks.open != 0 {
			t.Errorf("%d locks are open after a failed Open", w.locks.open)
		}
		time.AfterFunc(3*time.Second, func() { w.SetKnowledge(cluster.Complete) })
		began = time.Now()
		if got := ids(w.open(t)); !slices.Equal(got, []string{a}) || time.Since(began) > 4*time.Second {
			t.Errorf("Open = %v after %v", got, time.Since(began))
		}
	})
}

// V2: a member that does not answer makes an error, not a smaller maildrop. A node that is away
// is left out, as the paper has it, and its messages are there again when it is back.
func TestV2_AMemberDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.MoveBucket(string(user), 1)
		a, b := w.put(user, 1, 10, nil, 2), w.put(user, 2, 20, nil, 3)
		w.SetFaults(3, clustertest.Faults{Hung: true})
		if _, err := w.Open(context.Background(), user, client); kind(err) != "unavailable" {
			t.Errorf("Open = %v, want unavailable", err)
		}
		// It dies while Open waits: the next view is without it.
		time.AfterFunc(2*time.Second, func() { w.SetMembers(1, 2) })
		if got := ids(w.open(t)); !slices.Equal(got, []string{a}) {
			t.Errorf("Messages without node 3 = %v, want %v", got, []string{a})
		}
		w.SetFaults(3, clustertest.Faults{})
		w.SetMembers(1, 2, 3)
		if got := ids(w.open(t)); !slices.Equal(got, []string{a, b}) {
			t.Errorf("Messages with node 3 = %v, want %v", got, []string{a, b})
		}
	})
}

// With replicas, one live node of each set is enough, for listing and for reading.
func TestAnotherReplicaServes(t *testing.T) {
	w := newWorld(t, Config{})
	w.MoveBucket(string(user), 1)
	set := cluster.NewReplicaSet(2, 3)
	a := w.put(user, 1, 10, set, 2, 3)
	for _, hung := range []cluster.NodeID{2, 3} {
		w.SetFaults(hung, clustertest.Faults{Hung: true})
		d := w.open(t)
		if got := ids(d); !slices.Equal(got, []string{a}) {
			t.Errorf("Messages without node %d = %v, want %v", hung, got, []string{a})
		}
		read(t, d, 0)
		// The node that listed it goes away during the session.
		w.SetFaults(hung, clustertest.Faults{})
		w.SetFaults(5-hung, clustertest.Faults{Hung: true})
		read(t, d, 0)
		w.SetFaults(5-hung, clustertest.Faults{})
	}
}

func TestOpenFails(t *testing.T) {
	w := newWorld(t, Config{MessagesMax: 2})
	w.locks.err = cluster.Errorf(cluster.KindUnavailable, "lock", "%w", mail.ErrInUse)
	if _, err := w.Open(context.Background(), user, client); !errors.Is(err, mail.ErrInUse) {
		t.Errorf("Open = %v, want in use", err)
	}
	w.locks.err = nil
	for i := range byte(3) {
		w.put(user, i, 1, nil, 1)
	}
	if _, err := w.Open(context.Background(), user, client); kind(err) != "limit" {
		t.Errorf("Open of too many messages = %v, want limit", err)
	}
	if w.locks.open != 0 {
		t.Errorf("%d locks are open after a failed Open", w.locks.open)
	}
	if _, err := New(w.Node(1), &w.locks, Config{}); err == nil {
		t.Error("New without Floor succeeded")
	}
}

// A session that lost its lock deletes nothing; one whose deletions no node has durable says what is
// left.
func TestDelete(t *testing.T) {
	w := newWorld(t, Config{})
	ctx := context.Background()
	w.put(user, 1, 10, nil, 1)
	w.put(user, 2, 20, nil, 2)
	d := w.open(t)
	w.locks.confirm = cluster.Errorf(cluster.KindUnavailable, "confirm", "%w", mail.ErrInUse)
	if err := d.Delete(ctx, []int{0, 1}); !errors.Is(err, mail.ErrInUse) || w.Updates.Load() != 0 {
		t.Errorf("Delete without the lock = %v after %d updates", err, w.Updates.Load())
	}
	w.locks.confirm = nil
	if err := d.Delete(ctx, []int{2}); kind(err) != "invalid" {
		t.Errorf("Delete of no message = %v", err)
	}
	w.SetFaults(1, clustertest.Faults{Behind: true})
	if err := d.Delete(ctx, []int{0, 1}); kind(err) != "behind" || !strings.Contains(err.Error(), "1 of 2") {
		t.Errorf("Delete with a node that takes nothing = %v", err)
	}
	w.SetFaults(1, clustertest.Faults{})
	if err := d.Delete(ctx, []int{0, 1}); err != nil { // what is gone already is no error
		t.Errorf("Delete again = %v", err)
	}
	if err := d.Delete(ctx, nil); err != nil {
		t.Errorf("Delete of nothing = %v", err)
	}
}

func BenchmarkOpen(b *testing.B) {
	c := clustertest.New(3, mail.Types())
	for i := range 100 {
		on := cluster.NodeID(i%2 + 1)
		c.Put(on, cluster.Object{ID: mail.NewMessageID().Object(user), Replicas: cluster.NewReplicaSet(on),
			Attr: mail.MessageAttr{Received: time.Unix(int64(i), 0)}.Append(nil)}, bytes.Repeat([]byte("x"), 10))
	}
	r, err := New(c.Node(1), &freeLocks{}, Config{Floor: func(*cluster.Entry) (cluster.Timestamp, error) { return cluster.Timestamp{}, nil }})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		d, err := r.Open(context.Background(), user, client)
		if err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
}
