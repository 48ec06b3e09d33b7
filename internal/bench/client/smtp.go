package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// SMTP is a client's session with an SMTP service.
type SMTP struct {
	w          *wire
	pipelining bool
	size       bool
}

// DialSMTP connects, reads the greeting, says EHLO and, if the target wants it, starts TLS and
// says EHLO again.
func DialSMTP(ctx context.Context, t Target) (*SMTP, error) {
	return open(ctx, t, func(w *wire) *SMTP { return &SMTP{w: w} })
}

func (s *SMTP) greeting() error {
	_, err := s.expect("connection", 220)
	return err
}

func (s *SMTP) askTLS() error {
	_, err := s.ask("STARTTLS", 220)
	return err
}

func (s *SMTP) capabilities() (startTLS bool, err error) {
	lines, err := s.ask("EHLO bench.example", 250)
	if err != nil {
		return false, err
	}
	s.pipelining, s.size = false, false
	for _, l := range lines[1:] {
		keyword, _, _ := strings.Cut(l, " ")
		switch strings.ToUpper(keyword) {
		case "PIPELINING":
			s.pipelining = true
		case "SIZE":
			s.size = true
		case "STARTTLS":
			startTLS = true
		}
	}
	return startTLS, nil
}

// Send delivers one message. Its lines end in CRLF, the last one too; they need no dot-stuffing.
// There are four outcomes:
//
//  1. err is nil: the service acknowledged the message.
//  2. err is a *Refusal: it did not take the message. The session goes on.
//  3. offered is false, err is another: the session broke before the end of the message was sent.
//  4. offered is true, err is another: it broke afterwards, and nobody knows.
func (s *SMTP) Send(from, to string, message []byte) (offered bool, err error) {
	size := ""
	if s.size { // RFC 1870
		size = " SIZE=" + strconv.Itoa(len(message))
	}
	mail := "MAIL FROM:<" + from + ">" + size
	rcpt := "RCPT TO:<" + to + ">"
	if s.pipelining {
		err = s.pipelined(mail, rcpt)
	} else {
		err = s.stepwise(mail, rcpt)
	}
	if err != nil {
		return false, err
	}
	if err := s.w.arm(); err != nil {
		return false, err
	}
	if err := writeStuffed(s.w, message); err != nil {
		return false, err
	}
	// From here on the end of the message may have arrived.
	if err := s.w.flush(); err != nil {
		return true, err
	}
	_, err = s.expect("message", 250)
	return true, err
}

func (s *SMTP) stepwise(mail, rcpt string) error {
	if _, err := s.ask(mail, 250); err != nil {
		return err
	}
	if _, err := s.ask(rcpt, 250); err != nil {
		return err
	}
	_, err := s.ask("DATA", 354)
	return err
}

// pipelined sends the envelope in one go (RFC 2920 §3.1). A service that refused the recipient may
// still ask for the message; it then gets an empty one, and answers that with a refusal.
func (s *SMTP) pipelined(mail, rcpt string) error {
	s.w.command("%s", mail)
	s.w.command("%s", rcpt)
	s.w.command("DATA")
	if err := s.w.flush(); err != nil {
		return err
	}
	var first *Refusal
	for _, step := range []struct {
		command string
		want    int
	}{{mail, 250}, {rcpt, 250}, {"DATA", 354}} {
		_, err := s.expect(step.command, step.want)
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal):
			if first == nil {
				first = refusal
			}
		case err != nil:
			return err
		case step.want == 354 && first != nil:
			s.w.command(".")
			if err := s.w.flush(); err != nil {
				return err
			}
			if _, _, err := s.reply(); err != nil {
				return err
			}
		}
	}
	if first != nil {
		return first
	}
	return nil
}

// Quit ends the session and closes the connection.
func (s *SMTP) Quit() error {
	_, err := s.ask("QUIT", 221)
	return errors.Join(err, s.w.close())
}

// Close closes the connection without a word.
func (s *SMTP) Close() error { return s.w.close() }

func (s *SMTP) ask(command string, want int) ([]string, error) {
	s.w.command("%s", command)
	if err := s.w.flush(); err != nil {
		return nil, err
	}
	return s.expect(command, want)
}

// expect reads one reply and gives its lines if it has the code wanted. Any other code of the same
// class does as well (251 for 250).
func (s *SMTP) expect(step string, want int) ([]string, error) {
	code, lines, err := s.reply()
	if err != nil {
		return nil, fmt.Errorf("answer to %s: %w", step, err)
	}
	if code/100 != want/100 {
		return nil, &Refusal{Step: step, Code: code, Text: strings.Join(lines, " / ")}
	}
	return lines, nil
}

func (s *SMTP) reply() (code int, lines []string, err error) {
	for len(lines) < LinesMax {
		line, err := s.w.line()
		if err != nil {
			return 0, nil, err
		}
		c, more, text, err := parseReplyLine(line)
		if err != nil {
			return 0, nil, err
		}
		if len(lines) > 0 && c != code {
			return 0, nil, fmt.Errorf("reply line %q: code differs from %d in the line before", line, code)
		}
		code, lines = c, append(lines, text)
		if !more {
			return code, lines, nil
		}
	}
	return 0, nil, fmt.Errorf("reply of more than %d lines", LinesMax)
}

// parseReplyLine reads "250-text", "250 text" or "250" (RFC 5321 §4.2).
func parseReplyLine(line string) (code int, more bool, text string, err error) {
	bad := fmt.Errorf("reply line %q: want three digits, then a space or hyphen", line)
	if len(line) < 3 {
		return 0, false, "", bad
	}
	for _, d := range []byte(line[:3]) {
		if d < '0' || d > '9' {
			return 0, false, "", bad
		}
		code = code*10 + int(d-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, "", fmt.Errorf("reply line %q: code outside 200 to 599", line)
	}
	if len(line) == 3 {
		return code, false, "", nil
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", bad
	}
	return code, line[3] == '-', line[4:], nil
}

// writeStuffed buffers a message with its leading dots doubled, and the final dot (RFC 5321
// §4.5.2). What does not fit in the buffer is sent.
func writeStuffed(w *wire, message []byte) error {
	for len(message) > 0 {
		if message[0] == '.' {
			if err := w.out.WriteByte('.'); err != nil {
				return fmt.Errorf("send message: %w", err)
			}
		}
		end := bytes.IndexByte(message, '\n') + 1
		if end == 0 {
			return errors.New("send message: the last line has no end")
		}
		if _, err := w.out.Write(message[:end]); err != nil {
			return fmt.Errorf("send message: %w", err)
		}
		message = message[end:]
	}
	if _, err := w.out.WriteString(".\r\n"); err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	return nil
}
