package search

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"porcupine/internal/cluster"
)

// charsetMax is the longest name of a charset that is looked up.
const charsetMax = 64

// charsetOf finds a charset by any of its names. plain: it is UTF-8, or a part of it, and needs no decoding.
// Neither: nobody knows it.
func charsetOf(name string) (enc encoding.Encoding, plain bool) {
	name = strings.ToLower(strings.Trim(name, " \t\"'"))
	if len(name) > charsetMax {
		return nil, false
	}
	switch name {
	case "", "us-ascii", "ascii", "utf-8", "utf8", "unicode-1-1-utf-8", "ansi_x3.4-1968", "iso646-us":
		return nil, true
	case "gb2312", "gbk", "cp936", "ms936", "gb18030", "x-gbk", "euc-cn": // each contains the one before
		return simplifiedchinese.GB18030, false
	case "hz-gb-2312":
		return simplifiedchinese.HZGB2312, false
	case "cp932", "ms932", "shift-jis":
		return japanese.ShiftJIS, false
	case "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3", "iso-2022-jp-2004", "iso-2022-jp-ms", "cp50220", "cp50221":
		return japanese.ISO2022JP, false
	case "utf-16", "utf-16be": // without a mark it is big-endian (RFC 2781 §4.3)
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), false
	case "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), false
	case "utf-32", "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM), false
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), false
	case "utf-7", "unicode-1-1-utf-7", "csutf7":
		return utf7{}, false
	}
	// The names of the web come first: they also say what people mean who write iso-8859-1.
	if enc, err := htmlindex.Get(name); err == nil {
		if enc == encoding.Replacement {
			return nil, false
		}
		return enc, false
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil {
		return enc, false
	}
	return nil, false
}

// DecodeText turns the text of a key from the charset of its command into UTF-8. KindInvalid: the charset is not
// known, which IMAP answers with NO [BADCHARSET], or the octets are not of it. An empty name is UTF-8.
func DecodeText(charset string, octets []byte) (string, error) {
	const op = "decode search text"
	enc, plain := charsetOf(charset)
	switch {
	case plain:
		if !utf8.Valid(octets) {
			return "", cluster.Errorf(cluster.KindInvalid, op, "not valid UTF-8")
		}
		return string(octets), nil
	case enc == nil:
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
	enc, plain := charsetOf(name)
	return plain || enc != nil
}

// Charsets lists the charsets to name in BADCHARSET: not all that are known, but those that anybody needs.
func Charsets() []string { return []string{"UTF-8", "US-ASCII", "ISO-8859-1", "ISO-8859-15"} }
