package transfer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
)

// memoryMax is the largest contents that are kept in memory, in octets; larger ones lie in a temporary file.
const memoryMax = 256 << 10

// contents takes one message as it comes.
type contents struct {
	max    int64
	size   int64
	memory bytes.Buffer
	file   *os.File // nil: in memory
	sum    hash.Hash
	broken error // of the temporary file: what came is lost, whatever the message is like
}

func newContents(limit int64) *contents { return &contents{max: limit, sum: sha256.New()} }

// TooLargeError says that a message is larger than what the cluster takes.
type TooLargeError struct{ Max int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("it has more than %d octets, the largest that are taken (smtp.message_size_max)", e.Max)
}

// Write adds to the contents.
func (c *contents) Write(p []byte) (int, error) {
	if c.size+int64(len(p)) > c.max {
		return 0, &TooLargeError{Max: c.max}
	}
	if c.file == nil && c.memory.Len()+len(p) > memoryMax {
		if c.broken = c.spill(); c.broken != nil {
			return 0, c.broken
		}
	}
	var w io.Writer = &c.memory
	if c.file != nil {
		w = c.file
	}
	n, err := w.Write(p)
	c.size += int64(n)
	c.sum.Write(p[:n])
	c.broken = spoolError(err)
	return n, c.broken
}

// spoolError says what to do about a temporary file that fails.
func spoolError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("a temporary file for a large message, in %s: %w (TMPDIR names another directory)", os.TempDir(), err)
}

// spill moves the contents into a file without a name.
func (c *contents) spill() (err error) {
	if c.file, err = os.CreateTemp("", "porcupine-import-"); err != nil {
		return spoolError(err)
	}
	if err := os.Remove(c.file.Name()); err != nil {
		return spoolError(err)
	}
	_, err = c.file.Write(c.memory.Bytes())
	c.memory = bytes.Buffer{}
	return spoolError(err)
}

func (c *contents) digest() (d digest) {
	copy(d[:], c.sum.Sum(nil))
	return d
}

// body gives what came; it is valid until close.
func (c *contents) body() io.ReaderAt {
	if c.file != nil {
		return c.file
	}
	return bytes.NewReader(c.memory.Bytes())
}

func (c *contents) close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

// crlf ends each line with CR LF (RFC 5322 §2.1): files of Unix end them with LF.
type crlf struct {
	w    io.Writer
	last byte
	out  []byte
}

func (c *crlf) Write(p []byte) (int, error) {
	c.out = c.out[:0]
	for _, b := range p {
		if b == '\n' && c.last != '\r' {
			c.out = append(c.out, '\r')
		}
		c.out, c.last = append(c.out, b), b
	}
	if _, err := c.w.Write(c.out); err != nil {
		return 0, err
	}
	return len(p), nil
}
