package mail

// Address is a mailbox address (RFC 5321 §4.1.2, RFC 6531). The zero Address is the null
// reverse-path.
type Address struct {
	Local  string // unquoted, as given
	Domain string // as given, without a trailing dot; "[...]" for an address literal
}
