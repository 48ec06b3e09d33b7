package imapserver_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/imaptest"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtpserver/spool"
)

// FuzzSession sends arbitrary bytes as a client that has logged in and selected a folder. The session must end,
// must not panic, must answer in lines that are responses, must not answer much more than it was asked, and must
// show nothing of bob's.
func FuzzSession(f *testing.F) {
	for _, file := range tables(f) {
		for _, head := range cases(f, file) {
			fields := strings.SplitN(head, " | ", 3)
			var sent strings.Builder
			for i, c := range strings.Split(fields[2], " && ") {
				if c[0] != '!' {
					fmt.Fprintf(&sent, "%d %s\r\n", i, unescape(f, c))
				}
			}
			f.Add([]byte(sent.String()))
		}
	}
	guard, err := sasl.NewGuard(sasl.GuardConfig{WaitMax: 1}) // no time to wait here
	if err != nil {
		f.Fatal(err)
	}
	auth, err := sasl.New(sasl.Config{Backend: users{}, Guard: guard, AllowPlaintext: true})
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	const before = "l LOGIN " + alice + ` "` + password + "\"\r\ns SELECT INBOX\r\n"
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > listenertest.BufferMax/4 {
			input = input[:listenertest.BufferMax/4]
		}
		m := standard()
		out := exchange(t, auth, m, dir, append([]byte(before), input...))
		if n := m.Sessions(); n != 0 {
			t.Fatalf("%d mailboxes and folders are still open", n)
		}
		if bytes.Contains(out, []byte("for bob alone")) {
			t.Fatal("bob's mail is shown")
		}
		if err := checkResponses(string(out)); err != nil {
			t.Fatalf("%v, in %q", err, out)
		}
		// The longest answer for an octet of a command: all items of all messages.
		if most := 64<<10 + 1000*len(input); len(out) > most {
			t.Fatalf("%d octets were answered with %d", len(input), len(out))
		}
	})
}

// exchange sends input to a server and gives all that it answers.
func exchange(t *testing.T, auth *sasl.Authenticator, m *imaptest.Mail, dir string, input []byte) []byte {
	spooled := spool.New(spool.Dir(dir), 16<<10, 1<<20)
	srv, err := imapserver.New(imapserver.Config{Auth: auth, Mailboxes: m, Spool: spooled})
	if err != nil {
		t.Fatal(err)
	}
	o := &records{}
	front, err := listener.New(listener.Config{Service: "imap", Handler: srv.Serve, Logger: slog.New(slog.NewTextHandler(o, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ln := listenertest.NewListener()
	done := make(chan error, 1)
	go func() { done <- front.Serve(ln) }()
	c, _, err := ln.Dial(netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	c.Write(input)
	c.CloseWrite()
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	front.Close()
	srv.Close()
	<-done
	if o.Len() > 0 {
		t.Fatalf("log: %s", o.String())
	}
	if n := spooled.InMemory(); n != 0 {
		t.Fatalf("%d octets are still spooled", n)
	}
	return out
}

// records collects log records.
type records struct{ bytes.Buffer }

var response = regexp.MustCompile(`^(\* |\+ |[!-~]+ (OK|NO|BAD) )`)

// checkResponses checks that every line outside literals is a response.
func checkResponses(out string) error {
	for inside := false; out != ""; {
		line, rest, ok := strings.Cut(out, "\r\n")
		switch {
		case !ok:
			return fmt.Errorf("%q does not end", line)
		case !inside && !response.MatchString(line):
			return fmt.Errorf("%q is no response", line)
		case strings.ContainsAny(line, "\n\x00"):
			return fmt.Errorf("%q has a line feed or NUL outside a literal", line)
		}
		out, inside = rest, false
		if m := literalHead.FindStringSubmatch(line); m != nil {
			var n int
			if _, err := fmt.Sscan(m[1], &n); err != nil || n > len(out) {
				return fmt.Errorf("%q announces more than comes: %w", line, err)
			}
			out, inside = out[n:], true
		}
	}
	return nil
}
