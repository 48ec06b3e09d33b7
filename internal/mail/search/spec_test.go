package search

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/message"
)

// text is a message in memory, for Reader.Match.
type text struct {
	summary mail.Summary
	raw     []byte
	index   *message.Index
	slow    bool // give it octet by octet
	opened  int
	read    int64
}

func newText(t testing.TB, raw string) *text {
	t.Helper()
	x, err := message.Build(strings.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatalf("Build = %v", err)
	}
	return &text{summary: mail.Summary{UID: 7, Size: int64(len(raw))}, raw: []byte(raw), index: x}
}

func (m *text) Summary() *mail.Summary                            { return &m.summary }
func (m *text) Structure(context.Context) (*message.Index, error) { return m.index, nil }

func (m *text) Open(_ context.Context, offset, length int64) (io.ReadCloser, error) {
	m.opened++
	m.read += length
	if offset < 0 || length < 0 || offset+length > int64(len(m.raw)) {
		return nil, fmt.Errorf("open %d octets at %d of %d", length, offset, len(m.raw))
	}
	var r io.Reader = bytes.NewReader(m.raw[offset : offset+length])
	if m.slow {
		r = iotest.OneByteReader(r)
	}
	return io.NopCloser(r), nil
}

var _ Message = (*text)(nil)

// match compiles a key and asks a message.
func match(t testing.TB, k Key, m *text) bool {
	t.Helper()
	p, err := Compile(k, testNow)
	if err != nil {
		t.Fatalf("Compile = %v", err)
	}
	found, err := p.NewReader().Match(context.Background(), m)
	if err != nil {
		t.Fatalf("Match = %v", err)
	}
	return found
}

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// spec is a message as the one who wrote it meant it: the reference evaluator looks only at this, never at octets.
type spec struct {
	summary mail.Summary
	sent    time.Time // zero: no Date field
	fields  []specField
	parts   []specPart
}

// specField is a header field: what it says, and how it is written.
type specField struct{ name, text, raw string }

// specPart is a part, or a message in a message with its own fields and text.
type specPart struct {
	fields []specField
	text   string
	binary bool // not text: nobody looks into it
	raw    string
	inner  *specPart
}

// write gives the message's octets.
func (s *spec) write() string {
	var b strings.Builder
	for _, f := range s.fields {
		b.WriteString(f.name + ": " + f.raw + "\r\n")
	}
	if len(s.parts) == 1 {
		s.parts[0].write(&b)
		return b.String()
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n")
	for i := range s.parts {
		b.WriteString("--=_b\r\n")
		s.parts[i].write(&b)
		b.WriteString("\r\n")
	}
	b.WriteString("--=_b--\r\n")
	return b.String()
}

func (p *specPart) write(b *strings.Builder) {
	for _, f := range p.fields {
		b.WriteString(f.name + ": " + f.raw + "\r\n")
	}
	b.WriteString("\r\n")
	if p.inner != nil {
		p.inner.write(b)
		return
	}
	b.WriteString(p.raw)
}

// specText makes a part of text in a charset and a transfer encoding.
func specText(charset, encoding, text string) specPart {
	octets := []byte(text)
	if enc := charsetOf(charset); enc != nil {
		octets, _ = enc.NewEncoder().Bytes(octets)
	}
	p := specPart{text: text, fields: []specField{
		{"Content-Type", "text/plain; charset=" + charset, "text/plain; charset=" + charset},
		{"Content-Transfer-Encoding", encoding, encoding},
	}}
	var b bytes.Buffer
	switch encoding {
	case "base64":
		all := base64.StdEncoding.EncodeToString(octets)
		for len(all) > 76 {
			b.WriteString(all[:76] + "\r\n")
			all = all[76:]
		}
		b.WriteString(all)
	case "quoted-printable":
		w := quotedprintable.NewWriter(&b)
		_, _ = w.Write(octets)
		_ = w.Close()
	default:
		b.Write(octets)
	}
	p.raw = b.String()
	return p
}

// encodedField writes a text as encoded words where it must.
func encodedField(name, charset, text string) specField {
	raw := text
	if strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
		octets := []byte(text)
		if enc := charsetOf(charset); enc != nil {
			octets, _ = enc.NewEncoder().Bytes(octets)
		}
		raw = fmt.Sprintf("=?%s?B?%s?=", charset, base64.StdEncoding.EncodeToString(octets))
		if charset == "utf-8" {
			raw = mime.QEncoding.Encode("utf-8", text)
		}
	}
	return specField{name: name, text: text, raw: raw}
}

// fits is the reference evaluator: every key by the words of the RFC, on what was meant.
func (s *spec) fits(k Key) bool {
	m := &s.summary
	switch k.Op {
	case OpAll:
		return true
	case OpAnd:
		for _, sub := range k.Keys {
			if !s.fits(sub) {
				return false
			}
		}
		return true
	case OpOr:
		for _, sub := range k.Keys {
			if s.fits(sub) {
				return true
			}
		}
		return false
	case OpNot:
		return !s.fits(k.Keys[0])
	case OpUIDs:
		return k.UIDs.Contains(m.UID)
	case OpFlag:
		return strings.Contains(fmt.Sprintf("%q", m.Flags), fmt.Sprintf("%q", k.Flag))
	case OpLarger:
		return m.Size > int64(k.Number)
	case OpSmaller:
		return m.Size < int64(k.Number)
	case OpModSeq:
		return m.ModSeq >= mail.ModSeq(k.Number)
	case OpEmailID:
		return strings.EqualFold(m.Email.String(), k.Text)
	case OpOlder:
		return testNow.Sub(m.Received) >= time.Duration(k.Number)*time.Second
	case OpYounger:
		return testNow.Sub(m.Received) <= time.Duration(k.Number)*time.Second
	case OpBefore, OpOn, OpSince:
		return dayFits(k.Op-OpBefore, m.Received, k.Day)
	case OpSavedBefore, OpSavedOn, OpSavedSince:
		return dayFits(k.Op-OpSavedBefore, m.Saved, k.Day)
	case OpSentBefore, OpSentOn, OpSentSince:
		return !s.sent.IsZero() && dayFits(k.Op-OpSentBefore, s.sent, k.Day)
	case OpHeader:
		return fieldsFit(s.fields, k.Field, k.Text)
	case OpBody:
		return empty(k.Text) || partsFit(s.parts, k.Text, false)
	case OpText:
		return empty(k.Text) || fieldsFit(s.fields, "", k.Text) || partsFit(s.parts, k.Text, true)
	}
	panic(k.Op)
}

// empty reports whether nothing is left of a text without CR.
func empty(text string) bool { return strings.ReplaceAll(text, "\r", "") == "" }

func dayFits(how Op, when time.Time, day Day) bool {
	date := when.Format(time.DateOnly)
	wanted := time.Date(1970, 1, 1+int(day), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	return how == 0 && date < wanted || how == 1 && date == wanted || how == 2 && date >= wanted
}

// fieldsFit looks into fields of a name, or into all with their names if there is none.
func fieldsFit(fields []specField, name, needle string) bool {
	for _, f := range fields {
		switch {
		case name == "" && within(needle, f.name+": "+f.text, true):
			return true
		case name != "" && strings.EqualFold(f.name, name) && within(needle, f.text, true):
			return true
		}
	}
	return false
}

func partsFit(parts []specPart, needle string, headers bool) bool {
	for i := range parts {
		p := &parts[i]
		switch {
		case headers && fieldsFit(p.fields, "", needle):
			return true
		case p.inner != nil && partsFit([]specPart{*p.inner}, needle, headers):
			return true
		case p.inner == nil && !p.binary && within(needle, p.text, false):
			return true
		}
	}
	return false
}

// within is substring matching on whole texts, by slow ways.
func within(needle, text string, field bool) bool {
	if field {
		needle, text = joinBlanks(needle), joinBlanks(text)
	}
	return bytes.Contains(slowFold([]byte(text)), slowFold([]byte(needle)))
}

// joinBlanks makes each run of blanks one.
func joinBlanks(s string) string {
	for _, c := range []string{"\t", "\r", "\n"} {
		s = strings.ReplaceAll(s, c, " ")
	}
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}
