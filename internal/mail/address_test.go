package mail

import (
	"errors"
	"strings"
	"testing"
)

// longVERP is a local part over LocalLengthMax.
const longVERP = "bounces+1234567-9f3a-somebody.with.a.long.name=another-domain.example"

var addressTests = []struct {
	in        string
	local     string
	domain    string
	canonical string // empty: must not parse
}{
	{"u0@example.test", "u0", "example.test", "u0@example.test"},
	{"U0@Example.TEST", "U0", "Example.TEST", "u0@example.test"},
	{"a.b+c-d_e@x.test", "a.b+c-d_e", "x.test", "a.b+c-d_e@x.test"},
	{"!#$%&'*+-/=?^_`{|}~@x.test", "!#$%&'*+-/=?^_`{|}~", "x.test", "!#$%&'*+-/=?^_`{|}~@x.test"},
	{"u@example.test.", "u", "example.test", "u@example.test"},
	{"u@localhost", "u", "localhost", "u@localhost"},
	{`"u"@x.test`, "u", "x.test", "u@x.test"},
	{`"a b"@x.test`, "a b", "x.test", `"a b"@x.test`},
	{`"a@b"@x.test`, "a@b", "x.test", `"a@b"@x.test`},
	{`"a\"b\\c"@x.test`, `a"b\c`, "x.test", `"a\"b\\c"@x.test`},
	{`"\u"@x.test`, "u", "x.test", "u@x.test"},
	{`".."@x.test`, "..", "x.test", `".."@x.test`},
	{"u@[192.0.2.1]", "u", "[192.0.2.1]", "u@[192.0.2.1]"},
	{"u@[IPv6:2001:DB8::1]", "u", "[IPv6:2001:DB8::1]", "u@[ipv6:2001:db8::1]"},
	{"jörg@bücher.example", "jörg", "bücher.example", "jörg@xn--bcher-kva.example"},
	{"JÖRG@BÜCHER.example", "JÖRG", "BÜCHER.example", "jörg@xn--bcher-kva.example"},
	{"jo\u0308rg@x.test", "jo\u0308rg", "x.test", "jörg@x.test"},
	{"用户@例子.测试", "用户", "例子.测试", "用户@xn--fsqu00a.xn--0zwm56d"},
	{"u@XN--BCHER-KVA.example", "u", "XN--BCHER-KVA.example", "u@xn--bcher-kva.example"},
	{"ｕｓｅｒ@x.test", "ｕｓｅｒ", "x.test", "user@x.test"},
	{"😀@x.test", "😀", "x.test", "😀@x.test"},
	{"u@x。test", "u", "x。test", "u@x.test"},
	{strings.Repeat("a", 64) + "@x.test", strings.Repeat("a", 64), "x.test", strings.Repeat("a", 64) + "@x.test"},
	// Sender addresses of mailing lists are longer than anybody's name: they are not ours to refuse.
	{longVERP + "@x.test", longVERP, "x.test", longVERP + "@x.test"},
	{strings.Repeat("a", AddressLengthMax-len("@x.test")) + "@x.test", strings.Repeat("a", AddressLengthMax-len("@x.test")), "x.test", strings.Repeat("a", AddressLengthMax-len("@x.test")) + "@x.test"},
	{"a!b%c@x.test", "a!b%c", "x.test", "a!b%c@x.test"}, // no routes: one odd name

	{in: ""},
	{in: "u"},
	{in: "@x.test"},
	{in: "u@"},
	{in: "u@@x.test"},
	{in: "u@x..test"},
	{in: "u@.x.test"},
	{in: "u@-x.test"},
	{in: "u@x-.test"},
	{in: "u@x_y.test"},
	{in: "u@x.test.."},
	{in: "u@x/../y"},
	{in: ".u@x.test"},
	{in: "u.@x.test"},
	{in: "a..b@x.test"},
	{in: "a b@x.test"},
	{in: "a,b@x.test"},
	{in: "<u@x.test>"},
	{in: "u@x.test>"},
	{in: "u@x.test "},
	{in: "(c)u@x.test"},
	{in: "@a,@b:u@x.test"},
	{in: `""@x.test`},
	{in: `"u@x.test`},
	{in: `"u"x@x.test`},
	{in: `"u\`},
	{in: "\"a\x00b\"@x.test"},
	{in: "\"a\rb\"@x.test"},
	{in: "a\nb@x.test"},
	{in: "u\x00@x.test"},
	{in: "\xff@x.test"},
	{in: "u@[192.0.2.1"},
	{in: "u@[192.0.2.256]"},
	{in: "u@[IPv6:::g]"},
	{in: "u@[fe80::1%eth0]"},
	{in: "u@[IPv6:fe80::1%eth0]"},
	{in: "u@[x.test]"},
	{in: "u@xn--a.example"},
	{in: "u@xn--zz--.example"},
	{in: strings.Repeat("a", AddressLengthMax-len("@x.test")+1) + "@x.test"},
	{in: strings.Repeat("\u0390", 124) + "@x.test"}, // 255 octets
	{in: "u@" + strings.Repeat("a", 64) + ".test"},
	{in: "u@" + strings.Repeat("a.", 130) + "test"},
}

func TestParseAddress(t *testing.T) {
	for _, tt := range addressTests {
		a, err := ParseAddress(tt.in)
		if tt.canonical == "" {
			if !errors.Is(err, ErrAddress) {
				t.Errorf("ParseAddress(%q) = %v, %v, want ErrAddress", tt.in, a, err)
			}
			continue
		}
		if err != nil || a.Local != tt.local || a.Domain != tt.domain || a.Canonical() != tt.canonical {
			t.Errorf("ParseAddress(%q) = %+v, %v, canonical %q, want %q %q %q", tt.in, a, err, a.Canonical(), tt.local, tt.domain, tt.canonical)
		}
	}
}

// senderTests are what ParseSender alone takes, or neither.
var senderTests = []struct{ in, local, domain, shown string }{
	{"root@web_1.x.test", "root", "web_1.x.test", "root@web_1.x.test"},
	{"root@_.X.test.", "root", "_.X.test", "root@_.X.test"},
	{"taro..yamada@x.test", "taro..yamada", "x.test", `"taro..yamada"@x.test`},
	{"taro.@x.test", "taro.", "x.test", `"taro."@x.test`},
	{".taro@x.test", ".taro", "x.test", `".taro"@x.test`},
	{".@[192.0.2.1]", ".", "[192.0.2.1]", `"."@[192.0.2.1]`},
	{"ä..b@bücher.test", "ä..b", "bücher.test", `"ä..b"@bücher.test`},
	{strings.Repeat("a", 242) + "..@x_.test", strings.Repeat("a", 242) + "..", "x_.test", `"` + strings.Repeat("a", 242) + `.."@x_.test`},
	{in: strings.Repeat("a", 244) + "..@x.test"}, // 255 octets with the quotes
	{in: "u@-x.test"},
	{in: "u@x_.-.test"},
	{in: "u@x..test"},
	{in: "u@_" + strings.Repeat("a", 63) + ".test"},
	{in: "u@bü_cher.test"},
	{in: "u@[_]"},
	{in: "u@x_\r\n.test"},
	{in: "u..\r\n@x.test"},
	{in: "u..@x_>.test"},
	{in: "u.. @x.test"},
	{in: "u..(c)@x.test"},
	{in: "@x_.test"},
	{in: "u..\"@x.test"},
}

func TestParseSender(t *testing.T) {
	for _, tt := range senderTests {
		if a, err := ParseAddress(tt.in); !errors.Is(err, ErrAddress) {
			t.Errorf("ParseAddress(%q) = %+v, %v, want ErrAddress", tt.in, a, err)
		}
		a, err := ParseSender(tt.in)
		if tt.local == "" {
			if !errors.Is(err, ErrAddress) {
				t.Errorf("ParseSender(%q) = %+v, %v, want ErrAddress", tt.in, a, err)
			}
			continue
		}
		if err != nil || a.Local != tt.local || a.Domain != tt.domain || a.String() != tt.shown {
			t.Errorf("ParseSender(%q) = %+v, %v, shown as %q, want %q %q %q", tt.in, a, err, a, tt.local, tt.domain, tt.shown)
		}
	}
	for _, tt := range addressTests {
		want, err := ParseAddress(tt.in)
		if err != nil {
			continue
		}
		if got, err := ParseSender(tt.in); got != want || err != nil {
			t.Errorf("ParseSender(%q) = %+v, %v, and ParseAddress gives %+v", tt.in, got, err, want)
		}
	}
}

// What parses must format, and the canonical form is a fixed point.
func FuzzParseAddress(f *testing.F) {
	for _, tt := range addressTests {
		f.Add(tt.in)
	}
	for _, tt := range senderTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sender := formats(t, s, ParseSender)
		if a := formats(t, s, ParseAddress); !a.IsZero() && a != sender {
			t.Fatalf("ParseAddress(%q) = %+v, ParseSender gives %+v", s, a, sender)
		}
	})
}

func formats(t *testing.T, s string, parse func(string) (Address, error)) Address {
	a, err := parse(s)
	if err != nil {
		return Address{}
	}
	if b, err := parse(a.String()); err != nil || b != a {
		t.Fatalf("%q gives %+v, but its String %q gives %+v, %v", s, a, a.String(), b, err)
	}
	c := a.Canonical()
	b, err := parse(c)
	if err != nil || b.Canonical() != c || b.String() != c {
		t.Fatalf("canonical form %q of %q gives %+v, %v, canonical %q", c, s, b, err, b.Canonical())
	}
	for _, text := range []string{c, a.String()} {
		if len(text) > AddressLengthMax || strings.ContainsAny(text, "\r\n\x00") {
			t.Fatalf("%q of %q is too long or has line ends", text, s)
		}
	}
	return a
}

// Two spellings of one name are one account, and spellings that look alike are refused.
func TestAttack34_AccountsThatLookAlike(t *testing.T) {
	same := [][]string{
		{"Admin@Example.test", "ADMIN@example.TEST", "admin@example.test", `"admin"@example.test`, "ａｄｍｉｎ@example.test"},
		{"jörg@bücher.example", "jo\u0308rg@xn--bcher-kva.example", "JÖRG@BÜCHER.EXAMPLE"},
		{"straße@x.test", "STRAßE@x.test"},
	}
	for _, group := range same {
		for _, s := range group {
			a, err := ParseAddress(s)
			first, _ := ParseAddress(group[0])
			if err != nil || a.Canonical() != first.Canonical() {
				t.Errorf("Canonical(%q) = %q, %v, want that of %q: %q", s, a.Canonical(), err, group[0], first.Canonical())
			}
		}
	}
	for _, tt := range []struct {
		in string
		ok bool
	}{
		{"admin@example.test", true},
		{"jörg@example.test", true},
		{"用户@example.test", true},
		{"иван@example.test", true},
		{"田中taro@example.test", true},
		{"аdmin@example.test", false},       // Cyrillic а
		{"αdmin@example.test", false},       // Greek α
		{"ad\u200bmin@example.test", false}, // zero width space
		{"ad\u202emin@example.test", false}, // right-to-left override
		{"ad\u00admin@example.test", false}, // soft hyphen
		{"\u05d0a@example.test", false},     // both directions
		{"adm\u2170n@example.test", false},  // small roman numeral one
		{"😀@example.test", false},           // a symbol
		{`"a b"@example.test`, false},       // needs quotes
		{`"../../etc/passwd"@example.test`, false},
		{"u@[192.0.2.1]", false},
		{strings.Repeat("a", LocalLengthMax) + "@example.test", true},
		{strings.Repeat("a", LocalLengthMax+1) + "@example.test", false},
	} {
		a, err := ParseAddress(tt.in)
		if err != nil {
			t.Errorf("ParseAddress(%q): %v", tt.in, err)
			continue
		}
		if err := a.CheckAccount(); (err == nil) != tt.ok {
			t.Errorf("CheckAccount(%q) = %v, want ok %v", tt.in, err, tt.ok)
		}
	}
}

func TestSplitDetail(t *testing.T) {
	for _, tt := range []struct{ local, separators, base, detail string }{
		{"bob+list", "+", "bob", "list"},
		{"bob+a+b", "+", "bob", "a+b"},
		{"bob", "+", "bob", ""},
		{"+bob", "+", "+bob", ""},
		{"bob+", "+", "bob", ""},
		{"bob-x+y", "+-", "bob", "x+y"},
		{"bob+x", "", "bob+x", ""},
	} {
		base, detail := Address{Local: tt.local, Domain: "d"}.SplitDetail(tt.separators)
		if base.Local != tt.base || detail != tt.detail || base.Domain != "d" {
			t.Errorf("SplitDetail(%q, %q) = %q, %q, want %q, %q", tt.local, tt.separators, base.Local, detail, tt.base, tt.detail)
		}
	}
}

func TestIsASCII(t *testing.T) {
	for in, want := range map[string]bool{"u@x.test": true, "ü@x.test": false, "u@ü.test": false} {
		a, err := ParseAddress(in)
		if err != nil || a.IsASCII() != want {
			t.Errorf("IsASCII(%q) = %v, %v, want %v", in, a.IsASCII(), err, want)
		}
	}
}

func TestMessageAttr(t *testing.T) {
	id := NewMessageID()
	if got, err := ParseMessageID(id.String()); err != nil || got != id {
		t.Errorf("ParseMessageID(%q) = %v, %v", id, got, err)
	}
	for _, bad := range []string{"", "00", strings.Repeat("g", 32), strings.Repeat("0", 33)} {
		if _, err := ParseMessageID(bad); err == nil {
			t.Errorf("ParseMessageID(%q) succeeded", bad)
		}
	}
}

func FuzzParseMessageAttr(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Add([]byte{1, 0x80, 0, 0, 0, 0, 0, 0, 0}) // the first time that there is
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseMessageAttr(b)
		if err != nil {
			return
		}
		again, err := ParseMessageAttr(a.Append(nil))
		if err != nil || !again.Received.Equal(a.Received) {
			t.Fatalf("ParseMessageAttr(%x) = %v, and again %v, %v", b, a, again, err)
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	b.ReportAllocs()
	a, _ := ParseAddress("u123456@example.test")
	for b.Loop() {
		_ = a.Canonical()
	}
}
