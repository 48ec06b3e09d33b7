package imap

// Delimiter stands between the levels of a folder's name.
const Delimiter = '/'

// List is LIST (RFC 9051 §6.3.9, RFC 5258) or LSUB (RFC 3501 §6.3.9).
type List struct {
	Reference string
	Patterns  []string // as UTF-8, with "%" and "*"; see CompilePattern. A single empty one asks for the delimiter
	// Several: the patterns were in parentheses, or options were given: the answer is LIST in its extended form.
	Several bool

	// Selection options (RFC 5258 §3.1, RFC 6154 §2).
	SelectSubscribed, SelectRemote, RecursiveMatch, SelectSpecialUse bool
	// Return options (RFC 5258 §3.2, RFC 5819, RFC 6154 §2).
	ReturnSubscribed, ReturnChildren, ReturnSpecialUse bool
	ReturnStatus                                       []StatusItem // nil: not asked for
}

// StatusItem is what STATUS can ask for, in capitals.
type StatusItem string

// The items of RFC 9051 §6.3.11, RFC 3501 (RECENT), RFC 7162, RFC 7889, RFC 8474 and RFC 9208.
const (
	StatusMessages       StatusItem = "MESSAGES"
	StatusRecent         StatusItem = "RECENT"
	StatusUIDNext        StatusItem = "UIDNEXT"
	StatusUIDValidity    StatusItem = "UIDVALIDITY"
	StatusUnseen         StatusItem = "UNSEEN"
	StatusDeleted        StatusItem = "DELETED"
	StatusSize           StatusItem = "SIZE"
	StatusHighestModSeq  StatusItem = "HIGHESTMODSEQ"
	StatusAppendLimit    StatusItem = "APPENDLIMIT"
	StatusMailboxID      StatusItem = "MAILBOXID"
	StatusDeletedStorage StatusItem = "DELETED-STORAGE"
)
