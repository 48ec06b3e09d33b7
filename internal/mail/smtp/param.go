package smtp

import (
	"strings"

	"porcupine/internal/mail"
)

// Limits of parameters.
const (
	paramsMax = 16  // of one command
	envIDMax  = 100 // RFC 3461 §4.4, octets as sent
	orcptMax  = 500 // RFC 3461 §4.2, octets as sent
)

// Mail is a MAIL command.
type Mail struct {
	From mail.Address // zero: the null reverse-path
	Size int64        // SIZE (RFC 1870); -1: not declared
	Bit8 bool         // BODY=8BITMIME (RFC 6152)
	UTF8 bool         // SMTPUTF8 (RFC 6531)
	Auth string       // AUTH (RFC 4954 §5), decoded; "": not given
	Ret  string       // RET (RFC 3461 §4.3): "FULL", "HDRS" or ""
	// EnvID is ENVID (RFC 3461 §4.4), decoded; printable ASCII.
	EnvID string
}

// Rcpt is a RCPT command.
type Rcpt struct {
	To     mail.Address
	Notify Notify // NOTIFY (RFC 3461 §4.1)
	// ORcptType and ORcpt are ORCPT (RFC 3461 §4.2, RFC 6533 §3): its type in lower case, and the
	// address, decoded but for a utf-8 one.
	ORcptType, ORcpt string
}

// Notify is a set of the conditions under which a sender wants to be told. Zero: not said.
type Notify uint8

// The conditions.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// ParseMail reads the argument of MAIL: "FROM:<path> parameters". A space after the colon, which
// RFC 5321 does not permit and many clients send, is taken.
func ParseMail(arg string) (Mail, error) {
	m := Mail{Size: -1}
	path, ok := cutPrefixFold(arg, "FROM:")
	if !ok {
		return m, syntaxError(ReplySender, "MAIL without FROM:")
	}
	from, rest, err := ParseReversePath(strings.TrimLeft(path, " "))
	if err != nil {
		return m, err
	}
	m.From = from
	if err := eachParam(rest, m.param); err != nil {
		return m, err
	}
	if !m.UTF8 && !from.IsASCII() {
		return m, syntaxError(ReplyNeedUTF8, "non-ASCII sender without SMTPUTF8")
	}
	return m, nil
}

func (m *Mail) param(key, value string, hasValue bool) error {
	ok := hasValue
	switch key {
	case "SIZE":
		if ok {
			m.Size, ok = parseSize(value)
		}
	case "BODY":
		m.Bit8 = strings.EqualFold(value, "8BITMIME")
		ok = m.Bit8 || strings.EqualFold(value, "7BIT")
	case "SMTPUTF8":
		m.UTF8, ok = true, !hasValue
	case "AUTH":
		m.Auth, ok = parseAuthParam(value)
	case "RET":
		m.Ret = strings.ToUpper(value)
		ok = m.Ret == "FULL" || m.Ret == "HDRS"
	case "ENVID":
		m.EnvID, ok = parsePrintable(value, envIDMax)
	default:
		return syntaxError(ReplyUnknown, "MAIL parameter %q", key)
	}
	if !ok {
		return syntaxError(ReplyParameter, "MAIL parameter %s", key)
	}
	return nil
}

// parseAuthParam reads "<>" or a mailbox as xtext (RFC 4954 §5). It is checked, not believed.
func parseAuthParam(value string) (string, bool) {
	s, err := DecodeXtext(value)
	if err != nil {
		return "", false
	}
	if s == "<>" {
		return s, true
	}
	_, err = mail.ParseAddress(s)
	return s, err == nil
}

func parsePrintable(value string, most int) (string, bool) {
	s, err := DecodeXtext(value)
	if err != nil || value == "" || len(value) > most {
		return "", false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return "", false
		}
	}
	return s, true
}

// ParseRcpt reads the argument of RCPT: "TO:<path> parameters". utf8 says that MAIL had SMTPUTF8.
func ParseRcpt(arg string, utf8 bool) (Rcpt, error) {
	var r Rcpt
	path, ok := cutPrefixFold(arg, "TO:")
	if !ok {
		return r, syntaxError(ReplyRecipient, "RCPT without TO:")
	}
	to, rest, err := ParseForwardPath(strings.TrimLeft(path, " "))
	if err != nil {
		return r, err
	}
	r.To = to
	if err := eachParam(rest, r.param); err != nil {
		return r, err
	}
	if !utf8 && !to.IsASCII() {
		return r, syntaxError(ReplyNeedUTF8, "non-ASCII recipient without SMTPUTF8")
	}
	return r, nil
}

func (r *Rcpt) param(key, value string, hasValue bool) error {
	ok := false
	switch key {
	case "NOTIFY":
		r.Notify, ok = parseNotify(value)
	case "ORCPT":
		r.ORcptType, r.ORcpt, ok = parseORcpt(value)
	default:
		return syntaxError(ReplyUnknown, "RCPT parameter %q", key)
	}
	if !ok || !hasValue {
		return syntaxError(ReplyParameter, "RCPT parameter %s", key)
	}
	return nil
}

func parseNotify(value string) (n Notify, ok bool) {
	for word := range strings.SplitSeq(value, ",") {
		var one Notify
		switch strings.ToUpper(word) {
		case "NEVER":
			one = NotifyNever
		case "SUCCESS":
			one = NotifySuccess
		case "FAILURE":
			one = NotifyFailure
		case "DELAY":
			one = NotifyDelay
		default:
			return 0, false
		}
		if n&one != 0 {
			return 0, false
		}
		n |= one
	}
	return n, n&NotifyNever == 0 || n == NotifyNever
}

func parseORcpt(value string) (kind, address string, ok bool) {
	kind, text, ok := strings.Cut(value, ";")
	if !ok || kind == "" || len(value) > orcptMax {
		return "", "", false
	}
	for i := range len(kind) {
		if !isAlnum(kind[i]) && kind[i] != '-' {
			return "", "", false
		}
	}
	kind = strings.ToLower(kind)
	if kind == "utf-8" { // RFC 6533 §3: an encoding of its own, kept as it is
		return kind, text, text != ""
	}
	address, ok = parsePrintable(text, orcptMax)
	return kind, address, ok
}

// eachParam calls f for each esmtp-param in s (RFC 5321 §4.1.2), with its keyword in upper case.
// A keyword may come once.
func eachParam(s string, f func(key, value string, hasValue bool) error) error {
	if s != "" && s[0] != ' ' {
		return syntaxError(ReplyArgument, "no space after the path")
	}
	var seen [paramsMax]string
	n := 0
	for word := range strings.FieldsSeq(s) {
		key, value, hasValue := strings.Cut(word, "=")
		key = strings.ToUpper(key)
		if !isKeyword(key) || hasValue && (value == "" || strings.Contains(value, "=")) {
			return syntaxError(ReplyParameter, "parameter %d is not of the form KEY=VALUE", n+1)
		}
		if n == paramsMax {
			return syntaxError(ReplyParameter, "more than %d parameters", paramsMax)
		}
		for _, k := range seen[:n] {
			if k == key {
				return syntaxError(ReplyParameter, "parameter %s twice", key)
			}
		}
		seen[n] = key
		n++
		if err := f(key, value, hasValue); err != nil {
			return err
		}
	}
	return nil
}

func isKeyword(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && (s[i] != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
