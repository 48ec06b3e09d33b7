package imapserver_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/imaptest"
	"porcupine/internal/mail/listener/listenertest"
)

// selectInbox selects INBOX of the standard mail without a look at what is told.
var selectInbox = login + "C: S SELECT INBOX\n" + strings.Repeat("S: ...\n", 10)

func TestIDLE_NewsArePushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		c := newRig(t, m, options{}).play(selectInbox + "C: 1 IDLE\nS: + idling")
		synctest.Wait()
		m.Deliver(alice, "INBOX", plain, clock)
		play(t, c, "S: * 5 EXISTS\nS: * 0 RECENT")
		m.SetFlags(alice, "INBOX", 1, mail.FlagDraft)
		play(t, c, `S: * 1 FETCH (UID 1 FLAGS (\Draft))`)
		m.Remove(alice, "INBOX", 1, 4)
		play(t, c, "S: * 3 EXPUNGE\nS: * 1 EXPUNGE")
		m.Deliver(alice, "Sent", plain, clock) // of another folder nothing is told
		synctest.Wait()
		play(t, c, `
			C: DONE
			S: 1 OK IDLE completed
			C: 2 FETCH 1:* UID
			S: * 1 FETCH (UID 2)
			S: * 2 FETCH (UID 5)
			S: * 3 FETCH (UID 6)
			S: 2 OK FETCH completed`)
	})
}

func TestIDLE_VanishedWithQRESYNC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		c := newRig(t, m, options{}).play(login + `
			C: 1 ENABLE QRESYNC
			S: * ENABLED QRESYNC
			S: 1 OK ENABLE completed
			C: 2 SELECT INBOX` + strings.Repeat("\nS: ...", 10) + `
			C: 3 IDLE
			S: + idling`)
		synctest.Wait()
		m.Remove(alice, "INBOX", 1, 4)
		play(t, c, "S: * VANISHED 1,4\nC: DONE\nS: 3 OK IDLE completed")
	})
}

func TestIDLE_SaysThatItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := newRig(t, standard(), options{}).play(selectInbox + "C: 1 IDLE\nS: + idling")
		for range 7 {
			l := listenertest.ReadLine(t, c)
			for l == "(silence)" {
				l = listenertest.ReadLine(t, c)
			}
			if l != "* OK still here" {
				t.Fatalf("server says %q", l)
			}
		}
		if d := time.Since(began); d != 7*imapserver.KeepAliveDefault {
			t.Errorf("seven signs of life in %v", d)
		}
		l := listenertest.ReadLine(t, c)
		for l == "(silence)" {
			l = listenertest.ReadLine(t, c)
		}
		if d := time.Since(began); d != imapserver.IdleTimeoutDefault || l != "* BYE you have been silent for too long" {
			t.Errorf("after %v the server says %q", d, l)
		}
	})
}

// TestIDLE_EverySessionIsTold: many sessions, few workers, and nobody is forgotten.
func TestIDLE_EverySessionIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		r := newRig(t, m, options{cfg: imapserver.Config{Workers: 2}})
		conns := make([]net.Conn, 100)
		for i := range conns {
			conns[i] = r.play(selectInbox + "C: 1 IDLE\nS: + idling")
		}
		for range 20 {
			m.Deliver(alice, "INBOX", plain, clock)
		}
		for _, c := range conns {
			c.SetReadDeadline(time.Now().Add(time.Hour))
			for l := ""; l != "* 24 EXISTS"; {
				if l = listenertest.ReadLine(t, c); strings.HasSuffix(l, "(silence)") || strings.HasSuffix(l, "(end)") {
					t.Fatal("a session was not told of the last message")
				}
			}
		}
	})
}

// TestIDLE_NobodyWaitsForWhoDoesNotRead: a client that takes nothing of what it is told, until it is let go, does not
// keep others from being told (RFC 9051 §5.3).
func TestIDLE_NobodyWaitsForWhoDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages = 20_000 // the flags of all are more than any buffer on the way holds
		m := newMail()
		for range messages {
			m.Deliver(alice, "INBOX", "x", clock)
		}
		r := newRig(t, m, options{cfg: imapserver.Config{Workers: 1}})
		deaf := r.play(login + "C: 1 EXAMINE INBOX\n" + strings.Repeat("S: *...\n", 9) + "S: 1 OK...\nC: 2 IDLE\nS: + idling")
		for u := range messages {
			m.SetFlags(alice, "INBOX", mail.UID(u+1), mail.FlagFlagged)
		}
		synctest.Wait()
		c := r.play(selectInbox + "C: 1 IDLE\nS: + idling")
		began := time.Now()
		m.Deliver(alice, "INBOX", "x", clock)
		play(t, c, "S: * "+itoa(messages+1)+" EXISTS")
		if took := time.Since(began); took > time.Second {
			t.Errorf("told after %v", took)
		}
		deaf.Close()
	})
}

// TestNoNewsBetweenCommands: outside IDLE nothing is told while no command is in progress (RFC 9051 §7.5.1).
func TestNoNewsBetweenCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		c := newRig(t, m, options{}).play(selectInbox)
		m.Remove(alice, "INBOX", 1)
		m.Deliver(alice, "INBOX", plain, clock)
		m.SetFlags(alice, "INBOX", 2, mail.FlagDraft)
		began := time.Now()
		if l := listenertest.ReadLine(t, c); l != "* BYE you have been silent for too long" || time.Since(began) != imapserver.IdleTimeoutDefault {
			t.Errorf("server says %q after %v", l, time.Since(began))
		}
	})
}

// TestIDLE_NothingIsLostBetweenLookAndWait delivers at all moments of going in and out of IDLE.
func TestIDLE_NothingIsLostBetweenLookAndWait(t *testing.T) {
	m := standard()
	r := newRig(t, m, options{})
	c := r.play(selectInbox)
	known := 4
	for range 300 {
		go m.Deliver(alice, "INBOX", "x", clock)
		io.WriteString(c, "1 IDLE\r\n")
		known++
		want := "* " + itoa(known) + " EXISTS"
		for l := ""; l != want; {
			if l = listenertest.ReadLine(t, c); strings.HasSuffix(l, "(silence)") || strings.HasSuffix(l, "(end)") {
				t.Fatalf("message %d was not told", known)
			}
		}
		io.WriteString(c, "DONE\r\n")
		for l := ""; l != "1 OK IDLE completed"; {
			l = listenertest.ReadLine(t, c)
		}
	}
}

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + string(rune('0'+n%10))
	}
	return string(rune('0' + n))
}

func TestC1_FolderLostInIDLE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		c := newRig(t, m, options{}).play(selectInbox + "C: 1 IDLE\nS: + idling")
		synctest.Wait()
		m.Fail("Selected.Sync", cluster.Errorf(cluster.KindUnavailable, "sync", "the manager is behind"))
		m.Deliver(alice, "INBOX", plain, clock)
		play(t, c, "S: * BYE [UNAVAILABLE] the folder cannot be followed any more; connect again\nS: (end)")
	})
}

// rewound is mail whose folder goes back to an older state once it was selected.
type rewound struct{ *imaptest.Mail }

func (r rewound) Open(ctx context.Context, u mail.User, c mail.Client) (imapserver.Mailbox, error) {
	b, err := r.Mail.Open(ctx, u, c)
	return rewoundBox{b}, err
}

type rewoundBox struct{ imapserver.Mailbox }

func (r rewoundBox) Select(ctx context.Context, name string, readOnly bool) (imapserver.Selected, error) {
	s, err := r.Mailbox.Select(ctx, name, readOnly)
	return rewoundFolder{s}, err
}

type rewoundFolder struct{ imapserver.Selected }

func (r rewoundFolder) Sync(ctx context.Context) (imapserver.Changes, error) {
	c, err := r.Selected.Sync(ctx)
	c.Status.UIDNext -= 2
	return c, err
}

func TestC1_RewoundFolderEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		newRig(t, m, options{mailboxes: rewound{m}}).play(selectInbox + `
			C: 1 NOOP
			S: * BYE [UNAVAILABLE] the folder cannot be followed any more; connect again
			S: (end)`)
	})
}

// poison is mail whose folder panics when it is asked for news.
type poison struct {
	*imaptest.Mail
	on *atomic.Bool
}

func (p poison) Open(ctx context.Context, u mail.User, c mail.Client) (imapserver.Mailbox, error) {
	b, err := p.Mail.Open(ctx, u, c)
	return poisonBox{b, p.on}, err
}

type poisonBox struct {
	imapserver.Mailbox
	on *atomic.Bool
}

func (p poisonBox) Select(ctx context.Context, name string, readOnly bool) (imapserver.Selected, error) {
	s, err := p.Mailbox.Select(ctx, name, readOnly)
	return poisonFolder{s, p.on}, err
}

type poisonFolder struct {
	imapserver.Selected
	on *atomic.Bool
}

func (p poisonFolder) Sync(ctx context.Context) (imapserver.Changes, error) {
	if p.on.Load() {
		panic("poison")
	}
	return p.Selected.Sync(ctx)
}

func TestAttack40_PanicEndsOneSession(t *testing.T) {
	for _, how := range []string{"C: 1 NOOP\nS: (end)", "C: 1 IDLE\nS: + idling"} {
		synctest.Test(t, func(t *testing.T) {
			m := standard()
			on := &atomic.Bool{}
			r := newRig(t, m, options{mailboxes: poison{m, on}})
			other := r.play(selectInbox)
			idle := strings.Contains(how, "IDLE")
			on.Store(!idle)
			c := r.play(selectInbox + how)
			synctest.Wait()
			on.Store(true)
			if idle {
				m.Deliver(alice, "INBOX", plain, clock) // a worker panics
				play(t, c, "S: (end)")
			}
			c.Close()
			synctest.Wait()
			on.Store(false)
			play(t, other, "C: 2 FETCH 1 UID\nS: * 1 FETCH (UID 1)\nS: 2 OK FETCH completed")
			if n := m.Sessions(); n != 2 {
				t.Errorf("%d mailboxes and folders are open, want those of the other session", n)
			}
		})
	}
}

func TestShutdownSaysGoodbye(t *testing.T) {
	for _, state := range []string{greeting, login, selectInbox, selectInbox + "C: 1 IDLE\nS: + idling", login + "C: 1 APPEND INBOX {100}\nS: + OK"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, standard(), options{})
			c := r.play(state)
			synctest.Wait()
			done := make(chan error, 1)
			go func() { done <- r.front.Shutdown(context.Background()) }()
			play(t, c, "S: * BYE [UNAVAILABLE] server is shutting down; connect again\nS: (end)")
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClientGoneInIDLE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		c := newRig(t, m, options{}).play(selectInbox + "C: 1 IDLE\nS: + idling")
		c.Close()
		m.Deliver(alice, "INBOX", plain, clock)
		synctest.Wait()
		if n := m.Sessions(); n != 0 {
			t.Errorf("%d mailboxes and folders are still open", n)
		}
	})
}

// TestIDLE_NothingIsLostBetweenTwoWorkers changes the folder again and again, at once after each answer: while a worker
// still has the turn, another one that comes finds it taken.
func TestIDLE_NothingIsLostBetweenTwoWorkers(t *testing.T) {
	m := standard()
	c := newRig(t, m, options{}).play(selectInbox + "C: 1 IDLE\nS: + idling")
	for i := range 2000 {
		flag := mail.Flag("f" + itoa(i%2))
		m.SetFlags(alice, "INBOX", 1, flag)
		if l, want := listenertest.ReadLine(t, c), "* 1 FETCH (UID 1 FLAGS ("+string(flag)+"))"; l != want {
			t.Fatalf("change %d: server says %q, want %q", i, l, want)
		}
	}
}
