package message

import (
	"bytes"
	"slices"
)

// skip passes octets until a boundary, or the end of the message. It begins at the beginning of a
// line.
func (b *builder) skip() (hit, error) {
	begins := true // rest begins a line
	for {
		if err := b.fill(lineProbe); err != nil {
			return hit{}, err
		}
		if len(b.rest) == 0 {
			return b.here(-1, false), nil
		}
		if !b.bounded() {
			b.pass(len(b.rest))
			continue
		}
		if begins {
			if h, ok := b.boundary(); ok {
				return h, nil
			}
		}
		if i := bytes.Index(b.rest, []byte("\n--")); i >= 0 {
			b.pass(i + 1)
			begins = true
			continue
		}
		begins = false
		// The last octets may be the beginning of what was looked for.
		n := len(b.rest)
		if b.pos+int64(n) < b.size {
			n -= 2
		}
		b.pass(n)
	}
}

// bounded reports whether any boundary is waited for.
func (b *builder) bounded() bool {
	return !b.blind && slices.ContainsFunc(b.stack, func(f frame) bool { return f.boundary != "" })
}

// here is a hit at the present position.
func (b *builder) here(frame int, closing bool) hit {
	h := hit{frame: frame, closing: closing, at: b.pos, end: b.end, feeds: b.feeds}
	if frame < 0 {
		h.end = 0 // only a boundary owns the line end before it
	}
	return h
}

// boundary looks whether rest, which begins a line, is a boundary of an open multipart. Blanks after it are
// allowed, anything else is not: boundaries of nested multiparts may begin with one another. The
// innermost multipart is asked first.
func (b *builder) boundary() (hit, bool) {
	if b.blind || !bytes.HasPrefix(b.rest, []byte("--")) {
		return hit{}, false
	}
	line := b.rest[:min(len(b.rest), lineProbe)]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	} else if len(line) == lineProbe {
		return hit{}, false
	}
	text := bytes.TrimRight(line[2:], " \t\r")
	b.work += len(line)
	for i, f := range slices.Backward(b.stack) {
		n := len(f.boundary)
		if n == 0 || len(text) < n || len(text) > n+2 {
			continue
		}
		b.work += n
		switch rest := text[n:]; {
		case string(text[:n]) != f.boundary:
		case len(rest) == 0:
			return b.here(i, false), true
		case string(rest) == "--":
			return b.here(i, true), true
		}
	}
	return hit{}, false
}
