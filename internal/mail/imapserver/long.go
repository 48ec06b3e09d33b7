package imapserver

import (
	"context"
	"errors"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/imapserver/backend"
)

// stillEvery is how often the client of a command that changes much hears that the server is there, unless KeepAlive is
// less: clients give up a connection that is silent for some minutes, come again, and make the node busier.
const stillEvery = 30 * time.Second

// long calls for mail that may take long, because many messages are to be changed: for as long as it gets on (ServiceTimeout
// without any progress ends it), since what takes its time on a busy node takes it the next time too. It does so on a
// goroutine of its own, and waits for it; meanwhile it tells the client that the server is there, which may be done at any time
// (RFC 9051 §7.1). A client that cannot be told has gone: the call is given up, and the session ends. Unlike with
// meanwhile nothing is read, so what was sent before a client closed its end is done.
func (s *session) long(verb imap.Verb, call func(ctx context.Context) error) error {
	w := s.watch()
	defer w.end()
	done, panicked := make(chan struct{}), any(nil)
	var err error
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		err = call(backend.WithProgress(w.ctx, w.progress))
	}()
	s.await(done, w.cancel)
	if panicked != nil {
		panic(panicked) // invariant: it is the call's own, brought to where the session is contained
	}
	if s.ended == "" && errors.Is(err, context.Canceled) && s.ctx.Err() == nil {
		err = cluster.Errorf(cluster.KindUnavailable, string(verb), "no progress for %v: %w", w.timeout, err)
	}
	return err
}

// await waits until something is done, and tells the client now and then that the server is there.
func (s *session) await(done <-chan struct{}, cancel func()) {
	beat := time.NewTicker(min(stillEvery, s.srv.cfg.KeepAlive))
	defer beat.Stop()
	for {
		select {
		case <-done:
			return
		case <-beat.C:
		}
		if s.ended != "" {
			continue
		}
		s.say(imap.Reply{Kind: imap.OK, Text: "still working"})
		if s.out.Flush() != nil {
			s.end(EndedGone)
			cancel()
		}
	}
}

// notPlaced is the answer when messages could not be brought into a folder.
func (s *session) notPlaced(err error) imap.Reply {
	r := s.failure(err, onAppend)
	if errors.Is(err, backend.ErrLeft) {
		r.Text = "not possible now, and some of the messages may be in the folder; look before you try again"
	}
	return r
}
