package smtpserver

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"porcupine/internal/mail/smtpserver/lineconn"
	"porcupine/internal/mail/smtpserver/spool"
)

// Server serves one role. It is made by New and is safe for use by many goroutines.
type Server struct {
	cfg      Config
	limits   Limits
	spool    *spool.Spool
	buffers  lineconn.Buffers
	refusals *refusals
	loud     logGate
}

// New checks the configuration and makes a Server. It opens nothing.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	if cfg.Turns == nil {
		cfg.Turns = room{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Room == nil {
		cfg.Room = spool.NewRoom(spool.RoomConfig{})
	}
	l := cfg.Limits.withDefaults()
	return &Server{cfg: cfg, limits: l, spool: spool.NewIn(cfg.Room, cfg.Spool, l.MemoryMax, l.MemoryTotalMax),
		refusals: newRefusals(l.NetworkRefusedMax, l.NetworkRefusedEvery)}, nil
}

// SpoolMemory gives the bytes of memory that messages under way hold now, for a metric.
func (s *Server) SpoolMemory() int64 { return s.spool.InMemory() }

// ServeConn serves a connection until its session ends; the caller closes it then. A graceful end
// comes through the Conn: its AwaitInput fails, the client is told 421, and a message that is
// coming in is still taken and answered first. When ctx ends, calls to the Delivery are given
// up; to end the session at once the caller closes the connection too.
func (s *Server) ServeConn(ctx context.Context, conn Conn) {
	c := s.newSession(conn)
	s.cfg.Observer.SessionStarted(c.client)
	defer c.close() // also when a handler of ours panics: buffers and files go back
	c.run(ctx)
}

// newSession makes a session. It is a function of its own, and stays one, for the sake of idle connections: a stack that
// holds a session while it waits for a command is over 2 KiB deep, and then takes 8 KiB instead of 4.
//
//go:noinline
func (s *Server) newSession(conn Conn) *session {
	return &session{
		server:  s,
		limits:  &s.limits,
		conn:    conn,
		client:  conn.Client(),
		id:      newID(),
		started: time.Now(),
		in:      lineconn.New(conn, &s.buffers, s.limits.WriteTimeout),
	}
}

// newID draws the 64 bits by which logs and Received headers name a session.
func newID() string {
	var b [16]byte
	const hex = "0123456789abcdef"
	n := rand.Uint64()
	for i := range b {
		b[i] = hex[n>>(60-4*i)&15]
	}
	return string(b[:])
}

// messageID names the n-th message of a session in logs and Received headers.
func messageID(session string, n int) string { return session + "." + strconv.Itoa(n) }
