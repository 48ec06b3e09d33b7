package smtpserver

import (
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/smtp"
)

// Observer hears what sessions do, for metrics. Its methods are called on the session's
// goroutine, from many of them at once, and must return at once.
type Observer interface {
	// SessionStarted: a connection was taken.
	SessionStarted(c mail.Client)
	// Command: a command was answered, at last with code, after d. For DATA, BDAT and AUTH d
	// includes what the client sent after the command.
	Command(c mail.Client, verb smtp.Verb, code int, d time.Duration)
	// Message: a message was answered.
	Message(c mail.Client, m Message)
	// SessionEnded: the connection is closed.
	SessionEnded(c mail.Client, s SessionStats)
}

// Message is what an Observer hears about one message.
type Message struct {
	Code       int           // of the reply; for LMTP the highest
	Recipients int           // of its envelope
	Bytes      int64         // as the client sent it
	Receive    time.Duration // from DATA or the first BDAT to the last byte
	Deliver    time.Duration // in Delivery.Deliver; 0 if it was refused before
}

// SessionStats is what an Observer hears about a whole session.
type SessionStats struct {
	Duration time.Duration
	Messages int // accepted
	Commands int
	Bad      int // commands refused for syntax or order
	// End is why it ended: "quit", "closed" by the client, "timeout", "shutdown", "protocol"
	// (bytes that are refused with the connection), "limit" (a budget is used up), "busy"
	// (no room for another message), "error".
	End string
}

// nobody is the Observer that does not look.
type nobody struct{}

var _ Observer = nobody{}

func (nobody) SessionStarted(mail.Client)                         {}
func (nobody) Command(mail.Client, smtp.Verb, int, time.Duration) {}
func (nobody) Message(mail.Client, Message)                       {}
func (nobody) SessionEnded(mail.Client, SessionStats)             {}
