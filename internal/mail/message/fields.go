package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// Fields gives of a header the fields of these names, in any case, or (not) all others, as they stand
// there, and the empty line at the end if there is one (RFC 9051 §6.4.5, HEADER.FIELDS and
// HEADER.FIELDS.NOT). Lines that are no fields have no name: they are among the others. It streams; its memory
// does not depend on the header.
func Fields(header io.Reader, names []string, not bool) io.Reader {
	set := map[string]bool{}
	for _, n := range names {
		set[strings.ToLower(n)] = true
	}
	return &fieldFilter{r: bufio.NewReaderSize(header, fieldLineMax), names: set, not: not, keep: not, begins: true}
}

// fieldLineMax is how much of a line is looked at for a name: a longer one is none.
const fieldLineMax = 4 * lineProbe

type fieldFilter struct {
	r      *bufio.Reader
	names  map[string]bool
	not    bool
	begins bool   // what comes next begins a line
	keep   bool   // the field that is being read goes out
	out    []byte // to go out; lies in r's buffer
	err    error
}

// Read never gives an error of its own.
func (f *fieldFilter) Read(p []byte) (int, error) {
	for len(f.out) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.next()
	}
	n := copy(p, f.out)
	f.out = f.out[n:]
	return n, nil
}

// next reads the next line, or as much of it as the buffer holds. A name longer than the buffer is no name.
func (f *fieldFilter) next() {
	line, err := f.r.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		f.err = err // what was read before it still counts
	}
	if len(line) == 0 {
		return
	}
	if f.begins {
		switch {
		case isEmptyLine(line):
			f.keep = true
		case !isContinuation(line):
			f.keep = f.names[string(bytes.ToLower(fieldName(line)))] != f.not
		}
	}
	f.begins = line[len(line)-1] == '\n'
	if f.keep {
		f.out = line
	}
}
