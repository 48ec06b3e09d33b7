package pop3server_test

import (
	"context"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/pop3server"
	"porcupine/internal/mail/sasl"
)

func TestAttack03_STLSInjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newDrops(one), options{})
		r.play(greeting + `
C: STLS
C: USER mallory
S: -ERR STLS must be the last command of a group
S: (end)`)
		// Without the injection it works, and what was said in clear is forgotten.
		raw := r.play(greeting + `
C: USER mallory
S: +OK send PASS
C: STLS
S: +OK begin TLS`)
		c := tls.Client(raw, r.clientTLS())
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		playOn(t, c, `
C: PASS x
S: -ERR send USER first
C: STLS
S: -ERR STLS is not available
C: USER `+alice+`
S: +OK send PASS
C: PASS `+password+`
S: +OK mailbox open
C: QUIT
S: +OK bye`)
	})
}

func TestAttack04_NothingToLogInWithInClear(t *testing.T) {
	const capa = `
C: CAPA
S: +OK capabilities follow
S: TOP
S: UIDL
S: PIPELINING
S: RESP-CODES
S: AUTH-RESP-CODE
S: EXPIRE NEVER
S: %IMPLEMENTATION Porcupine
S: .`
	const refused = "S: -ERR no login without TLS; use STLS or the TLS port\n"
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newDrops(one), options{clearRefused: true})
		raw := r.play(greeting + strings.Replace(capa, "%", "STLS\nS: ", 1) + `
C: USER ` + alice + "\n" + refused + `
C: PASS ` + password + `
S: -ERR send USER first
C: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==
` + refused + `
C: STLS
S: +OK begin TLS`)
		c := tls.Client(raw, r.clientTLS())
		playOn(t, c, strings.Replace(capa, "%", "USER\nS: SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\nS: ", 1)+`
C: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==
S: +OK mailbox open`)
	})
	synctest.Test(t, func(t *testing.T) { // no certificate: not even STLS
		newRig(t, newDrops(one), options{clearRefused: true, noTLS: true}).play(greeting +
			strings.Replace(capa, "%", "", 1) + "\nC: STLS\nS: -ERR STLS is not available")
	})
}

func TestImplicitTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newDrops(one), options{clearRefused: true, implicitTLS: true})
		raw, _ := r.dial()
		playOn(t, tls.Client(raw, r.clientTLS()), login+"C: RETR 1\nS: +OK message follows\nS: Subject: one")
	})
}

func TestAttack05_HTTPGetsOneLine(t *testing.T) {
	for _, request := range []string{
		"GET /?x=<script> HTTP/1.1", "POST / HTTP/1.1", "OPTIONS * HTTP/1.1", "Host: pop3.example.test", "PRI * HTTP/2.0",
	} {
		synctest.Test(t, func(t *testing.T) {
			newRig(t, newDrops(), options{}).play(greeting + "\nC: " + request + "\nC: USER x\nS: -ERR this is a POP3 server\nS: (end)")
		})
	}
}

func TestAttack08_AUTHIsTheLastOfItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrops(one)
		newRig(t, d, options{}).play(greeting + `
C: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==
C: DELE 1
C: QUIT
S: -ERR AUTH must be the last command of a group
S: (end)`)
		if d.opened != 0 {
			t.Error("the client was logged in")
		}
	})
}

func TestAttack09_FailedLoginsEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wrong = "\nC: USER " + alice + "\nS: +OK send PASS\nC: PASS x\nS: -ERR [AUTH] user name or password is wrong"
		began := time.Now()
		newRig(t, newDrops(), options{}).play(greeting + strings.Repeat(wrong, 3) + "\nS: (end)")
		if d := time.Since(began); d != 6*time.Second {
			t.Errorf("three guesses took %v, want 0 + 2 + 4 s", d)
		}
	})
}

func TestAttack10_RepliesDoNotTellWhoExists(t *testing.T) {
	for _, name := range []string{alice, "nobody@example.test"} {
		synctest.Test(t, func(t *testing.T) {
			newRig(t, newDrops(), options{}).play(greeting + "\nC: USER " + name + "\nS: +OK send PASS\nC: PASS x\nS: -ERR [AUTH] user name or password is wrong")
		})
	}
}

func TestAttack11_AUTHParserAbuse(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"initial response of 12 KiB", "C: AUTH PLAIN " + strings.Repeat("A", 12<<10) + "\nS: -ERR line too long\nS: (end)"},
		{"initial response as long as allowed", "C: AUTH PLAIN " + strings.Repeat("A", 12272) + "\nS: -ERR authentication is malformed or not offered"},
		{"response as long as allowed", "C: AUTH PLAIN\nS: + \nC: " + strings.Repeat("A", 12<<10) + "\nS: -ERR authentication is malformed or not offered"},
		{"response too long", "C: AUTH PLAIN\nS: + \nC: " + strings.Repeat("A", 12<<10+1) + "\nS: -ERR line too long\nS: (end)"},
		{"NUL authzid", "C: AUTH PLAIN AABhbGljZUBleGFtcGxlLnRlc3QAeA==\nS: -ERR authentication is malformed or not offered"},
		{"commands as responses", "C: AUTH LOGIN\nS: + VXNlcm5hbWU6\nC: QUIT\nS: -ERR authentication is malformed or not offered\nC: NOOP\nS: -ERR not valid in this state"},
		{"long line that is no AUTH", "C: USER " + strings.Repeat("A", 300) + "\nS: -ERR line too long\nS: (end)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newRig(t, newDrops(), options{}).play(greeting + "\n" + tt.text) })
		})
	}
}

func TestBareLFIsNoLineEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newRig(t, newDrops(), options{}).play(greeting)
		io.WriteString(c, "NOOP\nQUIT\r\n")
		playOn(t, c, "S: -ERR line does not end with CR LF\nS: (end)")
	})
}

// TestAttack25 sends a line that does not end, to every verb: the session holds no more than its
// limit and hangs up.
func TestAttack25_GiantLine(t *testing.T) {
	for _, verb := range []string{"USER ", "PASS ", "AUTH PLAIN ", "RETR ", "", "\x00"} {
		synctest.Test(t, func(t *testing.T) {
			c := newRig(t, newDrops(), options{}).play(greeting)
			piece := strings.Repeat("x", 8<<10)
			io.WriteString(c, verb)
			sent := 0
			for ; sent < 1<<30; sent += len(piece) {
				if _, err := io.WriteString(c, piece); err != nil {
					break
				}
				synctest.Wait()
			}
			if sent > 64<<10 {
				t.Errorf("%q: the server took %d octets, want it to hang up soon", verb, sent)
			}
			playOn(t, c, "S: -ERR line too long\nS: (end)")
		})
	}
}

func TestAttack26_ZeroLimitMeansDefault(t *testing.T) {
	auth, err := sasl.New(sasl.Config{Backend: users{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cfg  pop3server.Config
	}{
		{"nothing", pop3server.Config{}},
		{"short idle", pop3server.Config{Auth: auth, Maildrops: newDrops(), IdleTimeout: time.Minute}},
		{"negative budget", pop3server.Config{Auth: auth, Maildrops: newDrops(), BadCommandsMax: -1}},
		{"negative timeout", pop3server.Config{Auth: auth, Maildrops: newDrops(), WriteTimeout: -1}},
	} {
		if _, err := pop3server.New(tt.cfg); err == nil {
			t.Errorf("New(%s) succeeded, want an error", tt.name)
		}
	}
}

func TestAttack27_CommandBudgets(t *testing.T) {
	const capa = "\nC: NOOP\nS: -ERR not valid in this state"
	for _, tt := range []struct{ name, text string }{
		{"bad commands before login", greeting + strings.Repeat("\nC: FOO\nS: -ERR unknown command", pop3server.BadCommandsMaxDefault) + "\nS: (end)"},
		{"wrong state", greeting + strings.Repeat(capa, pop3server.BadCommandsMaxDefault) + "\nS: (end)"},
		{"good commands before login", greeting + strings.Repeat("\nC: USER x\nS: +OK send PASS", pop3server.LoginCommandsMaxDefault) + "\nS: (end)"},
		{"bad commands after login", login + strings.Repeat("\nC: FOO\nS: -ERR unknown command", pop3server.BadCommandsMaxDefault) + "\nS: (end)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newRig(t, newDrops(), options{}).play(tt.text) })
		})
	}
}

func TestAttack27_NOOPsDoNotGrowTheSession(t *testing.T) {
	r := newRig(t, newDrops(), options{})
	c := r.play(login)
	const group = 1000
	noops, answers := []byte(strings.Repeat("NOOP\r\n", group)), make([]byte, group*len("+OK\r\n"))
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
	round(200)
	if grown := listenertest.Heap() - before; grown > 64<<10 {
		t.Errorf("200,000 commands grew the heap by %d octets", grown)
	}
}

func TestAttack28_Deadlines(t *testing.T) {
	for _, tt := range []struct {
		name    string
		text    string
		dribble bool // a byte a second, never a line end
		want    time.Duration
	}{
		{"silent before login", greeting, false, pop3server.LoginTimeoutDefault},
		{"dribbling before login", greeting, true, pop3server.LoginTimeoutDefault},
		{"silent in AUTH", greeting + "\nC: AUTH PLAIN\nS: + ", false, pop3server.LoginTimeoutDefault},
		{"silent after login", login, false, pop3server.IdleTimeoutDefault},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := newRig(t, newDrops(one), options{}).play(tt.text)
				stop := make(chan struct{})
				defer close(stop)
				if tt.dribble {
					go func() {
						for {
							select {
							case <-time.After(time.Second):
								io.WriteString(c, "x")
							case <-stop:
								return
							}
						}
					}()
				}
				if line := listenertest.ReadLine(t, c); line != "(end)" {
					t.Errorf("server says %q, want silence and the end (RFC 1939 §3)", line)
				}
				if d := time.Since(began); d != tt.want {
					t.Errorf("closed after %v, want %v", d, tt.want)
				}
			})
		})
	}
}

func TestAttack28_SlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrops(strings.Repeat("0123456789abcdef\r\n", 100_000))
		r := newRig(t, d, options{})
		c := r.play(login + "C: RETR 1")
		began := time.Now()
		for d.isOpen() { // it reads nothing
			time.Sleep(time.Second)
			if time.Since(began) > time.Hour {
				t.Fatal("the session does not end")
			}
		}
		if took := time.Since(began); took > 2*pop3server.WriteTimeoutDefault {
			t.Errorf("a client that reads nothing was let go after %v", took)
		}
		c.Close()
	})
}

func TestAttack29_RefusalLine(t *testing.T) {
	want := "-ERR [SYS/TEMP] too many connections; try again later\r\n"
	if got := pop3server.Refusal(listener.ReasonTotal); got != want {
		t.Errorf("Refusal = %q, want %q", got, want)
	}
}

func TestAttack40_PoisonMessageEndsOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrops("poison", one)
		r := newRig(t, d, options{})
		c := r.play(login + "C: RETR 1\nS: (end)")
		c.Close()
		synctest.Wait()
		if d.isOpen() {
			t.Error("the mailbox is still locked")
		}
		r.play(login + "C: RETR 2\nS: +OK message follows")
	})
}

func TestShutdownSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrops(one)
		r := newRig(t, d, options{})
		c := r.play(login + "C: DELE 1\nS: +OK marked for deletion")
		done := make(chan error, 1)
		go func() { done <- r.front.Shutdown(context.Background()) }()
		playOn(t, c, "S: -ERR [SYS/TEMP] server is shutting down; log in again\nS: (end)")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(d.left()) != 1 || d.isOpen() {
			t.Error("a shutdown deleted, or kept the lock")
		}
	})
}
