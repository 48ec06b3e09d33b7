package transport

import (
	"errors"

	"porcupine/internal/cluster"
)

// RemoteError is an error that the peer answered with. It is the cause inside the cluster.Error
// that Call returns.
type RemoteError struct {
	Kind  cluster.Kind
	Text  string        // as the peer put it, at most ErrorTextMax bytes
	Stamp cluster.Stamp // the peer's, at the time of the answer
}

func (e *RemoteError) Error() string { return e.Text }

// AnswererStamp gives the stamp of the node that answered with err, if err is an answer. With
// KindStale and KindBehind its Epoch says which view the two nodes disagree on.
func AnswererStamp(err error) (cluster.Stamp, bool) {
	var e *RemoteError
	if !errors.As(err, &e) {
		return cluster.Stamp{}, false
	}
	return e.Stamp, true
}

// unreachableError marks a failure to get any answer from the peer.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// Unreachable reports whether err says that the peer gave no answer: refused, reset, not the node
// asked for, or silent until the deadline. The membership core suspects such a peer. It is false
// for an error that the peer answered with and for a call that the caller itself cancelled.
func Unreachable(err error) bool {
	var e *unreachableError
	return errors.As(err, &e)
}

// unreachable makes the error of a call without an answer.
func unreachable(op string, err error) error {
	return &cluster.Error{Kind: cluster.KindUnavailable, Op: op, Err: &unreachableError{err}}
}
