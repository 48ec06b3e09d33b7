package message

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestPreview(t *testing.T) {
	html := func(body string) string { return "Content-Type: text/html; charset=utf-8\r\n\r\n" + body }
	long := strings.Repeat("wört ", 100)
	tests := []struct{ name, raw, want string }{
		{"plain", "A: b\r\n\r\nhello\r\n\r\n  world\t!\r\n", "hello world !"},
		{"no text", "A: b\r\n\r\n \r\n", ""},
		{"not a text", "Content-Type: image/png\r\n\r\nxxx", ""},
		{"quoted text is left out", "A: b\r\n\r\n> you\r\n> said\r\nyes\r\n", "yes"},
		{"unless there is nothing else", "A: b\r\n\r\n> you\r\n", "> you"},
		{"base64", "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=", "hello"},
		{"charset", "Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe4", "ä"},
		{"html", html("<html><head><title>T</title><style>p {x: y}</style></head><body><p>Hello <b>w</b>orld</p><p>a&amp;b&nbsp;&lt;c</p></body>"), "Hello world a&b <c"},
		{"comments and scripts", html("<!-- no --><script>if (a < b) x()</SCRIPT>yes<!-- more"), "yes"},
		{"tag in quotes", html("<a title=\"a > b\">x</a>"), "x"},
		{"tag without an end", html("x<a href="), "x"},
		{"no tag", html("1 < 2 <"), "1 < 2 <"},
		{"style without an end", html("a<style>b"), "a"},
		{"what nobody sees", html("a&zwnj;&#847;\u200b&shy;b"), "ab"},
		{"alternative", mixed + "--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--b--", "one"},
		{"empty plain text first", mixed + "--b\r\n\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--b--", "two"},
		{"attachments are none", mixed + "--b\r\nContent-Disposition: attachment\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--", "two"},
		{"long", "Content-Type: text/plain; charset=utf-8\r\n\r\n" + long, long[:strings.LastIndex(long[:6*40], " ")]},
	}
	for _, tt := range tests {
		got := build(t, tt.raw).Preview
		if got != tt.want {
			t.Errorf("%s: preview = %q, want %q", tt.name, got, tt.want)
		}
	}
	got := build(t, "Content-Type: text/plain; charset=utf-8\r\n\r\n"+strings.Repeat("ä", 1000)).Preview
	if n := utf8.RuneCountInString(got); n != PreviewLengthMax {
		t.Errorf("preview of %d characters, want %d", n, PreviewLengthMax)
	}
}

// The quick way gives what the long way gives, or nothing.
func TestQuickPreviewIsThePreview(t *testing.T) {
	quick := 0
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"word", "\r\n", "\r\n>", ">", " ", "\t", "\u00e4", "=3D", "=\r\n", "\x7f", "\x00", "a"}), 1, 40).Draw(t, "words")
		text := strings.Repeat(strings.Join(words, ""), rapid.IntRange(1, 300).Draw(t, "times"))
		p := &Part{Type: "text", Subtype: "plain", Encoding: rapid.SampledFrom([]string{"7bit", "8bit", "quoted-printable"}).Draw(t, "encoding"),
			Body: Range{0, int64(len(text))}}
		got, ok := p.quickPreview(strings.NewReader(text))
		if !ok {
			return
		}
		quick++
		all, err := io.ReadAll(io.LimitReader(p.Text(io.LimitReader(strings.NewReader(text), previewReadMax)), previewTextMax))
		if err != nil {
			t.Fatal(err)
		}
		if want := previewOf(strings.ToValidUTF8(string(all), ""), false); got != want {
			t.Fatalf("quick preview of %.80q = %q, want %q", text, got, want)
		}
	})
	if quick == 0 {
		t.Error("the quick way was never taken")
	}
}
