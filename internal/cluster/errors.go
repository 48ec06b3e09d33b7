package cluster

import (
	"errors"
	"fmt"
)

// Kind classes the errors that cross rooms and nodes. Only front ends turn a kind into a reply.
type Kind uint8

const (
	// KindInternal: a fault of ours; temporary for the client.
	KindInternal Kind = iota
	// KindUnavailable: cannot be answered now (a node died, a view is changing, soft state is
	// incomplete); try again.
	KindUnavailable
	// KindNotFound: proven absent.
	KindNotFound
	// KindStale: the caller's epoch is older than the receiver's; it must install the newer view.
	KindStale
	// KindBehind: the receiver's epoch is older than the caller's; try again when it has caught up.
	KindBehind
	// KindFull: the node's disk is full, or it is draining; another node may have room.
	KindFull
	// KindInvalid: the request can never succeed as it is.
	KindInvalid
	// KindCorrupt: stored contents do not match their checksum.
	KindCorrupt
	// KindExists: what was to be made is there already.
	KindExists
	// KindDenied: the caller may not do that (wrong certificate, wrong password).
	KindDenied
	// KindLimit: a named limit was reached; less at once, or later.
	KindLimit
)

var kindNames = [...]string{"internal", "unavailable", "not found", "stale epoch", "behind", "full",
	"invalid", "corrupt", "exists", "denied", "limit"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is an error with a kind: the operation and its object first, the cause last.
type Error struct {
	Kind Kind
	Op   string // what was being done to what: "store put message u0@example.test"
	Err  error  // the cause; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Op + ": " + e.Kind.String()
	}
	return e.Op + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error; the format may wrap a cause with %w.
func Errorf(k Kind, op, format string, args ...any) *Error {
	return &Error{Kind: k, Op: op, Err: fmt.Errorf(format, args...)}
}

// KindOf gives the kind of the outermost Error in err's chain, KindInternal if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// IsKind reports whether err is an error of that kind.
func IsKind(err error, k Kind) bool { return err != nil && KindOf(err) == k }
