package message

import (
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzBuild: every message has an index, whose parts lie in one another and in the message, and which is read as it
// was written.
func FuzzBuild(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s.raw))
	}
	for _, raw := range hostile(2000) {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		x := build(t, string(raw))
		for p := range x.Root.All() {
			if s, ok := x.Section(nil, Header); !ok || s.Start != 0 {
				t.Fatalf("BODY[HEADER] = %v, %v", s, ok)
			}
			text, err := io.ReadAll(p.Text(bytes.NewReader(raw[p.Body.Start:p.Body.End])))
			if err != nil || !utf8.Valid(text) {
				t.Fatalf("Text of %s in %s: %v, or not UTF-8", p.Encoding, p.Charset(), err)
			}
			if !utf8.ValidString(p.Filename()) {
				t.Fatalf("Filename is not UTF-8: %q", p.Filename())
			}
		}
		if n := utf8.RuneCountInString(x.Preview); n > PreviewLengthMax || !utf8.ValidString(x.Preview) || strings.ContainsAny(x.Preview, "\r\n") {
			t.Fatalf("preview of %d characters: %q", n, x.Preview)
		}
		header := string(raw[x.Root.Header.Start:x.Root.Header.End])
		some := readAll(t, Fields(strings.NewReader(header), []string{"Content-Type", "to"}, false))
		rest := readAll(t, Fields(strings.NewReader(header), []string{"Content-Type", "to"}, true))
		checkHeaderFields(t, x, header)
		if end := len(some) + len(rest) - len(header); end < 0 || end > 2 {
			t.Fatalf("Fields of %.500q: %.500q and %.500q", header, some, rest)
		}
	})
}

// FuzzParse: there is one form.
func FuzzParse(f *testing.F) {
	for _, s := range samples() {
		x, err := Build(strings.NewReader(s.raw), int64(len(s.raw)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(x.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Parse(b)
		if err != nil {
			return
		}
		if again := x.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("Parse takes %x, Append writes %x", b, again)
		}
		n := 0
		for p := range x.Root.All() {
			n++
			if p.IsMultipart() && len(p.Children) == 0 || p.IsMessage() && (len(p.Children) != 1 || p.Children[0].Envelope == nil) {
				t.Fatalf("%s/%s with %d children", p.Type, p.Subtype, len(p.Children))
			}
			if p.Header.Start < 0 || p.Header.Len() < 0 || p.Body.Len() < 0 || p.Body.End > x.Size {
				t.Fatalf("part %v %v of %d octets", p.Header, p.Body, x.Size)
			}
		}
		if n > PartsMax {
			t.Fatalf("%d parts", n)
		}
	})
}

// FuzzFieldValues: the parsers of fields take anything, and say nothing with a line end in it.
func FuzzFieldValues(f *testing.F) {
	for _, s := range []string{`"a" <b@c>, g: d@e;`, `text/plain; charset="x"; a*0*=b`, "=?utf-8?q?a?= =?utf-8?b?w6Q=?=", "1 Jan 2026 10:00 +0100", "<a@b> <c@d>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = unfold([]byte(s))
		list := parseAddresses(s, 10)
		if len(list) > 10 {
			t.Fatalf("%d addresses, want at most 10", len(list))
		}
		open := false
		for _, a := range list {
			if a.IsGroupEnd() && !open || a.IsGroupStart() && open {
				t.Fatalf("groups of %q: %s", s, inIMAP(list))
			}
			open = a.IsGroupStart() || open && !a.IsGroupEnd()
			if strings.ContainsAny(a.Name.Text+a.Route.Text+a.Mailbox.Text+a.Host.Text, "\r\n\x00") {
				t.Fatalf("address of %q: %s", s, inIMAP(list))
			}
		}
		if open {
			t.Fatalf("group of %q has no end: %s", s, inIMAP(list))
		}
		_, _, params := parseType(s)
		for _, p := range params {
			if p.Name == "" || len(p.Name) > TokenMax || len(p.Value) > ParamLengthMax {
				t.Fatalf("parameter %+v", p)
			}
		}
		if v, _ := findParam(params, "charset"); !utf8.ValidString(v) && !utf8.ValidString(s) {
			return // a plain parameter is as it stands there
		}
		if d := DecodeHeader(s); !utf8.ValidString(d) || strings.ContainsAny(d, "\r\n\x00") {
			t.Fatalf("DecodeHeader(%q) = %q", s, d)
		}
		parseDate(s)
		parseMessageIDs(s)
	})
}

// FuzzDecode: what is decoded does not depend on how it is read, and is never longer than what it was.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"aGVsbG8=", "a=3D \r\n=\r\n x", "+2D3eAA-x", "=  \t", "\x1b$BF|"} {
		f.Add(s, "utf-7")
	}
	f.Fuzz(func(t *testing.T, in, charset string) {
		for _, encoding := range encodingCodes[1:] {
			p := &Part{Type: "text", Subtype: "plain", Encoding: encoding, Params: []Param{{"charset", charset}}}
			var decoded, text []string
			for _, r := range readers(in) {
				text = append(text, readAll(t, p.Text(r)))
			}
			for _, r := range readers(in) {
				d, err := p.Decode(r)
				if err != nil {
					return // x-unknown
				}
				decoded = append(decoded, readAll(t, d))
			}
			if len(decoded[0]) > len(in) || !utf8.ValidString(text[0]) {
				t.Fatalf("%s, %s: %q gives %q and %q", encoding, charset, in, decoded[0], text[0])
			}
			for i := range decoded {
				if decoded[i] != decoded[0] || text[i] != text[0] {
					t.Fatalf("%s, %s: %q gives %q or %q, as text %q or %q", encoding, charset, in, decoded[0], decoded[i], text[0], text[i])
				}
			}
		}
	})
}

// TestForm holds the form of an index: what is on disks must be read for ever, or Version changes.
func TestForm(t *testing.T) {
	const raw = "Date: Thu, 1 Jan 1970 00:01:00 +0100\r\nSubject: s\r\nFrom: a <b@c>\r\nTo: d@e\r\nMessage-ID: <i@d>\r\nReferences: <r@f>\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: foo/bar\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: inline\r\n\r\naGk=\r\n--b\r\n" +
		"Content-Type: message/rfc822\r\n\r\nSubject: t\r\n\r\nhello\r\n--b--\r\n"
	const want = "02c20205a737780369406401037240660568656c6c6f9b1e5468752c2031204a616e20313937302030303a30313a3030202b303130300173053c6940643e010d016101620163010c016401650000" +
		"009d01a5010d0301010108626f756e64617279016202055904000003666f6f03626172051006696e6c696e650007201302090100020174000e05000101010107636861727365740875732d6173636969" +
		"9d01446174653a205468752c2031204a616e20313937302030303a30313a3030202b303130300d0a5375626a6563743a20730d0a46726f6d3a2061203c6240633e0d0a546f3a206440650d0a4d6573736167652d49443a203c6940643e0d0a5265666572656e6365733a203c7240663e0d0a436f6e74656e742d547970653a206d756c7469706172742f6d697865643b20626f756e646172793d620d0a0d0a"
	got := hex.EncodeToString(build(t, raw).Append(nil))
	if got != want {
		t.Errorf("the index of %q is\n%s, want\n%s: is this a new Version?", raw, got, want)
	}
}
