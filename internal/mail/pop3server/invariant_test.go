package pop3server_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/listener/listenertest"
)

func TestP2_DeletedOnlyByQuit(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"client vanishes", login + "C: DELE 1\nS: +OK marked for deletion"},
		{"too many bad commands", login + "C: DELE 1\nS: +OK marked for deletion\n" + strings.Repeat("C: FOO\nS: -ERR unknown command\n", 20) + "S: (end)"},
		{"HTTP", login + "C: DELE 1\nS: +OK marked for deletion\nC: GET /\nS: -ERR this is a POP3 server\nS: (end)"},
		{"autologout", login + "C: DELE 1\nS: +OK marked for deletion\nS: (end)"},
		{"reset", login + "C: DELE 1\nS: +OK marked for deletion\nC: RSET\nS: +OK no message is marked\nC: QUIT\nS: +OK bye\nS: (end)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrops(one)
				c := newRig(t, d, options{}).play(tt.text)
				c.Close()
				synctest.Wait()
				if got := d.left(); len(got) != 1 || d.isOpen() {
					t.Errorf("afterwards %d messages, locked %v, want 1 and free", len(got), d.isOpen())
				}
			})
		})
	}
}

func TestD4_QuitFailsWhenDeletionsAreNotDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrops(one, two)
		d.deleteErr = cluster.Errorf(cluster.KindUnavailable, "delete", "a node is away")
		newRig(t, d, options{}).play(login + `
C: DELE 2
S: +OK marked for deletion
C: QUIT
S: -ERR [SYS/TEMP] some deleted messages were not removed
S: (end)`)
		synctest.Wait()
		if d.isOpen() {
			t.Error("the mailbox is still locked")
		}
	})
}

func TestV2_MailboxThatCannotBeOpenedIsNotEmpty(t *testing.T) {
	inUse := cluster.Errorf(cluster.KindUnavailable, "open", "%w", mail.ErrInUse)
	for _, tt := range []struct {
		err  error
		want string
	}{
		{cluster.Errorf(cluster.KindUnavailable, "open", "lists are incomplete"), "-ERR [SYS/TEMP] mailbox is not available now; try again later"},
		{cluster.Errorf(cluster.KindInternal, "open", "secret detail"), "-ERR [SYS/TEMP] mailbox is not available now; try again later"},
		{cluster.Errorf(cluster.KindCorrupt, "open", "x"), "-ERR [SYS/PERM] mailbox is damaged; ask your administrator"},
		{cluster.Errorf(cluster.KindLimit, "open", "too many messages"), "-ERR [SYS/TEMP] mailbox is not available now; try again later"},
		{inUse, "-ERR [IN-USE] mailbox is in use by another session"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDrops(one)
			d.openErr = tt.err
			newRig(t, d, options{}).play(greeting + `
C: USER ` + alice + `
S: +OK send PASS
C: PASS ` + password + `
S: ` + tt.want + `
C: STAT
S: -ERR not valid in this state`)
		})
	}
}

func TestV1_LoginThatCannotBeDecided(t *testing.T) {
	for _, err := range []error{cluster.Errorf(cluster.KindUnavailable, "authenticate", "bucket is incomplete"),
		cluster.Errorf(cluster.KindLimit, "verify login", "too many logins at once")} {
		synctest.Test(t, func(t *testing.T) {
			const temporary = "S: -ERR [SYS/TEMP] cannot log in now; try again later\n"
			newRig(t, newDrops(), options{backend: users{err: err}}).play(greeting +
				strings.Repeat("\nC: USER "+alice+"\nS: +OK send PASS\nC: PASS "+password+"\n"+temporary, 5) +
				"C: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==\n" + temporary)
		})
	}
}

func TestOneSessionAMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newDrops(one), options{})
		first := r.play(login)
		const again = `
C: USER ` + alice + `
S: +OK send PASS
C: PASS ` + password + "\n"
		second := r.play(greeting + again + "S: -ERR [IN-USE] mailbox is in use by another session")
		// The lock is free BEFORE the answer to QUIT comes.
		playOn(t, first, "C: QUIT\nS: +OK bye")
		playOn(t, second, again+"S: +OK mailbox open")
	})
}

func TestLockLostEndsTheSession(t *testing.T) {
	const lost = "S: -ERR [SYS/TEMP] mailbox lock was lost, nothing is deleted; log in again\nS: (end)"
	synctest.Test(t, func(t *testing.T) {
		d := newDrops(one)
		c := newRig(t, d, options{}).play(login + "C: DELE 1\nS: +OK marked for deletion")
		d.lose()
		playOn(t, c, lost) // without a command
		if got := d.left(); len(got) != 1 {
			t.Errorf("%d messages left, want 1", len(got))
		}
	})
}

func TestD5_MessageThatFailsUnderWay(t *testing.T) {
	corrupt := cluster.Errorf(cluster.KindCorrupt, "read", "checksum")
	for _, tt := range []struct {
		name, text string
		err        error
		want       string
	}{
		{"small: nothing goes out", one, corrupt, "S: -ERR [SYS/PERM] message is damaged; ask your administrator\nC: NOOP\nS: +OK"},
		{"small, node away", one, cluster.Errorf(cluster.KindUnavailable, "read", "x"), "S: -ERR [SYS/TEMP] message is not available now; try again later"},
		{"gone", "gone", nil, "S: -ERR no such message"},
		{"an EOF that is not ours", one, cluster.Errorf(cluster.KindUnavailable, "read", "stream: %w", errEOF), "S: -ERR [SYS/TEMP] message is not available now; try again later"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrops(tt.text)
				d.readErr = tt.err
				newRig(t, d, options{}).play(login + "C: RETR 1\n" + tt.want)
			})
		})
	}
	t.Run("large: closed without terminator", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDrops(strings.Repeat("0123456789abcdef\r\n", 10_000))
			d.readErr = corrupt
			c := newRig(t, d, options{}).play(login + "C: RETR 1\nS: +OK message follows")
			for line := listenertest.ReadLine(t, c); ; line = listenertest.ReadLine(t, c) {
				if line == "." {
					t.Fatal("the terminator came")
				}
				if strings.HasSuffix(line, "(end)") {
					return
				}
			}
		})
	})
}

func TestPipelinedAnswersAreOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newDrops(one, two, three), options{})
		c, server := r.dial()
		playOn(t, c, login)
		before := server.Writes()
		playOn(t, c, "C: STAT\nC: LIST\nC: UIDL\nC: RETR 1\nC: RETR 2\nC: DELE 1\nC: NOOP\nS: +OK 3 87")
		if n := server.Writes() - before; n != 1 {
			t.Errorf("seven answers took %d writes, want 1", n)
		}
	})
}

func TestAttack20_NothingOfTheClientIsInTheLogsRaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		o := options{}
		o.cfg.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r := newRig(t, newDrops(one), o)
		c := r.play(greeting + `
C: USER canary-name` + "\x1b[31m" + `
S: -ERR character not allowed in a command
C: USER canary-name
S: +OK send PASS
C: PASS canary-password
S: -ERR [AUTH] user name or password is wrong
C: AUTH PLAIN AGNhbmFyeS1uYW1lAGNhbmFyeS1wYXNzd29yZA==
S: -ERR [AUTH] user name or password is wrong
C: CANARY-VERB
S: -ERR unknown command`)
		c.Close()
		r.front.Close()
		for _, canary := range []string{"canary", "CANARY", "\x1b", "Y2FuYXJ5"} {
			if strings.Contains(logs.String(), canary) {
				t.Errorf("log contains %q: %s", canary, logs.String())
			}
		}
		if !strings.Contains(logs.String(), "pop3 login failed") {
			t.Errorf("no login failure in the log: %s", logs.String())
		}
	})
}
