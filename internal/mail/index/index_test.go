package index

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/survey"
	"porcupine/internal/mail/uidledger"
)

// world is a cluster in memory with indexes on every node.
type world struct {
	*clustertest.Cluster
	indexes []*Indexes
	floor   cluster.Timestamp
	during  hook // before a write of a manager
	looking hook // before a manager looks at its entry
	removed int  // nodes that were removed for good
}

// hook is what a test has done at one moment, once: managers come by several at a time.
type hook struct{ f atomic.Pointer[func()] }

func (h *hook) set(f func()) { h.f.Store(&f) }

func (h *hook) call() {
	if f := h.f.Swap(nil); f != nil {
		(*f)()
	}
}

// hooked is a node whose writes the test sees.
type hooked struct {
	*clustertest.Node
	w *world
}

func (h hooked) KnownNodes() int { return h.Node.KnownNodes() - h.w.removed }

func (h hooked) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	h.w.during.call()
	return h.Node.Update(ctx, u, body)
}

func (h hooked) LocalEntry(ctx context.Context, owner string) (cluster.Entry, bool) {
	h.w.looking.call()
	return h.Node.LocalEntry(ctx, owner)
}

func newWorld(t testing.TB, cfg Config, n int) *world {
	t.Helper()
	types := slices.DeleteFunc(mail.Types(), func(s cluster.TypeSpec) bool { return s.Name == mail.TypeFolders || s.Name == mail.TypeLedger })
	types = append(types, folders.Type(), cluster.TypeSpec{Name: mail.TypeLedger, Inline: true, Merge: uidledger.Merge})
	w := &world{Cluster: clustertest.New(n, types)}
	cfg.ClusterID, cfg.CompleteWait = clustertest.ID, 10*time.Millisecond
	cfg.Floor = func(*cluster.Entry) (cluster.Timestamp, error) { return w.floor, nil }
	for i := range n {
		x, err := New(hooked{w.Node(cluster.NodeID(i + 1)), w}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		x.Register()
		w.indexes = append(w.indexes, x)
	}
	return w
}

// user makes a user with some messages.
func (w *world) user(name string, messages int) mail.User {
	u := mail.User(name + "@example.test")
	on := cluster.NewReplicaSet(1, 2)
	for _, node := range on {
		w.Put(node, cluster.Object{ID: cluster.ObjectID{Type: mail.TypeUser, Owner: string(u)}, Replicas: on, Copies: 2}, []byte("profile"))
	}
	for i := range messages {
		id := mail.NewMessageID().Object(u)
		attr := mail.MessageAttr{Received: time.Unix(int64(i), 0)}.Append(nil)
		for _, node := range on {
			w.Put(node, cluster.Object{ID: id, Replicas: on, Copies: 2, Attr: attr}, fmt.Appendf(nil, "text %d", i))
		}
	}
	return u
}

func (w *world) ask(q talk.Question) (talk.Answer, []byte, error) {
	b, err := w.Node(2).Ask(context.Background(), string(q.User), talk.Method, q.Marshal())
	if err != nil {
		return talk.Answer{}, nil, err
	}
	a, err := talk.ParseAnswer(b)
	return a, b, err
}

func (w *world) mustAsk(t testing.TB, q talk.Question) talk.Answer {
	t.Helper()
	a, _, err := w.ask(q)
	if err != nil {
		t.Fatalf("question %d of %s: %v", q.Op, q.User, err)
	}
	return a
}

func (w *world) figures() (f Figures) {
	for _, x := range w.indexes {
		g := x.Figures()
		f.Users, f.Loaded, f.Bytes, f.Evictions, f.Loads = f.Users+g.Users, f.Loaded+g.Loaded, f.Bytes+g.Bytes, f.Evictions+g.Evictions, f.Loads+g.Loads
	}
	return f
}

// Q2: all indexes together have a limit, and what was dropped is built again.
func TestQ2_MemoryIsBounded(t *testing.T) {
	const users, messages = 8, 50
	w := newWorld(t, Config{MemoryMax: 2 * (messages*messageCost + folderCost + boxCost)}, 1+1)
	var all []mail.User
	for i := range users {
		all = append(all, w.user(fmt.Sprintf("u%d", i), messages))
	}
	for range 2 {
		for _, u := range all {
			if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.Status.Messages != messages {
				t.Fatalf("%s has %d messages", u, a.Status.Messages)
			}
		}
	}
	f := w.figures()
	if f.Loaded > 2*2 || f.Evictions == 0 || f.Bytes > 2*2*(messages*messageCost+folderCost+boxCost) {
		t.Errorf("Figures = %+v", f)
	}
	for _, x := range w.indexes {
		x.tidy(t.Context(), time.Now().Add(time.Hour))
	}
	if f := w.figures(); f.Users != 0 || f.Bytes != 0 {
		t.Errorf("when all are idle: %+v", f)
	}
}

// Q2, Attack39: one user's questions wait in a line that ends; so does the number of users.
func TestQ2_LinesAreBounded(t *testing.T) {
	w := newWorld(t, Config{LineMax: 2, UsersMax: 1, TurnWait: time.Millisecond}, 2)
	u, other := w.user("a", 1), w.user("b", 1)
	x := w.indexes[0]
	b, err := x.enter(t.Context(), u, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.enter(t.Context(), u, 100); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("the second, when its patience ends = %v", err)
	}
	if _, err := x.enter(t.Context(), other, 100); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("one user too many = %v", err)
	}
	if _, err := x.enter(t.Context(), u, lineUnit); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("a long question, which counts as two = %v", err)
	}
	x.mu.Lock()
	b.line = 2
	x.mu.Unlock()
	if _, err := x.enter(t.Context(), u, 100); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("one question too many = %v", err)
	}
	x.mu.Lock()
	b.line = 1
	x.mu.Unlock()
	b.leave()
	if b, err = x.enter(t.Context(), other, 100); err != nil {
		t.Fatalf("another user, when the first is idle = %v", err)
	}
	b.leave()
	if b, err = x.enter(t.Context(), other, 9*lineUnit); err != nil {
		t.Fatalf("a very long question, when nobody waits = %v", err)
	}
	b.leave()
	if f := x.Figures(); f.Users != 1 || f.Bytes != boxCost {
		t.Errorf("Figures = %+v", f)
	}
}

// C1, attack 25: a manager that loses the bucket in the middle of its work says nothing; what it wrote stands.
func TestC1_StaleManagerIsSilent(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 2)
	w.MoveBucket(string(u), 1)
	a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	store := talk.Question{Op: talk.OpStore, User: u, Mark: a.Mark, UIDs: mail.NewUIDSet(1), Flags: []mail.Flag{mail.FlagSeen}, FlagOp: 1, Request: [16]byte{1}}
	w.during.set(func() { w.MoveBucket(string(u), 2) })
	if _, _, err := w.ask(store); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Fatalf("the answer of a manager that is none any more = %v", err)
	}
	if b := w.indexes[0].boxes[u]; b.state != nil {
		t.Error("it keeps the index")
	}
	if _, _, err := w.ask(talk.Question{Op: talk.OpFolders, User: u}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.indexes[0].serve(t.Context(), 3, store.Marshal()); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("a question that comes to it = %v", err)
	}
	if a, _, err := w.ask(store); err != nil || len(a.Summaries) != 1 || len(a.Summaries[0].Flags) != 1 {
		t.Errorf("the question again, at the next manager = %+v, %v", a, err)
	}
}

// D6: a question that is carried again is answered as it was, and done once.
func TestD6_RepeatedQuestions(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 0)
	create := talk.Question{Op: talk.OpCreate, User: u, Name: "x/y", Request: [16]byte{7}}
	_, first, err := w.ask(create)
	if err != nil {
		t.Fatal(err)
	}
	updates := w.Updates.Load()
	if _, again, err := w.ask(create); err != nil || !bytes.Equal(first, again) || w.Updates.Load() != updates {
		t.Errorf("again: %x and %x, %v, %d updates more", first, again, err, w.Updates.Load()-updates)
	}
	create.Request = [16]byte{8}
	if _, _, err := w.ask(create); !cluster.IsKind(err, cluster.KindExists) {
		t.Errorf("another one = %v", err)
	}
	for _, payload := range [][]byte{nil, {1}, {9, 9}} {
		if _, err := w.Node(1).Ask(t.Context(), string(u), talk.Method, payload); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("%x = %v", payload, err)
		}
	}
}

// A1, U1: what a former user of the name had is not shown, neither mail nor folders nor flags, and its UIDs are not given
// again under the same UIDVALIDITY.
func TestA1_FormerUser(t *testing.T) {
	w := newWorld(t, Config{}, 2)
	u := w.user("a", 3)
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "secret", Request: [16]byte{1}})
	if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.Status.Messages != 3 {
		t.Fatalf("Status = %+v", a.Status)
	}
	at, err := w.Node(1).Timestamp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at.Time += int64(time.Hour)
	w.floor = at
	if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.Status.Messages != 0 || a.Status.UIDValidity < 3600 {
		t.Errorf("Status = %+v", a.Status)
	}
	for _, f := range w.mustAsk(t, talk.Question{Op: talk.OpFolders, User: u}).Folders {
		if f.Name == "secret" {
			t.Error("a folder of the former user is there")
		}
	}
}

// forget deletes all ledgers of a user, behind everybody's back.
func (w *world) forget(t *testing.T, u mail.User) {
	t.Helper()
	for _, id := range w.Objects(string(u), mail.TypeLedger) {
		if on := w.Copies(id); len(on) > 0 {
			if err := w.Node(1).UpdateAll(t.Context(), []cluster.Update{{Object: cluster.Object{ID: id, Deleted: true}, Previous: on}})[0]; err != nil {
				t.Fatal(err)
			}
		}
	}
}

// L12: when the ledgers are lost, everything goes on under a greater UIDVALIDITY, and no session does.
func TestL12_LedgerLost(t *testing.T) {
	w := newWorld(t, Config{}, 2)
	u := w.user("a", 3)
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.forget(t, u)
	w.MoveBucket(string(u), 2)
	if a, _, err := w.ask(talk.Question{Op: talk.OpSync, User: u, Mark: before.Mark}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("a session goes on without its ledger: %+v, %v", a, err)
	}
	after := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	if after.Status.Messages != 3 || after.Status.UIDValidity <= before.Status.UIDValidity {
		t.Errorf("Status = %+v, before %+v", after.Status, before.Status)
	}
}

// V1, V2: a ledger or a tree that may be on a node that is away is waited for, and not begun anew.
func TestV2_LedgersThatAreAway(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 3)
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	profile := cluster.Object{ID: cluster.ObjectID{Type: mail.TypeUser, Owner: string(u)}, Replicas: cluster.ReplicaSet{3}, Copies: 1}
	w.Put(3, profile, []byte("profile")) // it has moved to a node that has nothing else
	w.SetMembers(3)
	w.SetKnowledge(cluster.Complete)
	if _, err := w.Node(3).Ask(t.Context(), string(u), talk.Method, (&talk.Question{Op: talk.OpFolders, User: u}).Marshal()); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("folders that cannot be reached = %v", err)
	}
	w.SetMembers(1, 2, 3)
	w.SetKnowledge(cluster.Conclusive)
	after := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	if after.Status.UIDValidity != before.Status.UIDValidity || after.Status.UIDNext != before.Status.UIDNext {
		t.Errorf("Status = %+v, before %+v", after.Status, before.Status)
	}
}

func TestNew(t *testing.T) {
	for name, cfg := range map[string]Config{"no cluster": {Floor: func(*cluster.Entry) (cluster.Timestamp, error) { return cluster.Timestamp{}, nil }}, "no floor": {ClusterID: clustertest.ID}} {
		if _, err := New(clustertest.New(1, nil).Node(1), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzGrant(f *testing.F) {
	f.Add(marshalGrant("u@example.test", mail.FolderID{1}, &uidledger.Request{}))
	f.Add([]byte{0, 1, 'u'})
	f.Fuzz(func(t *testing.T, b []byte) {
		u, id, r, err := parseGrant(b)
		if err != nil {
			if !cluster.IsKind(err, cluster.KindInvalid) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		if again := marshalGrant(u, id, &r); !bytes.Equal(again, b) {
			t.Errorf("%x is written again as %x", b, again)
		}
	})
}

// freshSurvey is a survey to which all members have been there all the time.
func freshSurvey(w *world, x *Indexes) *survey.Survey {
	return survey.New(hooked{w.Node(x.cluster.ID()), w}, 0)
}
