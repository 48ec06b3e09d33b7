package message

import (
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// readers give s in several ways.
func readers(s string) []io.Reader {
	return []io.Reader{strings.NewReader(s), iotest.OneByteReader(strings.NewReader(s)), iotest.DataErrReader(strings.NewReader(s)), iotest.HalfReader(strings.NewReader(s))}
}

func TestDecode(t *testing.T) {
	blanks := strings.Repeat(" ", 3*blanksMax)
	tests := []struct{ encoding, in, want string }{
		{"7bit", "a=3D\r\n", "a=3D\r\n"},
		{"8bit", "\xff", "\xff"},
		{"binary", "\x00", "\x00"},
		{"base64", "aGVsbG8=", "hello"},
		{"base64", "aGVs\r\nbG8=\r\n", "hello"},
		{"base64", "a-G.V s\tb\x00G\xff8", "hello"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "aGVsbA", "hell"},
		{"base64", "aGVsb", "hel"},
		{"base64", "aA==aQ==", "hi"},
		{"base64", "aA=aQ=", "hi"},
		{"base64", "====", ""},
		{"base64", "", ""},
		{"quoted-printable", "a=3Db=3d", "a=b="},
		{"quoted-printable", "a=\r\nb=\nc=  \r\nd", "abcd"},
		{"quoted-printable", "a  \t\r\nb \nc", "a\r\nb\nc"},
		{"quoted-printable", "a b  ", "a b"},
		{"quoted-printable", "a=", "a"},
		{"quoted-printable", "a=\t ", "a"},
		{"quoted-printable", "a=4", "a=4"},
		{"quoted-printable", "a=zz=4x= x", "a=zz=4x= x"},
		{"quoted-printable", "a=\rb", "a=\rb"},
		{"quoted-printable", "\xff=00", "\xff\x00"},
		{"quoted-printable", "a" + blanks + "b", "a" + blanks + "b"},
		{"quoted-printable", "a=20\r\nb", "a \r\nb"},
	}
	for _, tt := range tests {
		p := &Part{Type: "text", Subtype: "plain", Encoding: tt.encoding}
		for _, in := range readers(tt.in) {
			r, err := p.Decode(in)
			if err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, r); got != tt.want {
				t.Errorf("%s: Decode(%q) = %q, want %q", tt.encoding, tt.in, got, tt.want)
			}
		}
	}
	p := &Part{Type: "text", Subtype: "plain", Encoding: "x-uuencode"}
	if _, err := p.Decode(strings.NewReader("")); !errors.Is(err, ErrEncoding) {
		t.Errorf("Decode of x-uuencode: %v, want ErrEncoding", err)
	}
}

func TestDecodeReadErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, encoding := range []string{"7bit", "base64", "quoted-printable"} {
		p := &Part{Type: "text", Subtype: "plain", Encoding: encoding}
		for _, in := range []string{"", "aGVsbG8 ", "aGVs=", "aGVs=\t"} {
			r, err := p.Decode(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(r); !errors.Is(err, broken) {
				t.Errorf("%s: reading %q = %v, want the reader's error", encoding, in, err)
			}
		}
	}
}

// What the standard library writes is read as it was.
func TestDecodeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 9000).Draw(t, "data")
		var qp strings.Builder
		w := quotedprintable.NewWriter(&qp)
		w.Binary = true
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for encoding, in := range map[string]string{"base64": base64.StdEncoding.EncodeToString(data), "quoted-printable": qp.String()} {
			r, err := (&Part{Type: "text", Subtype: "plain", Encoding: encoding}).Decode(strings.NewReader(in))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || string(got) != string(data) {
				t.Fatalf("%s: %q, %v, want %q", encoding, got, err, data)
			}
		}
	})
}

func TestText(t *testing.T) {
	tests := []struct{ charset, in, want string }{
		{"", "a\xe4ä", "aää"},
		{"us-ascii", "\x80", "€"},
		{"utf-8", "ä\xff", "ä\uFFFD"},
		{"UTF-8", "ä", "ä"},
		{"iso-8859-1", "\xe4\x80", "ä€"},
		{"iso-8859-15", "\xa4", "€"},
		{"windows-1251", "\xcf", "П"},
		{"koi8-r", "\xf0", "П"},
		{"shift_jis", "\x93\xfa", "日"},
		{"iso-2022-jp", "\x1b$BF|\x1b(B", "日"},
		{"euc-kr", "\xc7\xd1", "한"},
		{"gb2312", "\xc4\xe3", "你"},
		{"gb18030", "\xc4\xe3", "你"},
		{"hz-gb-2312", "~{Dc~}", "你"},
		{"big5", "\xa7\x41", "你"},
		{"utf-16", "\x00a\x00b", "ab"},
		{"utf-16", "\xff\xfea\x00", "a"},
		{"utf-16le", "a\x00", "a"},
		{"ibm850", "\x84", "ä"},
		{"utf-7", "Hi Mom -+Jjo--!", "Hi Mom -☺-!"},
		{"utf-7", "A+ImIDkQ.", "A≢Α."},
		{"utf-7", "+2D3eAA-x+-y+", "😀x+y"},
		{"utf-7", "+2D0-x\xff+2D0", "\uFFFDx\uFFFD\uFFFD"},
		{"no-such-charset", "\xe4", "ä"},
		{strings.Repeat("x", 1000), "a", "a"},
		{"utf-8", "\xe4\xbd", "\uFFFD"},
	}
	for _, tt := range tests {
		p := &Part{Type: "text", Subtype: "plain", Encoding: "8bit", Params: []Param{{"charset", tt.charset}}}
		for _, in := range readers(tt.in) {
			if got := strings.ReplaceAll(readAll(t, p.Text(in)), "\uFFFD\uFFFD", "\uFFFD"); got != strings.ReplaceAll(tt.want, "\uFFFD\uFFFD", "\uFFFD") {
				t.Errorf("%.20s: Text(%q) = %q, want %q", tt.charset, tt.in, got, tt.want)
			}
		}
	}
}

func TestDecodeHeader(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""}, {"plain text", "plain text"}, {"ä", "ä"}, {"\xe4", "ä"}, {"a\tb\x01", "a b "},
		{"=?utf-8?q?=C3=A4?=", "ä"}, {"=?UTF-8?B?w6Q=?=", "ä"}, {"=?utf-8?b?w6Q?=", "ä"}, {"=?iso-8859-1?Q?=E4_b?=", "ä b"},
		{"=?utf-8*en?q?a?=", "a"},
		{"a =?utf-8?q?b?= c", "a b c"}, {"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"}, {"=?utf-8?q?a?=\t =?iso-8859-1?q?=E4?= x", "aä x"},
		{"=?utf-8?q?a?==?utf-8?q?b?=", "ab"},
		{"=?utf-8?b?w?= =?utf-8?b?6Q=?=", "\uFFFD"}, // half an octet is lost
		{"=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä"},
		{"=?utf-8?q?a b?=", "a b"}, {"=?utf-8?b?w6Q= w6Q=?=", "=?utf-8?b?w6Q= w6Q=?="},
		{"=?utf-8?x?a?=", "=?utf-8?x?a?="}, {"=?utf-8?q?a", "=?utf-8?q?a"}, {"=?utf-8?q?", "=?utf-8?q?"}, {"=??q?a?=", "=??q?a?="}, {"=?", "=?"}, {"a=?=b", "a=?=b"},
		{"=?nope?q?=E4?=", "ä"}, {"=?utf-8?q?=ZZ=4?=", "=ZZ=4"},
		{"=?utf-8?q?=0D=0ABcc:_x?=", "  Bcc: x"},
		{"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"},
		{"=?x =?utf-8?q?a?=", "=?x a"}, {"=?utf-8?q?a=?utf-8?q?b?=", "=?utf-8?q?ab"},
		{"=?utf-8?q?a?= =?utf-8?q?", "a =?utf-8?q?"},
		{"=?iso-2022-jp?b?GyRCRnwbKEI=?=", "日"}, {"=?utf-8?q??=", ""},
	}
	for _, tt := range tests {
		if got := DecodeHeader(tt.in); got != tt.want {
			t.Errorf("DecodeHeader(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
