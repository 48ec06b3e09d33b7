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

// pipelineWindow is how many commands are sent ahead of their answers. Their bytes must fit into
// the socket buffers, or both sides could wait for the other to read.
const pipelineWindow = 32

// POP3 is a client's session with a POP3 service.
type POP3 struct {
	w          *wire
	pipelining bool
}

// Listed is one message of a mailbox, as UIDL lists it.
type Listed struct {
	Number   int
	UniqueID string
}

// DialPOP3 connects, reads the greeting and the capabilities and, if the target wants it, starts
// TLS.
func DialPOP3(ctx context.Context, t Target) (*POP3, error) {
	return open(ctx, t, func(w *wire) *POP3 { return &POP3{w: w} })
}

func (p *POP3) greeting() error {
	_, err := p.status("connection")
	return err
}

// askTLS is of RFC 2595 §4.
func (p *POP3) askTLS() error {
	_, err := p.ask("STLS")
	return err
}

// capabilities asks with CAPA (RFC 2449). A service without CAPA has none.
func (p *POP3) capabilities() (stls bool, err error) {
	p.pipelining = false
	var refusal *Refusal
	if _, err := p.ask("CAPA"); errors.As(err, &refusal) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	err = p.list(LinesMax, func(line string) error {
		switch strings.ToUpper(strings.TrimSpace(line)) {
		case "PIPELINING":
			p.pipelining = true
		case "STLS":
			stls = true
		}
		return nil
	})
	return stls, err
}

// Login authenticates with USER and PASS.
func (p *POP3) Login(name, password string) error {
	if _, err := p.ask("USER " + name); err != nil {
		return err
	}
	_, err := p.ask("PASS " + password)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		refusal.Step = "PASS" // without the password
	}
	return err
}

// List gives the messages of the mailbox by their unique ids.
func (p *POP3) List() ([]Listed, error) {
	if _, err := p.ask("UIDL"); err != nil {
		return nil, err
	}
	var all []Listed
	err := p.list(ListMax, func(line string) error {
		l, err := parseListing(line)
		if err != nil {
			return err
		}
		all = append(all, l)
		return nil
	})
	return all, err
}

// Retrieve fetches messages in the order given, and hands each to visit. The bytes are visit's
// until it returns. Its error ends the fetching and leaves the session broken.
func (p *POP3) Retrieve(messages []Listed, visit func(Listed, []byte) error) error {
	var buf bytes.Buffer
	return p.each("RETR", messages, func(m Listed) error {
		buf.Reset()
		if err := p.message(&buf); err != nil {
			return fmt.Errorf("message %d: %w", m.Number, err)
		}
		return visit(m, buf.Bytes())
	})
}

// Delete marks messages as deleted: Quit deletes them.
func (p *POP3) Delete(messages []Listed) error {
	return p.each("DELE", messages, func(Listed) error { return nil })
}

// each runs a command for each message, ahead of the answers if the service allows. After an error
// the answers still due are not read: the session is broken, even by a Refusal.
func (p *POP3) each(command string, messages []Listed, answered func(Listed) error) error {
	window := 1
	if p.pipelining {
		window = pipelineWindow
	}
	for len(messages) > 0 {
		batch := messages[:min(window, len(messages))]
		messages = messages[len(batch):]
		for _, m := range batch {
			p.w.command("%s %d", command, m.Number)
		}
		if err := p.w.flush(); err != nil {
			return err
		}
		for _, m := range batch {
			if _, err := p.status(command); err != nil {
				return err
			}
			if err := answered(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// Quit ends the session and closes the connection. If it gives nil, the messages marked were
// deleted; if it gives an error, nobody knows (RFC 1939 §6).
func (p *POP3) Quit() error {
	if _, err := p.ask("QUIT"); err != nil {
		return errors.Join(err, p.w.close())
	}
	// The deletion is acknowledged: what closing says no longer matters.
	p.w.conn.Close()
	p.w.stop()
	return nil
}

// Close closes the connection without a word: nothing is deleted.
func (p *POP3) Close() error { return p.w.close() }

func (p *POP3) ask(command string) (string, error) {
	p.w.command("%s", command)
	if err := p.w.flush(); err != nil {
		return "", err
	}
	return p.status(command)
}

// status reads a status line and gives the text of +OK.
func (p *POP3) status(step string) (string, error) {
	line, err := p.w.line()
	if err != nil {
		verb, _, _ := strings.Cut(step, " ")
		return "", fmt.Errorf("answer to %s: %w", verb, err)
	}
	ok, text, err := parseStatus(line)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", &Refusal{Step: step, Text: text}
	}
	return text, nil
}

// list reads lines to the final dot.
func (p *POP3) list(linesMax int, visit func(string) error) error {
	for range linesMax {
		line, err := p.w.line()
		if err != nil {
			return err
		}
		if line == "." {
			return nil
		}
		if err := visit(strings.TrimPrefix(line, ".")); err != nil {
			return err
		}
	}
	return fmt.Errorf("list of more than %d lines", linesMax)
}

// message reads a message to the final dot, without its stuffing. Lines may be of any length.
func (p *POP3) message(buf *bytes.Buffer) error {
	lineStart, crlf := true, []byte("\r\n")
	for {
		if p.w.in.Buffered() == 0 {
			if err := p.w.arm(); err != nil {
				return err
			}
		}
		piece, err := p.w.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("receive: %w", err)
		}
		if lineStart && piece[0] == '.' {
			if string(piece) == ".\r\n" {
				return nil
			}
			piece = piece[1:]
		}
		if buf.Len()+len(piece) > MessageMax {
			return fmt.Errorf("receive: more than %d bytes", MessageMax)
		}
		buf.Write(piece)
		lineStart = bytes.HasSuffix(buf.Bytes(), crlf)
	}
}

// parseStatus reads "+OK text" or "-ERR text" (RFC 1939 §3).
func parseStatus(line string) (ok bool, text string, err error) {
	word, text, _ := strings.Cut(line, " ")
	switch word {
	case "+OK":
		return true, text, nil
	case "-ERR":
		return false, text, nil
	}
	return false, "", fmt.Errorf("status line %q: want +OK or -ERR", line)
}

// parseListing reads "number unique-id" (RFC 1939 §7): the id is 1 to 70 characters from 0x21 to
// 0x7E.
func parseListing(line string) (Listed, error) {
	number, id, _ := strings.Cut(line, " ")
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n == 0 {
		return Listed{}, fmt.Errorf("listing %q: no message number", line)
	}
	if len(id) < 1 || len(id) > 70 {
		return Listed{}, fmt.Errorf("listing %q: unique-id of %d characters, want 1 to 70", line, len(id))
	}
	for _, c := range []byte(id) {
		if c < 0x21 || c > 0x7e {
			return Listed{}, fmt.Errorf("listing %q: character %#x in the unique-id", line, c)
		}
	}
	return Listed{Number: int(n), UniqueID: id}, nil
}
