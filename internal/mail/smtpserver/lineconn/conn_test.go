package lineconn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"porcupine/internal/mail/smtp"
)

// script is a Source that gives the input in pieces of a size, and keeps what is written.
type script struct {
	in     []byte
	size   int
	writes []string
	waits  int
	ended  error // of AwaitInput
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.in[:min(s.size, len(s.in))])
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.writes = append(s.writes, string(p))
	return len(p), nil
}

func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) AwaitInput(time.Duration) error   { s.waits++; return s.ended }
func (s *script) Busy()                            {}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 1500)
	auth := strings.Repeat("y", 9000)
	tests := []struct {
		in   string
		most int
		want []string
		err  error
	}{
		{"a\r\nb\r\n", 512, []string{"a", "b"}, io.EOF},
		{"\r\n\r\n", 512, []string{"", ""}, io.EOF},
		{"a\r\nb", 512, []string{"a"}, io.EOF},
		{long + "\r\n" + long + "\r\nc\r\n", 2048, []string{long, long, "c"}, io.EOF},
		{auth + "\r\nx\r\n" + auth + "\r\n", 12288, []string{auth, "x", auth}, io.EOF},
		{strings.Repeat("n\r\n", 1000), 512, slices.Repeat([]string{"n"}, 1000), io.EOF},
		{long + "\r\n", 512, nil, ErrLineLong},
		{long, 512, nil, ErrLineLong},
		{strings.Repeat("x", 511) + "\r\n", 512, nil, ErrLineLong},
		{strings.Repeat("x", 510) + "\r\n", 512, []string{strings.Repeat("x", 510)}, io.EOF},
		{"a\n", 512, nil, ErrLineEnd},
		{"\n", 512, nil, ErrLineEnd},
		{"a\rb\r\n", 512, nil, ErrLineEnd},
		{"a\r\r\n", 512, nil, ErrLineEnd},
		{"ok\r\na\nb\r\n", 512, []string{"ok"}, ErrLineEnd},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 2, 3, 511, 512, 513, 1 << 20} {
			c := New(&script{in: []byte(tt.in), size: size}, new(Buffers), time.Minute)
			var got []string
			var err error
			for {
				var line []byte
				if line, err = c.ReadLine(time.Now().Add(time.Hour), tt.most); err != nil {
					break
				}
				got = append(got, string(line))
			}
			if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
				t.Errorf("lines of %.30q by %d = %.60q, %v; want %.60q, %v", tt.in, size, got, err, tt.want, tt.err)
			}
			if c.Close(); c.medium != nil || c.large != nil || c.lent != nil {
				t.Errorf("%.30q: buffers are not given back", tt.in)
			}
		}
	}
}

// FuzzReadLine compares with reading all and cutting.
func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\r\nb\r\n"), uint16(3))
	f.Add([]byte("a\nb"), uint16(1))
	f.Add(bytes.Repeat([]byte("x"), 5000), uint16(600))
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		const most = 700
		c := New(&script{in: in, size: int(size) + 1}, new(Buffers), time.Minute)
		rest := in
		for {
			line, err := c.ReadLine(time.Now().Add(time.Hour), most)
			want, after, found := bytes.Cut(rest, []byte("\n"))
			body, clean := bytes.CutSuffix(want, []byte("\r"))
			ok := found && clean && !bytes.Contains(body, []byte("\r")) && len(want) < most
			if ok != (err == nil) || ok && !bytes.Equal(line, body) {
				t.Fatalf("line of %q = %q, %v; want %q, success = %v", rest, line, err, body, ok)
			}
			if err != nil {
				return
			}
			rest = after
		}
	})
}

// The memory of a waiting connection: whatever it held before, it is the small buffer alone.
func TestBuffersGoBack(t *testing.T) {
	src := &script{in: []byte(strings.Repeat("x", 5000) + "\r\nshort\r\n"), size: 1 << 20}
	c := New(src, new(Buffers), time.Minute)
	for range 2 {
		if _, err := c.ReadLine(time.Now(), 12288); err != nil {
			t.Fatal(err)
		}
		if err := c.Reply("250 ok"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.ReadLine(time.Now(), 512); err != io.EOF {
		t.Fatalf("ReadLine = %v, want EOF", err)
	}
	if len(c.buf) != smallSize || c.medium != nil || c.large != nil || c.lent != nil {
		t.Errorf("a waiting connection holds buffers of %d bytes", len(c.buf))
	}
}

func TestRepliesAreGathered(t *testing.T) {
	src := &script{in: []byte("a\r\nb\r\nc\r\n"), size: 1 << 20}
	c := New(src, new(Buffers), time.Minute)
	for range 3 {
		if _, err := c.ReadLine(time.Now(), 512); err != nil {
			t.Fatal(err)
		}
		if err := c.Reply("250 ok"); err != nil {
			t.Fatal(err)
		}
	}
	if len(src.writes) != 0 {
		t.Errorf("written before it has to wait: %q", src.writes)
	}
	if _, err := c.ReadLine(time.Now(), 512); err != io.EOF || len(src.writes) != 1 || src.writes[0] != strings.Repeat("250 ok\r\n", 3) {
		t.Errorf("writes = %q, %v; want three replies at once", src.writes, err)
	}
	// A client that never lets us wait cannot make the replies grow without bound (attack 28).
	for range 1000 {
		if err := c.Reply(smtp.Reply("250 " + strings.Repeat("y", 900))); err != nil {
			t.Fatal(err)
		}
		if len(c.out) > outSize {
			t.Fatalf("%d bytes of replies gathered", len(c.out))
		}
	}
}

func TestFillKeepsWhatFollows(t *testing.T) {
	src := &script{in: []byte("DATA\r\n" + strings.Repeat("z", 40_000) + "END"), size: 3000}
	c := New(src, new(Buffers), time.Minute)
	if _, err := c.ReadLine(time.Now(), 512); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for c.Fill(time.Now()) == nil {
		n := len(c.Buffered()) - 1 // a byte is left each time
		got = append(got, c.Buffered()[:n]...)
		c.Consume(n)
	}
	got = append(got, c.Buffered()...)
	if want := strings.Repeat("z", 40_000) + "END"; string(got) != want {
		t.Errorf("%d bytes of data, want %d", len(got), len(want))
	}
	if err := c.Fill(time.Now()); err != io.EOF {
		t.Errorf("Fill at the end = %v, want EOF", err)
	}
}

func TestErrorsOfTheSource(t *testing.T) {
	ended := errors.New("ended")
	c := New(&script{ended: ended}, new(Buffers), time.Minute)
	if _, err := c.ReadLine(time.Now(), 512); !errors.Is(err, ended) {
		t.Errorf("ReadLine = %v, want %v", err, ended)
	}
	full := New(&script{in: bytes.Repeat([]byte("x"), 40_000), size: 1 << 20}, new(Buffers), time.Minute)
	var err error
	for range 3 {
		if err = full.Fill(time.Now()); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(fmt.Sprint(err), "buffer is full") {
		t.Errorf("Fill of a full buffer = %v", err)
	}
}

// Attack 28: a message that dribbles in holds no more than a connection that waits; one that comes in large
// pieces has a large buffer for the rest.
func TestSlowWriterHoldsNoLargeBuffer(t *testing.T) {
	src := &script{in: bytes.Repeat([]byte("x"), 20*largeSize), size: 1}
	c := New(src, new(Buffers), time.Second)
	fill := func() {
		t.Helper()
		if err := c.Fill(time.Time{}); err != nil {
			t.Fatal(err)
		}
		c.Consume(len(c.Buffered()))
	}
	fill()
	for range 5 {
		if fill(); c.large != nil || c.medium != nil {
			t.Fatal("a slow writer holds a borrowed buffer")
		}
	}
	src.size = largeSize
	fill() // as much as the small one holds
	if fill(); c.large == nil {
		t.Error("a fast writer has no large buffer")
	}
	c.Close()
}
