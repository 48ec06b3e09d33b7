package imap_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/mail/imap"
)

// Every command that is written is read as the same.
func TestCommandRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, d := command(t), imap.Dialect{UTF8: yes(t)}
		text, err := imap.AppendCommand(nil, c, d, yes(t))
		if err != nil {
			t.Fatal(err)
		}
		got, err := parse(string(text), d)
		if err != nil || !same(got, c) {
			t.Fatalf("%+v is written\n%q and read as\n%+v, %v", c, text, got, err)
		}
	})
}

// FuzzCommand: no input makes the parser panic, and what it accepts is written as something that it reads as the
// same. A Scanner that has been given anything works on after Reset.
func FuzzCommand(f *testing.F) {
	for _, tt := range good {
		f.Add([]byte(wire(tt.in)), false)
	}
	for _, tt := range bad {
		f.Add([]byte(wire(tt.in)), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, utf8 bool) {
		d := imap.Dialect{UTF8: utf8}
		s := imap.NewScanner(imap.Limits{})
		c, ok := feedAndParse(s, text, d)
		if ok {
			out, err := imap.AppendCommand(nil, c, d, false)
			if err != nil {
				t.Fatalf("%q is accepted as %+v and cannot be written: %v", text, c, err)
			}
			s.Reset()
			again, ok := feedAndParse(s, out, d)
			if !ok || !same(c, again) {
				t.Fatalf("%q is read as\n%+v, written\n%q, and read as\n%+v", text, c, out, again)
			}
		}
		s.Reset()
		if _, err := s.Line([]byte("a NOOP")); err != nil {
			t.Fatalf("after %q and Reset: %v", text, err)
		}
		if _, err := s.Parse(d); err != nil {
			t.Fatalf("after %q and Reset: %v", text, err)
		}
	})
}

func feedAndParse(s *imap.Scanner, text []byte, d imap.Dialect) (*imap.Command, bool) {
	if _, err := feed(s, text); err != nil {
		return nil, false
	}
	c, err := s.Parse(d)
	return c, err == nil
}

// FuzzResponse is FuzzCommand for responses.
func FuzzResponse(f *testing.F) {
	for _, tt := range responses {
		f.Add([]byte(wire(tt.text)), false)
	}
	for _, text := range badResponses {
		f.Add([]byte(text+"\r\n"), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, utf8 bool) {
		d := imap.Dialect{UTF8: utf8}
		first, ok := readResponse(text, d)
		if !ok {
			return
		}
		// What a server would not say so is said in another way, and from then on it stays.
		e := imap.Encoder{Dialect: d}
		second, ok := readResponse(e.Response(first).Bytes(), d)
		if !ok {
			t.Fatalf("%q is read as\n%+v, and what is written of it, %q, is refused", text, first, e.Bytes())
		}
		f := imap.Encoder{Dialect: d}
		if !bytes.Equal(f.Response(second).Bytes(), e.Bytes()) {
			t.Fatalf("%q is written\n%q, and then\n%q", text, e.Bytes(), f.Bytes())
		}
	})
}

func readResponse(text []byte, d imap.Dialect) (imap.Response, bool) {
	s := imap.NewResponseScanner(imap.ClientLimits())
	if _, err := feed(s, text); err != nil {
		return nil, false
	}
	r, err := s.Response(d)
	return r, err == nil
}

// FuzzPattern: matching never panics, agrees with the model on short input.
func FuzzPattern(f *testing.F) {
	f.Add("%a*", "xa/b")
	f.Add("*%*", "")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > imap.PatternLengthMax || len(name) > imap.NameLengthMax {
			return
		}
		got := imap.CompilePattern(pattern).Match(name)
		if len(pattern) < 8 && len(name) < 8 && got != matches(pattern, name) {
			t.Fatalf("%q matches %q: %v", pattern, name, got)
		}
	})
}
