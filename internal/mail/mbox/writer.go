package mbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"porcupine/internal/mail"
)

// Writer writes a file in the variant mboxrd.
type Writer struct{ w *bufio.Writer }

// NewWriter writes to w, which the caller closes after Flush.
func NewWriter(w io.Writer) *Writer { return &Writer{bufio.NewWriterSize(w, bufferSize)} }

// Flush writes what is buffered.
func (w *Writer) Flush() error { return w.w.Flush() }

// Write writes one message: its separator with date, its text from r with the flags in its header, and the empty line
// after it. Fields of earlier flags are left out.
func (w *Writer) Write(date time.Time, flags []mail.Flag, r io.Reader) error {
	if _, err := fmt.Fprintf(w.w, "From MAILER-DAEMON %s\n", date.UTC().Format(time.ANSIC)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(r, bufferSize)
	body := false
	dropping := false // a field of flags, and the lines that continue it
	for fresh := true; ; {
		piece, err := in.ReadSlice('\n')
		whole := err == nil
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read message: %w", err)
		}
		ended := errors.Is(err, io.EOF)
		text := piece
		if whole {
			text = bytes.TrimSuffix(piece[:len(piece)-1], []byte("\r"))
		}
		if fresh && !body && len(text) == 0 && (whole || ended) {
			body, dropping = true, false
			if _, err := w.w.WriteString(flagFields(flags)); err != nil {
				return err
			}
			if ended {
				break // a header without an empty line after it
			}
		}
		if fresh && !body {
			name, _, ok := bytes.Cut(text, []byte(":"))
			continued := text[0] == ' ' || text[0] == '\t'
			dropping = dropping && continued || !continued && ok && isFlagField(strings.TrimSpace(string(name)))
		}
		if !dropping {
			if err := w.piece(text, fresh, whole || ended && len(piece) > 0); err != nil {
				return err
			}
		}
		fresh = whole
		if ended {
			if !body {
				if _, err := w.w.WriteString(flagFields(flags)); err != nil {
					return err
				}
			}
			break
		}
	}
	return w.w.WriteByte('\n')
}

// piece writes a piece of a line.
func (w *Writer) piece(text []byte, first, last bool) error {
	if first && isSeparator(bytes.TrimLeft(text, ">")) {
		if err := w.w.WriteByte('>'); err != nil {
			return err
		}
	}
	if _, err := w.w.Write(text); err != nil {
		return err
	}
	if last {
		return w.w.WriteByte('\n')
	}
	return nil
}
