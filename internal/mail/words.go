package mail

import (
	"errors"

	"porcupine/internal/cluster"
)

// ErrOverQuota is in the chain of an error of kind cluster.KindFull when not a disk but the
// user's mailbox is full: SMTP says 452 4.2.2 instead of 452 4.3.1.
var ErrOverQuota = errors.New("mailbox is full: delete messages or ask for a larger quota")

// ErrInUse is in the chain of an error of kind cluster.KindUnavailable when another session has
// the maildrop (RFC 1939 §4, RFC 2449 §8.1.1 "[IN-USE]").
var ErrInUse = errors.New("mailbox is in use by another session")

// Holds reports whether an update that ended with err stands: it is durable at one node at least, and
// its record brings it to the others when they can be reached (Porcupine §4.4). That is enough for a
// deletion and for a change; what is new may want more.
func Holds(err error) bool {
	var short *cluster.Shortfall
	return err == nil || errors.As(err, &short)
}

// Listed is one message in a maildrop as a session of a front end sees it.
type Listed struct {
	ID   string // MessageID.String(): the POP3 unique-id
	Size int64  // octets
}

// SCRAMKeys is what a server needs to know of a password for SCRAM-SHA-256 (RFC 5802 §3,
// RFC 7677). The password cannot be computed from it except by guessing.
type SCRAMKeys struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte // 32 bytes
	ServerKey  []byte // 32 bytes
}

// Settings are a user's own limits; zero means the cluster's default. They are part of the durable
// profile: the JSON names do not change.
type Settings struct {
	QuotaBytes    int64 `json:"quota_bytes,omitempty"`
	QuotaMessages int64 `json:"quota_messages,omitempty"`
	Spread        int   `json:"spread,omitempty"` // soft limit on the nodes that the mail is spread over
	Copies        int   `json:"copies,omitempty"` // nodes that each message lies on, at most cluster.ReplicaSetMax
}

// Mailbox is a user that exists, and what the user's manager said in the same breath.
type Mailbox struct {
	User     User
	Settings Settings
	Entry    cluster.Entry // the mail map
}
