package pop3server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/pop3server"
	"porcupine/internal/mail/sasl"
)

// FuzzSession sends arbitrary bytes as a client. The session must end, every line of its answers
// must be a reply, and nothing may be deleted unless QUIT was answered with +OK.
func FuzzSession(f *testing.F) {
	for _, tt := range transcripts {
		var sent strings.Builder
		for line := range strings.SplitSeq(tt.text, "\n") {
			if text, ok := strings.CutPrefix(line, "C: "); ok {
				sent.WriteString(text + "\r\n")
			}
		}
		f.Add([]byte(sent.String()))
	}
	guard, err := sasl.NewGuard(sasl.GuardConfig{WaitMax: 1}) // no time to wait here
	if err != nil {
		f.Fatal(err)
	}
	auth, err := sasl.New(sasl.Config{Backend: users{}, Guard: guard, AllowPlaintext: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		d := newDrops("a\r\n", "b\r\n")
		out := exchange(t, auth, d, input)
		if err := checkReplies(string(out)); err != nil {
			t.Fatalf("%v, in %q", err, out)
		}
		if len(d.left()) != 2 && !bytes.HasSuffix(out, []byte("+OK bye\r\n")) {
			t.Fatalf("%d messages left, and the session said %q", len(d.left()), out)
		}
		if d.isOpen() {
			t.Fatal("the mailbox is still locked")
		}
	})
}

// exchange sends input to a server and gives all that it answers.
func exchange(t *testing.T, auth *sasl.Authenticator, d pop3server.Maildrops, input []byte) []byte {
	srv, err := pop3server.New(pop3server.Config{Auth: auth, Maildrops: d})
	if err != nil {
		t.Fatal(err)
	}
	o := &panics{}
	front, err := listener.New(listener.Config{Service: "pop3", Handler: srv.Serve, Logger: slog.New(slog.NewTextHandler(o, nil))})
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
	if len(input) > listenertest.BufferMax/4 {
		input = input[:listenertest.BufferMax/4]
	}
	c.Write(input)
	c.CloseWrite()
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	front.Close()
	<-done
	if o.Len() > 0 {
		t.Fatalf("log: %s", o.String())
	}
	return out
}

// checkReplies checks that every line is a reply or belongs to a multi-line one that ends.
func checkReplies(out string) error {
	reply := regexp.MustCompile(`^(\+OK|-ERR |\+ )`)
	multi := false
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\r\n"), "\r\n") {
		switch {
		case multi:
			multi = line != "."
		case !reply.MatchString(line):
			return fmt.Errorf("%q is no reply", line)
		default:
			multi = strings.HasSuffix(line, "follows") || strings.HasSuffix(line, "follow")
		}
	}
	if multi {
		return errors.New("multi-line reply without end")
	}
	return nil
}

// panics collects log records.
type panics struct{ bytes.Buffer }
