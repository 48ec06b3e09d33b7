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
