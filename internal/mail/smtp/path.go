package smtp

import (
	"errors"
	"strings"

	"porcupine/internal/mail"
)

// pathMax bounds a path with its source route and brackets: 256 octets (RFC 5321 §4.5.3.1.3) for
// the mailbox, as much again for a route that is thrown away.
const pathMax = 512

// ParseReversePath reads the path of MAIL off the front of s (RFC 5321 §4.1.2): "<>" gives the
// zero Address. A source route is checked and dropped, as §3.6.1 and appendix C permit. rest is
// what follows the path. Of a sender more is taken than of a recipient (mail.ParseSender): nothing is sent to it from here,
// and mail that is refused for it is lost to its recipient.
func ParseReversePath(s string) (a mail.Address, rest string, err error) {
	if r, ok := strings.CutPrefix(s, "<>"); ok {
		return mail.Address{}, r, nil
	}
	a, rest, err = parsePath(s, mail.ParseSender)
	if err != nil {
		return mail.Address{}, "", syntaxError(ReplySender, "reverse-path: %w", err)
	}
	return a, rest, nil
}

// ParseForwardPath reads the path of RCPT off the front of s. "<postmaster>", in any case, is the
// one recipient that needs no domain (RFC 5321 §4.1.1.3): its Address has none.
func ParseForwardPath(s string) (a mail.Address, rest string, err error) {
	const bare = "<postmaster>"
	if len(s) >= len(bare) && strings.EqualFold(s[:len(bare)], bare) {
		return mail.Address{Local: "postmaster"}, s[len(bare):], nil
	}
	a, rest, err = parsePath(s, mail.ParseAddress)
	if err != nil {
		return mail.Address{}, "", syntaxError(ReplyRecipient, "forward-path: %w", err)
	}
	return a, rest, nil
}

func parsePath(s string, parse func(string) (mail.Address, error)) (a mail.Address, rest string, err error) {
	inner, rest, err := cutPath(s)
	if err != nil {
		return a, "", err
	}
	if strings.HasPrefix(inner, "@") {
		if inner, err = cutRoute(inner); err != nil {
			return a, "", err
		}
	}
	a, err = parse(inner)
	return a, rest, err
}

// cutPath finds the bracket that ends the path, which is not one inside a quoted string.
func cutPath(s string) (inner, rest string, err error) {
	if !strings.HasPrefix(s, "<") {
		return "", "", errors.New("no < before the address")
	}
	quoted := false
	for i := 1; i < len(s) && i < pathMax; i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && c == '>':
			return s[1:i], s[i+1:], nil
		case !quoted && (c == ' ' || c == '<'):
			return "", "", errors.New("space or < inside the address")
		}
	}
	return "", "", errors.New("no > after the address")
}

// cutRoute takes an A-d-l and its colon off: "@a,@b:user@c".
func cutRoute(s string) (string, error) {
	// The domains of a route hold no colon: an address literal there was never in use.
	route, mailbox, ok := strings.Cut(s, ":")
	if !ok {
		return "", errors.New("source route without a colon")
	}
	for hop := range strings.SplitSeq(route, ",") {
		domain, ok := strings.CutPrefix(hop, "@")
		if !ok {
			return "", errors.New("source route with a part that has no @")
		}
		if _, err := mail.CanonicalDomain(domain); err != nil || strings.HasPrefix(domain, "[") {
			return "", errors.New("source route with a bad domain")
		}
	}
	return mailbox, nil
}
