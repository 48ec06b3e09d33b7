package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits on what an IMAP service may answer.
const (
	responseTextMax = 4 << 10 // bytes of a response that are kept; the rest is counted
	responseMax     = 1 << 30 // bytes of one response, literals included
	untaggedMax     = 4 << 20 // untagged responses to one command
)

// IMAP is a client's session with an IMAP service (RFC 9051, RFC 3501).
type IMAP struct {
	w           *wire
	tag         int
	can         map[string]bool
	onUntagged  func(response)
	responseBuf []byte
}

// Folder is what SELECT says of a folder.
type Folder struct {
	Exists, UIDNext, UIDValidity int64
}

// Fetched counts what FETCH gave.
type Fetched struct {
	Messages int64
	Bytes    int64 // of all responses, as they came
}

// DialIMAP connects, reads the greeting and the capabilities and, if the target wants it, starts TLS.
func DialIMAP(ctx context.Context, t Target) (*IMAP, error) {
	return open(ctx, t, func(w *wire) *IMAP { return &IMAP{w: w} })
}

func (c *IMAP) greeting() error {
	greeting, err := c.read()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if !strings.HasPrefix(greeting.text, "* OK") {
		return &Refusal{Step: "connection", Text: greeting.text}
	}
	return nil
}

func (c *IMAP) askTLS() error { return c.do("STARTTLS") }

func (c *IMAP) capabilities() (startTLS bool, err error) {
	c.can = map[string]bool{}
	err = c.each("CAPABILITY", func(r response) {
		if words := strings.Fields(r.text); len(words) > 2 && strings.EqualFold(words[1], "CAPABILITY") {
			for _, w := range words[2:] {
				c.can[strings.ToUpper(w)] = true
			}
		}
	})
	return c.can["STARTTLS"], err
}

// Can reports whether the service has named a capability since the login.
func (c *IMAP) Can(capability string) bool { return c.can[capability] }

// Login authenticates with LOGIN, and asks for the capabilities of the user.
func (c *IMAP) Login(name, password string) error {
	var refusal *Refusal
	if err := c.do("LOGIN %s %s", quoted(name), quoted(password)); errors.As(err, &refusal) {
		refusal.Step = "LOGIN" // without the password
		return refusal
	} else if err != nil {
		return err
	}
	_, err := c.capabilities()
	return err
}

// Create makes a folder; that it is there already is no error.
func (c *IMAP) Create(folder string) error {
	err := c.do("CREATE %s", quoted(folder))
	var refusal *Refusal
	if errors.As(err, &refusal) && strings.Contains(refusal.Text, "ALREADYEXISTS") {
		return nil
	}
	return err
}

// Select opens a folder.
func (c *IMAP) Select(folder string) (f Folder, err error) {
	err = c.each("SELECT "+quoted(folder), func(r response) {
		var n int64
		switch {
		case scan(r.text, "* %d EXISTS", &n):
			f.Exists = n
		case scan(r.text, "* OK [UIDNEXT %d]", &n):
			f.UIDNext = n
		case scan(r.text, "* OK [UIDVALIDITY %d]", &n):
			f.UIDValidity = n
		}
	})
	return f, err
}

// Unselect closes the folder and deletes nothing.
func (c *IMAP) Unselect() error { return c.do("UNSELECT") }

// Append stores messages in a folder: by one command if the service has MULTIAPPEND (RFC 3502), otherwise one
// by one.
func (c *IMAP) Append(folder string, messages ...[]byte) error {
	if len(messages) > 1 && !c.can["MULTIAPPEND"] {
		for _, m := range messages {
			if err := c.Append(folder, m); err != nil {
				return err
			}
		}
		return nil
	}
	ahead := ""
	if c.can["LITERAL+"] || c.can["LITERAL-"] {
		ahead = "+"
	}
	tag := c.next()
	fmt.Fprintf(c.w.out, "%s APPEND %s", tag, quoted(folder))
	for _, m := range messages {
		plus := ahead
		if !c.can["LITERAL+"] && len(m) > 4096 { // RFC 7888 §5
			plus = ""
		}
		fmt.Fprintf(c.w.out, " {%d%s}\r\n", len(m), plus)
		if plus == "" {
			if err := c.goAhead(tag); err != nil {
				return err
			}
		}
		if _, err := c.w.out.Write(m); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	c.w.command("")
	return c.finish("APPEND", tag)
}

// goAhead waits for the service's "+".
func (c *IMAP) goAhead(tag string) error {
	if err := c.w.flush(); err != nil {
		return err
	}
	for range untaggedMax {
		r, err := c.read()
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(r.text, "+"):
			return nil
		case strings.HasPrefix(r.text, tag+" "):
			return &Refusal{Step: "literal", Text: r.text}
		}
	}
	return errors.New("no answer to a literal")
}

// Fetch fetches items of a set of messages, by UID or by number, and counts what comes.
func (c *IMAP) Fetch(uid bool, set, items string) (f Fetched, err error) {
	command := "FETCH"
	if uid {
		command = "UID FETCH"
	}
	err = c.each(command+" "+set+" "+items, func(r response) {
		f.Bytes += r.size
		if words := strings.Fields(r.text); len(words) > 2 && strings.EqualFold(words[2], "FETCH") {
			f.Messages++
		}
	})
	return f, err
}

// Idle begins IDLE (RFC 2177). Each new number of messages is told to exists, until that says false; then it ends.
func (c *IMAP) Idle(exists func(n int64) bool) error {
	tag := c.next()
	c.w.command("%s IDLE", tag)
	if err := c.goAhead(tag); err != nil {
		return err
	}
	for {
		r, err := c.read()
		if err != nil {
			return err
		}
		if strings.HasPrefix(r.text, "* BYE") || strings.HasPrefix(r.text, tag+" ") {
			return &Refusal{Step: "IDLE", Text: r.text}
		}
		var n int64
		if scan(r.text, "* %d EXISTS", &n) && !exists(n) {
			break
		}
	}
	c.w.command("DONE")
	return c.finish("IDLE", tag)
}

// Do runs any other command, and passes over what is untagged.
func (c *IMAP) Do(command string) error { return c.do("%s", command) }

// Logout ends the session and closes the connection.
func (c *IMAP) Logout() error {
	err := c.do("LOGOUT")
	return errors.Join(err, c.w.close())
}

// Close closes the connection without a word.
func (c *IMAP) Close() error { return c.w.close() }

func (c *IMAP) next() string {
	c.tag++
	return "a" + strconv.Itoa(c.tag)
}

func (c *IMAP) do(format string, args ...any) error {
	return c.each(fmt.Sprintf(format, args...), func(response) {})
}

// each runs a command, and hands every untagged response to visit.
func (c *IMAP) each(command string, visit func(response)) error {
	tag := c.next()
	c.w.command("%s %s", tag, command)
	c.onUntagged = visit
	defer func() { c.onUntagged = nil }()
	verb, _, _ := strings.Cut(command, " ")
	return c.finish(verb, tag)
}

// finish sends what is buffered and reads to the tagged response.
func (c *IMAP) finish(verb, tag string) error {
	if err := c.w.flush(); err != nil {
		return err
	}
	for range untaggedMax {
		r, err := c.read()
		if err != nil {
			return fmt.Errorf("answer to %s: %w", verb, err)
		}
		if rest, ok := strings.CutPrefix(r.text, tag+" "); ok {
			if strings.HasPrefix(rest, "OK") {
				return nil
			}
			return &Refusal{Step: verb, Text: rest}
		}
		if c.onUntagged != nil {
			c.onUntagged(r)
		}
	}
	return fmt.Errorf("answer to %s: more than %d responses", verb, untaggedMax)
}

// response is one response of the service.
type response struct {
	text string // its beginning, without literals
	size int64  // bytes as it came, literals included
}

// read reads one response with its literals, of which it keeps nothing.
func (c *IMAP) read() (r response, err error) {
	c.responseBuf = c.responseBuf[:0]
	for {
		n, err := c.readLine(&r)
		if err != nil {
			return r, err
		}
		if n < 0 {
			r.text = string(c.responseBuf)
			return r, nil
		}
		if r.size += n; r.size > responseMax {
			return r, fmt.Errorf("receive: a response of more than %d bytes", responseMax)
		}
		if err := c.discard(n); err != nil {
			return r, err
		}
	}
}

// readLine reads to the end of a line, and gives the size of the literal that it announces; -1: none.
func (c *IMAP) readLine(r *response) (literal int64, err error) {
	var tail []byte // of the line: what might announce a literal
	for {
		if c.w.in.Buffered() == 0 {
			if err := c.w.arm(); err != nil {
				return 0, err
			}
		}
		piece, err := c.w.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, fmt.Errorf("receive: %w", err)
		}
		if r.size += int64(len(piece)); r.size > responseMax {
			return 0, fmt.Errorf("receive: a response of more than %d bytes", responseMax)
		}
		room := max(0, responseTextMax-len(c.responseBuf))
		c.responseBuf = append(c.responseBuf, bytes.TrimRight(piece[:min(room, len(piece))], "\r\n")...)
		tail = append(tail, piece[max(0, len(piece)-24):]...)
		tail = tail[max(0, len(tail)-24):]
		if err == nil {
			return literalSize(tail), nil
		}
	}
}

// literalSize reads "{n}" CR LF at the end of a line; -1 if there is none.
func literalSize(line []byte) int64 {
	text, ok := strings.CutSuffix(strings.TrimRight(string(line), "\r\n"), "}")
	i := strings.LastIndexByte(text, '{')
	if !ok || i < 0 {
		return -1
	}
	n, err := strconv.ParseUint(text[i+1:], 10, 31)
	if err != nil {
		return -1
	}
	return int64(n)
}

// discard passes over the bytes of a literal.
func (c *IMAP) discard(n int64) error {
	for n > 0 {
		if err := c.w.arm(); err != nil {
			return err
		}
		k, err := c.w.in.Discard(int(min(n, bufferSize)))
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		n -= int64(k)
	}
	return nil
}

// quoted makes a quoted string (RFC 9051 §4.3).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// scan reports whether a response begins in this form, with one number.
func scan(text, form string, n *int64) bool {
	before, after, _ := strings.Cut(form, "%d")
	rest, ok := strings.CutPrefix(text, before)
	if !ok {
		return false
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	v, err := strconv.ParseInt(rest[:end], 10, 64)
	if err != nil || !strings.HasPrefix(rest[end:], after) {
		return false
	}
	*n = v
	return true
}
