package imap

import "fmt"

// SyntaxError is what is wrong with a command: answer "TAG BAD Text", with "*" for an empty tag. Both are safe
// to send as they are: they have no line ends.
type SyntaxError struct {
	Tag  string // "": none could be read
	Verb Verb   // "": none could be read, or it is not known
	Text string
	// TooLarge: a limit was reached and not the grammar violated: [TOOBIG] for a message, [LIMIT] otherwise.
	TooLarge bool
	// Close: octets follow that cannot be told from commands. Answer BYE, and read no more.
	Close bool
}

func (e *SyntaxError) Error() string {
	if e.Verb == "" {
		return e.Text
	}
	return fmt.Sprintf("%s: %s", e.Verb, e.Text)
}
