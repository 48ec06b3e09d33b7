package client

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// imapGreeting is how every session of these tests begins.
const imapGreeting = `S: * OK hello
	C: a1 CAPABILITY
	S: * CAPABILITY IMAP4rev2 LITERAL+ MULTIAPPEND
	S: a1 OK done
`

func dialScript(t *testing.T, script string) (*IMAP, <-chan error) {
	t.Helper()
	addr, done := serve(t, script)
	c, err := DialIMAP(context.Background(), target(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, done
}

func TestIMAPSession(t *testing.T) {
	long := strings.Repeat("x", 3*bufferSize)
	c, done := dialScript(t, imapGreeting+`C: a2 LOGIN "u\"0" "pa\\ss"
		S: a2 OK in
		C: a3 CAPABILITY
		S: * CAPABILITY IMAP4rev2
		S: a3 OK done
		C: a4 SELECT "bench"
		S: * 17 EXISTS
		S: * OK [UIDVALIDITY 5] ok
		S: * OK [UIDNEXT 99] ok
		S: * FLAGS (\Seen)
		S: a4 OK [READ-WRITE] done
		C: a5 UID FETCH 1:* (BODY.PEEK[])
		S: * 1 FETCH (UID 7 BODY[] {12}
		S: * 2 FETCH (
		S:  FLAGS ())
		S: * 3 FETCH (UID 9 ENVELOPE "`+long+`")
		S: * 4 EXISTS
		S: a5 OK done
		C: a6 IDLE
		S: + idling
		S: * 18 EXISTS
		S: * 19 EXISTS
		C: DONE
		S: a6 OK done
		C: a7 CREATE "bench"
		S: a7 NO [ALREADYEXISTS] there
		C: a8 UNSELECT
		S: a8 BAD what
		C: a9 LOGOUT
		S: * BYE
		S: a9 OK bye
`)
	if !c.Can("MULTIAPPEND") {
		t.Error("the greeting's capabilities are not known")
	}
	if err := c.Login(`u"0`, `pa\ss`); err != nil {
		t.Fatal(err)
	}
	if c.Can("MULTIAPPEND") {
		t.Error("capabilities from before the login stay")
	}
	if f, err := c.Select("bench"); err != nil || f != (Folder{17, 99, 5}) {
		t.Errorf("Select = %+v, %v", f, err)
	}
	f, err := c.Fetch(true, "1:*", "(BODY.PEEK[])")
	if err != nil || f.Messages != 2 || f.Bytes < int64(len(long)) {
		t.Errorf("Fetch = %+v, %v; want 2 messages: a literal is none", f, err)
	}
	var heard []int64
	if err := c.Idle(func(n int64) bool { heard = append(heard, n); return n < 19 }); err != nil || len(heard) != 2 {
		t.Errorf("Idle: %v, %v", heard, err)
	}
	if err := c.Create("bench"); err != nil {
		t.Errorf("Create of what is there: %v", err)
	}
	var refusal *Refusal
	if err := c.Unselect(); !errors.As(err, &refusal) || refusal.Step != "UNSELECT" || refusal.Text != "BAD what" {
		t.Errorf("Unselect = %v", err)
	}
	if err := c.Logout(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestIMAPAppend(t *testing.T) {
	c, done := dialScript(t, imapGreeting+`C: a2 APPEND "f" {3+}
		C: one {3+}
		C: two
		S: * 2 EXISTS
		S: a2 OK done
		C: a3 CAPABILITY
		S: a3 OK nothing
		C: a4 APPEND "f" {3}
		S: + go on
		C: one
		S: a4 OK done
		C: a5 APPEND "f" {3}
		S: a5 NO [OVERQUOTA] full
`)
	one, two := []byte("one"), []byte("two")
	if err := c.Append("f", one, two); err != nil {
		t.Fatal(err)
	}
	if _, err := c.capabilities(); err != nil {
		t.Fatal(err)
	}
	var refusal *Refusal
	if err := c.Append("f", one, two); !errors.As(err, &refusal) || !strings.Contains(refusal.Text, "OVERQUOTA") {
		t.Errorf("Append to what is full: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestIMAPRefusals(t *testing.T) {
	for name, script := range map[string]string{
		"busy": "S: * BYE too many", "gone": "X", "not IMAP": "S: +OK pop3",
	} {
		addr, _ := serve(t, script)
		if c, err := DialIMAP(context.Background(), target(addr)); err == nil {
			t.Errorf("%s: no error", name)
			c.Close()
		}
	}
	c, _ := dialScript(t, imapGreeting+"C: a2 LOGIN \"u\" \"secret\"\nS: a2 NO secret is wrong\n")
	if err := c.Login("u", "secret"); err == nil || strings.Contains(err.Error(), `"secret"`) {
		t.Errorf("Login = %v: want an error without the command", err)
	}
}

func FuzzLiteralSize(f *testing.F) {
	for _, s := range []string{"* 1 FETCH (BODY[] {12}\r\n", "{}", "{1+}\r\n", "}{7}\n", "{99999999999}\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if n := literalSize(line); n < -1 || n > 1<<31 || n >= 0 && !strings.Contains(string(line), "{") {
			t.Errorf("%q: %d", line, n)
		}
	})
}
