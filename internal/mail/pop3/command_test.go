package pop3_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"porcupine/internal/mail/pop3"
)

var long = strings.Repeat("x", 300)

// lines are command lines, for the table test and the fuzzer.
var lines = []struct {
	line string
	want pop3.Command
	err  error
}{
	{"QUIT", pop3.Command{Verb: pop3.Quit}, nil},
	{"quit", pop3.Command{Verb: pop3.Quit}, nil},
	{"QuIt  ", pop3.Command{Verb: pop3.Quit}, nil},
	{"QUIT now", pop3.Command{Verb: pop3.Quit}, pop3.ErrSyntax},
	{"", pop3.Command{}, pop3.ErrUnknown},
	{" QUIT", pop3.Command{}, pop3.ErrUnknown},
	{"APOP mrose c4c9334bac560ecc979e58001b3e22fb", pop3.Command{}, pop3.ErrUnknown},
	{"NONSENSEVERYLONG", pop3.Command{}, pop3.ErrUnknown},
	{"STAT", pop3.Command{Verb: pop3.Stat}, nil},
	{"NOOP", pop3.Command{Verb: pop3.Noop}, nil},
	{"RSET", pop3.Command{Verb: pop3.Rset}, nil},
	{"CAPA", pop3.Command{Verb: pop3.Capa}, nil},
	{"STLS", pop3.Command{Verb: pop3.Stls}, nil},
	{"STLS x", pop3.Command{Verb: pop3.Stls}, pop3.ErrSyntax},
	{"LIST", pop3.Command{Verb: pop3.List}, nil},
	{"LIST ", pop3.Command{Verb: pop3.List}, nil},
	{"LIST 7", pop3.Command{Verb: pop3.List, Number: 7}, nil},
	{"LIST 007", pop3.Command{Verb: pop3.List, Number: 7}, nil},
	{"LIST 0", pop3.Command{Verb: pop3.List}, pop3.ErrSyntax},
	{"LIST -1", pop3.Command{Verb: pop3.List}, pop3.ErrSyntax},
	{"LIST +1", pop3.Command{Verb: pop3.List}, pop3.ErrSyntax},
	{"LIST 1 2", pop3.Command{Verb: pop3.List}, pop3.ErrSyntax},
	{"LIST  1", pop3.Command{Verb: pop3.List}, pop3.ErrSyntax},
	{"LIST 99999999999999999999999999", pop3.Command{Verb: pop3.List, Number: pop3.NumberMax}, pop3.ErrSyntax},
	{"uidl 3", pop3.Command{Verb: pop3.Uidl, Number: 3}, nil},
	{"RETR 1", pop3.Command{Verb: pop3.Retr, Number: 1}, nil},
	{"RETR", pop3.Command{Verb: pop3.Retr}, pop3.ErrSyntax},
	{"RETR x", pop3.Command{Verb: pop3.Retr}, pop3.ErrSyntax},
	{"DELE 2", pop3.Command{Verb: pop3.Dele, Number: 2}, nil},
	{"TOP 1 0", pop3.Command{Verb: pop3.Top, Number: 1}, nil},
	{"TOP 1 99999999999", pop3.Command{Verb: pop3.Top, Number: 1, Lines: pop3.NumberMax}, nil},
	{"TOP 1", pop3.Command{Verb: pop3.Top, Number: 1}, pop3.ErrSyntax},
	{"TOP 1 -1", pop3.Command{Verb: pop3.Top, Number: 1}, pop3.ErrSyntax},
	{"TOP 0 1", pop3.Command{Verb: pop3.Top, Lines: 1}, pop3.ErrSyntax},
	{"USER u0@example.test", pop3.Command{Verb: pop3.User, Text: []byte("u0@example.test")}, nil},
	{"USER a b", pop3.Command{Verb: pop3.User, Text: []byte("a b")}, nil},
	{"USER", pop3.Command{Verb: pop3.User}, pop3.ErrSyntax},
	{"PASS  a b ", pop3.Command{Verb: pop3.Pass, Text: []byte(" a b ")}, nil},
	{"PASS ", pop3.Command{Verb: pop3.Pass}, pop3.ErrSyntax},
	{"PASS \xc3\xa9", pop3.Command{Verb: pop3.Pass, Text: []byte("\xc3\xa9")}, nil},
	{"PASS a\x00b", pop3.Command{Verb: pop3.Pass}, pop3.ErrCharacter},
	{"USER a\rQUIT", pop3.Command{Verb: pop3.User}, pop3.ErrCharacter},
	{"USER \x1b[31m", pop3.Command{Verb: pop3.User}, pop3.ErrCharacter},
	{"USER " + long, pop3.Command{Verb: pop3.User}, pop3.ErrLong},
	{"AUTH", pop3.Command{Verb: pop3.Auth}, nil},
	{"AUTH PLAIN", pop3.Command{Verb: pop3.Auth, Text: []byte("PLAIN")}, nil},
	{"auth plain =", pop3.Command{Verb: pop3.Auth, Text: []byte("plain"), Initial: []byte("=")}, nil},
	{"AUTH PLAIN " + long, pop3.Command{Verb: pop3.Auth, Text: []byte("PLAIN"), Initial: []byte(long)}, nil},
	{"AUTH PLAIN a b", pop3.Command{Verb: pop3.Auth, Text: []byte("PLAIN")}, pop3.ErrSyntax},
	{"AUTH PLAIN " + strings.Repeat("x", pop3.AuthLengthMax), pop3.Command{Verb: pop3.Auth}, pop3.ErrLong},
	{"GET / HTTP/1.1", pop3.Command{Verb: pop3.HTTP}, pop3.ErrUnknown},
	{"POST /x HTTP/1.1", pop3.Command{Verb: pop3.HTTP}, pop3.ErrUnknown},
	{"Host: mail.example.test", pop3.Command{Verb: pop3.HTTP}, pop3.ErrUnknown},
}

func equal(a, b pop3.Command) bool {
	return a.Verb == b.Verb && a.Number == b.Number && a.Lines == b.Lines &&
		bytes.Equal(a.Text, b.Text) && bytes.Equal(a.Initial, b.Initial) && (a.Initial == nil) == (b.Initial == nil)
}

func TestParse(t *testing.T) {
	for _, tt := range lines {
		got, err := pop3.Parse([]byte(tt.line))
		if !equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("Parse(%.60q) = %+v, %v, want %+v, %v", tt.line, got, err, tt.want, tt.err)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	line := []byte("RETR 123")
	if n := testing.AllocsPerRun(100, func() { _, _ = pop3.Parse(line) }); n != 0 {
		t.Errorf("Parse allocates %v times, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range lines {
		f.Add([]byte(tt.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := pop3.Parse(line)
		if err != nil {
			return
		}
		if c.Verb == pop3.Unknown || c.Verb == pop3.HTTP {
			t.Fatalf("Parse(%q) = %v without an error", line, c.Verb)
		}
		if c.Number < 0 || c.Number >= pop3.NumberMax || c.Lines < 0 || c.Lines > pop3.NumberMax {
			t.Fatalf("Parse(%q) = number %d, lines %d: out of range", line, c.Number, c.Lines)
		}
		if bytes.ContainsAny(c.Text, "\r\n\x00") || bytes.ContainsAny(c.Initial, "\r\n\x00 ") {
			t.Fatalf("Parse(%q) lets control characters through", line)
		}
		// The case of the keyword does not matter.
		word := bytes.IndexByte(append(bytes.Clone(line), ' '), ' ')
		lower := append(bytes.ToLower(line[:word]), line[word:]...)
		if again, err := pop3.Parse(lower); err != nil || !equal(c, again) {
			t.Fatalf("Parse(%q) = %+v, Parse(%q) = %+v, %v", line, c, lower, again, err)
		}
	})
}

func TestReplies(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{string(pop3.AppendOK(nil, "")), "+OK\r\n"},
		{string(pop3.AppendOK(nil, "bye")), "+OK bye\r\n"},
		{string(pop3.AppendErr(nil, pop3.NoCode, "no")), "-ERR no\r\n"},
		{string(pop3.AppendErr(nil, pop3.InUse, "busy")), "-ERR [IN-USE] busy\r\n"},
		{string(pop3.AppendChallenge(nil, nil)), "+ \r\n"},
		{string(pop3.AppendChallenge(nil, []byte("Zm9v"))), "+ Zm9v\r\n"},
		{string(pop3.AppendDrop(nil, 2, 320)), "+OK 2 320\r\n"},
		{string(pop3.AppendScan(nil, 1, 120)), "1 120\r\n"},
		{string(pop3.AppendUnique(nil, 2, "QhdPYR:00WBw1Ph7x7")), "2 QhdPYR:00WBw1Ph7x7\r\n"},
		{pop3.Retr.String(), "RETR"},
	} {
		if tt.got != tt.want {
			t.Errorf("reply = %q, want %q", tt.got, tt.want)
		}
	}
}
