package imapserver

import (
	"errors"
	"strings"
	"time"

	"porcupine/internal/mail/imap"
)

// command reads one command, whole. false: there is none, because it was answered already or the session
// has ended. Messages that it brought are in s.upload.
func (s *session) command() (imap.Command, bool) {
	s.line = time.Time{}
	s.scan = s.srv.scanner(s.mailbox != nil)
	defer func() {
		s.scan.Reset()
		s.srv.scanners.Put(s.scan)
		s.scan = nil
	}()
	for {
		line, ok := s.readLine(s.lineMax())
		if !ok {
			return imap.Command{}, false
		}
		if isHTTP(line) && s.mailbox == nil { // ALPACA (attack 5): a browser sent here by somebody else
			s.bye(EndedProtocol, "", "this is an IMAP server")
			return imap.Command{}, false
		}
		next, err := s.scan.Line(line)
		switch {
		case err != nil:
			s.syntax(err)
			return imap.Command{}, false
		case next.Complete:
			return s.parse()
		case !s.literal(next):
			return imap.Command{}, false
		}
	}
}

// lineMax is the limit of a line, without its CR LF.
func (s *session) lineMax() int {
	if s.mailbox == nil {
		return imap.UnauthLineMax
	}
	return imap.LineLengthMax
}

// parse makes a command of what was scanned.
func (s *session) parse() (imap.Command, bool) {
	tag, verb, _ := s.scan.Opening()
	if s.upload.refusal.Kind != "" { // of literals that came unasked and were thrown away
		s.refused(imap.Command{Tag: tag, Verb: verb})
		return imap.Command{}, false
	}
	c, err := s.scan.Parse(s.dialect())
	if err != nil {
		s.syntax(err)
		return imap.Command{}, false
	}
	return *c, true
}

// dialect is how names and strings are written.
func (s *session) dialect() imap.Dialect {
	return imap.Dialect{UTF8: s.enabled.utf8 || s.enabled.rev2}
}

// isHTTP recognizes what browsers say.
func isHTTP(line []byte) bool {
	for _, verb := range []string{"GET ", "POST ", "HEAD ", "PUT ", "OPTIONS ", "PRI ", "Host:", "CONNECT ", "DELETE ", "PATCH "} {
		if len(line) >= len(verb) && strings.EqualFold(string(line[:len(verb)]), verb) {
			// "GET UID FETCH" is a command of a client with a strange tag.
			return strings.HasSuffix(verb, ":") || strings.Contains(string(line), "HTTP/") || len(line) > len(verb) && line[len(verb)] == '/'
		}
	}
	return false
}

// syntax answers a command that is not understood.
func (s *session) syntax(err error) {
	tag, verb, last, r := s.misunderstood(err)
	s.upload.close()
	r.Tag = tag
	s.say(r)
	s.srv.cfg.Observer.Command(verb, string(r.Kind), 0)
	s.count()
	if last {
		s.bye(EndedProtocol, "", "what follows cannot be understood; connect again")
	}
	s.limits()
}

// misunderstood gives the answer to a command that is not understood, and counts it. last says that what
// follows cannot be told from commands.
func (s *session) misunderstood(err error) (tag string, verb imap.Verb, last bool, r imap.Reply) {
	wrong := &imap.SyntaxError{Text: "command is not understood"}
	if !errors.As(err, &wrong) {
		s.srv.cfg.Logger.Error("imap grammar gave an unknown error", "err", err)
	}
	r = s.wrong(wrong.Text)
	if wrong.TooLarge {
		r.Code.Name = imap.CodeTooBig
	}
	return wrong.Tag, wrong.Verb, wrong.Close, r
}

// readLine waits for a line. It gives false when the session has ended.
func (s *session) readLine(lengthMax int) ([]byte, bool) {
	for {
		line, err := s.in.line(lengthMax)
		switch {
		case err != nil:
			s.say(imap.Reply{Kind: imap.BAD, Text: err.Error()})
			s.bye(EndedProtocol, "", err.Error())
			return nil, false
		case line != nil:
			return line, true
		}
		if s.line.IsZero() {
			s.rest()
			s.line = s.deadline()
		}
		if !s.fill(s.line) {
			return nil, false
		}
	}
}

// rest gives memory back before the session waits.
func (s *session) rest() {
	if s.folder != nil && s.in.buffered() == 0 {
		s.folder.view.Rest()
	}
}

// literal brings in a literal, or refuses the command; then it gives false.
func (s *session) literal(next imap.Next) bool {
	if next.Message {
		return s.messageLiteral(next)
	}
	if !next.NonSync {
		s.say(imap.Continue{Text: "OK"})
	}
	octets := make([]byte, 0, next.Size)
	if !s.octets(next.Size, func(b []byte) { octets = append(octets, b...) }) {
		return false
	}
	if err := s.scan.Literal(octets); err != nil {
		s.syntax(err)
		return false
	}
	return true
}

// octets reads so many octets, piece by piece. false: the session has ended.
func (s *session) octets(n int64, each func([]byte)) bool {
	deadline := s.deadline()
	if s.mailbox != nil {
		deadline = time.Now().Add(literalTimeout + time.Duration(n/literalRateMin)*time.Second)
	}
	for n > 0 {
		b := s.in.take(n)
		if len(b) == 0 {
			if n > inputSmall {
				s.in.borrow()
			}
			if !s.fill(deadline) {
				return false
			}
			continue
		}
		n -= int64(len(b))
		each(b)
	}
	return true
}
