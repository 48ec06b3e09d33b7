package search

import (
	"strings"
	"testing"

	"porcupine/internal/cluster"
)

// TestCharsets encodes a text in each charset and reads it back.
func TestCharsets(t *testing.T) {
	tests := []struct{ charset, text string }{
		{"utf-8", "日本語 é"}, {"us-ascii", "abc"}, {"iso-8859-1", "é"}, {"ISO-8859-2", "ł"}, {"iso-8859-3", "ħ"}, {"iso-8859-4", "ą"},
		{"iso-8859-5", "Привет"}, {"iso-8859-6", "سلام"}, {"iso-8859-7", "αβγ"}, {"iso-8859-8", "שלום"}, {"iso-8859-9", "ş"},
		{"iso-8859-10", "ŋ"}, {"iso-8859-13", "ė"}, {"iso-8859-14", "ŵ"}, {"iso-8859-15", "€"}, {"iso-8859-16", "ț"},
		{"windows-1250", "ł"}, {"windows-1251", "Привет"}, {"windows-1252", "€"}, {"windows-1253", "α"}, {"windows-1254", "ğ"},
		{"windows-1255", "ש"}, {"windows-1256", "س"}, {"windows-1257", "ė"}, {"windows-1258", "ơ"}, {"cp1252", "é"},
		{"koi8-r", "Привет"}, {"koi8-u", "ї"}, {"iso-2022-jp", "日本語"}, {"shift_jis", "日本語"}, {"euc-jp", "日本語"},
		{"gb2312", "中文"}, {"gbk", "中文"}, {"gb18030", "中文𠀀"}, {"big5", "中文"}, {"euc-kr", "한국"},
		{"ks_c_5601-1987", "한국"}, {"tis-620", "ไทย"}, {"macintosh", "é"}, {"ibm866", "Привет"}, {"cp437", "é"}, {"ibm850", "é"},
		{"utf-16be", "é日"}, {"utf-16le", "é日"},
	}
	for _, tt := range tests {
		octets := []byte(tt.text)
		if enc := charsetOf(tt.charset); enc != nil {
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
