// Package imapserver speaks IMAP4rev1 and IMAP4rev2 (RFC 3501, RFC 9051) with clients, on any node and for any user. It asks
// for the mail through Mailboxes, and keeps of a selected folder only which UIDs its client knows.
package imapserver

import "porcupine/internal/mail/imapserver/backend"

// What the front end asks for: the words of package backend, under the names that are used here.
type (
	Mailboxes  = backend.Mailboxes
	Mailbox    = backend.Mailbox
	Selected   = backend.Selected
	Folder     = backend.Folder
	Status     = backend.Status
	Append     = backend.Append
	Placed     = backend.Placed
	Changes    = backend.Changes
	FlagChange = backend.FlagChange
	FlagOp     = backend.FlagOp
	Quota      = backend.Quota
)

// What STORE does with the flags given.
const (
	FlagsReplace = backend.FlagsReplace
	FlagsAdd     = backend.FlagsAdd
	FlagsRemove  = backend.FlagsRemove
)
