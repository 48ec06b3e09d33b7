package imapserver_test

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
)

func TestAttack03_STARTTLSInjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMail(), options{})
		r.play(greeting + `
			C: 1 STARTTLS
			C: 2 LOGIN mallory x
			S: * BYE STARTTLS must be the last command of a group
			S: (end)`)
		// Without the injection it works, once, and not after the login.
		raw := r.play(greeting + `
			C: 1 STARTTLS
			S: 1 OK begin TLS`)
		c := tls.Client(raw, r.clientTLS())
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		play(t, c, `
			C: 2 CAPABILITY
			S: * CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR ENABLE AUTH=...
			S: 2 OK CAPABILITY completed
			C: 3 STARTTLS
			S: 3 BAD STARTTLS is not available
			C: 4 LOGIN `+alice+` "`+password+`"
			S: 4 OK [CAPABILITY ...
			C: 5 LOGOUT
			S: * BYE see you
			S: 5 OK LOGOUT completed`)
	})
}

func TestAttack04_NothingToLogInWithInClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMail(), options{clearRefused: true})
		r.play(`
			S: * OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR ENABLE STARTTLS LOGINDISABLED] Porcupine IMAP server ready
			C: 1 LOGIN ` + alice + ` "` + password + `"
			S: 1 NO [PRIVACYREQUIRED] no login without TLS; use STARTTLS or the TLS port
			C: 2 AUTHENTICATE PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==
			S: 2 NO [PRIVACYREQUIRED] no login without TLS; use STARTTLS or the TLS port
			C: 3 SELECT INBOX
			S: 3 BAD not valid in this state`)
	})
	synctest.Test(t, func(t *testing.T) { // no certificate: not even STARTTLS
		newRig(t, newMail(), options{clearRefused: true, noTLS: true}).play(`
			S: * OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR ENABLE LOGINDISABLED] Porcupine IMAP server ready
			C: 1 STARTTLS
			S: 1 BAD STARTTLS is not available`)
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMail(), options{clearRefused: true, implicitTLS: true})
		play(t, tls.Client(r.dial(), r.clientTLS()), login+"C: 1 NOOP\nS: 1 OK NOOP completed")
	})
}

func TestAttack05_HTTPGetsOneLine(t *testing.T) {
	for _, request := range []string{
		"GET /?x=<script> HTTP/1.1", "POST / HTTP/1.1", "OPTIONS * HTTP/1.1", "Host: imap.example.test", "PRI * HTTP/2.0", "DELETE /x",
	} {
		synctest.Test(t, func(t *testing.T) {
			newRig(t, newMail(), options{}).play(greeting + "C: " + request + "\nC: Host: x\nC: 1 NOOP\nS: * BYE this is an IMAP server\nS: (end)")
		})
	}
	synctest.Test(t, func(t *testing.T) { // a tag may look like a verb
		newRig(t, newMail(), options{}).play(greeting + "C: GET NOOP\nS: GET OK NOOP completed")
	})
}

func TestAttack05_OtherALPN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMail(), options{implicitTLS: true})
		cfg := r.clientTLS()
		cfg.NextProtos = []string{"http/1.1"}
		if err := tls.Client(r.dial(), cfg).Handshake(); err == nil {
			t.Error("a browser's TLS handshake succeeds")
		}
	})
}

func TestAttack08_AUTHENTICATEWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newRig(t, newMail(), options{}).play(greeting + `
			C: 1 AUTHENTICATE PLAIN
			S: +...
			C: AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==
			S: 1 OK [CAPABILITY ...`)
		newRig(t, newMail(), options{}).play(greeting + `
			C: 1 AUTHENTICATE LOGIN
			S: + VXNlcm5hbWU6
			C: *
			S: 1 BAD authentication aborted
			C: 2 AUTHENTICATE LOGIN
			S: + VXNlcm5hbWU6
			C: 3 LOGOUT
			S: 2 BAD authentication is malformed or not offered`)
	})
}

func TestAttack09_FailedLoginsEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wrong = "C: 1 LOGIN " + alice + " x\nS: 1 NO [AUTHENTICATIONFAILED] user name or password is wrong\n"
		began := time.Now()
		newRig(t, newMail(), options{}).play(greeting + strings.Repeat(wrong, 3) + "S: * BYE too many failed logins\nS: (end)")
		if d := time.Since(began); d != 6*time.Second {
			t.Errorf("three guesses took %v, want 0 + 2 + 4 s", d)
		}
	})
}

func TestAttack10_RepliesDoNotTellWhoExists(t *testing.T) {
	for _, name := range []string{alice, "nobody@example.test"} {
		synctest.Test(t, func(t *testing.T) {
			newRig(t, newMail(), options{}).play(greeting + "C: 1 LOGIN " + name + " x\nS: 1 NO [AUTHENTICATIONFAILED] user name or password is wrong")
		})
	}
}

func TestV1_LoginThatCannotBeDecidedIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, err := range []error{context.DeadlineExceeded, cluster.Errorf(cluster.KindLimit, "verify login", "too many logins at once")} {
			newRig(t, newMail(), options{backend: users{err: err}}).play(greeting +
				"C: 1 LOGIN " + alice + " x\nS: 1 NO [UNAVAILABLE] cannot log in now; try again later")
		}
		m := newMail()
		m.Fail("Open", context.DeadlineExceeded)
		newRig(t, m, options{}).play(greeting +
			"C: 1 LOGIN " + alice + ` "` + password + `"` + "\nS: 1 NO [UNAVAILABLE] your mail cannot be reached now; try again later\nC: 2 SELECT INBOX\nS: 2 BAD not valid in this state")
	})
}

// TestAttack14_OneUsersLoginIsNotAnothers: after UNAUTHENTICATE the next user has a mailbox of its own.
func TestAttack14_OneUsersLoginIsNotAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMail()
		m.Deliver(alice, "INBOX", "Subject: hers\r\n\r\n", clock)
		newRig(t, m, options{}).play(login + `
			C: 1 STATUS INBOX (MESSAGES)
			S: * STATUS INBOX (MESSAGES 1)
			S: 1 OK STATUS completed
			C: 2 UNAUTHENTICATE
			S: 2 OK UNAUTHENTICATE completed
			C: 3 LOGIN ` + bob + ` "wrong"
			S: 3 NO [AUTHENTICATIONFAILED] user name or password is wrong
			C: 4 STATUS INBOX (MESSAGES)
			S: 4 BAD not valid in this state
			C: 5 LOGIN ` + bob + ` "` + password + `"
			S: 5 OK [CAPABILITY ...
			C: 6 STATUS INBOX (MESSAGES)
			S: * STATUS INBOX (MESSAGES 0)
			S: 6 OK STATUS completed`)
	})
}

// TestAttack21_StructureOfABomb fetches everything of a message of parts in parts in parts.
func TestAttack21_StructureOfABomb(t *testing.T) {
	var bomb strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&bomb, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	m := newMail()
	m.Deliver(alice, "INBOX", bomb.String(), clock)
	c := newRig(t, m, options{}).play(login + "C: 1 SELECT INBOX\n" + strings.Repeat("S: ...\n", 10))
	io.WriteString(c, "2 FETCH 1 (BODYSTRUCTURE ENVELOPE PREVIEW BODY.PEEK["+strings.Repeat("1.", 99)+"1])\r\n")
	if l := listenertest.ReadLine(t, c); len(l) > 64<<10 || !strings.Contains(l, "] NIL)") {
		t.Errorf("answer has %d octets: %.200q", len(l), l)
	}
	play(t, c, "S: 2 OK FETCH completed")
}

func TestAttack23_CompressionBomb(t *testing.T) {
	c := newRig(t, newMail(), options{cfg: imapserver.Config{Compress: true}}).play(login + "C: 1 COMPRESS DEFLATE\nS: 1 OK COMPRESS completed")
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	// Good commands, so that nothing else ends the session.
	noops := bytes.Repeat([]byte("1 NOOP\r\n"), 8<<10)
	plain := 0
	for range 60 {
		n, err := w.Write(noops)
		if err != nil {
			t.Fatal(err)
		}
		plain += n
	}
	w.Close()
	if plain < 250*bomb.Len() {
		t.Fatalf("%d octets became %d: that is no bomb", plain, bomb.Len())
	}
	go func() { c.Write(bomb.Bytes()) }()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	out, err := io.ReadAll(flate.NewReader(c))
	if err == nil || len(out) > plain/2*3 {
		t.Errorf("the session answered %d octets to %d, and ended with %v", len(out), plain, err)
	}
}

func TestCompress(t *testing.T) {
	m := standard()
	raw := newRig(t, m, options{cfg: imapserver.Config{Compress: true}}).play(login + "C: 1 COMPRESS DEFLATE\nS: 1 OK COMPRESS completed")
	w, err := flate.NewWriter(raw, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	c := deflated{Conn: raw, r: flate.NewReader(raw), w: w}
	play(t, c, `
		C: 2 COMPRESS DEFLATE
		S: 2 NO [COMPRESSIONACTIVE] compression is on
		C: 3 EXAMINE INBOX`+strings.Repeat("\nS: ...", 10)+`
		C: 4 FETCH 1 BODY[TEXT]<0.5>
		S: * 1 FETCH (BODY[TEXT]<0> {5}
		S: Hello)
		S: 4 OK FETCH completed
		C: 5 LOGOUT
		S: * BYE see you
		S: 5 OK LOGOUT completed`)
}

func TestAttack28_Deadlines(t *testing.T) {
	const silent = "S: * BYE you have been silent for too long\nS: (end)"
	for _, tt := range []struct {
		name    string
		text    string
		dribble bool // a byte a second, never a line end
		want    time.Duration
	}{
		{"silent before login", greeting, false, imapserver.LoginTimeoutDefault},
		{"dribbling before login", greeting, true, imapserver.LoginTimeoutDefault},
		{"silent in AUTHENTICATE", greeting + "C: 1 AUTHENTICATE PLAIN\nS: +...\n", false, imapserver.LoginTimeoutDefault},
		{"silent after login", login, false, imapserver.IdleTimeoutDefault},
		{"dribbling after login", login, true, imapserver.IdleTimeoutDefault},
		{"dribbling a literal", login + "C: 1 APPEND INBOX {1000000}\nS: + OK\n", true, 2*time.Minute + 976*time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := newRig(t, newMail(), options{}).play(tt.text)
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
				for l := ""; l != "(end)"; {
					l = listenertest.ReadLine(t, c)
					if l != "(end)" && l != "(silence)" && l != strings.Split(silent, "\n")[0][3:] {
						t.Fatalf("server says %q", l)
					}
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
		m := newMail()
		m.Deliver(alice, "INBOX", strings.Repeat("0123456789abcdef\r\n", 100_000), clock)
		c := newRig(t, m, options{}).play(login + "C: 1 EXAMINE INBOX\nC: 2 FETCH 1 BODY[]")
		began := time.Now()
		for m.Sessions() > 0 || time.Since(began) < time.Second { // it reads nothing
			time.Sleep(time.Second) //nolint // in a bubble
			if time.Since(began) > time.Hour {
				t.Fatal("the session does not end")
			}
		}
		if took := time.Since(began); took > 2*imapserver.WriteTimeoutDefault {
			t.Errorf("a client that reads nothing was let go after %v", took)
		}
		c.Close()
	})
}

func TestAttack29_RefusalLine(t *testing.T) {
	want := "* BYE [UNAVAILABLE] too many connections; try again later\r\n"
	if got := imapserver.Refusal(listener.ReasonTotal); got != want {
		t.Errorf("Refusal = %q, want %q", got, want)
	}
}

// TestAttack35_NamesOfOthers plays every case of names.txt as alice beside bob who has these names, and beside
// bob who has nothing: she must not be able to tell.
func TestAttack35_NamesOfOthers(t *testing.T) {
	for _, head := range cases(t, "testdata/conformance/names.txt") {
		with := playCase(t, head, standard())
		m := standard()
		m.Forget(bob)
		if without := playCase(t, head, m); strings.Join(with, "\n") != strings.Join(without, "\n") {
			t.Errorf("%s: %q, and without bob %q", head, with, without)
		}
	}
}
