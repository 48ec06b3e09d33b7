package imapserver_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtpserver/spool"
)

func TestAttack24_Literals(t *testing.T) {
	const bad = "\nS: * BYE what follows cannot be understood; connect again\nS: (end)"
	for _, tt := range []struct{ name, text string }{
		{"huge, before login", "C: 1 LOGIN {4000000000}\nS: 1 BAD [TOOBIG] the literal is too large\nC: 2 NOOP\nS: 2 OK NOOP completed"},
		{"huge and unasked, before login", "C: 1 LOGIN {4000000000+}\nS: 1 BAD [TOOBIG] the literal is too large" + bad},
		{"4 KiB in all, before login", "C: 1 LOGIN {4097}\nS: 1 BAD [TOOBIG] the literal is too large\nC: 2 NOOP\nS: 2 OK NOOP completed"},
		{"many, before login", "C: 1 LOGIN ({0+}\nC:  {0+}\nC:  {0+}\nC:  {0+}\nC:  {0+}\nS: 1 BAD [TOOBIG] too many literals in one command" + bad},
		{"of APPEND, before login", "C: 1 APPEND INBOX {50000000}\nS: 1 BAD [TOOBIG] the message is too large\nC: 2 NOOP\nS: 2 OK NOOP completed"},
		{"of APPEND and unasked, before login", "C: 1 APPEND INBOX {50000000+}\nS: 1 BAD [TOOBIG] the message is too large" + bad},
		{"of APPEND, small, before login", "C: 1 APPEND INBOX {5+}\nC: hello\nS: 1 BAD not valid in this state\nC: 2 NOOP\nS: 2 OK NOOP completed"},
		{"64 bits", "C: 1 LOGIN {18446744073709551616}\nS: 1 BAD [TOOBIG] the size of a literal is not a number of 63 bits\nC: 2 NOOP\nS: 2 OK NOOP completed"},
		{"overflow", "C: 1 LOGIN {9223372036854775808+}\nS: 1 BAD [TOOBIG] the size of a literal is not a number of 63 bits" + bad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newRig(t, newMail(), options{}).play(greeting + tt.text) })
		})
	}
}

// TestAttack24_LiteralsOfOneCommand sends literals until the server has enough of them.
func TestAttack24_LiteralsOfOneCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newRig(t, newMail(), options{}).play(login)
		go func() {
			io.WriteString(c, "1 GETMETADATA INBOX (")
			for range 10_000 {
				if _, err := io.WriteString(c, "{4096+}\r\n"+strings.Repeat("a", 4096)+" "); err != nil {
					return
				}
			}
		}()
		if l := listenertest.ReadLine(t, c); !strings.HasPrefix(l, "1 BAD [TOOBIG]") {
			t.Errorf("server says %q", l)
		}
		play(t, c, "S: * BYE what follows cannot be understood; connect again\nS: (end)")
	})
}

func TestAttack24_Parentheses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newRig(t, newMail(), options{}).play(login)
		io.WriteString(c, "1 SEARCH "+strings.Repeat("(", 30_000)+"\r\n")
		if l := listenertest.ReadLine(t, c); !strings.HasPrefix(l, "1 BAD") {
			t.Errorf("server says %q", l)
		}
	})
}

// TestAttack25_GiantLine sends a line that does not end: the session holds no more than its limit and
// hangs up.
func TestAttack25_GiantLine(t *testing.T) {
	for _, state := range []struct {
		before string
		limit  int
	}{{greeting, 128 << 10}, {login, 256 << 10}} {
		for _, verb := range []string{"1 LOGIN ", "1 AUTHENTICATE PLAIN ", "1 SELECT ", "1 FETCH ", "1 IDLE\r\n", "", "\x00"} {
			synctest.Test(t, func(t *testing.T) {
				c := newRig(t, newMail(), options{}).play(state.before)
				piece := strings.Repeat("x", 8<<10)
				io.WriteString(c, verb)
				sent := 0
				for ; sent < 1<<30; sent += len(piece) {
					if _, err := io.WriteString(c, piece); err != nil {
						break
					}
					synctest.Wait()
				}
				if sent > state.limit {
					t.Errorf("%q: the server took %d octets, want it to hang up soon", verb, sent)
				}
			})
		}
	}
}

func TestBareLFIsNoLineEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newRig(t, newMail(), options{}).play(greeting + `
			C- 1 NOOP\n2 LOGOUT\r\n
			S: * BAD line does not end with CR LF
			S: * BYE line does not end with CR LF
			S: (end)`)
	})
}

func TestAttack26_ZeroLimitMeansDefault(t *testing.T) {
	auth, err := sasl.New(sasl.Config{Backend: users{}})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, newMail(), options{})
	good := imapserver.Config{Auth: auth, Mailboxes: newMail(), Spool: r.spool}
	for _, tt := range []struct {
		name   string
		change func(*imapserver.Config)
	}{
		{"nothing", func(c *imapserver.Config) { *c = imapserver.Config{} }},
		{"no spool", func(c *imapserver.Config) { c.Spool = nil }},
		{"short idle", func(c *imapserver.Config) { c.IdleTimeout = time.Minute }},
		{"negative budget", func(c *imapserver.Config) { c.BadCommandsMax = -1 }},
		{"negative timeout", func(c *imapserver.Config) { c.WriteTimeout = -1 }},
		{"negative append limit", func(c *imapserver.Config) { c.AppendLimit = -1 }},
		{"append limit over 32 bits", func(c *imapserver.Config) { c.AppendLimit = 1 << 32 }},
	} {
		cfg := good
		tt.change(&cfg)
		if _, err := imapserver.New(cfg); err == nil {
			t.Errorf("New(%s) succeeded, want an error", tt.name)
		}
	}
	if _, err := imapserver.New(good); err != nil {
		t.Errorf("New = %v", err)
	}
}

func TestAttack27_CommandBudgets(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"bad before login", greeting + strings.Repeat("C: 1 FOO\nS: 1 BAD unknown command\n", imapserver.BadCommandsMaxDefault) + "S: * BYE too many commands that make no sense\nS: (end)"},
		{"wrong state", greeting + strings.Repeat("C: 1 CHECK\nS: 1 BAD not valid in this state\n", imapserver.BadCommandsMaxDefault) + "S: * BYE too many commands that make no sense\nS: (end)"},
		{"good before login", greeting + strings.Repeat("C: 1 NOOP\nS: 1 OK NOOP completed\n", imapserver.LoginCommandsMaxDefault) + "S: * BYE too many commands before login\nS: (end)"},
		{"bad after login", login + strings.Repeat("C: 1 FOO\nS: 1 BAD unknown command\n", imapserver.BadCommandsMaxDefault) + "S: * BYE too many commands that make no sense\nS: (end)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newRig(t, newMail(), options{}).play(tt.text) })
		})
	}
}

func TestAttack27_CommandsDoNotGrowTheSession(t *testing.T) {
	c := newRig(t, newMail(), options{}).play(login)
	const group = 1000
	noops, answers := []byte(strings.Repeat("1 NOOP\r\n", group)), make([]byte, group*len("1 OK NOOP completed\r\n"))
	round := func(n int) {
		for range n {
			c.Write(noops)
			if _, err := io.ReadFull(c, answers); err != nil {
				t.Fatal(err)
			}
		}
	}
	round(20)
	before := listenertest.Heap()
	round(100)
	if grown := listenertest.Heap() - before; grown > 64<<10 {
		t.Errorf("100,000 commands grew the heap by %d octets", grown)
	}
}

// What APPEND brings has a share of the disk for each network; a command that finds no room is read and refused, and another may follow.
func TestAppendWithoutRoomOnDisk(t *testing.T) {
	const size = 400_000
	room := spool.NewRoom(spool.RoomConfig{OctetsMax: 3 * size})
	synctest.Test(t, func(t *testing.T) {
		c := newRig(t, newMail(), options{room: room}).play(login)
		go fmt.Fprintf(c, "1 APPEND INBOX {%d}\r\n%s\r\n2 APPEND INBOX {5+}\r\nhello\r\n", size, strings.Repeat("a", size))
		play(t, c, "S: + OK\nS: 1 NO [LIMIT] a limit is reached\nS: 2 OK [APPENDUID 1 1] APPEND completed")
	})
	if room.Refused() != 1 || room.Octets() != 0 {
		t.Errorf("%d refused, %d octets are held; want 1 and 0", room.Refused(), room.Octets())
	}
}
