package index

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
)

// Q2: a mailbox whose index is above the limit is kept while it is the one in use.
func TestQ2_OneLargeMailbox(t *testing.T) {
	const messages = 50
	w := newWorld(t, Config{MemoryMax: messages * messageCost / 2}, 2)
	u := w.user("a", messages)
	w.MoveBucket(string(u), 1)
	a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	for range 10 {
		w.mustAsk(t, talk.Question{Op: talk.OpSync, User: u, Mark: a.Mark})
	}
	if f := w.figures(); f.Loads > 2 {
		t.Errorf("the index of the only user was built %d times for 11 questions", f.Loads)
	}
}

// Q2: flags, and the answers that are kept for questions that come again, are counted.
func TestQ2_FlagsAndAnswersAreCounted(t *testing.T) {
	const messages = 300
	w := newWorld(t, Config{}, 2)
	u := w.user("a", messages)
	w.MoveBucket(string(u), 1)
	a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	for i := range byte(6) {
		var flags []mail.Flag
		for k := range byte(20) {
			flags = append(flags, mail.Flag([]byte{'k', 'a' + i, 'a' + k}))
		}
		for at := mail.UID(1); at < messages; at += 100 {
			w.mustAsk(t, talk.Question{Op: talk.OpStore, User: u, Mark: a.Mark, UIDs: mail.UIDSet{{First: at, Last: at + 99}}, Flags: flags, FlagOp: backend.FlagsAdd, Request: [16]byte{1, i, byte(at / 100)}})
		}
	}
	counted, with := w.figures().Bytes, heap()
	w.stateOf(t, 1, u).b.state = nil
	real := with - heap()
	t.Logf("%d KiB, counted as %d KiB", real>>10, counted>>10)
	if real > 3*counted {
		t.Errorf("an index of %d KiB is counted as %d KiB", real>>10, counted>>10)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The answer to a STORE ends where a page does, as that of a FETCH.
func TestStoreAnswersInPages(t *testing.T) {
	const messages = 900
	w := newWorld(t, Config{}, 2)
	u := w.user("a", messages)
	w.MoveBucket(string(u), 1)
	a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	var flags []mail.Flag
	for k := range 15 {
		flags = append(flags, mail.Flag(strings.Repeat("x", 80)+string(rune('a'+k))))
	}
	store := func(number byte, fl ...mail.Flag) {
		t.Helper()
		left := mail.UIDSet{{First: 1, Last: messages}}
		for page := byte(0); len(left) > 0; page++ {
			_, b, err := w.ask(talk.Question{Op: talk.OpStore, User: u, Mark: a.Mark, UIDs: left, Flags: fl, FlagOp: backend.FlagsAdd, Request: [16]byte{number, page}})
			if err != nil || len(b) > talk.SizeMax {
				t.Fatalf("STORE of %v: %d octets, %v", left, len(b), err)
			}
			answer, err := talk.ParseAnswer(b)
			if err != nil {
				t.Fatal(err)
			}
			if !answer.More {
				return
			}
			left = left.Without(mail.UIDSet{{First: 1, Last: answer.Next}})
		}
	}
	store(1, flags...)
	store(2, mail.FlagSeen)
	if st := w.mustAsk(t, talk.Question{Op: talk.OpStatus, User: u, Name: "INBOX"}).Status; st.Unseen != 0 {
		t.Errorf("%d of %d have no \\Seen", st.Unseen, messages)
	}
}

// D6: the page of a conditional STORE that is carried again to another manager ends where the first one's did: what came behind that end
// would be asked for with another number, and count as changed by somebody else.
func TestD6_StoreAgainInTheSamePages(t *testing.T) {
	const messages = 600
	w := newWorld(t, Config{}, 2)
	u := w.user("a", messages)
	w.MoveBucket(string(u), 1)
	a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	q := talk.Question{Op: talk.OpStore, User: u, Mark: a.Mark, UIDs: mail.UIDSet{{First: 1, Last: messages}}, FlagOp: backend.FlagsAdd, ModSeq: a.Mark.ModSeq, Request: [16]byte{1}}
	for k := range 15 {
		q.Flags = append(q.Flags, mail.Flag(strings.Repeat("x", 80)+string(rune('a'+k))))
	}
	first := w.mustAsk(t, q)
	w.stateOf(t, 1, u).b.state = nil // it dies, and knows no request any more
	again := w.mustAsk(t, q)
	if !first.More || again.Next != first.Next || len(again.Summaries) != len(first.Summaries) || len(again.Modified) > 0 {
		t.Errorf("first up to %d, %d messages; again up to %d, %d messages, modified: %v", first.Next, len(first.Summaries), again.Next, len(again.Summaries), again.Modified)
	}
	q.FlagOp, q.ModSeq, q.Request = backend.FlagsRemove, again.Summaries[len(again.Summaries)-1].ModSeq, [16]byte{2}
	first = w.mustAsk(t, q)
	w.stateOf(t, 1, u).b.state = nil
	if again = w.mustAsk(t, q); again.Next != first.Next || len(again.Modified) > 0 {
		t.Errorf("removed: first up to %d; again up to %d, modified: %v", first.Next, again.Next, again.Modified)
	}
}

// Attack 31: what a session costs that catches up with a change of the whole folder grows as the folder does, not as its square. It has
// the user's turn meanwhile, and so has each of the user's sessions.
func TestAttack31_SyncOfAChangedFolder(t *testing.T) {
	one, two := syncCost(t, 4_000), syncCost(t, 8_000)
	if two > 5*one/2 {
		t.Errorf("twice the folder costs %.1f times as much: %d allocations, and %d", float64(two)/float64(one), two, one)
	}
}

// syncCost counts the allocations of telling a session that all of a folder has changed.
func syncCost(t *testing.T, messages int) uint64 {
	w := newWorld(t, Config{Follow: func(context.Context, cluster.NodeID, string, func(bool, []cluster.Change)) (func(), error) {
		return func() {}, nil
	}}, 2)
	u := w.user("a", messages)
	w.MoveBucket(string(u), 1)
	began := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	q := talk.Question{Op: talk.OpStore, User: u, Mark: began.Mark, FlagOp: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}}
	for at := 1; at <= messages; at += talk.PageMax {
		q.UIDs, q.Request = mail.UIDSet{{First: mail.UID(at), Last: mail.UID(at + talk.PageMax - 1)}}, [16]byte{1, byte(at >> 16), byte(at >> 8), byte(at)}
		w.mustAsk(t, q)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	told := 0
	for mark := began.Mark; ; {
		a := w.mustAsk(t, talk.Question{Op: talk.OpSync, User: u, Mark: mark, On: true})
		told += len(a.Summaries)
		if mark = a.Mark; !a.More {
			break
		}
	}
	runtime.ReadMemStats(&after)
	if told != messages {
		t.Errorf("told of %d changes of %d", told, messages)
	}
	return after.Mallocs - before.Mallocs
}

// slow is a node of which each page of ledgers takes a while: a slow disk, or a slow link.
type slow struct {
	hooked
	page time.Duration
}

func (s slow) Contents(ctx context.Context, on cluster.NodeID, owner string, of cluster.ObjectType, after string) ([]cluster.Copy, bool, error) {
	select {
	case <-time.After(s.page):
	case <-ctx.Done():
		return nil, false, cluster.Errorf(cluster.KindUnavailable, "contents", "%w", ctx.Err())
	}
	return s.hooked.Contents(ctx, on, owner, of, after)
}

// slowly gives indexes of a user with a large mailbox, whose ledger takes some 40 s to read, page by page.
func slowly(t *testing.T) (x *Indexes, ask func(patience time.Duration) error) {
	w := newWorld(t, Config{}, 2)
	u := w.user("a", 3000)
	w.MoveBucket(string(u), 1)
	w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	pages := len(w.Objects(string(u), mail.TypeLedger))/4 + 1 // at most; there are half as many
	x, err := New(slow{hooked{w.Node(1), w}, 80 * time.Second / time.Duration(pages)}, Config{ClusterID: w.indexes[0].cfg.ClusterID, Floor: w.indexes[0].cfg.Floor})
	if err != nil {
		t.Fatal(err)
	}
	return x, func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		q := talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}
		began := time.Now()
		_, err := x.serve(ctx, 2, q.Marshal())
		if d := time.Since(began); d > patience {
			t.Errorf("who asked for %v waited %v", patience, d)
		}
		return err
	}
}

// V2: a large mailbox whose ledger is read page by page, each in good time, opens, if not for the first who asks. Nobody waits longer than
// he would, on the manager itself neither.
func TestV2_LedgerThatTakesLongToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, ask := slowly(t)
		defer x.close()
		err := ask(30 * time.Second)
		if err == nil {
			t.Fatal("it takes less than somebody waits: this tests nothing")
		}
		for range 3 { // a client that comes again and again
			if err = ask(30 * time.Second); err == nil { // imapproxy.Config.AskTimeout
				return
			}
			if !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Fatal(err)
			}
		}
		t.Errorf("it never opens: %v", err)
	})
}

// What is being built when the node stops is broken off, and nothing is begun anew.
func TestStopWhileAnIndexIsBuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, ask := slowly(t)
		if err := ask(time.Second); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Fatal(err)
		}
		began := time.Now()
		x.close()
		if d := time.Since(began); d > 0 {
			t.Errorf("it ended after %v", d)
		}
		if err := ask(time.Second); !cluster.IsKind(err, cluster.KindUnavailable) || !strings.Contains(err.Error(), "stopping") {
			t.Errorf("asked after the end: %v", err)
		}
	})
}

// A panic over one user's mail is told to who asked, and the user's turn is given back.
func TestPanicWhileAnIndexIsBuilt(t *testing.T) {
	panics := false
	w := newWorld(t, Config{}, 2)
	u := w.user("a", 1)
	w.MoveBucket(string(u), 1)
	floor := w.indexes[0].cfg.Floor
	w.indexes[0].cfg.Floor = func(e *cluster.Entry) (cluster.Timestamp, error) {
		if panics {
			panic("of a test")
		}
		return floor(e)
	}
	for _, panics = range []bool{true, true, false} {
		_, _, err := w.ask(talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
		if cluster.IsKind(err, cluster.KindInternal) != panics || !panics && err != nil {
			t.Errorf("panics: %v; %v", panics, err)
		}
	}
}
