package mbox_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/mail"
	"porcupine/internal/mail/mbox"
)

type read struct {
	sender, date, flags, text string
}

func readAll(t *testing.T, in io.Reader) ([]read, error) {
	t.Helper()
	r := mbox.NewReader(in, 0)
	var all []read
	for {
		var text bytes.Buffer
		m, err := r.Read(&text)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, err
		}
		got := read{sender: m.Sender, text: text.String()}
		if !m.Date.IsZero() {
			got.date = m.Date.Format(time.DateTime)
		}
		for _, f := range m.Flags {
			got.flags += string(f)
		}
		all = append(all, got)
	}
}

const day = "2026-11-02 03:04:05"

func TestRead(t *testing.T) {
	const from = "From a@example.test Mon Nov  2 03:04:05 2026\n"
	long := strings.Repeat("x", 70_000)
	for _, tt := range []struct {
		name, file string
		want       []read
	}{
		{"nothing", "", nil},
		{"empty lines only", "\n\r\n\n", nil},
		{"one", from + "A: b\n\ntext\n", []read{{"a@example.test", day, "", "A: b\r\n\r\ntext\r\n"}}},
		{"CR LF", strings.ReplaceAll(from+"A: b\n\ntext\n\n", "\n", "\r\n"), []read{{"a@example.test", day, "", "A: b\r\n\r\ntext\r\n"}}},
		{"two", from + "A: b\n\none\n\n" + from + "C: d\n\ntwo\n\n", []read{
			{"a@example.test", day, "", "A: b\r\n\r\none\r\n"}, {"a@example.test", day, "", "C: d\r\n\r\ntwo\r\n"}}},
		{"empty lines before the first", "\n\n" + from + "A: b\n", []read{{"a@example.test", day, "", "A: b\r\n"}}},
		{"empty lines within", from + "A: b\n\none\n\n\ntwo\n\n\n" + from + "C: d\n", []read{
			{"a@example.test", day, "", "A: b\r\n\r\none\r\n\r\n\r\ntwo\r\n\r\n"}, {"a@example.test", day, "", "C: d\r\n"}}},
		{"no empty line before From: text", from + "A: b\n\none\nFrom here on\n", []read{{"a@example.test", day, "", "A: b\r\n\r\none\r\nFrom here on\r\n"}}},
		{"quoted", from + "A: b\n\n>From x\n>>From y\n> From z\n>from\n", []read{{"a@example.test", day, "", "A: b\r\n\r\nFrom x\r\n>From y\r\n> From z\r\n>from\r\n"}}},
		{"last line not ended", from + "A: b\n\ntext", []read{{"a@example.test", day, "", "A: b\r\n\r\ntext\r\n"}}},
		{"empty messages", from + "\n" + from + "\n" + from, []read{{"a@example.test", day, "", ""}, {"a@example.test", day, "", ""}, {"a@example.test", day, "", ""}}},
		{"long line", from + "A: b\n\n" + long + "\nend\n", []read{{"a@example.test", day, "", "A: b\r\n\r\n" + long + "\r\nend\r\n"}}},
		{"CR within a long line", from + "A: b\n\n" + strings.Repeat("\r", 70_001) + "\n", []read{{"a@example.test", day, "", "A: b\r\n\r\n" + strings.Repeat("\r", 70_000) + "\r\n"}}},
		{"flags", from + "Status: RO\nX-Status: AF\nX-Keywords: Work  later\n\ntext Status: D\n", []read{
			{"a@example.test", day, `\Answered\Flagged\Seenlaterwork`, "Status: RO\r\nX-Status: AF\r\nX-Keywords: Work  later\r\n\r\ntext Status: D\r\n"}}},
		{"flags in the text are none", from + "A: b\n\nStatus: R\n", []read{{"a@example.test", day, "", "A: b\r\n\r\nStatus: R\r\n"}}},
		{"other dates", "From a Mon, 2 Nov 2026 04:04:05 +0100\n\nFrom b Mon Nov 2 04:04:05 2026 +0100\n\nFrom c Mon Nov 2 03:04 2026\n\nFrom d yesterday\n\nFrom\t\n", []read{
			{"a", day, "", ""}, {"b", day, "", ""}, {"c", "2026-11-02 03:04:00", "", ""}, {"d", "", "", "\r\nFrom\t\r\n"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readAll(t, strings.NewReader(tt.file))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%q, %v\nwant %q", got, err, tt.want)
			}
		})
	}
}

func TestNotMbox(t *testing.T) {
	for _, file := range []string{"Subject: x\n\ntext\n", "\n>From a\n", "from a Mon Nov  2 03:04:05 2026\n"} {
		r := mbox.NewReader(strings.NewReader(file), 0)
		for range 2 {
			if _, err := r.Read(io.Discard); !errors.Is(err, mbox.ErrNotMbox) {
				t.Errorf("%q: %v, want %v", file, err, mbox.ErrNotMbox)
			}
		}
	}
}

// limited refuses what is too much.
type limited struct{ left int }

var errFull = errors.New("full")

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestGoOn: a message that its taker refuses does not hide those after it, and a file is read on from any message.
func TestGoOn(t *testing.T) {
	file := "From a\nS: 1\n\n" + strings.Repeat("large\n", 1000) + "\nFrom b\nS: 2\n\ntwo\n\nFrom c\nS: 3\n\nthree\n"
	r := mbox.NewReader(strings.NewReader(file), 0)
	if m, err := r.Read(&limited{left: 100}); !errors.Is(err, errFull) || m.Sender != "a" {
		t.Errorf("Read into what is full = %+v, %v", m, err)
	}
	at := r.Offset()
	if want := int64(strings.Index(file, "From b")); at != want {
		t.Errorf("Offset = %d, want %d", at, want)
	}
	again := mbox.NewReader(strings.NewReader(file[at:]), at)
	for _, want := range []string{"b", "c"} {
		for name, r := range map[string]*mbox.Reader{"the same reader": r, "a new one": again} {
			m, err := r.Read(io.Discard)
			if err != nil || m.Sender != want || file[m.Offset:m.Offset+6] != "From "+want {
				t.Errorf("%s: %+v, %v; want the message of %s", name, m, err, want)
			}
		}
	}
	if _, err := r.Read(io.Discard); !errors.Is(err, io.EOF) || r.Offset() != int64(len(file)) {
		t.Errorf("at the end: %v, offset %d of %d", err, r.Offset(), len(file))
	}
}

// TestRoundTrip: what is written is read, with the flags and the date, whatever the text.
func TestRoundTrip(t *testing.T) {
	pieces := []string{"From ", ">", "From x", "\r\n", "\r\n\r\n", "A: b", "Status: R", "x-status: F", " folded", "\r.", "\n", "text", strings.Repeat("y", 40_000)}
	all := []mail.Flag{mail.FlagAnswered, mail.FlagDeleted, mail.FlagDraft, mail.FlagFlagged, mail.FlagSeen, "later", "work"}
	rapid.Check(t, func(t *rapid.T) {
		type message struct {
			flags []mail.Flag
			body  string
		}
		var want []message
		var file bytes.Buffer
		w := mbox.NewWriter(&file)
		date := time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)
		for range rapid.IntRange(0, 4).Draw(t, "messages") {
			m := message{body: strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 8).Draw(t, "text"), "")}
			for _, f := range all {
				if rapid.Bool().Draw(t, string(f)) {
					m.flags = append(m.flags, f)
				}
			}
			if err := w.Write(date, m.flags, strings.NewReader("X: y\r\n\r\n"+m.body)); err != nil {
				t.Fatal(err)
			}
			want = append(want, m)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		r := mbox.NewReader(&file, 0)
		for i, m := range want {
			var text bytes.Buffer
			got, err := r.Read(&text)
			if err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			_, body, ok := strings.Cut(text.String(), "\r\n\r\n")
			if lines := normal(m.body); !ok || !slices.Equal(got.Flags, m.flags) || !got.Date.Equal(date) || body != lines && i < len(want)-1 || body != lines && body != lines+"\r\n" {
				t.Errorf("message %d: %v %v %q, want %v %q", i, got.Flags, got.Date, body, m.flags, lines)
			}
		}
		if _, err := r.Read(io.Discard); !errors.Is(err, io.EOF) {
			t.Errorf("after the last: %v", err)
		}
	})
}

// normal ends every line with CR LF: a file does not tell other ends apart.
func normal(s string) string {
	if s == "" {
		return ""
	}
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	if lines[len(lines)-1] == "" && strings.HasSuffix(s, "\n") {
		lines = lines[:len(lines)-1]
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("From a Mon Nov  2 03:04:05 2026\nStatus: R\n\n>From x\n\nFrom b\n"))
	f.Add([]byte("\r\nFrom \r\n\r\r\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r := mbox.NewReader(bytes.NewReader(file), 0)
		for n := 0; ; n++ {
			m, err := r.Read(io.Discard)
			if err != nil {
				break
			}
			if n > len(file) || !bytes.HasPrefix(file[m.Offset:], []byte("From ")) || r.Offset() <= m.Offset {
				t.Fatalf("message %d is at %d, and the next at %d", n, m.Offset, r.Offset())
			}
		}
	})
}
