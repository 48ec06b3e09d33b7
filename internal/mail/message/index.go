// Package message finds out, in one pass over its octets, where everything in a message is: headers,
// parts and bodies (RFC 5322, RFC 2045, RFC 2046).
package message

// Index says where everything in a message is.
type Index struct{}
