package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/delivery"
	"porcupine/internal/mail/vault"
)

var _ vault.Disk = (*disk)(nil)

const user = mail.User("u@x.test")

// disk is the vault of one node.
type disk struct {
	items    []vault.Item
	contents map[string][]byte
	fail     error // of every call
	damaged  bool  // reading breaks off
}

func (d *disk) Vaulted(owner string) (items []vault.Item, err error) {
	for _, i := range d.items {
		if i.Object.ID.Owner == owner {
			items = append(items, i)
		}
	}
	return items, d.fail
}

func (d *disk) OpenVaulted(id cluster.ObjectID, deleted int64) (cluster.Object, io.ReadCloser, error) {
	for _, i := range d.items {
		if d.fail == nil && i.Object.ID == id && i.Deleted == deleted {
			if d.damaged {
				return i.Object, io.NopCloser(iotest.ErrReader(errors.New("bad sector"))), nil
			}
			return i.Object, io.NopCloser(bytes.NewReader(d.contents[id.ID])), nil
		}
	}
	return cluster.Object{}, nil, cluster.Errorf(cluster.KindNotFound, "open vaulted", "it is not there")
}

// file is a temporary file in memory.
type file struct {
	written bytes.Buffer
	open    *int
}

func (f *file) Write(b []byte) (int, error) { return f.written.Write(b) }
func (f *file) ReadAt(b []byte, at int64) (int, error) {
	return bytes.NewReader(f.written.Bytes()).ReadAt(b, at)
}
func (f *file) Close() error { *f.open--; return nil }

// people knows one user.
type people struct{ node *clustertest.Node }

func (p people) Resolve(context.Context, mail.Address) ([]mail.Mailbox, error) {
	return nil, errors.New("not asked for")
}

func (p people) Mailbox(ctx context.Context, u mail.User) (mail.Mailbox, error) {
	if u != user {
		return mail.Mailbox{}, cluster.Errorf(cluster.KindNotFound, "look up", "no such user")
	}
	e, err := p.node.Lookup(ctx, string(u))
	return mail.Mailbox{User: u, Entry: e, Settings: mail.Settings{QuotaMessages: 5}}, err
}

// world is a cluster of three nodes, each with a vault.
type world struct {
	*clustertest.Cluster
	disks  []*disk // by node id, minus one
	vaults []*vault.Vault
	files  int // open
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Cluster: clustertest.New(3, mail.Types())}
	for id := cluster.NodeID(1); id <= 3; id++ {
		node := w.Node(id)
		d, err := delivery.New(node, people{node}, delivery.Config{FreshFor: time.Nanosecond})
		if err != nil {
			t.Fatal(err)
		}
		disk := &disk{contents: map[string][]byte{}}
		v, err := vault.New(node, d, vault.Config{Disk: disk, TempFile: func() (vault.File, error) {
			w.files++
			return &file{open: &w.files}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		v.Register()
		w.disks, w.vaults = append(w.disks, disk), append(w.vaults, v)
	}
	w.MoveBucket(string(user), 1)
	return w
}

// deleted puts a message that was received and deleted at those seconds into the vaults of nodes.
func (w *world) deleted(u mail.User, n byte, received, deleted int64, contents string, on ...cluster.NodeID) string {
	id := mail.MessageID{n}
	for _, node := range on {
		d := w.disks[node-1]
		d.items = append(d.items, vault.Item{Deleted: time.Unix(deleted, 0).UnixNano(), Object: cluster.Object{ID: id.Object(u),
			Size: int64(len(contents)), Attr: mail.MessageAttr{Received: time.Unix(received, 0)}.Append(nil)}})
		d.contents[id.String()] = []byte(contents)
	}
	return id.String()
}

func show(messages []vault.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "%s %d bytes, received %d, deleted %d, on", m.ID[:2], m.Size, m.Received.Unix(), m.Deleted.Unix())
		for _, p := range m.Places {
			fmt.Fprintf(&b, " %d", p.Node)
		}
		if m.Restored {
			b.WriteString(", restored")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (w *world) list(t *testing.T, since time.Time) (string, []cluster.NodeID) {
	t.Helper()
	messages, silent, err := w.vaults[0].List(context.Background(), user, since)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return show(messages), silent
}

func kinds(outcomes []vault.Outcome) string {
	var names []string
	for _, o := range outcomes {
		name := "ok"
		if o.Err != nil {
			name = cluster.KindOf(o.Err).String()
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func TestListMergesAllNodes(t *testing.T) {
	w := newWorld(t)
	w.deleted(user, 2, 20, 1002, "bb", 2, 3)
	w.deleted(user, 1, 10, 1001, "a", 1)
	w.deleted(user, 3, 5, 1003, "ccc", 3)
	w.deleted("v@x.test", 4, 5, 1003, "another's", 1)
	overtaken := mail.MessageID{5}
	w.deleted(user, 5, 1, 1004, "it is live", 1)
	w.Put(2, cluster.Object{ID: overtaken.Object(user), Replicas: cluster.NewReplicaSet(2)}, []byte("it is live"))
	got, silent := w.list(t, time.Time{})
	want := "01 1 bytes, received 10, deleted 1001, on 1\n02 2 bytes, received 20, deleted 1002, on 2 3\n03 3 bytes, received 5, deleted 1003, on 3\n"
	if got != want || len(silent) != 0 {
		t.Errorf("List =\n%s%v silent; want\n%s", got, silent, want)
	}
	if got, _ := w.list(t, time.Unix(1003, 0)); !strings.HasPrefix(got, "03 ") {
		t.Errorf("List since 1003 =\n%s", got)
	}
	// A node that does not answer, or is away, takes with it only what it alone has.
	w.SetFaults(3, clustertest.Faults{Hung: true})
	got, silent = w.list(t, time.Time{})
	if want := "01 1 bytes, received 10, deleted 1001, on 1\n02 2 bytes, received 20, deleted 1002, on 2\n"; got != want || !slices.Equal(silent, []cluster.NodeID{3}) {
		t.Errorf("List without node 3 =\n%s%v silent", got, silent)
	}
	for _, d := range w.disks {
		d.fail = cluster.Errorf(cluster.KindInternal, "vaulted", "disk fell off")
	}
	if _, _, err := w.vaults[0].List(context.Background(), user, time.Time{}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("List when no disk answers = %v", err)
	}
}

// A list longer than one answer comes whole.
func TestListInPages(t *testing.T) {
	w := newWorld(t)
	const count = 9001
	d := w.disks[1]
	for i := range count {
		id := mail.MessageID{byte(i), byte(i >> 8)}
		d.items = append(d.items, vault.Item{Deleted: int64(i / 7), Object: cluster.Object{ID: id.Object(user), Timestamp: cluster.Timestamp{Time: 9}}})
	}
	messages, _, err := w.vaults[2].List(context.Background(), user, time.Time{})
	if err != nil || len(messages) != count {
		t.Errorf("List = %d messages, %v, want %d", len(messages), err, count)
	}
	if messages[0].Received.UnixNano() != 9 {
		t.Errorf("without attributes the time of the update must do: %v", messages[0].Received)
	}
}

// Restored messages are in the mailbox once, with the time they first had, whoever is asked, however
// often (D6), and with any replica away.
func TestD6_RestoreIsIdempotent(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	large := strings.Repeat("large ", 1<<18)
	a := w.deleted(user, 1, 10, 1001, "a", 2, 3)
	b := w.deleted(user, 2, 20, 1002, large, 3)
	w.disks[1].damaged = true // node 3 has it too
	for round := range 3 {
		outcomes, err := w.vaults[round].Restore(ctx, user, []string{a, b, "00"})
		want := "ok, ok, not found"
		if round > 0 {
			want = "exists, exists, not found"
		}
		if err != nil || kinds(outcomes) != want {
			t.Fatalf("Restore %d = %s, %v, want %s", round, kinds(outcomes), err, want)
		}
	}
	ids := slices.Compact(w.Objects(string(user), mail.TypeMessage))
	if len(ids) != 2 || w.files != 0 {
		t.Fatalf("the mailbox has %v, and %d files are open", ids, w.files)
	}
	for old, want := range map[string]string{a: "a", b: large} {
		id := vault.RestoredID(old).Object(user)
		if n := len(w.Copies(id)); n != 2 {
			t.Errorf("a restored message lies on %d nodes, want 2", n)
		}
		on := w.Copies(id)[0]
		if got, _ := w.Contents(on, id); string(got) != want {
			t.Errorf("a restored message has %d bytes, want %d", len(got), len(want))
		}
		objects, err := w.Node(1).List(ctx, on, string(user), mail.TypeMessage)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if attr, err := mail.ParseMessageAttr(o.Attr); err != nil || attr.Received.Unix() > 20 {
				t.Errorf("a restored message was received at %v, %v", attr.Received, err)
			}
		}
	}
	if got, _ := w.list(t, time.Time{}); strings.Count(got, "restored") != 2 {
		t.Errorf("List after Restore =\n%s", got)
	}
	// Deleted again, it can be restored again.
	id := vault.RestoredID(a).Object(user)
	if errs := w.Node(1).UpdateAll(ctx, []cluster.Update{{Object: cluster.Object{ID: id, Deleted: true}, Previous: w.Copies(id)}}); errs[0] != nil {
		t.Fatal(errs[0])
	}
	w.SetMembers(1, 3)
	if outcomes, err := w.vaults[0].Restore(ctx, user, []string{a}); err != nil || kinds(outcomes) != "ok" || len(w.Copies(id)) == 0 {
		t.Errorf("Restore of what was deleted again = %s, %v", kinds(outcomes), err)
	}
}

// deaf is a node that does not hear the first answers to what it asks other nodes to restore.
type deaf struct {
	*clustertest.Node
	lost  int // answers that are still to be lost
	asked int // restorations asked for
}

func (n *deaf) Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error) {
	answer, err := n.Node.Tell(ctx, to, method, payload)
	if !strings.HasSuffix(method, ".restore") {
		return answer, err
	}
	if n.asked++; n.asked <= n.lost {
		return nil, cluster.Errorf(cluster.KindUnavailable, "tell", "the answer is lost")
	}
	return answer, err
}

// A node whose answer is lost may have restored the message, and another one that did so too would choose
// other nodes: two versions that do not know of each other.
func TestD6_RestoreAfterALostAnswer(t *testing.T) {
	w := newWorld(t)
	node := &deaf{Node: w.Node(1), lost: 1}
	d, err := delivery.New(w.Node(1), people{w.Node(1)}, delivery.Config{FreshFor: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(node, d, vault.Config{Disk: w.disks[0], TempFile: func() (vault.File, error) { return nil, errors.New("no file") }})
	if err != nil {
		t.Fatal(err)
	}
	id := w.deleted(user, 1, 10, 1001, "a", 2, 3)
	outcomes, err := v.Restore(context.Background(), user, []string{id, id})
	if err != nil || kinds(outcomes) != "ok, exists" {
		t.Fatalf("Restore = %s, %v", kinds(outcomes), err)
	}
	if node.asked != 1 {
		t.Errorf("%d restorations were asked for, want 1", node.asked)
	}
	if copies := w.Copies(vault.RestoredID(id).Object(user)); len(copies) != 2 {
		t.Errorf("the message lies on %v, want two nodes", copies)
	}
}

func TestRestoreRefuses(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	if _, err := w.vaults[0].Restore(ctx, user, make([]string, vault.RestoreMax+1)); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("Restore of too many = %v", err)
	}
	gone := w.deleted("gone@x.test", 1, 10, 1001, "a", 2)
	if outcomes, err := w.vaults[0].Restore(ctx, "gone@x.test", []string{gone}); err != nil || kinds(outcomes) != "not found" {
		t.Errorf("Restore for a user who is gone = %s, %v", kinds(outcomes), err)
	}
	for i := range byte(6) {
		w.deleted(user, 10+i, 10, 1001, "a", 2)
	}
	var ids []string
	for i := range byte(6) {
		ids = append(ids, mail.MessageID{10 + i}.String())
	}
	full := 0
	for _, id := range ids {
		outcomes, err := w.vaults[0].Restore(ctx, user, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		if errors.Is(outcomes[0].Err, mail.ErrOverQuota) {
			full++
		}
	}
	if full != 1 {
		t.Errorf("%d of 6 messages were refused with a quota of 5, want 1", full)
	}
	w.SetFaults(1, clustertest.Faults{Hung: true})
	if _, _, err := w.vaults[1].List(ctx, user, time.Time{}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("List without the user's manager = %v", err)
	}
}
