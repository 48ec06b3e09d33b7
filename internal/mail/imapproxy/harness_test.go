package imapproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/delivery"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index"
	"porcupine/internal/mail/message"
	"porcupine/internal/mail/smtpserver/spool"
	"porcupine/internal/mail/uidledger"
)

const user mail.User = "u0@example.test"

// world is a cluster in memory with a manager, a proxy and a delivery on every node.
type world struct {
	*clustertest.Cluster
	nodes []site
	count int
	crash crash
	feed  *feed // nil: there is none
	cfg   index.Config
}

// crash ends the process of a manager, as it were, before its next write, when left has come to 0; no write is
// done after it. Below 0: never.
type crash struct{ left atomic.Int64 }

// mortal is a node whose manager may crash.
type mortal struct {
	*clustertest.Node
	crash *crash
}

func (n mortal) isDead() bool {
	for {
		left := n.crash.left.Load()
		switch {
		case left < 0:
			return false
		case left == 0:
			return true
		case n.crash.left.CompareAndSwap(left, left-1):
			return false
		}
	}
}

func (n mortal) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	if n.isDead() {
		return cluster.Errorf(cluster.KindUnavailable, "update", "the process has crashed")
	}
	return n.Node.Update(ctx, u, body)
}

func (n mortal) UpdateAll(ctx context.Context, us []cluster.Update) []error {
	errs := make([]error, len(us))
	for i := range us {
		errs[i] = n.Update(ctx, us[i], nil)
	}
	return errs
}

// feed is a change feed that tells when the test says so.
type feed struct {
	mu    sync.Mutex
	calls map[*func(bool, []cluster.Change)]cluster.NodeID
}

func (f *feed) follow(_ context.Context, holder cluster.NodeID, _ string, on func(bool, []cluster.Change)) (func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[&on] = holder
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.calls, &on)
	}, nil
}

// tell tells whoever follows.
func (f *feed) tell(gap bool, changes ...cluster.Change) {
	f.mu.Lock()
	var calls []func(bool, []cluster.Change)
	for on := range f.calls {
		calls = append(calls, *on)
	}
	f.mu.Unlock()
	for _, on := range calls {
		on(gap, changes)
	}
}

type site struct {
	indexes  *index.Indexes
	proxy    *Proxy
	delivery *delivery.Delivery
}

// people is a directory in which everybody exists.
type people struct{ node *clustertest.Node }

func (p people) Mailbox(ctx context.Context, u mail.User) (mail.Mailbox, error) {
	e, err := p.node.Lookup(ctx, string(u))
	return mail.Mailbox{User: u, Entry: e}, err
}

func (p people) Resolve(ctx context.Context, a mail.Address) ([]mail.Mailbox, error) {
	b, err := p.Mailbox(ctx, mail.User(a.String()))
	return []mail.Mailbox{b}, err
}

type noFiles struct{}

func (noFiles) Create() (spool.File, error) { return nil, io.ErrShortWrite }

func types() []cluster.TypeSpec {
	all := slices.DeleteFunc(mail.Types(), func(t cluster.TypeSpec) bool {
		return t.Name == mail.TypeFolders || t.Name == mail.TypeLedger || t.Name == mail.TypeMessage
	})
	return append(all, folders.Type(), cluster.TypeSpec{Name: mail.TypeLedger, Inline: true, Merge: uidledger.Merge},
		cluster.TypeSpec{Name: mail.TypeMessage, DeriveVersion: 1, Derive: func(r io.ReaderAt, size int64) ([]byte, error) {
			x, err := message.Build(r, size)
			if err != nil {
				return nil, err
			}
			return x.Append(nil), nil
		}})
}

func noFloor(*cluster.Entry) (cluster.Timestamp, error) { return cluster.Timestamp{}, nil }

func newWorld(t testing.TB, n int) *world {
	t.Helper()
	w := &world{Cluster: clustertest.New(n, types())}
	profile := cluster.ObjectID{Type: mail.TypeUser, Owner: string(user)}
	on := make(cluster.ReplicaSet, 0, 3)
	for i := range min(n, 3) {
		on = append(on, cluster.NodeID(i+1))
	}
	for _, id := range on {
		w.Put(id, cluster.Object{ID: profile, Replicas: on, Copies: 3, Timestamp: cluster.Timestamp{Time: 1, Node: 1}}, []byte("profile"))
	}
	w.nodes = make([]site, n)
	w.crash.left.Store(-1)
	w.restart(t)
	return w
}

// restart begins all managers and proxies anew. Sessions that are open stay: their questions go to the new ones.
func (w *world) restart(t testing.TB) {
	t.Helper()
	for i := range w.nodes {
		node := w.Node(cluster.NodeID(i + 1))
		var s site
		var err error
		cfg := w.cfg
		cfg.ClusterID, cfg.Floor, cfg.CompleteWait = clustertest.ID, noFloor, 10*time.Millisecond
		if w.feed != nil {
			cfg.Follow = w.feed.follow
		}
		if s.indexes, err = index.New(mortal{node, &w.crash}, cfg); err != nil {
			t.Fatal(err)
		}
		s.indexes.Register()
		if s.delivery, err = delivery.New(node, people{node}, delivery.Config{}); err != nil {
			t.Fatal(err)
		}
		if s.proxy, err = New(node, s.delivery, people{node}, Config{ClusterID: clustertest.ID, Spool: spool.New(noFiles{}, 1<<20, 1<<24)}); err != nil {
			t.Fatal(err)
		}
		s.proxy.Register()
		w.nodes[i] = s
	}
}

// deliver delivers one message at a node.
func (w *world) deliver(t testing.TB, at cluster.NodeID) {
	t.Helper()
	w.count++
	body := fmt.Sprintf("Subject: message %d\r\n\r\ntext %d\r\n", w.count, w.count)
	env := mail.Envelope{Received: time.Unix(1_700_000_000+int64(w.count), 0), Recipients: []mail.Recipient{{Users: []mail.User{user}}}}
	for _, err := range w.nodes[at-1].delivery.Deliver(context.Background(), env, bytes.NewReader([]byte(body))) {
		if err != nil {
			t.Fatalf("deliver: %v", err)
		}
	}
}

func (w *world) open(t testing.TB, at cluster.NodeID) backend.Mailbox {
	t.Helper()
	m, err := w.nodes[at-1].proxy.Open(t.Context(), user, mail.Client{Service: "imap"})
	if err != nil {
		t.Fatalf("Open at node %d: %v", at, err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func (w *world) pick(t testing.TB, at cluster.NodeID, folder string) (backend.Mailbox, backend.Selected) {
	t.Helper()
	m := w.open(t, at)
	s, err := m.Select(t.Context(), folder, false)
	if err != nil {
		t.Fatalf("Select %s at node %d: %v", folder, at, err)
	}
	return m, s
}

// show writes what a session sees of its folder: UIDs, subjects and flags.
func show(t testing.TB, s backend.Selected) (lines []string) {
	t.Helper()
	uids, err := s.UIDs(t.Context())
	if err != nil {
		t.Fatalf("UIDs: %v", err)
	}
	err = s.Summaries(t.Context(), uids, func(m *mail.Summary) error {
		lines = append(lines, fmt.Sprintf("%d %s %v", m.UID, text(t, s, m.UID), m.Flags))
		return nil
	})
	if err != nil {
		t.Fatalf("Summaries: %v", err)
	}
	return lines
}

// text gives the last line of a message.
func text(t testing.TB, s backend.Selected, u mail.UID) string {
	t.Helper()
	r, err := s.Open(t.Context(), u, 0, -1)
	if err != nil {
		t.Fatalf("Open %d: %v", u, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %d: %v", u, err)
	}
	_, after, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	return string(bytes.TrimSpace(after))
}

// synced gives all that has changed, of whatever number of pages.
func synced(t testing.TB, s backend.Selected) (all backend.Changes) {
	t.Helper()
	for more := true; more; {
		c, err := s.Sync(t.Context())
		if err != nil {
			t.Fatalf("Sync: %v", err)
		}
		all.Vanished, all.Arrived = all.Vanished.Union(c.Vanished), all.Arrived.Without(c.Vanished).Union(c.Arrived)
		all.Changed, all.Status, more = append(all.Changed, c.Changed...), c.Status, c.More
	}
	return all
}

func want(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %q, want %q", what, got, want)
	}
}
