package retrieval

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// oracle answers for the index at all nodes.
type oracle struct {
	known map[string]talk.Known // absent: KnownNot
	err   error
	short bool // it tells of one message fewer
	asked atomic.Int64
	most  int // messages of one question
}

func (w *world) oracle() *oracle {
	o := &oracle{known: make(map[string]talk.Known)}
	for n := range cluster.NodeID(3) {
		w.Node(n+1).Serve(talk.Method, func(_ context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
			o.asked.Add(1)
			q, err := talk.ParseQuestion(payload)
			if err != nil || o.err != nil {
				return nil, cmp.Or(err, o.err)
			}
			if q.Op != talk.OpWithin || q.User != user || q.Folder != mail.Inbox {
				return nil, cluster.Errorf(cluster.KindInternal, "test", "question %+v", q)
			}
			o.most = max(o.most, len(q.Messages))
			a := talk.Answer{}
			for _, id := range q.Messages {
				a.Known = append(a.Known, o.known[id.String()])
			}
			if o.short {
				a.Known = a.Known[1:]
			}
			return a.Marshal(), nil
		})
	}
	return o
}

// tree stores a tree of folders for the user, as the first IMAP session does.
func (w *world) tree(at cluster.Timestamp) {
	w.Put(1, cluster.Object{ID: cluster.ObjectID{Type: mail.TypeFolders, Owner: string(user)}, Timestamp: at, Replicas: cluster.NewReplicaSet(1)}, []byte("tree"))
}

// putIn stores a message that was put into a folder.
func (w *world) putIn(id byte, folder mail.FolderID) string {
	m := mail.MessageID{id}
	attr := mail.MessageAttr{Received: time.Unix(int64(id), 0), Folder: folder}.Append(nil)
	w.Put(2, cluster.Object{ID: m.Object(user), Replicas: cluster.NewReplicaSet(2), Attr: attr}, []byte("put"))
	return m.String()
}

// RFC 1939 §1, V2: a maildrop is what is in INBOX: not what the user has moved or put elsewhere, nor what the ledger says is
// expunged; and what was delivered a moment ago, of which the index has not heard. Nothing else is deleted.
func TestRFC1939_InboxOnly(t *testing.T) {
	w := newWorld(t, Config{})
	o := w.oracle()
	w.tree(cluster.Timestamp{Time: 1, Node: 1})
	here, moved, dead := w.put(user, 1, 1, nil, 1), w.put(user, 2, 2, nil, 2), w.put(user, 3, 3, nil, 3)
	draft, late, back := w.putIn(4, mail.FolderID{7}), w.put(user, 5, 5, nil, 1), w.putIn(6, mail.FolderID{7})
	o.known[here], o.known[moved], o.known[dead], o.known[back] = talk.KnownHere, talk.KnownElsewhere, talk.KnownDead, talk.KnownHere
	d := w.open(t)
	if want := []string{here, late, back}; !slices.Equal(ids(d), want) {
		t.Fatalf("Messages = %v, want %v", ids(d), want)
	}
	if got := read(t, d, 1); got != "u@x.test 5" {
		t.Errorf("message 1 is %q", got)
	}
	if err := d.Delete(t.Context(), []int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, id := range w.left() {
		left = append(left, id.ID)
	}
	slices.Sort(left)
	if want := []string{moved, dead, draft}; !slices.Equal(left, want) {
		t.Errorf("left: %v, want %v", left, want)
	}
}

// A user who only uses POP3 costs no question, though a former user of the name had folders.
func TestOnlyPOP3AsksNothing(t *testing.T) {
	w := newWorld(t, Config{})
	o := w.oracle()
	w.tree(cluster.Timestamp{Time: 5, Node: 1})
	w.floor = cluster.Timestamp{Time: 9, Node: 1}
	w.put(user, 1, 1, nil, 1)
	w.put(user, 2, 2, nil, 2)
	d := w.open(t)
	if err := d.Delete(t.Context(), []int{0}); err != nil || len(d.Messages()) != 2 {
		t.Errorf("Delete = %v, of %d messages", err, len(d.Messages()))
	}
	if n := o.asked.Load() + w.Asks.Load(); n != 0 {
		t.Errorf("%d questions", n)
	}
}

// V2: folders are known of by the tree, by a ledger, and by a message that was put into one.
func TestV2_SignsOfFolders(t *testing.T) {
	for name, sign := range map[string]func(w *world){
		"tree": func(w *world) { w.tree(cluster.Timestamp{Time: 1, Node: 1}) },
		"ledger": func(w *world) {
			w.Put(3, cluster.Object{ID: cluster.ObjectID{Type: mail.TypeLedger, Owner: string(user), ID: "x"}, Replicas: cluster.NewReplicaSet(3)}, []byte("head"))
		},
		"message": func(w *world) { w.putIn(9, mail.FolderID{7}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{})
			o := w.oracle()
			id := w.put(user, 1, 1, nil, 1)
			sign(w)
			if got := ids(w.open(t)); !slices.Equal(got, []string{id}) || o.asked.Load() != 1 {
				t.Errorf("Messages = %v after %d questions", got, o.asked.Load())
			}
		})
	}
}

// V1, V2: while the index cannot say what is in INBOX the maildrop is not opened, and nothing is deleted; that is temporary,
// with a manager of an older version too. The lock is given back.
func TestV2_IndexCannotBeAsked(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		short bool
		want  string
	}{
		"nodes are away":   {cluster.Errorf(cluster.KindUnavailable, "build", "away"), false, "unavailable"},
		"an older version": {cluster.Errorf(cluster.KindInvalid, "read a question", "a number is broken, or above 21"), false, "unavailable"},
		"another failure":  {cluster.Errorf(cluster.KindInternal, "ask", "it failed"), false, "unavailable"},
		"too few answers":  {nil, true, "unavailable"},
		"damaged folders":  {cluster.Errorf(cluster.KindCorrupt, "read the folders", "damaged"), false, "corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{})
			o := w.oracle()
			w.tree(cluster.Timestamp{Time: 1, Node: 1})
			w.put(user, 1, 1, nil, 1)
			w.put(user, 2, 2, nil, 2)
			d := w.open(t)
			o.err, o.short = tt.err, tt.short
			if _, err := w.Open(t.Context(), user, client); kind(err) != tt.want {
				t.Errorf("Open = %v, want %s", err, tt.want)
			}
			if w.locks.open != 1 {
				t.Errorf("%d locks are open", w.locks.open)
			}
			if err := d.Delete(t.Context(), []int{0, 1}); kind(err) != tt.want || len(w.left()) != 2 {
				t.Errorf("Delete = %v, and %d are left", err, len(w.left()))
			}
		})
	}
}

// What the user moves out of INBOX while a session has it listed is not deleted: also if these are the first folders
// of that user.
func TestMovedOutOfInboxDuringASession(t *testing.T) {
	for _, name := range []string{"a user with folders", "the first use of IMAP"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				o := w.oracle()
				if name == "a user with folders" {
					w.tree(cluster.Timestamp{Time: 1, Node: 1})
				}
				w.put(user, 1, 1, nil, 1)
				moved := w.put(user, 2, 2, nil, 2)
				d := w.open(t)
				time.Sleep(time.Minute)
				w.tree(cluster.Timestamp{Time: 2, Node: 1})
				o.known[moved] = talk.KnownElsewhere
				if err := d.Delete(t.Context(), []int{0, 1}); err != nil {
					t.Fatal(err)
				}
				if left := w.left(); len(left) != 1 || left[0].ID != moved {
					t.Errorf("left: %v, want %v", left, moved)
				}
			})
		})
	}
}

// A large mailbox is asked about page by page.
func TestPagesOfQuestions(t *testing.T) {
	w := newWorld(t, Config{})
	o := w.oracle()
	w.tree(cluster.Timestamp{Time: 1, Node: 1})
	const count = 2*talk.PageMax + 1
	for range count {
		w.Put(1, cluster.Object{ID: mail.NewMessageID().Object(user), Replicas: cluster.NewReplicaSet(1)}, []byte("m"))
	}
	if got := len(w.open(t).Messages()); got != count || o.asked.Load() != 3 || o.most != talk.PageMax {
		t.Errorf("%d messages after %d questions of %d at most", got, o.asked.Load(), o.most)
	}
}
