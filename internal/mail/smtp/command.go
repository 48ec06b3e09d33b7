package smtp

// Verb is a command's name.
type Verb uint8

// The verbs. Unknown is every other word; HTTP is a word that begins a request of a web browser.
const (
	Unknown Verb = iota
	HTTP
	HELO
	EHLO
	LHLO
	STARTTLS
	AUTH
	MAIL
	RCPT
	DATA
	BDAT
	RSET
	NOOP
	QUIT
	VRFY
	EXPN
	HELP
	verbCount
)
