package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
// for an error that the peer answered with, for a call that the caller itself cancelled, and for one
// that the caller had no time left for.
func Unreachable(err error) bool {
	var e *unreachableError
	return errors.As(err, &e)
}

// unreachable makes the error of a call without an answer.
func unreachable(op string, err error) error {
	return &cluster.Error{Kind: cluster.KindUnavailable, Op: op, Err: &unreachableError{err}}
}

// expired makes the error of a call whose context was over before anything was sent.
func expired(ctx context.Context, op string) error {
	return &cluster.Error{Kind: cluster.KindUnavailable, Op: op, Err: fmt.Errorf("not sent: %w", ctx.Err())}
}

// opName names a call in errors.
func opName(to cluster.Endpoint, method string) string {
	if to.ID == cluster.NoNode {
		return fmt.Sprintf("call %s at %s", method, to.Addr)
	}
	return fmt.Sprintf("call %s at node %s (%s)", method, to.ID, to.Addr)
}

// failureOf is an error as it crosses: its kind and its text.
func failureOf(err error) *RemoteError {
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) > ErrorTextMax {
		text = text[:ErrorTextMax]
		for !utf8.ValidString(text) { // cut within a character
			text = text[:len(text)-1]
		}
	}
	return &RemoteError{Kind: cluster.KindOf(err), Text: text}
}

// answered makes the error of a call that the peer answered with a failure.
func answered(op string, failure *RemoteError, stamp cluster.Stamp) error {
	e := *failure
	e.Stamp = stamp
	return &cluster.Error{Kind: e.Kind, Op: op, Err: &e}
}

// rpcError makes the error of a call that gRPC says has failed. ctx is the caller's own.
func rpcError(ctx context.Context, op string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &cluster.Error{Kind: cluster.KindUnavailable, Op: op, Err: context.Canceled}
	}
	st := status.Convert(err)
	switch st.Code() {
	case codes.ResourceExhausted: // our own limits, told by gRPC
		return cluster.Errorf(cluster.KindLimit, op, "%s", st.Message())
	case codes.Unimplemented, codes.InvalidArgument:
		return cluster.Errorf(cluster.KindInvalid, op, "the peer does not understand: %s", st.Message())
	case codes.Internal:
		// gRPC's word for a frame that it or our codec could not read, and for a stream that was
		// broken off: nothing was answered.
		return unreachable(op, errors.New(st.Message()))
	case codes.DeadlineExceeded:
		return unreachable(op, fmt.Errorf("no answer in time: %w", context.DeadlineExceeded))
	default:
		return unreachable(op, errors.New(st.Message()))
	}
}
