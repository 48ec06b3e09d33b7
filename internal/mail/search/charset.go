package search

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"

	"porcupine/internal/cluster"
)

// charsetMax is the longest name of a charset that is looked up.
const charsetMax = 64

// isPlain reports whether a charset is UTF-8, or a part of it: folding reads that as it is.
func isPlain(charset string) bool {
	switch charset {
	case "", "us-ascii", "ascii", "utf-8", "utf8", "ansi_x3.4-1968", "iso646-us":
		return true
	}
	return false
}

// charsetOf finds the charset of a search key; nil: nobody knows it. Names mean what they mean in messages (message.Part.Text).
func charsetOf(name string) encoding.Encoding {
	if len(name) > charsetMax {
		return nil
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil {
		return enc
	}
	return nil
}

// DecodeText turns the text of a key from the charset of its command into UTF-8. KindInvalid: the charset is not
// known, which IMAP answers with NO [BADCHARSET] (see KnownCharset), or the octets are not of it. An empty name is UTF-8.
func DecodeText(charset string, octets []byte) (string, error) {
	const op = "decode search text"
	name := strings.ToLower(charset)
	if isPlain(name) {
		if !utf8.Valid(octets) {
			return "", cluster.Errorf(cluster.KindInvalid, op, "not valid UTF-8")
		}
		return string(octets), nil
	}
	enc := charsetOf(name)
	if enc == nil {
		return "", cluster.Errorf(cluster.KindInvalid, op, "charset %.64q is not known", charset)
	}
	text, err := enc.NewDecoder().Bytes(octets)
	if err != nil {
		return "", cluster.Errorf(cluster.KindInvalid, op, "not valid %s: %w", charset, err)
	}
	return string(text), nil
}

// KnownCharset reports whether the texts of a SEARCH, SORT or THREAD can be in a charset.
func KnownCharset(name string) bool {
	name = strings.ToLower(name)
	return isPlain(name) || charsetOf(name) != nil
}

// Charsets lists the charsets to name in BADCHARSET: not all that are known, but those that anybody needs.
func Charsets() []string { return []string{"UTF-8", "US-ASCII", "ISO-8859-1", "ISO-8859-15"} }
