package pop3

import (
	"bytes"
	"io"
)

// DotWriter writes the text of a message as the body of a multi-line reply (RFC 1939 §3): a line
// that begins with "." gets another in front, and Close writes the last line end, if the text
// has none, and the terminator. A bare LF becomes CR LF, so that no client, whatever it takes
// for a line end, sees a terminator that is not ours. A bare CR stays.
//
// It makes no copy and has no buffer: give it a buffered writer. Errors are those of the writer
// beneath, and stay.
type DotWriter struct {
	w       io.Writer
	err     error
	midLine bool // a line has begun and not ended
	cr      bool // the last byte was CR
}

// NewDotWriter makes a DotWriter at the beginning of a line.
func NewDotWriter(w io.Writer) *DotWriter { return &DotWriter{w: w} }

// Reset makes it as new, over w.
func (d *DotWriter) Reset(w io.Writer) { *d = DotWriter{w: w} }

var (
	dot        = []byte(".")
	crlf       = []byte("\r\n")
	terminator = []byte(Terminator)
)

// Write writes a piece of the text.
func (d *DotWriter) Write(p []byte) (int, error) {
	// clean is where the run starts that can be written as it is; it is written when something
	// has to come in between, and at the end.
	clean := 0
	for i := 0; i < len(p); {
		if !d.midLine && p[i] == '.' {
			d.put(p[clean:i])
			d.put(dot)
			clean = i
		}
		end := bytes.IndexByte(p[i:], '\n')
		if end < 0 {
			d.midLine = true
			d.cr = p[len(p)-1] == '\r'
			break
		}
		end += i
		if hasCR := end > i && p[end-1] == '\r' || end == i && d.cr; !hasCR {
			d.put(p[clean:end])
			d.put(crlf)
			clean = end + 1
		}
		d.midLine, d.cr = false, false
		i = end + 1
	}
	d.put(p[clean:])
	if d.err != nil {
		return 0, d.err
	}
	return len(p), nil
}

// Close ends the reply; it does not close the writer beneath.
func (d *DotWriter) Close() error {
	if d.midLine {
		d.put(crlf)
	}
	d.put(terminator)
	return d.err
}

func (d *DotWriter) put(b []byte) {
	if d.err == nil && len(b) > 0 {
		_, d.err = d.w.Write(b)
	}
}

// HeadWriter passes on the header of a message, the empty line after it, and the first lines of
// the body, and drops the rest: the reply of TOP (RFC 1939 §7). A line ends at LF.
type HeadWriter struct {
	w      io.Writer
	lines  int  // body lines still to come
	inBody bool // the empty line has passed
	text   bool // the current header line has a byte that is neither CR nor LF
	bareCR bool // the current header line so far is one CR
	full   bool
}

// NewHeadWriter makes a HeadWriter that passes on that many lines of the body to w.
func NewHeadWriter(w io.Writer, lines int) *HeadWriter { return &HeadWriter{w: w, lines: lines} }

// Full reports whether everything that TOP wants has passed: the rest need not be read.
func (h *HeadWriter) Full() bool { return h.full }

// Write takes the next piece of the message. It accepts everything, and passes on what belongs to
// the head.
func (h *HeadWriter) Write(p []byte) (int, error) {
	if h.full {
		return len(p), nil
	}
	n := h.wanted(p)
	if _, err := h.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// wanted gives how many bytes of p belong to the head.
func (h *HeadWriter) wanted(p []byte) int {
	for i := 0; i < len(p); {
		end := bytes.IndexByte(p[i:], '\n')
		if end < 0 {
			h.noteText(p[i:])
			return len(p)
		}
		h.noteText(p[i : i+end])
		i += end + 1
		switch {
		case h.inBody:
			h.lines--
		case !h.text:
			h.inBody = true
		}
		h.text, h.bareCR = false, false
		if h.inBody && h.lines <= 0 {
			h.full = true
			return i
		}
	}
	return len(p)
}

// noteText looks whether a header line, of which b is a piece without its LF, is empty: nothing,
// or one CR.
func (h *HeadWriter) noteText(b []byte) {
	if h.inBody || h.text || len(b) == 0 {
		return
	}
	if len(b) == 1 && b[0] == '\r' && !h.bareCR {
		h.bareCR = true
		return
	}
	h.text = true
}
