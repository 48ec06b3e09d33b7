package smtp

import (
	"net/netip"
	"time"

	"porcupine/internal/mail"
)

// Received is the trace field that a server adds to a message it takes (RFC 5321 §4.4).
type Received struct {
	Hello  string     // as ParseHello gave it
	Remote netip.Addr // where the connection came from; invalid: not known
	By     string     // our host name
	ID     string
	For    mail.Address // the recipient, if there is one alone; zero: left out
	Time   time.Time

	LMTP     bool
	Extended bool // EHLO, not HELO
	UTF8     bool // SMTPUTF8
	TLS      bool
	Auth     bool
	// TLSDetail says version and cipher, for a comment: "TLS 1.3 TLS_AES_128_GCM_SHA256".
	TLSDetail string
}

// Append writes the field with its line ends.
func (r *Received) Append(dst []byte) []byte {
	dst = append(dst, "Received: from "...)
	dst = append(dst, r.Hello...)
	if r.Remote.IsValid() {
		dst = append(dst, " (["...)
		remote := r.Remote.Unmap().WithZone("")
		if remote.Is6() {
			dst = append(dst, "IPv6:"...)
		}
		dst = append(remote.AppendTo(dst), "])"...)
	}
	dst = append(dst, "\r\n\tby "...)
	dst = append(dst, r.By...)
	dst = append(dst, " with "...)
	dst = append(dst, r.With()...)
	if r.TLSDetail != "" {
		dst = append(append(append(dst, " ("...), r.TLSDetail...), ')')
	}
	dst = append(append(dst, "\r\n\tid "...), r.ID...)
	if !r.For.IsZero() {
		dst = append(append(append(dst, "\r\n\tfor <"...), r.For.String()...), '>')
	}
	dst = append(dst, ";\r\n\t"...)
	dst = r.Time.AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 -0700")
	return append(dst, '\r', '\n')
}

// With gives the protocol's registered name (RFC 3848, RFC 6531 §4.3).
func (r *Received) With() string {
	name := "SMTP"
	switch {
	case r.LMTP && r.UTF8:
		name = "UTF8LMTP"
	case r.LMTP:
		name = "LMTP"
	case r.UTF8:
		name = "UTF8SMTP"
	case r.Extended:
		name = "ESMTP"
	default:
		return name // plain SMTP has no variants
	}
	if r.TLS {
		name += "S"
	}
	if r.Auth {
		name += "A"
	}
	return name
}

// AppendReturnPath writes the Return-Path field that final delivery adds (RFC 5321 §4.4).
func AppendReturnPath(dst []byte, from mail.Address) []byte {
	dst = append(dst, "Return-Path: <"...)
	dst = append(dst, from.String()...)
	return append(dst, ">\r\n"...)
}
