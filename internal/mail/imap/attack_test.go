package imap_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"porcupine/internal/mail/imap"
)

// refusal gives the SyntaxError of a line that must be refused.
func refusal(t *testing.T, s *imap.Scanner, line string) *imap.SyntaxError {
	t.Helper()
	next, err := s.Line([]byte(line))
	var syntax *imap.SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("Line(%.60q) = %+v, %v, want a SyntaxError", line, next, err)
	}
	return syntax
}

// Attack 24: sizes of literals that are too large, negative, or overflow. What comes unasked behind a
// refusal cannot be skipped: the connection must be closed.
func TestAttack24_LiteralSizes(t *testing.T) {
	for _, tt := range []struct {
		header string
		large  bool
		close  bool
	}{
		{"{65537}", true, false},
		{"{65537+}", true, true},
		{"{4097+}", true, true},
		{"~{65537}", true, false},
		{"{4294967295}", true, false},
		{"{4294967296}", true, false},
		{"{9223372036854775807}", true, false},
		{"{9223372036854775807+}", true, true},
		{"{9223372036854775808}", true, false},
		{"{9223372036854775808+}", true, true},
		{"{18446744073709551616}", true, false},
		{"{18446744073709551617+}", true, true},
		{"{" + strings.Repeat("9", 1000) + "+}", true, true},
	} {
		err := refusal(t, imap.NewScanner(imap.Limits{}), "a LOGIN "+tt.header)
		if err.TooLarge != tt.large || err.Close != tt.close || err.Tag != "a" {
			t.Errorf("%.30s: %+v, want TooLarge %v, Close %v", tt.header, err, tt.large, tt.close)
		}
	}
	for _, header := range []string{"{-1}", "{-1+}", "{+1}", "{1-}", "{1 }", "{ 1}", "{1,000}", "{0x10}", "{1e3}", "{}", "{+}", "~{}", "{1}}", "{{1}", "{1}+"} {
		s := imap.NewScanner(imap.Limits{})
		next, err := s.Line([]byte("a LOGIN u " + header))
		if err != nil {
			continue // refused at once
		}
		if !next.Complete {
			t.Errorf("%s announces %d octets", header, next.Size)
		}
		if _, err := s.Parse(imap.Dialect{}); err == nil {
			t.Errorf("%s is accepted", header)
		}
	}
	// Leading zeros are a number (RFC 9051 §9, number64).
	if next, err := imap.NewScanner(imap.Limits{}).Line([]byte("a LOGIN {0000000000000000000000007}")); err != nil || next.Size != 7 {
		t.Errorf("leading zeros: %+v, %v", next, err)
	}
}

// Attack 24: before login a client may use little memory, whatever it sends.
func TestAttack24_BeforeLogin(t *testing.T) {
	s := imap.NewScanner(imap.UnauthLimits())
	if err := refusal(t, s, "a LOGIN {4097+}"); !err.TooLarge || !err.Close {
		t.Errorf("a literal of 4,097 octets: %+v", err)
	}
	s.Reset()
	if err := refusal(t, s, "a "+strings.Repeat("x", imap.UnauthLineMax)); !err.TooLarge || !err.Close {
		t.Errorf("a long line: %+v", err)
	}
	s.Reset()
	line, held := "a ID (", 0
	for n := 1; ; n++ {
		next, err := s.Line([]byte(line + "{4000+}"))
		if err != nil {
			if n > imap.UnauthLiteralsMax+1 || held > imap.UnauthLengthMax {
				t.Errorf("%d octets in %d literals were held", held, n)
			}
			break
		}
		held += int(next.Size)
		if err := s.Literal(octets(int(next.Size))); err != nil {
			t.Fatal(err)
		}
		line = " "
	}
}

func octets(n int) []byte { return []byte(strings.Repeat("x", n)) }

// Attack 24: many literals, and many short ones.
func TestAttack24_ManyLiterals(t *testing.T) {
	s := imap.NewScanner(imap.Limits{})
	line := "a SEARCH OR SUBJECT "
	for n := 1; ; n++ {
		_, err := s.Line([]byte(line + "{1}"))
		var syntax *imap.SyntaxError
		if errors.As(err, &syntax) {
			if n != imap.LiteralsMax+1 || !syntax.TooLarge || syntax.Close {
				t.Errorf("literal %d: %+v, want a limit at %d", n, syntax, imap.LiteralsMax)
			}
			return
		}
		if err := s.Literal([]byte("x")); err != nil {
			t.Fatal(err)
		}
		line = " SUBJECT "
	}
}

// Attack 24: what a command may hold in all is bounded, lines and literals together.
func TestAttack24_CommandLength(t *testing.T) {
	s := imap.NewScanner(imap.Limits{})
	line := "a SEARCH SUBJECT "
	for held := 0; ; held += 60_000 {
		if held > imap.CommandLengthMax {
			t.Fatalf("%d octets are held", held)
		}
		if _, err := s.Line([]byte(line + "{60000}")); err != nil {
			return
		}
		if err := s.Literal(octets(60_000)); err != nil {
			t.Fatal(err)
		}
		line = " SUBJECT "
	}
}

// Attack 24: parentheses and keys in keys (Dovecot CVE-2026-27857).
func TestAttack24_Depth(t *testing.T) {
	deep := func(n int) string { return "a SEARCH " + strings.Repeat("(", n) + "ALL" + strings.Repeat(")", n) }
	if _, err := parse(deep(imap.DepthMax)+"\r\n", imap.Dialect{}); err != nil {
		t.Errorf("depth %d: %v", imap.DepthMax, err)
	}
	for _, line := range []string{deep(imap.DepthMax + 1), deep(20_000), "a SEARCH " + strings.Repeat("(", 60_000), "a SEARCH " + strings.Repeat("NOT ", 15_000) + "ALL",
		"a SEARCH " + strings.Repeat("OR ALL ", 9_000) + "ALL", "a SEARCH " + strings.Repeat("ALL ", imap.SearchKeysMax) + "ALL",
		"a LIST " + strings.Repeat("(", 60_000), "a FETCH 1 " + strings.Repeat("(", 60_000), "a NOTIFY SET " + strings.Repeat("(", 60_000)} {
		if c, err := parse(line+"\r\n", imap.Dialect{}); err == nil {
			t.Errorf("%.30s is accepted: %v", line, c)
		}
	}
}

// Attack 24: a long sequence set is refused, and one that is allowed is worked off in time that grows as it does.
func TestAttack24_Sets(t *testing.T) {
	big := "1" + strings.Repeat(",1", imap.SetElementsMax)
	if _, err := parse("a FETCH "+big+" UID\r\n", imap.Dialect{}); err == nil {
		t.Error("a set with too many elements is accepted")
	}
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "%d,", 90_000-9*i)
	}
	c, err := parse("a FETCH "+b.String()+"1:* UID\r\n", imap.Dialect{})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Args.(imap.Fetch).Set.Resolve(100_000); len(got) != 1 || got.Len() != 100_000 {
		t.Errorf("the set resolves to %d ranges", len(got))
	}
}

// Attack 24: the octets of a literal are never taken for a command, whatever stands in front of it.
func TestAttack24_LiteralInTheWrongPlace(t *testing.T) {
	for _, tt := range []struct {
		line  string
		close bool
	}{
		{"a LOGIN u x{5}", false},
		{"a LOGIN u x{5+}", true},
		{"a LOGIN \x00 {5}", false},
		{"a LOGIN \x00 {5+}", true},
		{"a LOGIN \r {5+}", true},
		{`a LOGIN "u {5+}`, false}, // in a quoted string: announced, read, then refused
		{"{5+}", false},
	} {
		s := imap.NewScanner(imap.Limits{})
		next, err := s.Line([]byte(tt.line))
		var syntax *imap.SyntaxError
		switch {
		case errors.As(err, &syntax):
			if syntax.Close != tt.close {
				t.Errorf("%s: %+v, want Close %v", tt.line, syntax, tt.close)
			}
		case next.Size != 5:
			t.Errorf("%s: %+v", tt.line, next)
		default:
			if err := s.Literal([]byte("a BYE")); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Line(nil); err != nil {
				t.Fatal(err)
			}
			if c, err := s.Parse(imap.Dialect{}); err == nil {
				t.Errorf("%s is accepted: %+v", tt.line, c)
			}
		}
	}
}

// Attack 24: a message is never held in memory, and what is wrong with the command is known before its
// octets are asked for.
func TestAttack24_MessageIsStreamed(t *testing.T) {
	s := imap.NewScanner(imap.Limits{Message: 50 << 20})
	next, err := s.Line([]byte(`a APPEND INBOX (\Seen) {50000000}`))
	if err != nil || !next.Message || next.Size != 50_000_000 || next.NonSync || next.Complete {
		t.Fatalf("Line = %+v, %v", next, err)
	}
	c, err := s.Partial(imap.Dialect{})
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Args.(imap.Append); a.Folder != "INBOX" || len(a.Messages) != 1 || a.Messages[0].Data.Size != 50_000_000 || len(a.Messages[0].Flags) != 1 {
		t.Errorf("Partial = %+v", a)
	}
	if err := s.Streamed(); err != nil {
		t.Fatal(err)
	}
	if next, err = s.Line([]byte(" {7}")); err != nil || !next.Message {
		t.Fatalf("the second message: %+v, %v", next, err)
	}
	if err := s.Streamed(); err != nil {
		t.Fatal(err)
	}
	if next, err = s.Line(nil); err != nil || !next.Complete {
		t.Fatalf("the end: %+v, %v", next, err)
	}
	c, err = s.Parse(imap.Dialect{})
	if err != nil {
		t.Fatal(err)
	}
	a := c.Args.(imap.Append)
	if len(a.Messages) != 2 || a.Messages[0].Data.Index != 0 || a.Messages[1].Data.Index != 1 || a.Messages[1].Data.Octets != nil {
		t.Errorf("Parse = %+v", a)
	}
	if _, err := imap.AppendCommand(nil, c, imap.Dialect{}, false); err == nil {
		t.Error("a command without its messages can be written")
	}
	s.Reset()
	if err := refusal(t, s, `a APPEND INBOX {52428801}`); !err.TooLarge || err.Close {
		t.Errorf("a message over the limit: %+v", err)
	}
	s.Reset()
	if err := refusal(t, s, `a APPEND INBOX {52428801+}`); !err.TooLarge || !err.Close {
		t.Errorf("a message over the limit that comes unasked: %+v", err)
	}
	for _, line := range []string{`a APPEND INBOX (\Foo) {5}`, `a APPEND INBOX "now" {5}`, `a APPEND &bad {5}`, `a APPEND INBOX foo {5}`, `a REPLACE 0 x {5}`} {
		s.Reset()
		if next, err := s.Line([]byte(line)); err != nil || !next.Message {
			t.Fatalf("Line(%s) = %+v, %v", line, next, err)
		}
		if c, err := s.Partial(imap.Dialect{}); err == nil {
			t.Errorf("Partial of %s = %+v, want an error before the message comes", line, c)
		}
		// The same, and the client does not wait: what follows is not a command.
		s.Reset()
		if _, err := s.Line([]byte(strings.Replace(line, "5}", "5+}", 1))); err != nil {
			t.Fatal(err)
		}
		var syntax *imap.SyntaxError
		if _, err := s.Partial(imap.Dialect{}); !errors.As(err, &syntax) || !syntax.Close {
			t.Errorf("Partial of %s, sent unasked: %v, want Close", line, err)
		}
	}
}

// Which literals are messages is said before their octets come.
func TestLiteralsThatAreMessages(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  []bool
	}{
		{[]string{"a APPEND {1}", " {1}"}, []bool{false, true}},
		{[]string{"a append x {1}", " {1}"}, []bool{true, true}},
		{[]string{"a APPEND x ~{1}"}, []bool{true}},
		{[]string{"a APPEND x UTF8 (~{1}"}, []bool{true}},
		{[]string{"a APPEND x CATENATE (URL {1}", " TEXT {1}", " url {1}"}, []bool{false, true, false}},
		{[]string{"a APPEND {1}", " CATENATE (TEXT {1}", " URL {1}"}, []bool{false, true, false}},
		{[]string{"a REPLACE 4 {1}", " {1}"}, []bool{false, true}},
		{[]string{"a UID REPLACE 4 {1}", " {1}"}, []bool{false, true}},
		{[]string{"a UID REPLACE 4 x {1}"}, []bool{true}},
		{[]string{"a APPEND URL {1}"}, []bool{true}},
		{[]string{"a REPLACE 1 URL {1}"}, []bool{true}},
		{[]string{"a APPEND curl {1}"}, []bool{true}},
		{[]string{"a LOGIN {1}", " {1}"}, []bool{false, false}},
		{[]string{"a APPENDIX x {1}"}, []bool{false}},
		{[]string{"{1}"}, []bool{false}},
	} {
		s := imap.NewScanner(imap.Limits{})
		for i, line := range tt.lines {
			next, err := s.Line([]byte(line))
			if err != nil || next.Message != tt.want[i] {
				t.Errorf("%q, literal %d: %+v, %v, want Message %v", tt.lines, i, next, err, tt.want[i])
				break
			}
			if err := s.Literal([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A caller that breaks the order is told, and nothing is taken for what it is not.
func TestScannerOrder(t *testing.T) {
	s := imap.NewScanner(imap.Limits{})
	if _, err := s.Parse(imap.Dialect{}); err == nil {
		t.Error("Parse of nothing succeeds")
	}
	if err := s.Literal(nil); err == nil {
		t.Error("Literal without an announcement succeeds")
	}
	s.Reset()
	if _, err := s.Line([]byte("a LOGIN {3}")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Parse(imap.Dialect{}); err == nil {
		t.Error("Parse before the literal succeeds")
	}
	if err := s.Streamed(); err == nil {
		t.Error("a name can be streamed")
	}
	s.Reset()
	if _, err := s.Line([]byte("a LOGIN {3}")); err != nil {
		t.Fatal(err)
	}
	if err := s.Literal([]byte("xy")); err == nil {
		t.Error("a literal of another size is accepted")
	}
	s.Reset()
	if _, err := s.Line([]byte("a LOGIN {3}")); err != nil {
		t.Fatal(err)
	}
	if err := refusal(t, s, "xyz"); !err.Close {
		t.Errorf("a line in place of a literal: %+v", err)
	}
	s.Reset()
	if _, err := s.Line([]byte("a NOOP")); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Parse(imap.Dialect{}); err != nil || c.Verb != imap.VerbNoop {
		t.Errorf("after Reset: %+v, %v", c, err)
	}
	if tag, verb, _ := s.Opening(); tag != "a" || verb != imap.VerbNoop {
		t.Errorf("Opening = %s %s", tag, verb)
	}
}

// The text of a status response may end like the announcement of a literal.
func TestResponseTextIsNoLiteral(t *testing.T) {
	for _, line := range []string{"* OK x {5}", "a NO x {5}", "+ x {5}", "* BYE {5}", "* bad x {9999999999999999999999}"} {
		next, err := imap.NewResponseScanner(imap.ClientLimits()).Line([]byte(line))
		if err != nil || !next.Complete {
			t.Errorf("Line(%q) = %+v, %v", line, next, err)
		}
	}
}
