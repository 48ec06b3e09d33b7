package search

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestFold(t *testing.T) {
	tests := []struct {
		text, want string
	}{
		{"", ""},
		{"hello World 42 {|}~`@[", "HELLO WORLD 42 {|}~`@["},
		{"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
		{"café", "CAFE\u0301"},
		{"CAFE\u0301", "CAFE\u0301"},
		{"straße", "STRAßE"}, // no title case of one character
		{"σς", "ΣΣ"},
		{"ǆ", "D\u017d"[:1] + "Z\u030c"},
		{"ﬁn", "FIN"},
		{"한", "한"},
		{"Ｆｕｌｌ", "FULL"},
		{"привет", "ПРИВЕТ"},
		{"й", "И\u0306"},
		{"a\r\nb\rc", "A\nBC"},
		{"12345678\rabcdefgh", "12345678ABCDEFGH"},
		{"caf\xe9", "CAFE\u0301"}, // windows-1252
		{"\x80", "€"},
		{"𐐨", "𐐀"}, // beyond the first plane
	}
	for _, tt := range tests {
		if got := string(new(folder).fold(tt.text)); got != tt.want {
			t.Errorf("fold(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

// slowFold is folding as the comment of the package says it, character by character.
func slowFold(text []byte) []byte {
	var out []byte
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			r = []rune(windows1252(text[0]))[0]
		}
		text = text[size:]
		if r == '\r' {
			continue
		}
		r = unicode.ToTitle(r)
		apart := string(r)
		if !unicode.Is(unicode.Hangul, r) || r < 0xac00 || r > 0xd7a3 {
			apart = norm.NFKD.String(apart)
		}
		for _, d := range apart {
			out = utf8.AppendRune(out, unicode.ToTitle(d))
		}
	}
	return out
}

func windows1252(c byte) string {
	return string(charmap.Windows1252.DecodeByte(c))
}

// Folding in pieces, however they are cut, is folding at once, and as the slow way does it.
func TestFoldInPieces(t *testing.T) {
	f := new(folder)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.SliceOf(rapid.Byte()),
			rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) })).Draw(t, "text")
		want := slowFold(text)
		var got, held []byte
		for left := text; len(left) > 0; {
			n := rapid.IntRange(1, len(left)).Draw(t, "n")
			held = append(held, left[:n]...)
			left = left[n:]
			var rest int
			got, rest = f.append(got, held, len(left) > 0)
			if rest >= utf8.UTFMax {
				t.Fatalf("%d octets are left over", rest)
			}
			held = append([]byte(nil), held[len(held)-rest:]...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("folded %q = %q, want %q", text, got, want)
		}
	})
}

func TestFoldEveryCharacter(t *testing.T) {
	f := new(folder)
	for r := rune(0); r <= 0x2ffff; r++ {
		text := []byte(string(r))
		if got, want := f.fold(string(text)), slowFold(text); !bytes.Equal(got, want) {
			t.Fatalf("fold(%U) = %q, want %q", r, got, want)
		}
	}
}

func TestPattern(t *testing.T) {
	f := func(needle, text string) {
		t.Helper()
		if got, want := newPattern([]byte(needle)).in([]byte(text)), strings.Contains(text, needle); got != want {
			t.Errorf("%.60q in %.60q: %v, want %v", needle, text, got, want)
		}
	}
	a := strings.Repeat("a", 100)
	f("", "")
	f("", "x")
	f("x", "")
	f(a, a)
	f(a, a[1:])
	f(a+"b", strings.Repeat("a", 1000)+"b")
	f(a+"b"+a, strings.Repeat(a+"b", 3))
	f(a+"b"+a, a+"c"+a+"b"+a)
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]string{"a", "b", "ab", "aab"})
		text := strings.Join(rapid.SliceOfN(letters, 0, 200).Draw(t, "text"), "")
		needle := strings.Join(rapid.SliceOfN(letters, 0, 40).Draw(t, "needle"), "")
		if rapid.Bool().Draw(t, "inside") && len(text) > 0 {
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			needle = text[at:rapid.IntRange(at, len(text)).Draw(t, "end")]
		}
		if got, want := newPattern([]byte(needle)).in([]byte(text)), strings.Contains(text, needle); got != want {
			t.Errorf("%q in %q: %v, want %v", needle, text, got, want)
		}
	})
}
