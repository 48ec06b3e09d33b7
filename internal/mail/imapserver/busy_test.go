package imapserver_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/imapserver/imaptest"
	"porcupine/internal/mail/listener/listenertest"
)

// busy is mail of a busy node: what brings messages into a folder, changes or deletes them, takes as long as a function that comes first.
type busy struct {
	*imaptest.Mail
	first func(ctx context.Context) error
}

func (b busy) Open(ctx context.Context, u mail.User, c mail.Client) (imapserver.Mailbox, error) {
	box, err := b.Mail.Open(ctx, u, c)
	return busyBox{box, b}, err
}

type busyBox struct {
	imapserver.Mailbox
	busy busy
}

func (b busyBox) Append(ctx context.Context, name string, messages []imapserver.Append) (imapserver.Placed, error) {
	if err := b.busy.first(ctx); err != nil {
		return imapserver.Placed{}, err
	}
	return b.Mailbox.Append(ctx, name, messages)
}

func (b busyBox) Select(ctx context.Context, name string, readOnly bool) (imapserver.Selected, error) {
	s, err := b.Mailbox.Select(ctx, name, readOnly)
	return busyFolder{s, b.busy}, err
}

type busyFolder struct {
	imapserver.Selected
	busy busy
}

// Status is of a busy node too.
func (b busyBox) Status(ctx context.Context, name string) (imapserver.Status, error) {
	if err := b.busy.first(ctx); err != nil {
		return imapserver.Status{}, err
	}
	return b.Mailbox.Status(ctx, name)
}

func (f busyFolder) Since(ctx context.Context, since mail.ModSeq, known mail.UIDSet) (backend.Changes, error) {
	if err := f.busy.first(ctx); err != nil {
		return backend.Changes{}, err
	}
	return f.Selected.Since(ctx, since, known)
}

func (f busyFolder) Copy(ctx context.Context, uids mail.UIDSet, to string) (imapserver.Placed, error) {
	if err := f.busy.first(ctx); err != nil {
		return imapserver.Placed{}, err
	}
	return f.Selected.Copy(ctx, uids, to)
}

func (f busyFolder) Move(ctx context.Context, uids mail.UIDSet, to string) (imapserver.Placed, error) {
	if err := f.busy.first(ctx); err != nil {
		return imapserver.Placed{}, err
	}
	return f.Selected.Move(ctx, uids, to)
}

func (f busyFolder) Expunge(ctx context.Context, uids mail.UIDSet) error {
	if err := f.busy.first(ctx); err != nil {
		return err
	}
	return f.Selected.Expunge(ctx, uids)
}

func (f busyFolder) Store(ctx context.Context, uids mail.UIDSet, change backend.FlagChange, since mail.ModSeq) ([]mail.Summary, mail.UIDSet, error) {
	if err := f.busy.first(ctx); err != nil {
		return nil, nil, err
	}
	return f.Selected.Store(ctx, uids, change, since)
}

// changing are the commands that may take long.
var changing = []string{"COPY 1 INBOX", "MOVE 1 INBOX", "EXPUNGE", "CLOSE", "STORE 1 +FLAGS (\\Seen)", "APPEND INBOX {1+}\nC: x", "REPLACE 1 INBOX {1+}\nC: x"}

// whileBusy tests all of them, in simulated time.
func whileBusy(t *testing.T, first func(ctx context.Context) error, test func(t *testing.T, r *rig, command string)) {
	for _, command := range changing {
		verb, _, _ := strings.Cut(command, " ")
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := oneMessage()
				test(t, newRig(t, m, options{mailboxes: busy{m, first}}), command)
			})
		})
	}
}

// A command that gets on has the time that it needs, and the client hears that the server is there.
func TestChangeThatGetsOn(t *testing.T) {
	const takes, steps = 10 * time.Minute, 15
	first := func(ctx context.Context) error {
		for range steps {
			select {
			case <-time.After(takes / steps):
				backend.Progress(ctx)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	whileBusy(t, first, func(t *testing.T, r *rig, command string) {
		c := r.play(selectedOne + "C: 1 " + command + "\n" + strings.Repeat("S: * OK still working\n", 19))
		for line := ""; !strings.HasPrefix(line, "1 OK"); {
			if line = listenertest.ReadLine(t, c); strings.HasPrefix(line, "1 NO") {
				t.Fatal(line)
			}
		}
		play(t, c, "C: 2 NOOP\nS: 2 OK NOOP completed")
	})
}

// The same goes for what is asked in many steps: the state of many folders, what a client missed, and the marks of messages that are read.
func TestQuestionThatGetsOn(t *testing.T) {
	const takes, steps = 170 * time.Second, 6
	first := func(ctx context.Context) error {
		for range steps {
			select {
			case <-time.After(takes / steps):
				backend.Progress(ctx)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	for name, story := range map[string]string{
		"LIST":  "C: 1 LIST \"\" INBOX RETURN (STATUS (MESSAGES))\nS: * LIST (\\HasNoChildren) \"/\" INBOX\nS: * STATUS INBOX (MESSAGES 1)\nS: 1 OK LIST completed",
		"FETCH": "C: 1 FETCH 1 FLAGS (CHANGEDSINCE 1)\nS: * OK [HIGHESTMODSEQ 2] ...\nS: * 1 FETCH (FLAGS () MODSEQ (2))\nS: 1 OK FETCH completed",
		"marks": "C: 1 FETCH 1 BODY[TEXT]<0.1>\n" + strings.Repeat("S: * OK still working\n", 5) + "S: * 1 FETCH (FLAGS (\\Seen) BODY[TEXT]<0> {1}\nS: H)\nS: 1 OK FETCH completed",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := oneMessage()
				newRig(t, m, options{mailboxes: busy{m, first}}).play(selectedOne + story)
			})
		})
	}
}

// A client that asks for the states of many folders hears of each before it gives up to wait for all.
func TestStatesAreToldAsTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes, folders = 40 * time.Second, 5
		m := oneMessage()
		for i := range folders {
			m.Create(alice, fmt.Sprintf("x%d", i), "")
		}
		first := func(ctx context.Context) error {
			<-time.After(takes)
			backend.Progress(ctx)
			return nil
		}
		c := newRig(t, m, options{mailboxes: busy{m, first}}).play(login + "C: 1 LIST \"\" x* RETURN (STATUS (MESSAGES))")
		for i := range folders {
			began := time.Now()
			play(t, c, fmt.Sprintf("S: * LIST (\\HasNoChildren) \"/\" x%d\nS: * STATUS x%d (MESSAGES 0)", i, i))
			if d := time.Since(began); d != takes {
				t.Errorf("folder %d is told after %v, want %v", i, d, takes)
			}
		}
		play(t, c, "S: 1 OK LIST completed")
	})
}

// One that stands still is given up.
func TestChangeThatStandsStill(t *testing.T) {
	first := func(ctx context.Context) error {
		<-ctx.Done()
		return cluster.Errorf(cluster.KindUnavailable, "copy", "%w", ctx.Err())
	}
	whileBusy(t, first, func(t *testing.T, r *rig, command string) {
		c := r.play(selectedOne)
		began := time.Now()
		play(t, c, "C: 1 "+command+"\nS: * OK still working")
		for line := ""; line != "1 NO [UNAVAILABLE] not possible now; try again later"; {
			if line = listenertest.ReadLine(t, c); strings.HasPrefix(line, "1 OK") {
				t.Fatal(line)
			}
		}
		if d := time.Since(began); d != imapserver.ServiceTimeoutDefault {
			t.Errorf("answered after %v, want %v", d, imapserver.ServiceTimeoutDefault)
		}
	})
}

// A client that has gone is noticed when it cannot be told any more: its command is given up.
func TestChangeForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started, ended := make(chan struct{}), make(chan struct{})
		first := func(ctx context.Context) error {
			close(started)
			defer close(ended)
			for ctx.Err() == nil {
				backend.Progress(ctx)
				<-time.After(time.Second)
			}
			return ctx.Err()
		}
		m := oneMessage()
		c := newRig(t, m, options{mailboxes: busy{m, first}}).play(selectedOne + "C: 1 COPY 1 INBOX")
		<-started
		c.Close()
		<-ended
		synctest.Wait()
		if n := m.Sessions(); n != 0 {
			t.Errorf("%d mailboxes and folders are open after the client has gone", n)
		}
	})
}

// RFC 9051 §6.4.7: a client is told when what had been stored could not be removed.
func TestChangeThatLeavesSomething(t *testing.T) {
	first := func(context.Context) error {
		return cluster.Errorf(cluster.KindUnavailable, "copy", "%w", fmt.Errorf("%w (3 of 4)", backend.ErrLeft))
	}
	m := oneMessage()
	newRig(t, m, options{mailboxes: busy{m, first}}).play(selectedOne + `
		C: 1 COPY 1 INBOX
		S: 1 NO [UNAVAILABLE] not possible now, and some of the messages may be in the folder; look before you try again`)
}

// TestAttack40_PanicInAChangeEndsItsSession: it is on another goroutine, and no other session has to do with it.
func TestAttack40_PanicInAChangeEndsItsSession(t *testing.T) {
	m := oneMessage()
	r := newRig(t, m, options{mailboxes: busy{m, func(context.Context) error { panic("a test") }}})
	other := r.play(selectedOne)
	r.play(selectedOne + "C: 1 COPY 1 INBOX\nS: (end)")
	play(t, other, "C: 1 NOOP\nS: 1 OK NOOP completed")
}
