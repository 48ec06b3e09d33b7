package imapserver

import (
	"bytes"
	"io"

	"porcupine/internal/mail/message"
)

// binary gives what BINARY makes of the stored octets of a part: its transfer encoding is undone, and a text has CR LF
// at the end of its lines, however it was stored or encoded (RFC 9051 §7.5.2). nil: nothing is changed.
func binary(part *message.Part) func(io.Reader) (io.Reader, error) {
	switch {
	case part.IsMultipart() || part.IsMessage():
		return nil
	case !part.IsText():
		return part.Decode
	}
	return func(r io.Reader) (io.Reader, error) {
		decoded, err := part.Decode(r)
		if err != nil {
			return nil, err
		}
		return &textLines{r: decoded}, nil
	}
}

// textLinesBuffer is how many octets textLines reads at once.
const textLinesBuffer = 4 << 10

// textLines writes CR LF for each LF that has no CR before it.
type textLines struct {
	r   io.Reader
	in  [textLinesBuffer]byte
	out []byte // of in, or of made, not yet given out
	// made is the last piece that had a bare LF, as it goes out.
	made [2 * textLinesBuffer]byte
	cr   bool // the last octet was CR
	err  error
}

func (t *textLines) Read(p []byte) (int, error) {
	for len(t.out) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		var n int
		n, t.err = t.r.Read(t.in[:])
		t.out = t.lines(t.in[:n])
	}
	n := copy(p, t.out)
	t.out = t.out[n:]
	return n, nil
}

// lines gives a piece with CR LF.
func (t *textLines) lines(b []byte) []byte {
	made := t.made[:0]
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			t.cr = b[len(b)-1] == '\r'
			return append(made, b...)
		}
		made = append(made, b[:i]...)
		if i == 0 && !t.cr || i > 0 && b[i-1] != '\r' {
			made = append(made, '\r')
		}
		made = append(made, '\n')
		t.cr = false
		b = b[i+1:]
	}
	return made
}
