package search

import (
	"encoding/binary"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// folder folds text as i;unicode-casemap does (RFC 5051 §2): title case, then full decomposition. The parts of a
// decomposition go to title case as well, so that a ligature matches its letters. Hangul syllables, whose
// decomposition is arithmetic and not in the tables that the RFC names, stay whole. It remembers what it has looked up, and so belongs to one goroutine.
type folder struct {
	pages [256]*[256]string // of the characters up to U+FFFF; "": not looked up yet
}

// Words of eight octets at once.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// append folds src onto dst. Octets that are not UTF-8 are read as windows-1252; CR is left out. If more follows,
// an incomplete character at the end is not taken: rest is the number of octets left, at most utf8.UTFMax-1.
func (f *folder) append(dst, src []byte, more bool) (out []byte, rest int) {
	dst = slices.Grow(dst, len(src))
	for i := 0; i < len(src); {
		for ; i+8 <= len(src); i += 8 {
			w := binary.LittleEndian.Uint64(src[i:])
			cr := w ^ '\r'*ones
			if w&highs != 0 || (cr-ones)&^cr&highs != 0 {
				break
			}
			lower := ((w + (0x80-'a')*ones) ^ (w + (0x7f-'z')*ones)) & highs
			dst = binary.LittleEndian.AppendUint64(dst, w-lower>>2)
		}
		// One character, or what is left of a word of eight, by itself.
		for end := min(i+8, len(src)); i < end; {
			switch c := src[i]; {
			case c == '\r':
				i++
				continue
			case c < utf8.RuneSelf:
				if 'a' <= c && c <= 'z' {
					c -= 'a' - 'A'
				}
				dst = append(dst, c)
				i++
				continue
			}
			r, size := decodeRune(src[i:], more)
			if size == 0 {
				return dst, len(src) - i
			}
			dst = append(dst, f.rune(r)...)
			i += size
		}
	}
	return dst, 0
}

// decodeRune reads one character that is not ASCII. size is 0 if it goes on in what follows.
func decodeRune(src []byte, more bool) (r rune, size int) {
	// Two octets are what most alphabets need: those are read here, the others and all mistakes by package utf8.
	if len(src) >= 2 && src[0] >= 0xc2 && src[0] < 0xe0 && src[1]&0xc0 == 0x80 {
		return rune(src[0]&0x1f)<<6 | rune(src[1]&0x3f), 2
	}
	if more && !utf8.FullRune(src) {
		return 0, 0
	}
	if r, size = utf8.DecodeRune(src); r == utf8.RuneError && size == 1 {
		r = charmap.Windows1252.DecodeByte(src[0])
	}
	return r, size
}

// rune gives a folded character.
func (f *folder) rune(r rune) string {
	if r >= 1<<16 {
		return foldRune(r)
	}
	page := f.pages[r>>8]
	if page == nil {
		page = new([256]string)
		f.pages[r>>8] = page
	}
	if page[r&0xff] == "" {
		page[r&0xff] = foldRune(r)
	}
	return page[r&0xff]
}

// foldRune folds one character by the tables.
func foldRune(r rune) string {
	r = unicode.ToTitle(r)
	if 0xac00 <= r && r <= 0xd7a3 { // Hangul syllables
		return string(r)
	}
	apart := norm.NFKD.PropertiesString(string(r)).Decomposition()
	if apart == nil {
		return string(r)
	}
	var folded []byte
	for _, d := range string(apart) {
		folded = utf8.AppendRune(folded, unicode.ToTitle(d))
	}
	return string(folded)
}

// fold folds a whole text.
func (f *folder) fold(text string) []byte {
	out, _ := f.append(nil, []byte(text), false)
	return out
}

// blanks takes each run of blanks, ends of lines among them, as one blank.
func blanks[T string | []byte](dst []byte, text T) []byte {
	run := false
	for i := range len(text) {
		c := text[i]
		if blank := c == ' ' || c == '\t' || c == '\r' || c == '\n'; blank {
			if !run {
				dst = append(dst, ' ')
			}
			run = true
			continue
		}
		run = false
		dst = append(dst, c)
	}
	return dst
}

// foldField folds a text as the text of a header field is folded.
func foldField(text string) []byte {
	out, _ := new(folder).append(nil, blanks(nil, []byte(text)), false)
	return out
}
