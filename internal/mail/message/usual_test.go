package message

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// checkHeaderFields makes sure that an index gives of the header what the header gives, or nothing.
func checkHeaderFields(t testing.TB, x *Index, header string) {
	t.Helper()
	for _, names := range [][]string{{"Subject"}, {"to", "SUBJECT", "Content-Type", "X-No"}, {"x-1", "a b", "\u017f"}, {"x-1", ""}, {"Received", "Subject"}, {"arc-Seal"}, {}} {
		got, ok := x.HeaderFields([]byte("before"), names)
		if !ok {
			if string(got) != "before" {
				t.Fatalf("HeaderFields(%q) gives %q and false", names, got)
			}
			continue
		}
		if want := "before" + readAll(t, Fields(strings.NewReader(header), names, false)); string(got) != want {
			t.Fatalf("HeaderFields(%q) = %q, want %q of the header %q", names, got, want, header)
		}
	}
}

// drawHeader makes a header of lines that are fields, traces, continued or none.
func drawHeader(t *rapid.T) string {
	line := rapid.SampledFrom([]string{"Subject: a", "subject : b", " continued", "\tmore: x", "Received: from x", "ARC-Seal: i=1", "no field", "To:", ": none",
		"X-1: \x00", "\u017f: u", "a b: c", "dkim-SIGNATURE : v=1", "Content-Type: text/plain", "  ", strings.Repeat("X-1: long", 60), "Received: " + strings.Repeat("y", 5000)})
	end := rapid.SampledFrom([]string{"\r\n", "\n"})
	var b strings.Builder
	for range rapid.IntRange(0, 12).Draw(t, "lines") {
		b.WriteString(line.Draw(t, "line") + end.Draw(t, "end"))
	}
	return b.String() + rapid.SampledFrom([]string{"", "\r\n", "\n", "\r\nbody: b\r\n", "Subject: without end"}).Draw(t, "rest")
}

// V1: what an index says of a header is what stands there, to the octet; when it cannot, it says so.
func TestHeaderFields(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		raw := drawHeader(r)
		x, err := Build(strings.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(x.Append(nil))
		if err != nil || again.Fields != x.Fields {
			t.Fatalf("read again, the fields of %q are %+v, %v", raw, again, err)
		}
		checkHeaderFields(t, x, raw[:x.Root.Header.End])
	})
}

func TestHeaderFields_Kept(t *testing.T) {
	field := "X-1: " + strings.Repeat("y", 57) + "\r\n" // 64 octets
	trace := "Received: " + strings.Repeat("y", 52) + "\r\n"
	tests := []struct {
		name, raw string
		size      int // of what is kept; -1: nothing is
	}{
		{"all", "Subject: a\r\n\r\nbody", 14},
		{"no traces", "Received: a\r\n\tb\r\nSubject: a\r\nDKIM-Signature: b\r\nX-MS-Exchange-X: c\r\n\r\n", 14},
		{"no header", "\r\nSubject: a", 2},
		{"nothing", "", 0},
		{"just as many", strings.Repeat(field, FieldsMax/64-1) + field[2:] + "\r\n", FieldsMax},
		{"too many", strings.Repeat(field, FieldsMax/64) + "\r\n", -1},
		{"many traces", strings.Repeat(trace, 500) + field + "\r\n", 66},
		{"too many traces", strings.Repeat(trace, fieldsReadMax/64) + field + "\r\n", -1},
	}
	for _, tt := range tests {
		x := build(t, tt.raw)
		if size := len(x.Fields.Text); !x.Fields.Set && tt.size != -1 || x.Fields.Set && size != tt.size {
			t.Errorf("%s: %d octets are kept (%t), want %d", tt.name, size, x.Fields.Set, tt.size)
		}
	}
	for _, name := range append(traces[:len(traces):len(traces)], tracePrefixes...) {
		if !IsTrace(name) || !IsTrace(strings.ToUpper(name)) {
			t.Errorf("%s is no trace", name)
		}
	}
	for name, want := range map[string]bool{"received": true, "ReceiVed": true, "Received-By": false, "ARC-": true, "ARC": false, "X-Spam-Flag": true,
		strings.Repeat("x", 100): false, "x-ms-" + strings.Repeat("x", 100): true, "": false, "Autocrypt": true} {
		if IsTrace(name) != want {
			t.Errorf("IsTrace(%q) = %t", name, !want)
		}
	}
}

func BenchmarkHeaderFields(b *testing.B) {
	raw := message5K()
	x, err := Build(strings.NewReader(raw), int64(len(raw)))
	if err != nil {
		b.Fatal(err)
	}
	names := strings.Fields("From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To")
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		if out, _ = x.HeaderFields(out[:0], names); len(out) == 0 {
			b.Fatal("nothing is kept")
		}
	}
}
