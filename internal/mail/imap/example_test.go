package imap_test

import (
	"fmt"

	"porcupine/internal/mail/imap"
)

// A server reads a command whose literal it is asked to wait for, and answers.
func Example() {
	s := imap.NewScanner(imap.UnauthLimits())
	next, err := s.Line([]byte("a1 LOGIN u0@example.test {6}"))
	if err != nil {
		return
	}
	var e imap.Encoder
	if !next.Complete && !next.NonSync {
		fmt.Printf("%q\n", e.Response(imap.Continue{Text: "go on"}).Bytes())
	}
	if err := s.Literal([]byte("secret")); err != nil {
		return
	}
	if _, err := s.Line(nil); err != nil {
		return
	}
	c, err := s.Parse(imap.Dialect{})
	if err != nil {
		return
	}
	fmt.Println(c.Verb, c.Args.(imap.Login).User)
	e.Reset()
	fmt.Printf("%q\n", e.Response(imap.Reply{Tag: c.Tag, Kind: imap.OK, Text: "logged in"}).Bytes())
	// Output:
	// "+ go on\r\n"
	// LOGIN u0@example.test
	// "a1 OK logged in\r\n"
}
