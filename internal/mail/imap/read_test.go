package imap_test

import (
	"bytes"
	"errors"
	"fmt"

	"porcupine/internal/mail/imap"
)

var utf8Dialect = imap.Dialect{UTF8: true}

// feed gives a Scanner one command or response with its CR LF, as a server does. It gives what is behind it.
func feed(s *imap.Scanner, text []byte) (rest []byte, err error) {
	for {
		line, after, found := bytes.Cut(text, []byte("\r\n"))
		if !found {
			return nil, errors.New("test: a line without an end")
		}
		text = after
		next, err := s.Line(line)
		if err != nil || next.Complete {
			return text, err
		}
		if next.Size > int64(len(text)) {
			return nil, fmt.Errorf("test: a literal of %d octets is not there", next.Size)
		}
		if err := s.Literal(text[:next.Size]); err != nil {
			return nil, err
		}
		text = text[next.Size:]
	}
}

// parse reads one command.
func parse(text string, d imap.Dialect) (*imap.Command, error) {
	s := imap.NewScanner(imap.Limits{})
	rest, err := feed(s, []byte(text))
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("test: %q is left", rest)
	}
	return s.Parse(d)
}

// parseResponse reads one response.
func parseResponse(text string, d imap.Dialect) (imap.Response, error) {
	s := imap.NewResponseScanner(imap.ClientLimits())
	rest, err := feed(s, []byte(text))
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("test: %q is left", rest)
	}
	return s.Response(d)
}
