package imap

import "bytes"

// Scanner collects the lines and literals of one command, or of one response, and parses them. It bounds the
// memory that they need. The zero value is not usable: NewScanner makes one.
type Scanner struct {
	limits Limits
	parts  []part
	held   int // octets held in memory
	memory int // literals held in memory
	// streamed counts the literals that are not held.
	streamed int
	response bool
	failed   bool
}

// part is a line, with the literal after it if there is one.
type part struct {
	line    []byte // without the literal's header
	literal bool
	pending bool // the literal is announced and has not come
	nonSync bool // it comes without being asked for
	binary  bool
	message bool
	size    int64
	index   int    // of a streamed one; -1
	octets  []byte // of one that is held
}

// Next says what the Scanner needs after a line.
type Next struct {
	Complete bool  // nothing: the command is complete
	Size     int64 // otherwise so many octets of a literal
	NonSync  bool  // the client sends them without being asked (RFC 7888)
	Binary   bool  // it is a literal8 (RFC 3516 §4.4)
	Message  bool  // it is a message, or a part of one: give it to Scanner.Literal, or stream it
}

// NewScanner makes a Scanner for commands.
func NewScanner(l Limits) *Scanner { return &Scanner{limits: l.withDefaults()} }

// NewResponseScanner makes a Scanner for responses; see ClientLimits.
func NewResponseScanner(l Limits) *Scanner { return &Scanner{limits: l.withDefaults(), response: true} }

// SetLimits changes the limits, for the next command.
func (s *Scanner) SetLimits(l Limits) { s.limits = l.withDefaults() }

// Line takes the next line, without its CR LF. The octets are copied. An error ends the command.
func (s *Scanner) Line(line []byte) (Next, error) {
	header, hasLiteral, err := s.header(line)
	if err != nil {
		return Next{}, s.failure(line, err)
	}
	text := line[:len(line)-header.length]
	if err := s.admit(text, line); err != nil {
		// What was announced comes all the same if the client did not wait to be asked: then nobody can say where
		// the next command begins.
		err.Close = err.Close || header.nonSync
		return Next{}, s.failure(line, err)
	}
	if !hasLiteral {
		s.parts = append(s.parts, part{line: bytes.Clone(text)})
		return Next{Complete: true}, nil
	}
	p := part{line: bytes.Clone(text), literal: true, pending: true, nonSync: header.nonSync, binary: header.binary, size: header.size, index: -1}
	s.parts = append(s.parts, p)
	p.message = !s.response && s.isMessage()
	s.parts[len(s.parts)-1].message = p.message
	if err := s.admitLiteral(&p); err != nil {
		err.Close = header.nonSync
		return Next{}, s.failure(line, err)
	}
	if header.nonSync && p.size > s.limits.NonSync {
		err := &SyntaxError{Text: "the literal is too large to be sent without waiting (RFC 7888)", TooLarge: true, Close: true}
		return Next{}, s.failure(line, err)
	}
	return Next{Size: p.size, NonSync: header.nonSync, Binary: p.binary, Message: p.message}, nil
}

// admit checks a line against the limits.
func (s *Scanner) admit(text, line []byte) *SyntaxError {
	switch {
	case s.failed || len(s.parts) > 0 && s.parts[len(s.parts)-1].pending:
		return &SyntaxError{Text: "a literal is expected, not a line", Close: true}
	case len(line) > s.limits.Line:
		return &SyntaxError{Text: "the line is too long", TooLarge: true, Close: true}
	case s.held+len(text) > s.limits.Command:
		return &SyntaxError{Text: "the command is too long", TooLarge: true, Close: true}
	case bytes.ContainsAny(text, "\x00\r\n"):
		return &SyntaxError{Text: "NUL, or CR or LF alone, in a command"}
	}
	s.held += len(text)
	return nil
}

// admitLiteral checks the literal at the end of the last part against the limits, and counts it.
func (s *Scanner) admitLiteral(p *part) *SyntaxError {
	if n := len(p.line); n > 0 && p.line[n-1] != ' ' && p.line[n-1] != '(' {
		return &SyntaxError{Text: "a literal where none can be"}
	}
	if p.message {
		switch {
		case s.streamed >= s.limits.Messages:
			return &SyntaxError{Text: "too many messages in one command", TooLarge: true}
		case p.size > s.limits.Message:
			return &SyntaxError{Text: "the message is too large", TooLarge: true}
		}
		return nil
	}
	switch {
	case s.memory >= s.limits.Literals:
		return &SyntaxError{Text: "too many literals in one command", TooLarge: true}
	case p.size > s.limits.Literal, int64(s.held)+p.size > int64(s.limits.Command):
		return &SyntaxError{Text: "the literal is too large", TooLarge: true}
	}
	return nil
}

// failure ends the command.
func (s *Scanner) failure(line []byte, err *SyntaxError) *SyntaxError {
	if len(s.parts) == 0 {
		s.parts = append(s.parts, part{line: bytes.Clone(line[:min(len(line), TagLengthMax+64)])})
	}
	s.failed = true
	err.Tag, err.Verb, _ = s.Opening()
	if !err.Verb.Known() {
		err.Verb = ""
	}
	return err
}

// header is the announcement of a literal at the end of a line.
type header struct {
	length  int // octets of it
	size    int64
	nonSync bool
	binary  bool
}

// header finds the announcement of a literal at the end of a line: "{7}", "{7+}", "~{7}", "~{7+}" (RFC 9051 §9,
// literal; RFC 7888 §8; RFC 3516 §7). It is one wherever a line ends so, also where the grammar has no place
// for it: a client that sends it then sends octets, and they must not be taken for commands.
func (s *Scanner) header(line []byte) (h header, found bool, err *SyntaxError) {
	if s.response && s.isText(line) || len(line) < 3 || line[len(line)-1] != '}' {
		return header{}, false, nil
	}
	digits := len(line) - 1
	if line[digits-1] == '+' {
		h.nonSync = true
		digits--
	}
	begin := digits
	for begin > 0 && isDigit(line[begin-1]) {
		begin--
	}
	if begin == digits || begin == 0 || line[begin-1] != '{' {
		return header{}, false, nil
	}
	h.length = len(line) - begin + 1
	if begin > 1 && line[begin-2] == '~' {
		h.binary = true
		h.length++
	}
	for _, c := range line[begin:digits] {
		d := int64(c - '0')
		if h.size > (number64Max-d)/10 {
			return header{}, false, &SyntaxError{Text: "the size of a literal is not a number of 63 bits", TooLarge: true, Close: h.nonSync}
		}
		h.size = h.size*10 + d
	}
	return h, true, nil
}

// isMessage reports whether the literal that the last part announces is a message, or a part of one: of APPEND
// and REPLACE all literals but the name of the folder and the URLs of CATENATE (RFC 4469 §5).
func (s *Scanner) isMessage() bool {
	_, verb, arguments := s.Opening()
	if verb != VerbAppend && verb != VerbReplace {
		return false
	}
	before := s.parts[len(s.parts)-1].line
	if len(s.parts) == 1 {
		before = bytes.TrimPrefix(arguments, []byte(" "))
		if verb == VerbReplace {
			_, before, _ = bytes.Cut(before, []byte(" ")) // the number
		}
		if len(before) == 0 {
			return false // the name
		}
	}
	before = bytes.TrimSuffix(before, []byte(" "))
	n := len(before) - len("URL")
	// Without anything in front of it, "URL" is the name of a folder.
	return n <= 0 || !equalFold(string(before[n:]), "URL") || isAtomChar(before[n-1])
}

// Opening gives the tag and verb of the command, as far as they have come, and what stands behind them in the
// first line. It can be asked after the first line: a server decides by the verb whether it wants a literal
// at all.
func (s *Scanner) Opening() (tag string, verb Verb, rest []byte) {
	if len(s.parts) == 0 {
		return "", "", nil
	}
	r := reader{parts: s.parts[:1]}
	tag, verb, _ = r.opening()
	return tag, verb, r.line()[min(r.pos, len(r.line())):]
}

// Literal takes the octets of the literal that the last Line announced, all of them. They are copied.
func (s *Scanner) Literal(octets []byte) error {
	p := s.pending()
	if p == nil || int64(len(octets)) != p.size {
		return s.failure(nil, &SyntaxError{Text: "a literal of another size than announced", Close: true})
	}
	if !p.message {
		s.memory++
	}
	s.held += len(octets)
	p.pending = false
	if !p.binary && bytes.IndexByte(octets, 0) >= 0 {
		return s.failure(nil, &SyntaxError{Text: "NUL in a literal", Close: true})
	}
	p.octets = append([]byte{}, octets...)
	return nil
}

// Streamed says that the octets of the message that the last Line announced have been read, all of them, and that
// the caller keeps them. Literal.Index will be the number of calls before this one.
func (s *Scanner) Streamed() error {
	p := s.pending()
	if p == nil || !p.message {
		return s.failure(nil, &SyntaxError{Text: "no message was announced", Close: true})
	}
	p.pending = false
	p.index = s.streamed
	s.streamed++
	return nil
}

// pending is the part whose literal is expected.
func (s *Scanner) pending() *part {
	if n := len(s.parts); n > 0 && s.parts[n-1].pending && !s.failed {
		return &s.parts[n-1]
	}
	return nil
}

// Parse parses the complete command. The error is a *SyntaxError.
func (s *Scanner) Parse(d Dialect) (*Command, error) {
	r := reader{parts: s.parts, dialect: d}
	return s.command(&r)
}

// Partial parses an APPEND or REPLACE up to the message that the last Line announced: the folder and the flags
// are there BEFORE the octets come, and what is wrong can be said. That message is the last one of the
// Command, with Index -1 and no Octets.
//
// An error ends the command. Its Close is set if the octets come all the same (NonSync).
func (s *Scanner) Partial(d Dialect) (*Command, error) {
	r := reader{parts: s.parts, dialect: d, partial: true}
	return s.command(&r)
}

func (s *Scanner) command(r *reader) (*Command, error) {
	c := &Command{}
	if s.failed || len(s.parts) == 0 {
		r.fail("the command was refused already")
	}
	r.command(c)
	if r.err != nil {
		p := s.pending()
		if !c.Verb.Known() {
			c.Verb = ""
		}
		return nil, &SyntaxError{Tag: c.Tag, Verb: c.Verb, Text: oneLine(r.err.Error()), TooLarge: r.tooLarge, Close: p != nil && p.nonSync}
	}
	return c, nil
}

// Reset makes the Scanner ready for the next command.
func (s *Scanner) Reset() {
	clear(s.parts)
	s.parts = s.parts[:0]
	if cap(s.parts) > scannerKeeps {
		s.parts = nil
	}
	s.held, s.memory, s.streamed, s.failed = 0, 0, 0, false
}

// scannerKeeps is the number of parts that Reset keeps memory for.
const scannerKeeps = 4
