package mailbox

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Lock is a session's hold on a maildrop. A goroutine of its own renews it until Close.
type Lock struct {
	locks   *Locks
	user    mail.User
	bucket  cluster.Bucket
	session sessionID

	wake chan struct{} // a new view: look whether the term still holds
	lost chan struct{} // closed when the lock is lost
	stop context.CancelFunc
	ctx  context.Context // ends at Close: the lifetime of keep
	done chan struct{}   // closed when keep has ended

	asking chan struct{} // one element while a question is on its way: one at a time

	mu     sync.Mutex
	term   term      // of the last grant
	until  time.Time // when the session's lease ends; zero: never granted
	isLost bool
}

func newLock(l *Locks, u mail.User) *Lock {
	s := &Lock{
		locks:  l,
		user:   u,
		bucket: l.cfg.ClusterID.BucketOf(string(u)),
		wake:   make(chan struct{}, 1),
		lost:   make(chan struct{}),
		done:   make(chan struct{}),
		asking: make(chan struct{}, 1),
	}
	rand.Read(s.session[:]) // never fails (crypto/rand)
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Lost is closed when the session has lost its lock: it must end without changing the maildrop.
func (s *Lock) Lost() <-chan struct{} { return s.lost }

// holds reports whether the session holds the lock at this moment (package comment, 1).
func (s *Lock) holds() bool {
	current, ok := termOf(s.locks.cluster.View(), s.bucket, s.locks.cluster.ID())
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok && !s.isLost && current == s.term && time.Now().Before(s.until)
}

// Confirm makes sure that the session holds the lock now, and asserts it at the manager if it
// must. Call it before what cannot be undone. KindUnavailable: it is lost (mail.ErrInUse if
// another session has it), or cannot be confirmed now.
func (s *Lock) Confirm(ctx context.Context) error {
	for !s.holds() {
		if s.hasExpired() {
			s.lose() // another session may have come and gone
		}
		if s.wasLost() {
			return cluster.Errorf(cluster.KindUnavailable, "confirm lock of mailbox "+string(s.user), "the session has lost it: %w", mail.ErrInUse)
		}
		err := s.ask(ctx, true)
		if errors.Is(err, mail.ErrInUse) {
			s.lose()
			return err
		}
		if err == nil && s.holds() {
			return nil
		}
		if err != nil && !errors.Is(err, errNotYet) {
			return err
		}
		if err := pause(ctx, retryPause); err != nil {
			return cluster.Errorf(cluster.KindUnavailable, "confirm lock of mailbox "+string(s.user), "%w", err)
		}
	}
	return nil
}

// Close ends the hold and tells the manager, so that the next session need not wait. If the
// manager cannot be told, the lease runs out. Close may be called more than once.
func (s *Lock) Close() error {
	s.stop()
	<-s.done
	s.locks.mu.Lock()
	_, open := s.locks.sessions[s]
	delete(s.locks.sessions, s)
	s.locks.mu.Unlock()
	if !open || s.wasLost() {
		return nil
	}
	s.lose() // no holding on while the manager gives it to the next
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	return s.release(ctx)
}

func (s *Lock) wasLost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isLost
}

func (s *Lock) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isLost {
		s.isLost = true
		close(s.lost)
	}
}

// giveUp ends an Acquire that failed. A grant may have been given under a term that does not
// count here, or its answer may have been lost: it is released.
func (s *Lock) giveUp(ctx context.Context) {
	s.stop()
	s.lose()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	// The lease ends what this cannot.
	_ = s.release(ctx)
}

// keep renews the lock until Close, or until it is lost.
func (s *Lock) keep() {
	defer close(s.done)
	timer := time.NewTimer(s.locks.cfg.Lease / renewals)
	defer timer.Stop()
	for {
		next := s.locks.cfg.Lease / renewals
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
			if s.holds() {
				continue // the new view changes nothing for this session
			}
		case <-timer.C:
		}
		if s.hasExpired() { // slept too long: another session may have come and gone
			s.lose()
			return
		}
		err := s.ask(s.ctx, true)
		switch {
		case s.ctx.Err() != nil:
			return
		case errors.Is(err, mail.ErrInUse), s.hasExpired():
			s.lose()
			return
		case err != nil || !s.holds():
			next = min(next, 2*retryPause)
		}
		timer.Reset(next)
	}
}

// hasExpired reports whether the lease has run out, by this session's clock.
func (s *Lock) hasExpired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !time.Now().Before(s.until)
}

// granted notes a lock given for a question that was sent at that time.
func (s *Lock) granted(t term, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lease := s.locks.cfg.Lease
	s.term, s.until = t, asked.Add(lease-lease/leaseMargin)
}
