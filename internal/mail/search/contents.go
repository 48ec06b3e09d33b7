package search

import (
	"context"
	"errors"
	"io"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/message"
)

// contents reads sections of a message in ascending order from as few openings as makes sense.
type contents struct {
	ctx  context.Context // of one ByContents
	open Opener
	end  int64 // how far an opening reaches

	from io.ReadCloser // nil: not open
	at   int64         // its place in the message
	till int64         // and its end
	left int64         // what is left of the section
}

// section gives a reader of one section. It takes the place of the one before.
func (c *contents) section(s message.Range) (io.Reader, error) {
	if c.from != nil && (s.Start < c.at || s.Start-c.at > skipMax || s.End > c.till) {
		c.close()
	}
	if c.from == nil {
		c.at, c.till = s.Start, max(s.End, c.end)
		from, err := c.open(c.ctx, c.at, c.till-c.at)
		if err != nil {
			return nil, err
		}
		c.from = from
	}
	c.left = s.Start - c.at
	if _, err := io.Copy(io.Discard, c); err != nil {
		return nil, err
	}
	c.left = s.Len()
	return c, nil
}

// Read reads of the section. Contents that end before it does are an error: what could not be read was not searched.
func (c *contents) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.EOF
	}
	n, err := c.from.Read(b[:min(int64(len(b)), c.left)])
	c.at += int64(n)
	c.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
		if c.left > 0 {
			err = cluster.Errorf(cluster.KindInternal, "read contents", "they end %d octets before a section does", c.left)
		}
	}
	return n, err
}

func (c *contents) close() {
	if c.from != nil {
		c.from.Close()
		c.from = nil
	}
}
