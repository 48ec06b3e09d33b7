package transfer

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"porcupine/internal/mail/imap"
)

// Limits of a conversation with another server, which may be broken or hostile.
const (
	dialTimeout     = 30 * time.Second
	commandTimeout  = 5 * time.Minute // for one command with all its responses
	responsesMax    = 1 << 20         // of one command
	responseMax     = imap.ResponseLengthMax
	lineBuffer      = 64 << 10
	remoteFolderMax = 20_000
)

// logout is the command that BYE answers (RFC 9051 §6.1.3).
const logout = "LOGOUT"

// client speaks IMAP to another server. One command at a time; a response that does not parse is passed over, unless it ends
// the command.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	tags int
}

// dial connects, with TLS from the first octet or by STARTTLS: a password is never sent without.
func dial(ctx context.Context, address string, starttls bool, cfg *tls.Config) (c *client, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c = &client{conn: raw}
	defer func() {
		if err != nil {
			err = errors.Join(err, raw.Close())
		}
	}()
	if !starttls {
		if err := c.secure(ctx, cfg); err != nil {
			return c, err
		}
	}
	c.in = bufio.NewReaderSize(c.conn, lineBuffer)
	if err := c.conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return c, err
	}
	if err := c.greeting(); err != nil || !starttls {
		return c, err
	}
	if err := c.command("STARTTLS", nil); err != nil {
		return c, err
	}
	if c.in.Buffered() > 0 { // somebody on the way put octets before the handshake
		return c, errors.New("STARTTLS: the server sent more before the handshake")
	}
	if err := c.secure(ctx, cfg); err != nil {
		return c, err
	}
	c.in = bufio.NewReaderSize(c.conn, lineBuffer)
	return c, nil
}

func (c *client) secure(ctx context.Context, cfg *tls.Config) error {
	s := tls.Client(c.conn, cfg)
	if err := s.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	c.conn = s
	return nil
}

func (c *client) greeting() error {
	r, err := c.response()
	if err != nil {
		return fmt.Errorf("the greeting: %w", err)
	}
	if reply, ok := r.(imap.Reply); !ok || reply.Kind != imap.OK {
		return errors.New("the server's greeting is not OK")
	}
	return nil
}

// login authenticates with a password.
func (c *client) login(user, password string) error {
	if strings.ContainsRune(user+password, 0) {
		return errors.New("a user name or password with NUL cannot be sent")
	}
	answer := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	return c.run("AUTHENTICATE PLAIN", func(r imap.Response) error {
		if _, ok := r.(imap.Continue); ok {
			_, err := io.WriteString(c.conn, answer+"\r\n")
			answer = "*" // a second question is cancelled
			return err
		}
		return nil
	})
}

// refusedError is NO or BAD.
type refusedError struct {
	command string
	reply   imap.Reply
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the server answers %s to %s: %.200q", e.reply.Kind, e.command, e.reply.Text)
}

// command carries out a command; each is given what comes untagged.
func (c *client) command(text string, each func(imap.Response) error) error {
	return c.run(text, func(r imap.Response) error {
		if _, ok := r.(imap.Continue); ok {
			return errors.New("the server asks for more where nothing is to say")
		}
		if each == nil {
			return nil
		}
		return each(r)
	})
}

func (c *client) run(text string, each func(imap.Response) error) error {
	name, _, _ := strings.Cut(text, " ")
	c.tags++
	tag := fmt.Sprintf("p%d", c.tags)
	if err := c.conn.SetDeadline(time.Now().Add(commandTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.conn, tag+" "+text+"\r\n"); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for range responsesMax {
		r, err := c.response()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		reply, ok := r.(imap.Reply)
		switch {
		case ok && reply.Tag == tag && reply.Kind == imap.OK:
			return nil
		case ok && reply.Tag == tag:
			return &refusedError{name, reply}
		case ok && reply.Tag != "":
			return fmt.Errorf("%s: the server answers a command that was not given", name)
		case ok && reply.Kind == imap.BYE && name == logout:
			return nil
		case ok && reply.Kind == imap.BYE:
			return fmt.Errorf("%s: the server ends the session: %.200q", name, reply.Text)
		case r != nil:
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%s: more than %d responses", name, responsesMax)
}

// response reads one response whole; nil if it is untagged and does not parse.
func (c *client) response() (imap.Response, error) {
	s := imap.NewResponseScanner(imap.ClientLimits())
	var first byte
	for {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		if first == 0 && len(line) > 0 {
			first = line[0]
		}
		next, err := s.Line(line)
		if err != nil {
			return nil, err // where the next response begins, nobody knows
		}
		if next.Complete {
			break
		}
		octets := make([]byte, next.Size) // at most what the scanner allows
		if _, err := io.ReadFull(c.in, octets); err != nil {
			return nil, err
		}
		if err := s.Literal(octets); err != nil {
			return nil, err
		}
	}
	r, err := s.Response(imap.Dialect{})
	if err != nil && first == '*' {
		return nil, nil
	}
	return r, err
}

// line reads a line without its end.
func (c *client) line() ([]byte, error) {
	var line []byte
	for {
		piece, err := c.in.ReadSlice('\n')
		if len(line)+len(piece) > responseMax {
			return nil, fmt.Errorf("a line of more than %d octets", responseMax)
		}
		line = append(line, piece...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		return []byte(strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")), nil
	}
}

func (c *client) close() error { return c.conn.Close() }
