package message

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// entity is a part that was made at random, and what must be found of it.
type entity struct {
	typ      string
	header   textproto.MIMEHeader
	body     []byte
	children []*entity
}

// drawEntity makes a part. Its texts have no line that begins with "--".
func drawEntity(t *rapid.T, depth int) *entity {
	kind := rapid.SampledFrom([]string{"text/plain", "text/html", "image/png", "multipart/mixed", "multipart/alternative", "message/rfc822"}).Draw(t, "type")
	if depth >= 4 && !strings.HasPrefix(kind, "text") {
		kind = "image/png"
	}
	e := &entity{typ: kind, header: textproto.MIMEHeader{}}
	if rapid.Bool().Draw(t, "described") {
		e.header.Set("Content-Description", rapid.StringMatching(`[a-z]{0,9}x`).Draw(t, "description"))
	}
	params := map[string]string{}
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		boundary := rapid.StringMatching(`[a-z]([-a-z ]{0,20}[a-z])?`).Draw(t, "boundary") + string(rune('A'+depth))
		if err := w.SetBoundary(boundary); err != nil {
			t.Fatal(err)
		}
		params["boundary"] = boundary
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			c := drawEntity(t, depth+1)
			part, err := w.CreatePart(c.header)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := part.Write(c.body); err != nil {
				t.Fatal(err)
			}
			e.children = append(e.children, c)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		e.body = b.Bytes()
	case kind == "message/rfc822":
		c := drawEntity(t, depth+1)
		e.children = []*entity{c}
		e.body = c.message()
	default:
		e.body = []byte(rapid.StringMatching(`([ -,.-~]{0,40}\r\n){0,5}[ -,.-~]{0,40}`).Draw(t, "body"))
	}
	e.header.Set("Content-Type", mime.FormatMediaType(kind, params))
	return e
}

// message writes the part as a message.
func (e *entity) message() []byte {
	var b bytes.Buffer
	b.WriteString("Subject: s\r\n")
	for _, k := range []string{"Content-Description", "Content-Type"} {
		if v := e.header.Get(k); v != "" {
			b.WriteString(k + ": " + v + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return append(b.Bytes(), e.body...)
}

func (e *entity) compare(t *rapid.T, raw []byte, p *Part) {
	if got := p.Type + "/" + p.Subtype; got != e.typ {
		t.Fatalf("type %s, want %s", got, e.typ)
	}
	if got := raw[p.Body.Start:p.Body.End]; !bytes.Equal(got, e.body) {
		t.Fatalf("body %q, want %q", got, e.body)
	}
	if p.Description.Text != e.header.Get("Content-Description") {
		t.Fatalf("description %q, want %q", p.Description.Text, e.header.Get("Content-Description"))
	}
	if len(p.Children) != len(e.children) {
		t.Fatalf("%d children, want %d", len(p.Children), len(e.children))
	}
	for i, c := range e.children {
		c.compare(t, raw, p.Children[i])
	}
}

// What the standard library writes is found octet for octet, and so is what it reads.
func TestBuildModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntity(t, 1)
		raw := e.message()
		x, err := Build(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		e.compare(t, raw, x.Root)
		compareWithLibrary(t, raw, x)
	})
}

// compareWithLibrary reads the first level with the standard library.
func compareWithLibrary(t *rapid.T, raw []byte, x *Index) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if !x.Root.IsMultipart() {
		return
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for i := 0; ; i++ {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			if i != len(x.Root.Children) {
				t.Fatalf("%d parts, the library finds %d", len(x.Root.Children), i)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := x.Section([]int{i + 1}, Whole); !ok || !bytes.Equal(raw[s.Start:s.End], body) {
			t.Fatalf("part %d is not %q", i+1, body)
		}
	}
}

// The reader's errors are Build's, wherever they come; and a message that is shorter than it was said to be is one.
func TestBuildReadErrors(t *testing.T) {
	broken := errors.New("broken")
	raw := mixed + "--b\r\n\r\n" + strings.Repeat("one\r\n", 50_000) + "--b\r\nA: b\r\n" + strings.Repeat(" x\r\n", 50_000)
	for _, at := range []int{0, 1, 100, windowSize, windowSize + 1, len(raw) - 1} {
		r := readerAt(func(p []byte, off int64) (int, error) {
			if off+int64(len(p)) > int64(at) {
				return 0, broken
			}
			return copy(p, raw[off:]), nil
		})
		if _, err := Build(r, int64(len(raw))); !errors.Is(err, broken) {
			t.Errorf("Build with a reader that breaks at %d = %v, want its error", at, err)
		}
	}
	if _, err := Build(strings.NewReader(raw), int64(len(raw))+1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Build of a message that is too short = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if _, err := Build(strings.NewReader(""), -1); err == nil {
		t.Error("Build of a negative size = nil, want an error")
	}
	p := &Part{Type: "text", Subtype: "plain", Encoding: "7bit"}
	if _, err := io.ReadAll(p.Text(iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("Text of a reader that breaks = %v, want its error", err)
	}
	if _, err := io.ReadAll(Fields(iotest.ErrReader(broken), nil, true)); !errors.Is(err, broken) {
		t.Errorf("Fields of a reader that breaks = %v, want its error", err)
	}
}

type readerAt func([]byte, int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
