package index

import (
	"context"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/index/talk"
)

// parting is a world in which node 3, which has nothing to do with it, is away for days, so that nothing is proven to be gone by its
// absence. Node 1 has the index of a user with three messages.
type parting struct {
	*world
	u  mail.User
	on func(bool, []cluster.Change)
}

func newParting(t *testing.T, cfg Config) *parting {
	t.Helper()
	p := &parting{}
	cfg.Follow = func(_ context.Context, _ cluster.NodeID, owner string, on func(bool, []cluster.Change)) (func(), error) {
		if owner == "a@example.test" {
			p.on = on
		}
		return func() {}, nil
	}
	p.world = newWorld(t, cfg, 3)
	p.u = p.user("a", 3) // on nodes 1 and 2
	p.MoveBucket(string(p.u), 1)
	p.count(t, p.u, "INBOX")
	p.SetMembers(1, 2)
	p.MoveBucket(string(p.u), 1)
	if n := p.count(t, p.u, "INBOX"); n != 3 {
		t.Fatalf("%d messages", n)
	}
	return p
}

// quit deletes a message as POP3 does at QUIT, and the feed tells of it.
func (p *parting) quit(t *testing.T) {
	t.Helper()
	o := cluster.Object{ID: p.Objects(string(p.u), mail.TypeMessage)[0], Deleted: true}
	if err := p.Node(2).UpdateAll(t.Context(), []cluster.Update{{Object: o, Previous: cluster.NewReplicaSet(1, 2)}})[0]; err != nil {
		t.Fatal(err)
	}
	o.Timestamp = cluster.Timestamp{Time: 1 << 40}
	p.on(false, []cluster.Change{{Object: o, State: cluster.ChangeRemoved}})
}

// idle has so much time pass that nobody asks for the index any more.
func (p *parting) idle(t *testing.T, d time.Duration) (dropped bool) {
	t.Helper()
	before := p.figures().Evictions
	p.indexes[0].tidy(t.Context(), time.Now().Add(d))
	return p.figures().Evictions > before
}

// V2, D4: what POP3 deleted as the last thing before an index was dropped is deleted, and no ghost for as long as some node is away that has
// nothing to do with it.
func TestD4_DeletedBeforeTheIndexIsDropped(t *testing.T) {
	for name, ask := range map[string]func(*parting, *testing.T){
		"nobody asked":      func(*parting, *testing.T) {},
		"the feed had gaps": func(p *parting, _ *testing.T) { p.on(true, nil) },
		"another question": func(p *parting, t *testing.T) { // the index knows it, and the ledger does not
			p.mustAsk(t, talk.Question{Op: talk.OpFolders, User: p.u})
		},
		"the folder was shown": func(p *parting, t *testing.T) { p.count(t, p.u, "INBOX") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newParting(t, Config{})
			p.quit(t)
			ask(p, t)
			if !p.idle(t, 6*time.Minute) {
				t.Error("the index is not dropped")
			}
			if n := p.count(t, p.u, "INBOX"); n != 2 {
				t.Errorf("INBOX has %d messages, want 2", n)
			}
		})
	}
}

// The same, when the index goes for want of memory: it stays until the ledger knows, unless far too much memory is used.
func TestD4_DeletedBeforeMemoryIsShort(t *testing.T) {
	for name, c := range map[string]struct{ part, messages int64 }{"a little": {19, 2}, "far too much": {12, 3}} {
		t.Run(name, func(t *testing.T) {
			p := newParting(t, Config{})
			other := p.user("b", 3)
			p.MoveBucket(string(other), 1)
			p.count(t, p.u, "INBOX")
			x := p.indexes[0]
			x.cfg.MemoryMax = x.Figures().Bytes * c.part / 10 // of what the two take
			p.quit(t)
			p.count(t, other, "INBOX")
			if stays := p.figures().Evictions == 0; stays != (c.messages == 2) {
				t.Errorf("the index stays %t", stays)
			}
			if dropped := p.idle(t, 0); dropped != (c.messages == 2) {
				t.Errorf("the index is dropped %t", dropped)
			}
			if f := x.Figures(); f.Bytes > x.cfg.MemoryMax || f.Loaded != 1 {
				t.Errorf("Figures = %+v", f)
			}
			if n := p.count(t, p.u, "INBOX"); n != int(c.messages) {
				t.Errorf("INBOX has %d messages, want %d", n, c.messages)
			}
		})
	}
}

// Q2: an index that owes something to ledgers that cannot be written stays for a while, and not for ever.
func TestQ2_IndexesThatOweAreBounded(t *testing.T) {
	p := newParting(t, Config{})
	p.quit(t)
	p.SetFaults(2, clustertest.Faults{Hung: true}) // a holder: nothing can be listed
	if p.idle(t, 6*time.Minute) {
		t.Error("the index was dropped before the ledger knows what is gone")
	}
	if !p.idle(t, 16*time.Minute) {
		t.Error("the index stays for ever")
	}
}

// A question that comes while an index is parted with keeps it.
func TestPartingWithAnIndexThatIsAsked(t *testing.T) {
	p := newParting(t, Config{})
	p.quit(t)
	x := p.indexes[0]
	asked := make(chan struct{})
	p.looking.set(func() { // it is brought up to date: somebody comes and waits for the turn
		go func() {
			defer close(asked)
			p.count(t, p.u, "INBOX")
		}()
		for line := 0; line < 2; {
			x.mu.Lock()
			line = x.boxes[p.u].line
			x.mu.Unlock()
		}
	})
	if p.idle(t, 6*time.Minute) {
		t.Error("the index was dropped, though somebody waits for it")
	}
	<-asked
	if n := p.count(t, p.u, "INBOX"); n != 2 {
		t.Errorf("INBOX has %d messages, want 2", n)
	}
}

// To part with an index ends with the time for it, or with the node, between two folders: the user's questions wait for it.
func TestPartingEndsBetweenFolders(t *testing.T) {
	p := newParting(t, Config{})
	made := p.mustAsk(t, talk.Question{Op: talk.OpCreate, User: p.u, Name: "Other", Request: [16]byte{1}})
	s := p.stateOf(t, 1, p.u)
	for _, f := range []mail.FolderID{mail.Inbox, made.Folder} {
		s.depart(f, mail.NewMessageID())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.tell(ctx); !cluster.IsKind(err, cluster.KindUnavailable) || len(s.unsaid) != 2 {
		t.Errorf("tell = %v, %d folders are left", err, len(s.unsaid))
	}
	if err := s.tell(t.Context()); err != nil || len(s.unsaid) != 0 {
		t.Errorf("tell = %v, %d folders are left", err, len(s.unsaid))
	}
}

// Q2: the mailbox in use is not too much, though it owes something and is above the limit: it would be built again at once.
func TestQ2_LargeMailboxThatOwesStays(t *testing.T) {
	p := newParting(t, Config{MemoryMax: messageCost})
	p.quit(t)
	if p.idle(t, 0) {
		t.Error("the mailbox in use was parted with")
	}
	other := p.user("b", 1)
	p.MoveBucket(string(other), 1)
	p.count(t, other, "INBOX")
	p.idle(t, 0)
	if f := p.figures(); f.Loaded != 1 {
		t.Errorf("%d indexes are kept, and there is room for less than one", f.Loaded)
	}
}
