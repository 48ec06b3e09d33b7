package smtp

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

var commandCases = []struct {
	line string
	want Command
	err  Reply
}{
	{"NOOP", Command{NOOP, ""}, ""},
	{"noop", Command{NOOP, ""}, ""},
	{"NoOp  text ", Command{NOOP, "text"}, ""},
	{"QUIT ", Command{QUIT, ""}, ""},
	{"EHLO a.example", Command{EHLO, "a.example"}, ""},
	{"HELO a", Command{HELO, "a"}, ""},
	{"LHLO a", Command{LHLO, "a"}, ""},
	{"MAIL FROM:<a@b.example> SIZE=1", Command{MAIL, "FROM:<a@b.example> SIZE=1"}, ""},
	{"RCPT TO:<grüße@b.example>", Command{RCPT, "TO:<grüße@b.example>"}, ""},
	{"DATA", Command{DATA, ""}, ""},
	{"BDAT 1 LAST", Command{BDAT, "1 LAST"}, ""},
	{"STARTTLS", Command{STARTTLS, ""}, ""},
	{"AUTH PLAIN", Command{AUTH, "PLAIN"}, ""},
	{"RSET", Command{RSET, ""}, ""},
	{"VRFY x", Command{VRFY, "x"}, ""},
	{"EXPN x", Command{EXPN, "x"}, ""},
	{"HELP", Command{HELP, ""}, ""},
	{"GET / HTTP/1.1", Command{HTTP, ""}, ""},
	{"Host: x", Command{HTTP, ""}, ""},
	{"", Command{}, ""},
	{" NOOP", Command{}, ""},
	{"NOOPX", Command{}, ""},
	{"STARTTLSSTARTTLS", Command{}, ""},
	{"NOOP\tx", Command{}, ReplyControl},
	{"NOOP \x00", Command{}, ReplyControl},
	{"NOOP \r", Command{}, ReplyControl},
	{"NOOP \x1b[0m", Command{}, ReplyControl},
	{"NOOP \x7f", Command{}, ReplyControl},
	{"NOOP \xff", Command{}, ReplySyntax},
}

// replyOf gives the reply that an error carries, "" for no error.
func replyOf(t *testing.T, err error) Reply {
	t.Helper()
	if err == nil {
		return ""
	}
	var s *SyntaxError
	if !errors.As(err, &s) {
		t.Fatalf("error %v is no SyntaxError", err)
	}
	if c := s.Reply.Code(); c < 500 || c > 599 {
		t.Errorf("syntax error with reply %q", s.Reply)
	}
	return s.Reply
}

func TestParseCommand(t *testing.T) {
	for _, tt := range commandCases {
		got, err := ParseCommand([]byte(tt.line))
		if r := replyOf(t, err); got != tt.want || r != tt.err {
			t.Errorf("ParseCommand(%q) = %v %q, %q; want %v %q, %q", tt.line, got.Verb, got.Arg, r, tt.want.Verb, tt.want.Arg, tt.err)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, tt := range commandCases {
		f.Add([]byte(tt.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := ParseCommand(line)
		replyOf(t, err)
		if err != nil {
			return
		}
		if !utf8.ValidString(c.Arg) || strings.ContainsAny(c.Arg, "\r\n\x00") {
			t.Errorf("ParseCommand(%q) gives the argument %q", line, c.Arg)
		}
		if c.Verb == Unknown || c.Verb == HTTP {
			return
		}
		again, err := ParseCommand([]byte(c.Verb.String() + " " + c.Arg))
		if err != nil || again != c {
			t.Errorf("ParseCommand(%q) = %v, then %v, %v", line, c, again, err)
		}
	})
}

func TestVerbs(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range Verbs() {
		if s := v.String(); seen[s] || s == "" {
			t.Errorf("Verb(%d) = %q, which is empty or there already", v, s)
		} else {
			seen[s] = true
		}
		if c, err := ParseCommand([]byte(v.String())); v > HTTP && (err != nil || c.Verb != v) {
			t.Errorf("ParseCommand(%q) = %v, %v", v, c.Verb, err)
		}
	}
	if got := Verb(200).String(); got != "unknown" {
		t.Errorf("Verb(200) = %q, want unknown", got)
	}
	var ends []string
	for _, v := range Verbs() {
		if v.EndsGroup() {
			ends = append(ends, v.String())
		}
	}
	if got := strings.Join(ends, " "); got != "EHLO LHLO STARTTLS AUTH DATA" {
		t.Errorf("verbs that end a group: %s", got)
	}
}

var helloCases = []struct {
	arg string
	ok  bool
}{
	{"a", true}, {"mx.example.test", true}, {"[192.0.2.1]", true}, {"[IPv6:2001:db8::1]", true}, {"under_score", true},
	{"", false}, {"a b", false}, {"a;b", false}, {"(a)", false}, {"a\r\nb", false}, {"ä", false}, {"<a>", false},
	{strings.Repeat("a", HelloMax), true}, {strings.Repeat("a", HelloMax+1), false},
}

func TestParseHello(t *testing.T) {
	for _, tt := range helloCases {
		got, err := ParseHello(tt.arg)
		if (err == nil) != tt.ok || tt.ok && got != tt.arg {
			t.Errorf("ParseHello(%q) = %q, %v; want success = %v", tt.arg, got, err, tt.ok)
		}
	}
}

var bdatCases = []struct {
	arg  string
	size int64
	last bool
	ok   bool
}{
	{"0", 0, false, true}, {"86", 86, false, true}, {"1 LAST", 1, true, true}, {"1  last", 1, true, true},
	{"18446744073709551616", 1<<63 - 1, false, true}, {"", 0, false, false}, {"LAST", 0, false, false}, {"-1", 0, false, false},
	{"+1", 0, false, false}, {"1 FIRST", 0, false, false}, {"1 LAST x", 0, false, false}, {"1x", 0, false, false},
	{"111111111111111111111", 0, false, false}, {"0x10", 0, false, false},
}

func TestParseBDAT(t *testing.T) {
	for _, tt := range bdatCases {
		size, last, err := ParseBDAT(tt.arg)
		if size != tt.size || last != tt.last || (err == nil) != tt.ok {
			t.Errorf("ParseBDAT(%q) = %d, %v, %v; want %d, %v, success = %v", tt.arg, size, last, err, tt.size, tt.last, tt.ok)
		}
	}
}

func FuzzParseBDAT(f *testing.F) {
	for _, tt := range bdatCases {
		f.Add(tt.arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		size, _, err := ParseBDAT(arg)
		if replyOf(t, err); size < 0 {
			t.Errorf("ParseBDAT(%q) = %d", arg, size)
		}
	})
}

var authCases = []struct {
	arg, mechanism, initial string
	has, ok                 bool
}{
	{"PLAIN", "PLAIN", "", false, true}, {"plain AAAA", "PLAIN", "AAAA", true, true}, {"SCRAM-SHA-256 =", "SCRAM-SHA-256", "=", true, true},
	{"", "", "", false, false}, {"PLAIN a b", "", "", false, false}, {"PL/AIN", "", "", false, false},
	{strings.Repeat("A", 21), "", "", false, false}, {" PLAIN", "", "", false, false},
}

func TestParseAuth(t *testing.T) {
	for _, tt := range authCases {
		mechanism, initial, has, err := ParseAuth(tt.arg)
		if (err == nil) != tt.ok || err == nil && (mechanism != tt.mechanism || initial != tt.initial || has != tt.has) {
			t.Errorf("ParseAuth(%q) = %q, %q, %v, %v", tt.arg, mechanism, initial, has, err)
		}
	}
}

func FuzzParseAuth(f *testing.F) {
	for _, tt := range authCases {
		f.Add(tt.arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		mechanism, initial, _, err := ParseAuth(arg)
		if replyOf(t, err); err == nil && (mechanism == "" || strings.Contains(initial, " ")) {
			t.Errorf("ParseAuth(%q) = %q, %q", arg, mechanism, initial)
		}
	})
}

func TestReply(t *testing.T) {
	if got := string(Reply("250 2.0.0 ok").Append([]byte("x"))); got != "x250 2.0.0 ok\r\n" {
		t.Errorf("Append = %q", got)
	}
	if got := string(Reply("550 a\r\n250 b\x00").Append(nil)); got != "550 a??250 b?\r\n" {
		t.Errorf("Append = %q, want one line", got)
	}
	if got := string(AppendLines(nil, 250, "a", "b\n")); got != "250-a\r\n250 b?\r\n" {
		t.Errorf("AppendLines = %q", got)
	}
	if got := Reply("4").Code(); got != 0 {
		t.Errorf("Code of a reply without one = %d, want 0", got)
	}
}
