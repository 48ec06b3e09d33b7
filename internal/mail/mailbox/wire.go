package mailbox

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// methodLock is how a session's node asks a user's manager.
const methodLock = "mail.maildrop.lock"

// A question is one octet, what to do; 16 octets, the session; and the user. The asking node is
// who the substrate says it is. An answer is one octet, the outcome, and if that is granted
// the term: bucket epoch and Since, each a counter and a node of 8 octets, big-endian.
const (
	doAcquire byte = iota // a new session
	doAssert              // a session that had the lock
	doRelease
)

const (
	questionHeader = 1 + 16
	termLength     = 4 * 8
)

// errNotYet says that the same question may be granted in a moment.
var errNotYet = errors.New("not yet: the mailbox has just moved to another manager")

// serve answers at the manager.
func (l *Locks) serve(_ context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
	if len(payload) <= questionHeader || len(payload) > questionHeader+cluster.OwnerLengthMax {
		return nil, cluster.Errorf(cluster.KindInvalid, "decode lock question", "%d octets", len(payload))
	}
	do, u := payload[0], mail.User(payload[questionHeader:])
	var s sessionID
	copy(s[:], payload[1:])
	b := l.cfg.ClusterID.BucketOf(string(u))

	l.mu.Lock()
	defer l.mu.Unlock()
	// The view is read under the table's lock, so the table never acts on an older one after a newer.
	v := l.cluster.View()
	if int(b) >= len(v.Map) || v.Manager(b) != l.cluster.ID() {
		return []byte{byte(foreign)}, nil
	}
	if do == doRelease {
		l.table.release(u, s)
		return []byte{byte(granted)}, nil
	}
	o, t := l.table.acquire(v, l.cfg.Now(), u, b, s, from, do == doAssert)
	answer := []byte{byte(o)}
	if o == granted {
		for _, e := range [...]cluster.Epoch{t.bucket, t.since} {
			answer = binary.BigEndian.AppendUint64(answer, e.Counter)
			answer = binary.BigEndian.AppendUint64(answer, uint64(e.Coordinator))
		}
	}
	return answer, nil
}

// ask asks the manager for the lock, one question of a session at a time.
func (s *Lock) ask(ctx context.Context, assert bool) error {
	op := "lock mailbox " + string(s.user)
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return cluster.Errorf(cluster.KindUnavailable, op, "%w", context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	do := doAcquire
	if assert {
		do = doAssert
	}
	asked := time.Now()
	answer, err := s.locks.cluster.Ask(ctx, string(s.user), methodLock, s.question(do))
	if err != nil {
		return cluster.Errorf(cluster.KindUnavailable, op, "%w", err)
	}
	if len(answer) == 0 {
		return cluster.Errorf(cluster.KindInternal, op, "answer is empty")
	}
	switch outcome(answer[0]) {
	case granted:
		t, err := parseTerm(answer[1:])
		if err != nil {
			return cluster.Errorf(cluster.KindInternal, op, "%w", err)
		}
		s.granted(t, asked)
		return nil
	case inUse:
		return cluster.Errorf(cluster.KindUnavailable, op, "%w", mail.ErrInUse)
	case early, foreign:
		return cluster.Errorf(cluster.KindUnavailable, op, "%w", errNotYet)
	case full:
		return cluster.Errorf(cluster.KindLimit, op, "its manager holds as many locks as it may")
	}
	return cluster.Errorf(cluster.KindInternal, op, "answer %d is unknown", answer[0])
}

// release tells the manager that the session has ended.
func (s *Lock) release(ctx context.Context) error {
	_, err := s.locks.cluster.Ask(ctx, string(s.user), methodLock, s.question(doRelease))
	if err != nil {
		return cluster.Errorf(cluster.KindUnavailable, "release lock of mailbox "+string(s.user), "%w (its lease will run out)", err)
	}
	return nil
}

func (s *Lock) question(do byte) []byte {
	q := make([]byte, 0, questionHeader+len(s.user))
	q = append(q, do)
	q = append(q, s.session[:]...)
	return append(q, s.user...)
}

func parseTerm(b []byte) (term, error) {
	if len(b) != termLength {
		return term{}, errors.New("term has the wrong length")
	}
	epoch := func(b []byte) cluster.Epoch {
		return cluster.Epoch{Counter: binary.BigEndian.Uint64(b), Coordinator: cluster.NodeID(binary.BigEndian.Uint64(b[8:]))}
	}
	return term{bucket: epoch(b), since: epoch(b[16:])}, nil
}
