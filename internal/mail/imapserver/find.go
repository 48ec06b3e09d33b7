package imapserver

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/message"
	"porcupine/internal/mail/search"
)

// searchWorkers is how many messages of one search are read at the same time.
const searchWorkers = 4

// hit takes one message that was found; the index is nil unless it was asked for. Messages come by UID, ascending.
type hit func(*mail.Summary, *message.Index)

// finding is one search under way.
type finding struct {
	selected   Selected
	program    *search.Program
	structures bool // hit wants the index
	hit        hit
	watch      *watch
	// turn is for opening contents: one call for mail at a time.
	turn chan struct{}
}

// candidate is a message of the present page.
type candidate struct {
	summary mail.Summary
	index   *message.Index
	verdict search.Verdict
}

// find searches the folder selected. While it does, the session watches its client: one that has gone
// ends the search, and the session (s.ended).
func (s *session) find(p *search.Program, structures bool, each hit) error {
	w := s.watch()
	defer w.end()
	x := &finding{selected: s.folder.selected, program: p, structures: structures, hit: each, watch: w, turn: make(chan struct{}, 1)}
	x.turn <- struct{}{}
	uids := p.Bound(s.folder.view.UIDs())
	var err error
	s.meanwhile(w.cancel, func() { err = x.run(uids) })
	if err != nil && s.ended == "" && w.ctx.Err() != nil && s.ctx.Err() == nil {
		err = cluster.Errorf(cluster.KindUnavailable, "search", "nothing came for %v: %w", w.timeout, err)
	}
	return err
}

// run looks at the messages, page by page.
func (x *finding) run(uids mail.UIDSet) error {
	if x.program.Stage() == search.StageSummary && !x.structures {
		return x.selected.Summaries(x.watch.ctx, uids, func(sum *mail.Summary) error {
			x.watch.progress()
			if err := x.mayJudge(sum); err != nil {
				return err
			}
			if x.program.BySummary(sum) == search.Yes {
				x.hit(sum, nil)
			}
			return nil
		})
	}
	for page := range pages(uids, fetchPage) {
		if err := x.page(page); err != nil {
			return err
		}
	}
	return nil
}

// mayJudge says whether a message can be judged by its summary. One that is away can if only what is known of it is
// asked; else the search fails: it might have been found (V2).
func (x *finding) mayJudge(sum *mail.Summary) error {
	if sum.IsAway() && (x.structures || x.program.NeedsMessage()) {
		return cluster.Errorf(cluster.KindUnavailable, "search", "UID %d lies on nodes that are away", sum.UID)
	}
	return nil
}

// page looks at one page of messages, in the three passes of package search.
func (x *finding) page(uids mail.UIDSet) error {
	list := make([]candidate, 0, fetchPage)
	var wanted mail.UIDSet
	err := x.selected.Summaries(x.watch.ctx, uids, func(sum *mail.Summary) error {
		x.watch.progress()
		if err := x.mayJudge(sum); err != nil {
			return err
		}
		v := x.program.BySummary(sum)
		if v == search.No {
			return nil
		}
		list = append(list, candidate{summary: *sum, verdict: v})
		if v == search.Open || x.structures {
			wanted.Append(sum.UID)
		}
		return nil
	})
	if err == nil && len(wanted) > 0 {
		err = x.byStructure(list, wanted)
	}
	if err == nil {
		err = x.byContents(list)
	}
	if err != nil {
		return err
	}
	for i := range list {
		if c := &list[i]; c.verdict == search.Yes && (c.index != nil || !x.structures) {
			x.hit(&c.summary, c.index)
		}
	}
	return nil
}

// byStructure is the second pass. A message that is gone meanwhile has none, and is not found.
func (x *finding) byStructure(list []candidate, wanted mail.UIDSet) error {
	r := x.program.NewReader()
	err := x.selected.Structures(x.watch.ctx, wanted, func(uid mail.UID, index *message.Index) error {
		x.watch.progress()
		i, ok := slices.BinarySearchFunc(list, uid, func(c candidate, u mail.UID) int { return int(int64(c.summary.UID) - int64(u)) })
		if !ok {
			return nil
		}
		list[i].index = index
		if list[i].verdict == search.Open {
			list[i].verdict = r.ByStructure(&list[i].summary, index)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var missing mail.UIDSet
	for i := range list {
		if wanted.Contains(list[i].summary.UID) && list[i].index == nil {
			list[i].verdict = search.No
			missing.Append(list[i].summary.UID)
		}
	}
	return x.gone(x.watch.ctx, missing)
}

// gone makes sure that messages which were not to be had are gone. One that is still there, and only cannot be
// reached, makes the search fail: it might have been found (V2).
func (x *finding) gone(ctx context.Context, uids mail.UIDSet) error {
	if len(uids) == 0 {
		return nil
	}
	return x.selected.Summaries(ctx, uids, func(sum *mail.Summary) error {
		return cluster.Errorf(cluster.KindUnavailable, "search", "UID %d cannot be reached", sum.UID)
	})
}

// byContents is the third pass: what is still open is read, as many messages together as may be read ahead.
func (x *finding) byContents(list []candidate) error {
	var pieces []backend.Piece
	var some []*candidate
	octets := int64(0)
	defer x.selected.Ahead(x.watch.ctx, nil)
	for i := range list {
		c := &list[i]
		if c.verdict != search.Open {
			continue
		}
		r := x.program.Reads(c.index)
		p := backend.Piece{UID: c.summary.UID, Offset: r.Start, Length: r.Len()}
		if p.Length > backend.PieceSizeMax { // read by itself, as are those of length 0
			p.Length = 0
		}
		if len(some) == backend.AheadPiecesMax || octets+p.Length > backend.AheadBytesMax {
			if err := x.together(some, pieces); err != nil {
				return err
			}
			some, pieces, octets = some[:0], pieces[:0], 0
		}
		some = append(some, c)
		if p.Length > 0 {
			pieces = append(pieces, p)
			octets += p.Length
		}
	}
	return x.together(some, pieces)
}

// together reads some messages: a few goroutines do, which it waits for.
func (x *finding) together(some []*candidate, pieces []backend.Piece) error {
	if len(some) == 0 {
		return nil
	}
	if len(pieces) > 1 {
		x.watch.progress()
		x.selected.Ahead(x.watch.ctx, pieces)
	}
	open := make(chan *candidate, len(some))
	for _, c := range some {
		open <- c
	}
	close(open)
	ctx, cancel := context.WithCancelCause(x.watch.ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for range min(searchWorkers, len(open)) {
		group.Go(func() {
			defer func() {
				// A panic ends one search, and not the node.
				if r := recover(); r != nil {
					cancel(cluster.Errorf(cluster.KindInternal, "search", "panic: %v\n%s", r, debug.Stack()))
				}
			}()
			r := x.program.NewReader()
			for c := range open {
				if err := x.read(ctx, r, c); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// read reads one message. One that is gone meanwhile is not found.
func (x *finding) read(ctx context.Context, r *search.Reader, c *candidate) error {
	found, err := r.ByContents(ctx, &c.summary, c.index, func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
		var body io.ReadCloser
		err := x.inTurn(ctx, func() (err error) {
			body, err = x.selected.Open(ctx, c.summary.UID, offset, length)
			return err
		})
		if err != nil {
			return nil, err
		}
		return watchedBody{body, x.watch}, nil
	})
	switch {
	case cluster.IsKind(err, cluster.KindNotFound):
		c.verdict = search.No
		return x.inTurn(ctx, func() error { return x.gone(ctx, mail.NewUIDSet(c.summary.UID)) })
	case err != nil:
		return fmt.Errorf("search UID %d: %w", c.summary.UID, err)
	case found:
		c.verdict = search.Yes
	default:
		c.verdict = search.No
	}
	return nil
}

// inTurn makes a call for mail, when no other goroutine of the search makes one.
func (x *finding) inTurn(ctx context.Context, call func() error) error {
	select {
	case <-x.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { x.turn <- struct{}{} }()
	x.watch.progress()
	return call()
}

// watchedBody tells the watch that something comes.
type watchedBody struct {
	io.ReadCloser
	watch *watch
}

func (b watchedBody) Read(p []byte) (int, error) {
	b.watch.progress()
	return b.ReadCloser.Read(p)
}

// meanwhile does something that takes long, on a goroutine of its own, which it waits for. The session waits for
// what its client does next, so that it notices one that goes away: cancel is called then, and the session ends. It tells the client now and
// then that the server is there. What the client sends stays for later, and ends the watching.
func (s *session) meanwhile(cancel func(), work func()) {
	var mu sync.Mutex
	finished := false // the watching must not begin again
	done, panicked := make(chan struct{}), any(nil)
	go func() {
		defer close(done)
		defer func() {
			panicked = recover()
			mu.Lock()
			defer mu.Unlock()
			finished = true
			// Wakes the session up; an error means that the connection is closed, and that does too.
			_ = s.conn.SetReadDeadline(time.Unix(1, 0))
		}()
		work()
	}()
	// A decompressor that met a time-out is of no more use.
	for s.read == nil && s.in.buffered() == 0 && s.ended == "" {
		s.in.forget() // BEFORE space
		mu.Lock()
		if finished {
			mu.Unlock()
			break
		}
		err := s.conn.AwaitInput(s.srv.cfg.KeepAlive)
		mu.Unlock()
		if err != nil {
			cancel()
			s.interrupted(err)
			break
		}
		began := time.Now()
		n, err := s.conn.Read(s.in.space())
		s.conn.Busy()
		switch {
		case !isTimeout(err) || n > 0 || s.conn.Interrupted():
			if !s.received(n, err) {
				cancel()
			}
		case time.Since(began) >= s.srv.cfg.KeepAlive:
			s.stillHere(cancel)
		}
	}
	<-done
	if panicked != nil {
		panic(panicked) // invariant: it is the work's own, brought to where the session is contained
	}
}

// stillHere tells a client that waits that the server is there.
func (s *session) stillHere(cancel func()) {
	s.say(imap.Reply{Kind: imap.OK, Text: "still searching"})
	if s.out.Flush() != nil {
		s.end(EndedGone)
		cancel()
	}
}
