package search

import (
	"bytes"
	"errors"
	"io"

	"porcupine/internal/mail/message"
)

// fields looks through the header fields of a stretch. own: they are the message's own, those that HEADER means.
func (r *Reader) fields(header message.Range, own bool) error {
	if header.Len() <= 0 {
		return nil
	}
	from, err := r.contents.section(header)
	if err != nil {
		return err
	}
	lines := r.raw[:0] // of the field under way, and what was read beyond
	for last := false; !last; {
		if err := r.contents.ctx.Err(); err != nil {
			return err
		}
		if cap(lines)-len(lines) < chunkSize/2 {
			lines = append(make([]byte, 0, 2*cap(lines)+chunkSize), lines...)
		}
		n, err := io.ReadFull(from, lines[len(lines):cap(lines)])
		last = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		lines = lines[:len(lines)+n]
		rest := lines
		for {
			end := fieldEnd(rest, last)
			if end <= 0 {
				break
			}
			r.field(rest[:end], own)
			rest = rest[end:]
		}
		lines = lines[:copy(lines, rest)]
	}
	r.raw = lines[:0]
	return nil
}

// fieldEnd gives the length of the field that text begins with, its continued lines included; 0: its end is not in sight. last: nothing follows text.
func fieldEnd(text []byte, last bool) int {
	for at := 0; ; {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			if last || len(text) > fieldLengthMax {
				return len(text)
			}
			return 0
		}
		at += end + 1
		switch {
		case at >= fieldLengthMax:
			return at
		case at == len(text):
			if last {
				return at
			}
			return 0
		case text[at] != ' ' && text[at] != '\t':
			return at
		}
	}
}

// field looks through one field: for HEADER in its value, for TEXT in all of it.
func (r *Reader) field(field []byte, own bool) {
	name, value, isField := bytes.Cut(field, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if own && isField {
		folded := false
		for i := range r.program.needles {
			n := &r.program.needles[i]
			if r.verdicts[i] != Open || n.kind != needleHeader || len(n.field) != len(name) || !bytes.EqualFold(name, []byte(n.field)) {
				continue
			}
			if !folded {
				r.foldField(bytes.TrimSpace(value))
				folded = true
			}
			if n.header.in(r.window) {
				r.verdicts[i] = Yes
			}
		}
	}
	if r.program.texts {
		r.foldField(bytes.TrimRight(field, "\r\n"))
		r.find(r.window, needleText, 0)
	}
}

// foldField leaves a field, decoded and folded, in the window.
func (r *Reader) foldField(text []byte) {
	if bytes.Contains(text, []byte("=?")) {
		text = []byte(message.DecodeHeader(string(text)))
	}
	r.text = blanks(r.text[:0], text)
	r.window, _ = r.fold.append(r.window[:0], r.text, false)
}
