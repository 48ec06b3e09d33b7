package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// deliver runs one SMTP session with one message.
func deliver(conn net.Conn, to string, message []byte) error {
	return (&smtpSender{conn: conn}).deliver(to, message)
}

// smtpSender is an SMTP client that changes no byte of a message but for the dots.
type smtpSender struct {
	conn net.Conn
	in   []byte
}

// smtpRefusal is a reply that was not the one hoped for.
type smtpRefusal struct {
	step, reply string
}

func (e *smtpRefusal) Error() string { return e.step + ": " + e.reply }

func (s *smtpSender) reply() (string, error) {
	for {
		if i := bytes.IndexByte(s.in, '\n'); i >= 0 {
			text := string(bytes.TrimRight(s.in[:i], "\r\n"))
			s.in = s.in[i+1:]
			if len(text) < 4 || text[3] != '-' {
				return text, nil
			}
			continue
		}
		buf := make([]byte, 4096)
		k, err := s.conn.Read(buf)
		s.in = append(s.in, buf[:k]...)
		if err != nil {
			return "", err
		}
	}
}

func (s *smtpSender) step(what, line, want string) error {
	if line != "" {
		if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	reply, err := s.reply()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !strings.HasPrefix(reply, want) {
		return &smtpRefusal{what, reply}
	}
	return nil
}

// deliver runs one session with one message.
func (s *smtpSender) deliver(to string, message []byte) error {
	for _, l := range []struct{ what, line, want string }{
		{"greeting", "", "220"}, {"EHLO", "EHLO client.example", "250"}, {"MAIL", "MAIL FROM:<" + sender + "> BODY=8BITMIME", "250"},
		{"RCPT", "RCPT TO:<" + to + ">", "250"}, {"DATA", "DATA", "354"},
	} {
		if err := s.step(l.what, l.line, l.want); err != nil {
			return err
		}
	}
	stuffed := bytes.ReplaceAll(message, []byte("\r\n."), []byte("\r\n.."))
	if bytes.HasPrefix(stuffed, []byte(".")) {
		stuffed = append([]byte("."), stuffed...)
	}
	if !bytes.HasSuffix(stuffed, []byte("\r\n")) {
		stuffed = append(stuffed, "\r\n"...)
	}
	_, err := s.conn.Write(append(stuffed, ".\r\n"...))
	if replyErr := s.step("message", "", "250"); replyErr != nil {
		return errors.Join(err, replyErr)
	}
	return s.step("QUIT", "QUIT", "221")
}
