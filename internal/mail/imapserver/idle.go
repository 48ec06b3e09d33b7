package imapserver

import (
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"porcupine/internal/mail/imap"
)

// idle is what a session inside IDLE (RFC 2177) shares with the workers.
type idle struct {
	on     atomic.Bool  // the client waits for news
	queued atomic.Bool  // a worker will come
	noted  atomic.Int64 // when news were noticed first, in nanoseconds since 1970; 0: there are none
}

// notice gives the function that a folder calls when it has news. It never blocks.
func (s *session) notice(f *folder) func() {
	return func() {
		f.news.Store(true)
		if !s.idle.on.Load() {
			return // the reader will ask
		}
		s.idle.noted.CompareAndSwap(0, time.Now().UnixNano())
		if s.idle.queued.CompareAndSwap(false, true) {
			s.srv.workers.add(s)
		}
	}
}

// tell is what a worker does for a session inside IDLE. Whoever has the turn instead of it, the reader or another
// worker, looks for news AFTER giving it back: so nothing that was noticed meanwhile is forgotten.
func (s *session) tell() {
	s.idle.queued.Store(false) // BEFORE looking: who notices something later comes again
	select {
	case s.turn <- struct{}{}:
	default:
		return
	}
	f := s.speak()
	<-s.turn
	s.again(f)
}

// again sends a worker if a folder has news by now. The turn was given back BEFORE.
func (s *session) again(f *folder) {
	if f != nil && f.news.Load() && s.idle.on.Load() && s.idle.queued.CompareAndSwap(false, true) {
		s.srv.workers.add(s)
	}
}

// speak tells the client all that there is, as who has the turn. It gives the folder to look at again; nil: none.
func (s *session) speak() *folder {
	defer func() {
		if r := recover(); r != nil {
			s.panicked(r)
		}
	}()
	if !s.idle.on.Load() || s.folder == nil || s.ended != "" {
		return nil
	}
	s.tellWaiting()
	s.folder.view.Rest()
	if s.out.Flush() != nil {
		s.end(EndedGone)
	}
	if s.ended != "" {
		s.conn.Interrupt() // the reader finds out why
		return nil
	}
	return s.folder
}

// panicked ends the session, and no other, after a worker panicked on it (attack 40).
func (s *session) panicked(r any) {
	s.srv.cfg.Logger.Error("imap session panicked while it was told news; its connection is closed, others go on",
		"user", string(s.user), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	s.out.Drop()
	s.end(EndedPanic)
	s.conn.Interrupt()
}

// tellWaiting tells a client inside IDLE all that there is.
func (s *session) tellWaiting() {
	for s.folder != nil && s.folder.news.Load() && s.ended == "" && !s.out.Failed() {
		noted := s.idle.noted.Swap(0)
		s.sync()
		if noted != 0 {
			s.srv.cfg.Observer.Told(time.Since(time.Unix(0, noted)))
		}
	}
}

// idling carries out IDLE (RFC 2177, RFC 9051 §6.3.13).
func (s *session) idling() imap.Reply {
	if s.in.buffered() > 0 && !s.doneIsHere() {
		// Whatever this is, it is not the DONE that must come next.
		return s.wrong("IDLE must be the last command of a group")
	}
	s.say(imap.Continue{Text: "idling"})
	if s.folder != nil {
		s.sync()
	}
	s.idle.on.Store(true) // BEFORE the last look for news, in wait
	defer s.idle.on.Store(false)
	deadline := time.Now().Add(s.srv.cfg.IdleTimeout)
	for s.ended == "" {
		line, err := s.in.line(idleLineMax)
		switch {
		case err != nil:
			s.bye(EndedProtocol, "", err.Error())
			return imap.Reply{}
		case line != nil:
			if strings.EqualFold(string(line), "DONE") {
				return done(imap.VerbIdle)
			}
			return s.wrong("DONE was expected")
		}
		s.wait(deadline)
	}
	return imap.Reply{}
}

// idleLineMax is the longest line inside IDLE, in octets: DONE.
const idleLineMax = 16

// doneIsHere reports whether what the client has sent already is DONE, or the beginning of it.
func (s *session) doneIsHere() bool {
	const done = "DONE"
	b := s.in.buffer()[s.in.r:s.in.w]
	n := min(len(b), len(done))
	return strings.EqualFold(string(b[:n]), done[:n])
}

// wait waits for input inside IDLE, while the workers have the turn. Now and then it says that the server is
// there.
func (s *session) wait(deadline time.Time) {
	s.tellWaiting()
	if s.out.Flush() != nil {
		s.end(EndedGone)
	}
	if s.ended != "" {
		return
	}
	s.rest()
	now := time.Now()
	until := deadline
	// A decompressor that met a time-out is of no more use.
	if beat := now.Add(s.srv.cfg.KeepAlive); s.read == nil && beat.Before(deadline) {
		until = beat
	}
	if err := s.conn.AwaitInput(until.Sub(now)); err != nil {
		s.interrupted(err)
		return
	}
	f := s.folder
	<-s.turn // a worker may speak now
	s.again(f)
	n, err := s.receive()
	s.turn <- struct{}{}
	s.conn.Busy()
	if s.ended != "" {
		return // a worker ended it
	}
	if isTimeout(err) && n == 0 && until.Before(deadline) && !s.conn.Interrupted() {
		s.say(imap.Reply{Kind: imap.OK, Text: "still here"})
		return
	}
	s.received(n, err)
}
