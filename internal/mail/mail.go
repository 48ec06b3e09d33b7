package mail

import (
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"time"

	"porcupine/internal/cluster"
)

// The object types of the mail service. A message's owner is its User; a user profile, an alias
// and a domain are owned by their own canonical name and have the empty id.
const (
	TypeMessage cluster.ObjectType = "message"
	TypeUser    cluster.ObjectType = "user"
	TypeAlias   cluster.ObjectType = "alias"
	TypeDomain  cluster.ObjectType = "domain"
	// TypeFolders is the tree of a user's folders (package folders), one object a user, of the empty id.
	TypeFolders cluster.ObjectType = "folders"
	// TypeLedger is which UIDs a user's messages have, and their flags (package uidledger).
	TypeLedger cluster.ObjectType = "ledger"
)

// Types lists the object types that need no more than words; package objects has all of them.
func Types() []cluster.TypeSpec {
	return []cluster.TypeSpec{
		{Name: TypeMessage, Vault: true},
		{Name: TypeUser, Cached: true},
		{Name: TypeAlias, Cached: true},
		{Name: TypeDomain, Cached: true},
	}
}

// User names a mailbox: its canonical address, for example "u0@example.test". It is the owner
// of the user's objects.
type User string

// MessageID is a message's identity for ever: 128 random bits drawn at acceptance. It is the
// POP3 unique id (RFC 1939 §7) and the IMAP EMAILID (RFC 8474 §4).
type MessageID [16]byte

// NewMessageID draws an id.
func NewMessageID() (id MessageID) {
	rand.Read(id[:]) // never fails (crypto/rand)
	return id
}

// String gives 32 hexadecimal digits: the unique-id of POP3, within its 70 characters.
func (id MessageID) String() string { return hex.EncodeToString(id[:]) }

// Recipient is one RCPT that was verified: the address the client gave and the mailboxes that
// it means (one, or several for an alias).
type Recipient struct {
	Address Address
	Users   []User
}

// Envelope is what SMTP says of a message beside its contents.
type Envelope struct {
	From       Address // zero: the null reverse-path <>
	Recipients []Recipient
	Received   time.Time
}

// Client says who is on the other end of a front end's connection; for logs and for limits.
type Client struct {
	Service string // "smtp", "lmtp", "submission", "pop3", "imap"
	Remote  netip.Addr
	TLS     bool
	// Exporter is the channel binding of the TLS connection, of type tls-exporter (RFC 9266): 32 octets. Empty:
	// there is none, as without TLS 1.3.
	Exporter string
}
