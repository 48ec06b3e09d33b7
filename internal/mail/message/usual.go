package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// Limits of Index.Fields.
const (
	// FieldsMax is the size of Index.Fields, in octets; of a header that has more of them none are kept.
	FieldsMax = 4 << 10
	// fieldsReadMax is the size of the largest header of which fields are kept.
	fieldsReadMax = 64 << 10
)

// traces are the fields that are not kept, in lower case: what servers write for each other, long, and hardly ever
// asked for. tracePrefixes are the beginnings of the names of more of them.
var (
	traces = []string{"authentication-results", "authentication-results-original", "autocrypt", "dkim-signature", "domainkey-signature",
		"face", "received", "received-spf", "x-face", "x-gm-message-state", "x-received", "x-ui-out-filterresults"}
	tracePrefixes = []string{"arc-", "x-exchange-", "x-forefront-", "x-google-", "x-microsoft-", "x-ms-", "x-provags-", "x-sg-", "x-spam-"}
)

// traceInitials are the letters that these begin with.
const traceInitials = "adfrxADFRX"

// IsTrace reports whether fields of a name, in any case, are left out of Index.Fields.
func IsTrace(name string) bool {
	if name == "" || strings.IndexByte(traceInitials, name[0]) < 0 { // most are told apart by that
		return false
	}
	for _, t := range traces {
		if len(t) == len(name) && strings.EqualFold(t, name) {
			return true
		}
	}
	for _, p := range tracePrefixes {
		if len(p) <= len(name) && strings.EqualFold(p, name[:len(p)]) {
			return true
		}
	}
	return false
}

// usual gives what Index.Fields keeps of a header of length octets at the beginning of a message. An error is one of r.
func usual(r io.ReaderAt, length int64) (NString, error) {
	if length > fieldsReadMax {
		return NString{}, nil
	}
	header := make([]byte, length)
	if n, err := r.ReadAt(header, 0); n < len(header) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return NString{}, err
	}
	kept := header[:0] // it never grows past what was looked at
	keep := true
	for rest := header; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line = rest[:i+1]
		}
		rest = rest[len(line):]
		switch {
		case isEmptyLine(line):
			keep = true
		case !isContinuation(line): // as fieldFilter has it
			keep = !IsTrace(string(fieldName(line[:min(len(line), fieldLineMax)])))
		}
		if !keep {
			continue
		}
		if kept = append(kept, line...); len(kept) > FieldsMax {
			return NString{}, nil
		}
	}
	return NString{Text: string(kept), Set: true}, nil
}

// HeaderFields appends to dst what Fields makes of the message's header for these names (HEADER.FIELDS). It is false, and dst as it was,
// if the index cannot say it: the header has to be read then.
func (x *Index) HeaderFields(dst []byte, names []string) ([]byte, bool) {
	if !x.Fields.Set {
		return dst, false
	}
	for _, n := range names {
		if n == "" || IsTrace(n) { // lines that are no fields have no name, and may be traces
			return dst, false
		}
	}
	keep := false
	for rest := x.Fields.Text; rest != ""; {
		line := rest
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			line = rest[:i+1]
		}
		rest = rest[len(line):]
		switch {
		case line == "\n" || line == "\r\n":
			keep = true
		case line[0] != ' ' && line[0] != '\t':
			keep = isOneOf(line, names)
		}
		if keep {
			dst = append(dst, line...)
		}
	}
	return dst, true
}

// isOneOf reports whether a field of one of these names begins with a line. It is as fieldName has it.
func isOneOf(line string, names []string) bool {
	colon := strings.IndexByte(line, ':')
	if colon < 0 {
		return false
	}
	name := strings.TrimRight(line[:colon], " \t")
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	for _, n := range names {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}
