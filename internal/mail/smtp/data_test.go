package smtp

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"porcupine/internal/mail"
)

var dotCases = []struct {
	in, want, rest string
	done           bool
	err            error
}{
	{".\r\n", "", "", true, nil},
	{"a\r\n.\r\n", "a\r\n", "", true, nil},
	{"a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n", true, nil},
	{"..\r\n...\r\n.a\r\n.\r\n", ".\r\n..\r\na\r\n", "", true, nil},
	{". \r\n.\r\n", " \r\n", "", true, nil},
	{"a\r\n\r\n\r\n.\r\n", "a\r\n\r\n\r\n", "", true, nil},
	{"\x07\x1b\x7f\xff\r\n.\r\n", "\x07\x1b\x7f\xff\r\n", "", true, nil},
	{strings.Repeat("y", 5000) + "\r\n.\r\n", strings.Repeat("y", 5000) + "\r\n", "", true, nil},
	{"a.\r\n", "a.\r\n", "", false, nil},
	{"a\r\n.", "a\r\n", "", false, nil},
	{"a\r", "a\r", "", false, nil},
	{"", "", "", false, nil},
	{"a\n.\n", "", "", false, ErrBareLF},
	{"a\n.\r\n", "", "", false, ErrBareLF},
	{"a\r\n.\n", "", "", false, ErrBareLF},
	{"a\r.\r", "", "", false, ErrBareCR},
	{"a\r\r\n.\r\n", "", "", false, ErrBareCR},
	{"a\r\n.\r.\r\n", "", "", false, ErrBareCR},
	{".\r\r\n", "", "", false, ErrBareCR},
	{"\n", "", "", false, ErrBareLF},
	{"\x00", "", "", false, ErrNUL},
	{"a\r\n.\x00\r\n", "", "", false, ErrNUL},
}

// runDot gives data to a Dot in pieces of at most size bytes.
func runDot(data []byte, size int) (out []byte, rest []byte, done bool, err error) {
	var d Dot
	for len(data) > 0 {
		piece := data[:min(size, len(data))]
		for len(piece) > 0 {
			span, n, done, err := d.Next(piece)
			if err != nil {
				return nil, nil, false, err
			}
			out = append(out, span...)
			piece, data = piece[n:], data[n:]
			if done {
				return out, data, true, nil
			}
		}
	}
	return out, nil, false, nil
}

// slowDot is runDot, a byte at a time and by the letter.
func slowDot(data []byte) (out, rest []byte, done bool, err error) {
	line := []byte{}
	for i, c := range data {
		prevCR := i > 0 && data[i-1] == '\r'
		switch {
		case prevCR && c != '\n':
			return nil, nil, false, ErrBareCR
		case c == '\n' && !prevCR:
			return nil, nil, false, ErrBareLF
		case c == 0:
			return nil, nil, false, ErrNUL
		}
		if line = append(line, c); c != '\n' {
			continue
		}
		if string(line) == ".\r\n" {
			return out, data[i+1:], true, nil
		}
		out = append(out, bytes.TrimPrefix(line, []byte("."))...)
		line = line[:0]
	}
	// What a Dot gives out of a line that is not whole: all but the first dot, and a CR after
	// that dot is kept back.
	if string(line) != ".\r" {
		out = append(out, bytes.TrimPrefix(line, []byte("."))...)
	}
	return out, nil, false, nil
}

func TestDot(t *testing.T) {
	for _, tt := range dotCases {
		for size := 1; size <= len(tt.in)+1 && size < 40; size++ {
			out, rest, done, err := runDot([]byte(tt.in), size)
			if string(out) != tt.want || string(rest) != tt.rest || done != tt.done || err != tt.err {
				t.Errorf("Dot(%.40q) by %d = %.40q, %q, %v, %v; want %.40q, %q, %v, %v", tt.in, size, out, rest, done, err, tt.want, tt.rest, tt.done, tt.err)
			}
		}
		out, rest, done, err := slowDot([]byte(tt.in))
		if string(out) != tt.want || string(rest) != tt.rest || done != tt.done || err != tt.err {
			t.Errorf("slowDot(%.40q) = %.40q, %q, %v, %v", tt.in, out, rest, done, err)
		}
	}
}

// FuzzDot compares with the obvious reader, at every cut.
func FuzzDot(f *testing.F) {
	for _, tt := range dotCases {
		f.Add([]byte(tt.in), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		wantOut, wantRest, wantDone, wantErr := slowDot(data)
		for _, n := range []int{int(size) + 1, len(data) + 1} {
			out, rest, done, err := runDot(data, n)
			if !bytes.Equal(out, wantOut) || !bytes.Equal(rest, wantRest) || done != wantDone || (err == nil) != (wantErr == nil) {
				t.Errorf("Dot(%q) by %d = %q, %q, %v, %v; want %q, %q, %v, %v", data, n, out, rest, done, err, wantOut, wantRest, wantDone, wantErr)
			}
		}
	})
}

func runText(data []byte, size int) (open bool, err error) {
	var x Text
	for len(data) > 0 {
		n := min(size, len(data))
		if err := x.Check(data[:n]); err != nil {
			return false, err
		}
		data = data[n:]
	}
	return x.End()
}

var textCases = []struct {
	in   string
	open bool
	err  error
}{
	{"", false, nil}, {"a", true, nil}, {"a\r\n", false, nil}, {"a\r\nb", true, nil}, {".\r\n", false, nil}, {"\r\n\r\n", false, nil},
	{"a\r", false, ErrBareCR}, {"a\rb", false, ErrBareCR}, {"a\nb", false, ErrBareLF}, {"\n", false, ErrBareLF}, {"\x00", false, ErrNUL}, {"\r\r\n", false, ErrBareCR},
}

func TestText(t *testing.T) {
	for _, tt := range textCases {
		for size := 1; size <= len(tt.in)+1; size++ {
			if open, err := runText([]byte(tt.in), size); open != tt.open || err != tt.err {
				t.Errorf("Text(%q) by %d = %v, %v; want %v, %v", tt.in, size, open, err, tt.open, tt.err)
			}
		}
	}
}

// FuzzText: BDAT takes exactly what DATA takes.
func FuzzText(f *testing.F) {
	for _, tt := range textCases {
		f.Add([]byte(tt.in), uint8(2))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		_, err := runText(data, int(size)+1)
		stuffed := append([]byte("x"), bytes.ReplaceAll(data, []byte("\r\n."), []byte("\r\n.."))...)
		out, _, done, dotErr := runDot(append(stuffed, "\r\n.\r\n"...), int(size)+1)
		if (err == nil) != (dotErr == nil && done) {
			t.Errorf("Text(%q) = %v, Dot = %v, %v", data, err, done, dotErr)
		}
		if err == nil && string(out) != "x"+string(data)+"\r\n" {
			t.Errorf("Dot(%q) = %q", data, out)
		}
	})
}

var headerCases = []struct {
	in             string
	received, from int
	value          string
}{
	{"Received: a\r\nFrom: b\r\n\r\nFrom: body\r\nReceived: body\r\n", 1, 1, " b\r\n"},
	{"received:a\r\n\tReceived: folded\r\nRECEIVED : b\r\nReceivedX: c\r\nX-Received: d\r\n", 2, 0, ""},
	{"From: a\r\n b\r\n\tc\r\nfrom:d\r\n", 0, 2, " a\r\n b\r\n\tc\r\nd\r\n"},
	{" folded first\r\nFrom: a\r\n", 0, 1, " a\r\n"},
	{"no colon\r\nFrom: a\r\n", 0, 1, " a\r\n"},
	{"\r\nFrom: a\r\n", 0, 0, ""},
	{"", 0, 0, ""},
	{"From", 0, 0, ""},
	{"From a@b.example Tue Dec  7 09:15:00 1999\r\nFrom: x\r\n", 0, 1, " x\r\n"},
	{"From" + strings.Repeat(" \t", 50) + ": x\r\nReceived" + strings.Repeat(" ", 20) + ":y\r\n", 1, 1, " x\r\n"},
	{"From x: a\r\nFrom  From: b\r\nReceived\tfrom: c\r\n", 0, 0, ""},
	{"Fromabcdefghijklm" + strings.Repeat(" ", 20) + ": a\r\nFro m: b\r\n", 0, 0, ""},
	{strings.Repeat("x", 100) + ": From: y\r\nReceived: z\r\n", 1, 0, ""},
}

func runHeader(in string, size int) Header {
	h := Header{FromMax: 1000}
	for len(in) > 0 {
		n := min(size, len(in))
		h.Write([]byte(in[:n]))
		in = in[n:]
	}
	return h
}

func TestHeader(t *testing.T) {
	for _, tt := range headerCases {
		for size := 1; size <= len(tt.in)+1; size++ {
			h := runHeader(tt.in, size)
			if h.Received != tt.received || h.FromFields != tt.from || string(h.From) != tt.value || h.FromCut {
				t.Errorf("Header(%.60q) by %d = %d Received, %d From %q; want %d, %d, %q", tt.in, size, h.Received, h.FromFields, h.From, tt.received, tt.from, tt.value)
			}
		}
	}
	h := Header{FromMax: 3}
	h.Write([]byte("From: abcdef\r\n"))
	if string(h.From) != " ab" || !h.FromCut {
		t.Errorf("From = %q, cut %v; want 3 bytes, cut", h.From, h.FromCut)
	}
}

func FuzzHeader(f *testing.F) {
	for _, tt := range headerCases {
		f.Add(tt.in, uint8(1))
	}
	f.Fuzz(func(t *testing.T, in string, size uint8) {
		whole, parts := runHeader(in, len(in)+1), runHeader(in, int(size)+1)
		if whole.Received != parts.Received || whole.FromFields != parts.FromFields || !bytes.Equal(whole.From, parts.From) {
			t.Errorf("Header(%q) whole %+v, in parts %+v", in, whole, parts)
		}
		if len(whole.From) > whole.FromMax {
			t.Errorf("Header(%q) keeps %d bytes", in, len(whole.From))
		}
	})
}

func TestReceived(t *testing.T) {
	at := time.Date(1999, 12, 7, 9, 15, 0, 0, time.FixedZone("", -8*3600))
	tests := []struct {
		r    Received
		want string
	}{
		{Received{Hello: "c.example", Remote: netip.MustParseAddr("::ffff:192.0.2.1"), By: "mx.example.test", ID: "i.1", Time: at, Extended: true, For: mail.Address{Local: "a b", Domain: "d.example"}},
			"Received: from c.example ([192.0.2.1])\r\n\tby mx.example.test with ESMTP\r\n\tid i.1\r\n\tfor <\"a b\"@d.example>;\r\n\tTue, 07 Dec 1999 09:15:00 -0800\r\n"},
		{Received{Hello: "[IPv6:2001:db8::1]", Remote: netip.MustParseAddr("2001:db8::1%eth0"), By: "mx", ID: "i.2", Time: at, Extended: true, TLS: true, Auth: true, TLSDetail: "TLS 1.3 X"},
			"Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n\tby mx with ESMTPSA (TLS 1.3 X)\r\n\tid i.2;\r\n\tTue, 07 Dec 1999 09:15:00 -0800\r\n"},
	}
	for _, tt := range tests {
		if got := string(tt.r.Append(nil)); got != tt.want {
			t.Errorf("Received = %q, want %q", got, tt.want)
		}
	}
	for want, r := range map[string]Received{
		"SMTP": {}, "ESMTP": {Extended: true}, "ESMTPS": {Extended: true, TLS: true}, "ESMTPA": {Extended: true, Auth: true},
		"LMTP": {LMTP: true, Extended: true}, "LMTPS": {LMTP: true, TLS: true}, "UTF8SMTPSA": {Extended: true, UTF8: true, TLS: true, Auth: true},
		"UTF8LMTP": {LMTP: true, UTF8: true},
	} {
		if got := r.With(); got != want {
			t.Errorf("With(%+v) = %q, want %q", r, got, want)
		}
	}
	if got := string(AppendReturnPath(nil, mail.Address{})); got != "Return-Path: <>\r\n" {
		t.Errorf("AppendReturnPath(null) = %q", got)
	}
}

func BenchmarkDot(b *testing.B) {
	data := []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 70) + ".\r\n")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var d Dot
		if _, _, _, err := d.Next(data); err != nil {
			b.Fatal(err)
		}
	}
}
