package imapproxy

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
)

// busy is the store of a busy node: each message takes a time, and after left of them none can be stored.
type busy struct {
	store
	each time.Duration
	left atomic.Int64
	puts atomic.Int64 // begun
	kept int          // of what is to be removed
}

func (b *busy) Put(ctx context.Context, u mail.User, id mail.MessageID, attr mail.MessageAttr, body cluster.Body) (cluster.Object, error) {
	b.puts.Add(1)
	select {
	case <-time.After(b.each):
	case <-ctx.Done():
		return cluster.Object{}, cluster.Errorf(cluster.KindUnavailable, "put", "%w", ctx.Err())
	}
	if b.left.Add(-1) < 0 {
		return cluster.Object{}, cluster.Errorf(cluster.KindUnavailable, "put", "busy")
	}
	return b.store.Put(ctx, u, id, attr, body)
}

func (b *busy) Withdraw(ctx context.Context, objects []cluster.Object) (left int) {
	k := min(b.kept, len(objects))
	return k + b.store.Withdraw(ctx, objects[k:])
}

// patient is a context that ends a minute after the last progress, as a session has it.
func patient(t *testing.T) (context.Context, func()) {
	ctx, cancel := context.WithCancel(t.Context())
	watch := time.AfterFunc(time.Minute, cancel)
	return backend.WithProgress(ctx, func() { watch.Reset(time.Minute) }), func() { watch.Stop(); cancel() }
}

// What many messages need on a busy node they are given: COPY and APPEND go on for as long as they get on.
func TestManyMessagesWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 300
		w := newWorld(t, 3)
		w.fill(count)
		b := &busy{store: w.nodes[0].delivery, each: 4 * time.Second} // eight times what the turnstile aims at
		b.left.Store(2 * count)
		w.nodes[0].proxy.store = b
		m, s := w.pick(t, 1, "INBOX")
		uids, err := s.UIDs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, bring := range map[string]func(context.Context) (backend.Placed, error){
			"COPY":   func(ctx context.Context) (backend.Placed, error) { return s.Copy(ctx, uids, "Archive") },
			"APPEND": func(ctx context.Context) (backend.Placed, error) { return m.Append(ctx, "INBOX", appends(count)) },
		} {
			ctx, end := patient(t)
			began := time.Now()
			if p, err := bring(ctx); err != nil || len(p.To) != count {
				t.Errorf("%s = %d numbers, %v", name, len(p.To), err)
			}
			end()
			if d := time.Since(began); d <= time.Minute {
				t.Errorf("%s took %v: that shows nothing", name, d)
			}
		}
	})
}

// MOVE says that it gets on, with each page.
func TestMoveTellsOfProgress(t *testing.T) {
	const pages = 2
	w := newWorld(t, 3)
	w.fill(pages * talk.PageMax)
	_, s := w.pick(t, 1, "INBOX")
	uids, err := s.UIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var steps atomic.Int64
	if _, err := s.Move(backend.WithProgress(t.Context(), func() { steps.Add(1) }), uids, "Archive"); err != nil || steps.Load() < pages {
		t.Errorf("Move told of %d steps, want %d; %v", steps.Load(), pages, err)
	}
}

// RFC 9051 §6.4.7: a COPY of which a message cannot be stored begins no other, and leaves nothing; or it is told that it does.
func TestCopyThatFails(t *testing.T) {
	const count, room = 200, 30
	for _, kept := range []int{0, 7} {
		w := newWorld(t, 3)
		w.fill(count)
		b := &busy{store: w.nodes[0].delivery, kept: kept}
		b.left.Store(room)
		w.nodes[0].proxy.store = b
		m, s := w.pick(t, 1, "INBOX")
		uids, err := s.UIDs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Copy(t.Context(), uids, "Archive")
		if !cluster.IsKind(err, cluster.KindUnavailable) || errors.Is(err, backend.ErrLeft) != (kept > 0) {
			t.Errorf("Copy = %v", err)
		}
		if n := b.puts.Load(); n > room+int64(w.nodes[0].proxy.cfg.CopiesMax) {
			t.Errorf("%d messages were begun, after %d nothing could be stored", n, room)
		}
		if st, err := m.Status(t.Context(), "Archive"); err != nil || st.Messages != kept {
			t.Errorf("Archive has %d messages, want %d; %v", st.Messages, kept, err)
		}
	}
}

// crowded is a store in which one message fails after a moment, while the others wait for their turn.
type crowded struct {
	store
	begun atomic.Int64
}

func (c *crowded) Put(ctx context.Context, _ mail.User, _ mail.MessageID, _ mail.MessageAttr, _ cluster.Body) (cluster.Object, error) {
	if c.begun.Add(1) == 1 {
		<-time.After(time.Second)
		return cluster.Object{}, cluster.Errorf(cluster.KindFull, "put", "no room")
	}
	select {
	case <-time.After(time.Minute):
		return cluster.Object{}, cluster.Errorf(cluster.KindUnavailable, "put", "not its turn")
	case <-ctx.Done():
		return cluster.Object{}, cluster.Errorf(cluster.KindUnavailable, "put", "%w", ctx.Err())
	}
}

func (c *crowded) PutOnce(ctx context.Context, u mail.User, id mail.MessageID, attr mail.MessageAttr, body cluster.Body) (cluster.Object, error) {
	return c.Put(ctx, u, id, attr, body)
}

// A command of which a message cannot be stored says so at once, and says why: what waits for its turn is called off.
func TestFailureCallsOffWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 40
		w := newWorld(t, 3)
		w.fill(count)
		m, s := w.pick(t, 1, "INBOX")
		uids, err := s.UIDs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		imported := appends(count)
		for i := range imported {
			imported[i].ID = mail.NewMessageID()
		}
		for name, bring := range map[string]func() error{
			"COPY":     func() error { _, err := s.Copy(t.Context(), uids, "Archive"); return err },
			"APPEND":   func() error { _, err := m.Append(t.Context(), "INBOX", appends(count)); return err },
			"imported": func() error { _, err := m.Append(t.Context(), "INBOX", imported); return err },
		} {
			w.nodes[0].proxy.store = &crowded{store: w.nodes[0].delivery}
			began := time.Now()
			if err := bring(); !cluster.IsKind(err, cluster.KindFull) {
				t.Errorf("%s = %v, want why the first failed", name, err)
			}
			if d := time.Since(began); d != time.Second {
				t.Errorf("%s failed after %v, want 1s", name, d)
			}
		}
	})
}
