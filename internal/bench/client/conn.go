package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Limits on what a service may answer.
const (
	LineMax    = 4096      // bytes of one line of an answer
	LinesMax   = 128       // lines of one SMTP reply
	ListMax    = 1_000_000 // messages in one mailbox
	MessageMax = 128 << 20 // bytes of one message fetched
	bufferSize = 16 << 10
)

// Target says where a service is, and how to connect to it.
type Target struct {
	Addr    string        // host:port
	Timeout time.Duration // for each network step
	TLS     *tls.Config   // nil: in clear
	// StartTLS asks for TLS by command; otherwise, if TLS is set, it starts with the first byte.
	StartTLS bool
}

// ErrUnreachable says that no connection could be made. A client that knows another address of the
// service tries that one (RFC 5321 §5.1).
var ErrUnreachable = errors.New("cannot connect")

// Refusal is a service's orderly no.
type Refusal struct {
	Step string // the command refused: "RCPT"
	Code int    // SMTP reply code; 0 in POP3 and IMAP
	Text string
}

func (r *Refusal) Error() string {
	if r.Code == 0 {
		return r.Step + " refused: " + r.Text
	}
	return fmt.Sprintf("%s refused: %d %s", r.Step, r.Code, r.Text)
}

// Permanent reports whether the service said that trying again is of no use: an SMTP reply 5yz.
func (r *Refusal) Permanent() bool { return r.Code/100 == 5 }

// wire is a connection with a line reader, a buffered writer and time limits.
type wire struct {
	conn    net.Conn
	in      *bufio.Reader
	out     *bufio.Writer
	timeout time.Duration
	stop    func() bool // ends the watch over the context
}

func dial(ctx context.Context, t Target) (*wire, error) {
	d := net.Dialer{Timeout: t.Timeout}
	conn, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	w := &wire{conn: conn, timeout: t.Timeout}
	// The raw connection is closed, not the TLS one above it: that would wait to say good-bye.
	w.stop = context.AfterFunc(ctx, func() { conn.Close() })
	w.use(conn)
	if t.TLS != nil && !t.StartTLS {
		if err := w.startTLS(ctx, t); err != nil {
			_ = w.close() // the first error is the one to tell
			return nil, err
		}
	}
	return w, nil
}

func (w *wire) use(conn net.Conn) {
	w.conn = conn
	w.in = bufio.NewReaderSize(conn, bufferSize)
	w.out = bufio.NewWriterSize(conn, bufferSize)
}

// startTLS begins TLS. Bytes that came before the handshake would be taken for part of the
// protected session, so there must be none (RFC 3207 §4.2).
func (w *wire) startTLS(ctx context.Context, t Target) error {
	if n := w.in.Buffered(); n > 0 {
		return fmt.Errorf("start TLS with %s: the service sent %d bytes ahead of the handshake", t.Addr, n)
	}
	cfg := t.TLS
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(t.Addr)
		if err != nil {
			return fmt.Errorf("start TLS with %s: %w", t.Addr, err)
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	conn := tls.Client(w.conn, cfg)
	if err := w.arm(); err != nil {
		return err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("start TLS with %s: %w", t.Addr, err)
	}
	w.use(conn)
	return nil
}

// arm starts the time limit of one network step.
func (w *wire) arm() error {
	if err := w.conn.SetDeadline(time.Now().Add(w.timeout)); err != nil {
		return fmt.Errorf("set time limit: %w", err)
	}
	return nil
}

// command buffers one command line; flush sends what was buffered.
func (w *wire) command(format string, args ...any) {
	// A bufio.Writer keeps its first error, and flush reports it.
	fmt.Fprintf(w.out, format+"\r\n", args...)
}

func (w *wire) flush() error {
	if err := w.arm(); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// line reads one line without its end.
func (w *wire) line() (string, error) {
	if w.in.Buffered() == 0 {
		if err := w.arm(); err != nil {
			return "", err
		}
	}
	b, err := w.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(b) > LineMax {
		return "", fmt.Errorf("receive: line longer than %d bytes", LineMax)
	}
	if err != nil {
		return "", fmt.Errorf("receive: %w", err)
	}
	return strings.TrimSuffix(string(b[:len(b)-1]), "\r"), nil
}

func (w *wire) close() error {
	w.stop()
	if err := w.conn.Close(); err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}
