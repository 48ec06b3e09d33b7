package pop3_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"porcupine/internal/mail/pop3"
)

// texts are messages, for the table tests and the fuzzers.
var texts = []struct{ name, text, want string }{
	{"empty", "", ".\r\n"},
	{"one line", "a\r\n", "a\r\n.\r\n"},
	{"no final line end", "a", "a\r\n.\r\n"},
	{"dot line", ".\r\n", "..\r\n.\r\n"},
	{"dots", ".a\r\n..\r\na.\r\n", "..a\r\n...\r\na.\r\n.\r\n"},
	{"terminator inside", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
	{"bare LF", "a\nb\n", "a\r\nb\r\n.\r\n"},
	{"bare LF before dot", "a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
	{"bare CR", "a\r.\rb\r\n", "a\r.\rb\r\n.\r\n"},
	{"empty lines", "\r\n\n\r\n", "\r\n\r\n\r\n.\r\n"},
	{"CR CR LF", "a\r\r\n.\r\n", "a\r\r\n..\r\n.\r\n"},
	{"only a dot", ".", "..\r\n.\r\n"},
	{"ends in CR", "a\r", "a\r\r\n.\r\n"},
}

// stuff writes a text in pieces of n bytes.
func stuff(t testing.TB, text string, n int) string {
	t.Helper()
	var out strings.Builder
	w := pop3.NewDotWriter(&out)
	for len(text) > 0 {
		k := min(n, len(text))
		if m, err := w.Write([]byte(text[:k])); m != k || err != nil {
			t.Fatalf("Write = %d, %v, want %d", m, err, k)
		}
		text = text[k:]
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return out.String()
}

// unstuff is a client, written in the obvious way: lines up to the first ".", a leading dot off.
func unstuff(reply string) (text string, rest string) {
	for {
		line, after, found := strings.Cut(reply, "\r\n")
		if !found {
			return text, "(no end)"
		}
		if reply = after; line == "." {
			return text, reply
		}
		text += strings.TrimPrefix(line, ".") + "\r\n"
	}
}

func TestDotWriter(t *testing.T) {
	for _, tt := range texts {
		for n := 1; n <= len(tt.text)+1; n++ {
			if got := stuff(t, tt.text, n); got != tt.want {
				t.Errorf("%s, pieces of %d: %q, want %q", tt.name, n, got, tt.want)
			}
		}
	}
}

func FuzzDotWriter(f *testing.F) {
	for i, tt := range texts {
		f.Add(tt.text, i+1)
	}
	f.Fuzz(func(t *testing.T, text string, n int) {
		got := stuff(t, text, max(n, 1))
		if whole := stuff(t, text, len(text)+1); got != whole {
			t.Fatalf("pieces of %d: %q, in one: %q", n, got, whole)
		}
		// What a client reads is the text with canonical line ends, and nothing is left over.
		want := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\r\n"
		}
		if back, rest := unstuff(got); back != want || rest != "" {
			t.Fatalf("text %q comes out as %q, rest %q, want %q", text, back, rest, want)
		}
		// A client that takes LF alone for a line end sees no other terminator either.
		if i := strings.Index(strings.ReplaceAll("\n"+got, "\r\n", "\n"), "\n.\n"); i >= 0 && i != len(strings.ReplaceAll("\n"+got, "\r\n", "\n"))-3 {
			t.Fatalf("terminator inside %q", got)
		}
	})
}

// head is TOP in the obvious way.
func head(text string, lines int) string {
	all := strings.SplitAfter(text, "\n")
	end := len(all)
	for i, l := range all {
		if l == "\n" || l == "\r\n" {
			if lines < end-i-1 {
				end = i + 1 + lines
			}
			break
		}
	}
	return strings.Join(all[:end], "")
}

func top(t testing.TB, text string, lines, n int) string {
	t.Helper()
	var out strings.Builder
	w := pop3.NewHeadWriter(&out, lines)
	for len(text) > 0 && !w.Full() {
		k := min(n, len(text))
		if _, err := w.Write([]byte(text[:k])); err != nil {
			t.Fatal(err)
		}
		text = text[k:]
	}
	return out.String()
}

func TestHeadWriter(t *testing.T) {
	const message = "A: 1\r\nB: 2\r\n\r\none\r\n\r\nthree\r\nfour"
	for _, tt := range []struct {
		name  string
		text  string
		lines int
		want  string
	}{
		{"header", message, 0, "A: 1\r\nB: 2\r\n\r\n"},
		{"one", message, 1, "A: 1\r\nB: 2\r\n\r\none\r\n"},
		{"empty body lines count", message, 2, "A: 1\r\nB: 2\r\n\r\none\r\n\r\n"},
		{"all", message, 9, message},
		{"no body", "A: 1\r\n", 3, "A: 1\r\n"},
		{"no header", "\r\nx\r\ny\r\n", 1, "\r\nx\r\n"},
		{"LF only", "A: 1\n\nx\ny\n", 1, "A: 1\n\nx\n"},
		{"CR CR LF is not empty", "A\r\n\r\r\nB\r\n\r\nx\r\n", 0, "A\r\n\r\r\nB\r\n\r\n"},
		{"empty", "", 0, ""},
	} {
		for n := 1; n <= len(tt.text)+1; n++ {
			if got := top(t, tt.text, tt.lines, n); got != tt.want {
				t.Errorf("%s, pieces of %d: %q, want %q", tt.name, n, got, tt.want)
			}
		}
	}
}

func FuzzTop(f *testing.F) {
	for i, tt := range texts {
		f.Add("A: 1\r\n\r\n"+tt.text, i, i+1)
		f.Add(tt.text, i, i+1)
	}
	f.Fuzz(func(t *testing.T, text string, lines, n int) {
		lines = max(lines, 0)
		if got, want := top(t, text, lines, max(n, 1)), head(text, lines); got != want {
			t.Fatalf("TOP %d of %q = %q, want %q", lines, text, got, want)
		}
	})
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestDotWriterErrorStays(t *testing.T) {
	w := pop3.NewDotWriter(broken{})
	if _, err := w.Write([]byte("a\r\n")); !errors.Is(err, errBroken) {
		t.Errorf("Write = %v, want %v", err, errBroken)
	}
	if err := w.Close(); !errors.Is(err, errBroken) {
		t.Errorf("Close = %v, want %v", err, errBroken)
	}
	w.Reset(&bytes.Buffer{})
	if _, err := w.Write([]byte("a\r\n")); err != nil {
		t.Errorf("Write after Reset = %v", err)
	}
}

func BenchmarkDotWriter(b *testing.B) {
	text := []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 70))
	var out bytes.Buffer
	w := pop3.NewDotWriter(&out)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		w.Reset(&out)
		_, _ = w.Write(text)
		_ = w.Close()
	}
}
