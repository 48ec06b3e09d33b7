package search

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
	"pgregory.net/rapid"

	"porcupine/internal/cluster"
)

func TestDecodeWords(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"plain", "hello", "hello"},
		{"q", "=?utf-8?q?caf=C3=A9?=", "café"},
		{"b", "=?UTF-8?B?Y2Fmw6k=?=", "café"},
		{"underscore", "=?iso-8859-1?Q?a_b=5F?=", "a b_"},
		{"latin-1", "=?iso-8859-1?q?caf=E9?=", "café"},
		{"latin-9", "=?iso-8859-15?q?=A4?=", "€"},
		{"windows-1251", "=?windows-1251?B?z/Do4uXy?=", "Привет"},
		{"koi8-r", "=?koi8-r?B?8NLJ18XU?=", "Привет"},
		{"iso-2022-jp", "=?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=", "日本語"},
		{"shift_jis", "=?Shift_JIS?B?k/qWe4zq?=", "日本語"},
		{"gb2312", "=?gb2312?B?1tDOxA==?=", "中文"},
		{"big5", "=?big5?B?pKSk5Q==?=", "中文"},
		{"euc-kr", "=?ks_c_5601-1987?B?x9GxuQ==?=", "한국"},
		{"blanks between words", "=?utf-8?q?a?=  \t=?utf-8?q?b?= c", "ab c"},
		{"blanks around", "x =?utf-8?q?a?= y", "x a y"},
		{"different charsets", "=?utf-8?q?a?= =?iso-8859-1?q?=E9?=", "aé"},
		{"a character in two words", "=?utf-8?b?w6k=?= =?utf-8?q?=C3?= =?utf-8?q?=A9?=", "éé"},
		{"language", "=?utf-8*de?q?a?=", "a"},
		{"inside a word", "x=?utf-8?q?a?=y", "xay"},
		{"quoted", `"=?utf-8?q?a?=" <a@b>`, `"a" <a@b>`},
		{"unknown charset", "=?x-none?q?a=C3=A9?=", "aé"},
		{"unknown encoding", "=?utf-8?x?a?=", "=?utf-8?x?a?="},
		{"no end", "=?utf-8?q?a", "=?utf-8?q?a"},
		{"no charset", "=??q?a?=", "=??q?a?="},
		{"bad base64", "=?utf-8?b?Y*Q=?=", "a"},
		{"bad escape", "=?utf-8?q?=zz?=", "=zz"},
		{"empty", "=?utf-8?q??=", ""},
		{"beginnings", "=?=?=?=?", "=?=?=?=?"},
		{"too long", "=?utf-8?q?" + strings.Repeat("a", wordMax) + "?=", "=?utf-8?q?" + strings.Repeat("a", wordMax) + "?="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(decodeWords(nil, []byte(tt.text))); got != tt.want {
				t.Errorf("decodeWords(%q) = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

// TestCharsets encodes a text in each charset and reads it back.
func TestCharsets(t *testing.T) {
	tests := []struct{ charset, text string }{
		{"utf-8", "日本語 é"}, {"us-ascii", "abc"}, {"iso-8859-1", "é"}, {"ISO-8859-2", "ł"}, {"iso-8859-3", "ħ"}, {"iso-8859-4", "ą"},
		{"iso-8859-5", "Привет"}, {"iso-8859-6", "سلام"}, {"iso-8859-7", "αβγ"}, {"iso-8859-8", "שלום"}, {"iso-8859-9", "ş"},
		{"iso-8859-10", "ŋ"}, {"iso-8859-13", "ė"}, {"iso-8859-14", "ŵ"}, {"iso-8859-15", "€"}, {"iso-8859-16", "ț"},
		{"windows-1250", "ł"}, {"windows-1251", "Привет"}, {"windows-1252", "€"}, {"windows-1253", "α"}, {"windows-1254", "ğ"},
		{"windows-1255", "ש"}, {"windows-1256", "س"}, {"windows-1257", "ė"}, {"windows-1258", "ơ"}, {"cp1252", "é"},
		{"koi8-r", "Привет"}, {"koi8-u", "ї"}, {"iso-2022-jp", "日本語"}, {"shift_jis", "日本語"}, {"cp932", "日本語"}, {"euc-jp", "日本語"},
		{"gb2312", "中文"}, {"gbk", "中文"}, {"gb18030", "中文𠀀"}, {"hz-gb-2312", "中文"}, {"big5", "中文"}, {"euc-kr", "한국"},
		{"ks_c_5601-1987", "한국"}, {"tis-620", "ไทย"}, {"macintosh", "é"}, {"ibm866", "Привет"}, {"cp437", "é"}, {"ibm850", "é"},
		{"utf-16", "é日"}, {"utf-16be", "é日"}, {"utf-16le", "é日"}, {"utf-32", "é日"},
	}
	for _, tt := range tests {
		enc, plain := charsetOf(tt.charset)
		if enc == nil && !plain {
			t.Errorf("charsetOf(%q): not known", tt.charset)
			continue
		}
		octets := []byte(tt.text)
		if enc != nil {
			var err error
			if octets, err = enc.NewEncoder().Bytes(octets); err != nil {
				t.Errorf("%s: %v", tt.charset, err)
			}
		}
		if got, err := DecodeText(tt.charset, octets); err != nil || got != tt.text {
			t.Errorf("DecodeText(%q) = %q, %v, want %q", tt.charset, got, err, tt.text)
		}
		if !KnownCharset(strings.ToUpper(tt.charset)) {
			t.Errorf("KnownCharset(%q) = false", tt.charset)
		}
	}
	for _, bad := range []string{"x-none", "utf-9", strings.Repeat("x", 100), "iso-2022-kr"} {
		if _, err := DecodeText(bad, []byte("x")); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("DecodeText(%q) = %v, want invalid", bad, err)
		}
	}
	if _, err := DecodeText("utf-8", []byte("\xff")); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("DecodeText of bad UTF-8 = %v, want invalid", err)
	}
	for _, name := range Charsets() {
		if !KnownCharset(name) {
			t.Errorf("%s is named, and not known", name)
		}
	}
}

func TestUTF7(t *testing.T) {
	tests := []struct{ text, want string }{
		{"A+ImIDkQ.", "A≢Α."},
		{"Hi Mom -+Jjo--!", "Hi Mom -☺-!"},
		{"+ZeVnLIqe-", "日本語"},
		{"+2D3eAA-", "😀"},
		{"1 +- 1", "1 + 1"},
		{"+ZeVnLIqe", "日本語"},
		{"\x80", "\ufffd"},
	}
	for _, tt := range tests {
		if got, err := DecodeText("utf-7", []byte(tt.text)); err != nil || got != tt.want {
			t.Errorf("utf-7 %q = %q, %v, want %q", tt.text, got, err, tt.want)
		}
		slow := transform.NewReader(iotest.OneByteReader(strings.NewReader(tt.text)), utf7{}.NewDecoder())
		if got, err := io.ReadAll(slow); err != nil || string(got) != tt.want {
			t.Errorf("utf-7 %q, octet by octet = %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
	var _ encoding.Encoding = utf7{}
}

func TestTransfer(t *testing.T) {
	tests := []struct{ encoding, text, want string }{
		{"base64", "aGVs\r\nbG8=\r\n", "hello"},
		{"BASE64", "aGVsbG8", "hello"},
		{"base64", "a*G V\tsbG8=aGVsbG8=", "hellohello"},
		{"base64", "", ""},
		{"base64", "====", ""},
		{"base64", "aGVsbG8=\r\n-- \r\n", "hello\xfb\xef"[:5]},
		{"quoted-printable", "a=3D=\r\nb=E9", "a=b\xe9"},
		{"quoted-printable", "a=3d=\nb", "a=b"},
		{"quoted-printable", "a=  \r\nb", "ab"},
		{"quoted-printable", "blank  \r\nnext \t\nx", "blank\r\nnext\nx"},
		{"quoted-printable", "a  b", "a  b"},
		{"quoted-printable", "=", ""},
		{"quoted-printable", "a=zz =4", "a=zz =4"},
		{"quoted-printable", "a=\rb==41", "a=\rb=A"},
		{"8bit", "a=3D", "a=3D"},
		{"x-none", "a=3D", "a=3D"},
	}
	for _, tt := range tests {
		for _, slow := range []bool{false, true} {
			r := &Reader{}
			r.decoding.raw = make([]byte, chunkSize)
			var from io.Reader = strings.NewReader(tt.text)
			if slow {
				from = iotest.OneByteReader(from)
			}
			got, err := io.ReadAll(r.transferOf(tt.encoding, from))
			if err != nil || string(got) != tt.want {
				t.Errorf("%s %q (octet by octet: %v) = %q, %v, want %q", tt.encoding, tt.text, slow, got, err, tt.want)
			}
		}
	}
}

// What is well encoded is decoded as the standard library does.
func TestTransferAsTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		r := &Reader{}
		r.decoding.raw = make([]byte, rapid.IntRange(1, 10).Draw(t, "size"))

		folded := []byte(base64.StdEncoding.EncodeToString(text))
		if len(folded) > 10 {
			folded = append(append(append([]byte(nil), folded[:10]...), "\r\n"...), folded[10:]...)
		}
		if got, err := io.ReadAll(r.transferOf("base64", bytes.NewReader(folded))); err != nil || !bytes.Equal(got, text) {
			t.Errorf("base64 %q = %q, %v, want %q", folded, got, err, text)
		}
		var quoted bytes.Buffer
		w := quotedprintable.NewWriter(&quoted)
		w.Binary = true
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.transferOf("quoted-printable", &quoted)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("quoted-printable = %q, %v, want %q", got, err, text)
		}
	})
}

func FuzzDecodeWords(f *testing.F) {
	for _, s := range []string{"=?utf-8?q?a=C3=A9?= =?utf-8?b?YQ==?=", "=?iso-2022-jp?B?GyRCRnxLXDhsGyhC?=", "=?=?q?"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		out := decodeWords(nil, text)
		if len(out) > 4*len(text)+16 {
			t.Errorf("decodeWords(%q) is %d octets", text, len(out))
		}
		foldField(string(text))
	})
}
