package message

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	previewPartsMax = 4        // parts that are tried
	previewReadMax  = 64 << 10 // octets of a part that are read
	previewTextMax  = 16 << 10 // octets of text in them that are looked at
	previewFirst    = 1 << 10  // octets that are looked at first: mostly enough
)

// preview reads the beginning of the first part that has text (RFC 8970 §3.1).
func (b *builder) preview(r io.ReaderAt) (string, error) {
	tried := 0
	for p := range b.index.Root.All() {
		if !p.IsText() || p.IsAttachment() || p.Subtype != "plain" && p.Subtype != "html" {
			continue
		}
		if tried++; tried > previewPartsMax {
			break
		}
		if s, ok := p.quickPreview(r); ok && s != "" {
			return s, nil
		} else if ok {
			continue
		}
		body := io.NewSectionReader(r, p.Body.Start, min(p.Body.Len(), previewReadMax))
		var text bytes.Buffer
		text.Grow(int(min(p.Body.Len(), previewTextMax)) + bytes.MinRead)
		if _, err := text.ReadFrom(io.LimitReader(p.Text(body), previewTextMax)); err != nil {
			return "", fmt.Errorf("read the part at octet %d: %w", p.Body.Start, err)
		}
		if s := previewOf(strings.ToValidUTF8(text.String(), ""), p.Subtype == "html"); s != "" {
			return s, nil
		}
	}
	return "", nil
}

// quickPreview is the preview of a plain text that is short or begins with enough, and is ASCII: the same as the long way's, for
// much less, since this is done for every message that is stored. It is false if that cannot be said.
func (p *Part) quickPreview(r io.ReaderAt) (string, bool) {
	if p.Subtype != "plain" || !extendsASCII(p.Charset()) {
		return "", false
	}
	text, err := p.Decode(io.NewSectionReader(r, p.Body.Start, min(p.Body.Len(), previewReadMax)))
	if err != nil {
		return "", false
	}
	var first [previewFirst]byte
	n, err := io.ReadFull(text, first[:])
	switch {
	case !isASCII(first[:n]):
		return "", false
	case err == nil:
		return firstCharacters(ownLines(string(first[:n])))
	}
	// It is short. Any other error is for the long way to tell.
	return previewOf(string(first[:n]), false), errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// extendsASCII reports that every octet below 128 of a charset is ASCII, wherever it stands. Charsets that are rare need
// not be among them.
func extendsASCII(charset string) bool {
	for _, known := range [...]string{"", "utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252"} {
		if strings.EqualFold(charset, known) {
			return true
		}
	}
	return false
}

func isASCII(b []byte) bool {
	var all byte
	for _, c := range b {
		all |= c
	}
	return all < utf8.RuneSelf
}

// previewOf makes a preview of a text: what people read of it, on one line, up to PreviewLengthMax
// characters. What the text quotes is left out, unless there is nothing else.
func previewOf(text string, isHTML bool) string {
	if isHTML {
		s, _ := firstCharacters(htmlText(text))
		return s
	}
	if s, _ := firstCharacters(ownLines(text)); s != "" {
		return s
	}
	s, _ := firstCharacters(text)
	return s
}

// ownLines leaves the lines of a text out that quote another.
func ownLines(text string) string {
	if !strings.HasPrefix(text, ">") && !strings.Contains(text, "\n>") {
		return text
	}
	var own strings.Builder
	own.Grow(len(text))
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, ">") {
			own.WriteString(line)
		}
	}
	return own.String()
}

// firstCharacters joins words with one blank each. Characters that nobody sees, which advertisements
// pad their previews with, are left out. enough says that more text would have made no difference.
func firstCharacters(text string) (first string, enough bool) {
	var b strings.Builder
	b.Grow(min(len(text), 2*PreviewLengthMax))
	n, gap := 0, false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			gap = n > 0
			continue
		case r == '\u034f' || r == utf8.RuneError || unicode.Is(unicode.Cf, r) && r != '\u200d': // joins emoji
			continue
		}
		if gap {
			if n+2 > PreviewLengthMax {
				return b.String(), true
			}
			b.WriteByte(' ')
			n++
			gap = false
		}
		if n == PreviewLengthMax {
			return b.String(), true
		}
		b.WriteRune(r)
		n++
	}
	return b.String(), false
}

// inlineTags are elements within a word; all others divide words.
var inlineTags = map[string]bool{"a": true, "abbr": true, "b": true, "big": true, "code": true, "em": true, "font": true, "i": true,
	"mark": true, "s": true, "small": true, "span": true, "strike": true, "strong": true, "sub": true, "sup": true, "tt": true, "u": true}

// hiddenTags are elements whose contents are not text.
var hiddenTags = map[string]bool{"style": true, "script": true, "title": true}

// htmlText gives the text of HTML: without tags, comments, styles and scripts, entities resolved. It goes over its
// text once, and reads what is no HTML as browsers would. The result is for people, and never safe to
// be shown as HTML.
func htmlText(s string) string {
	var b strings.Builder
	for s != "" {
		at := strings.IndexByte(s, '<')
		if at < 0 || at+1 == len(s) {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:at])
		s = s[at:]
		switch c := s[1]; {
		case strings.HasPrefix(s, "<!--"):
			s = after(s, "-->")
		case c == '/' || c == '!' || c == '?' || isLetter(c):
			var name string
			name, s = tag(s)
			if !inlineTags[strings.TrimPrefix(name, "/")] {
				b.WriteByte(' ')
			}
			if hiddenTags[name] {
				s = closing(s, name)
			}
		default:
			b.WriteByte('<')
			s = s[1:]
		}
	}
	return html.UnescapeString(b.String())
}

// after gives what follows the first mark; nothing, if there is none.
func after(s, mark string) string {
	_, rest, _ := strings.Cut(s, mark)
	return rest
}

// tag reads a tag: its name in lower case, with the slash of an end tag, and what follows it.
func tag(s string) (name, rest string) {
	end := 1
	for end < len(s) && (isLetter(s[end]) || s[end] == '/' && end == 1 || s[end] >= '0' && s[end] <= '9') {
		end++
	}
	name = strings.ToLower(s[1:end])
	quote := byte(0)
	for ; end < len(s); end++ {
		switch c := s[end]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && s[end-1] == '=':
			quote = c
		case c == '>':
			return name, s[end+1:]
		}
	}
	return name, ""
}

// closing gives what follows the contents of an element, from its end tag on; nothing, if there is none.
func closing(s, name string) string {
	for s != "" {
		at := strings.Index(s, "</")
		if at < 0 {
			return ""
		}
		s = s[at:]
		if len(s) >= 2+len(name) && strings.EqualFold(s[2:2+len(name)], name) {
			return s
		}
		s = s[2:]
	}
	return ""
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
