package imapserver

import (
	"compress/flate"
	"errors"
	"io"

	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/listener"
)

// Limits of what compressed input may become: so many octets for each that came, above some to begin with (attack 23).
const (
	inflateRatioMax = 100
	inflateFree     = 256 << 10 // octets
)

// errBomb ends a session whose input is larger than any client's.
var errBomb = errors.New("compressed input grows too much")

// compress carries out COMPRESS (RFC 4978).
func (s *session) compress(c imap.Compress) imap.Reply {
	switch {
	case !s.srv.cfg.Compress || c.Mechanism != "DEFLATE":
		return no(imap.CodeCannot, "this compression is not offered")
	case s.read != nil:
		return no(imap.CodeCompressionActive, "compression is on")
	case s.in.buffered() > 0: // it may be compressed or not: nobody can say
		s.bye(EndedProtocol, "", "COMPRESS must be the last command of a group")
		return imap.Reply{}
	}
	s.after = s.startCompression
	return done(imap.VerbCompress)
}

// startCompression puts the layer on, after the answer was sent without it.
func (s *session) startCompression() {
	if s.out.Flush() != nil {
		s.end(EndedGone)
		return
	}
	w, err := flate.NewWriter(&s.out, flate.BestSpeed)
	if err != nil {
		s.srv.cfg.Logger.Error("imap compression", "err", err)
		s.end(EndedProtocol)
		return
	}
	s.out.SetLayer(w)
	wire := &counter{conn: s.conn}
	s.read = &inflater{wire: wire, plain: flate.NewReader(wire)}
}

// counter counts what came from the connection.
type counter struct {
	conn *listener.Conn
	came int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.conn.Read(p)
	c.came += int64(n)
	return n, err
}

// inflater gives the plain octets of compressed input, and watches how many they become.
type inflater struct {
	wire   *counter
	plain  io.Reader
	became int64
}

func (f *inflater) Read(p []byte) (int, error) {
	n, err := f.plain.Read(p)
	f.became += int64(n)
	if f.became > inflateFree+inflateRatioMax*f.wire.came {
		return 0, errBomb
	}
	return n, err
}
