package smtp

import (
	"strings"
	"testing"

	"porcupine/internal/mail"
)

var pathCases = []struct {
	in   string
	want mail.Address
	rest string
	ok   bool
}{
	{"<a@b.example>", mail.Address{Local: "a", Domain: "b.example"}, "", true},
	{"<a@b.example> SIZE=1", mail.Address{Local: "a", Domain: "b.example"}, " SIZE=1", true},
	{"<@x.example,@y.example:a@b.example>", mail.Address{Local: "a", Domain: "b.example"}, "", true},
	{`<"a b"@b.example>`, mail.Address{Local: "a b", Domain: "b.example"}, "", true},
	{`<"a>b"@b.example> X`, mail.Address{Local: "a>b", Domain: "b.example"}, " X", true},
	{`<"a\"b"@b.example>`, mail.Address{Local: `a"b`, Domain: "b.example"}, "", true},
	{`<"a@c"@b.example>`, mail.Address{Local: "a@c", Domain: "b.example"}, "", true},
	{"<a@[192.0.2.1]>", mail.Address{Local: "a", Domain: "[192.0.2.1]"}, "", true},
	{"<a@[IPv6:2001:db8::1]>", mail.Address{Local: "a", Domain: "[IPv6:2001:db8::1]"}, "", true},
	{"<a%b@c.example>", mail.Address{Local: "a%b", Domain: "c.example"}, "", true},
	{"<grüße@bücher.example>", mail.Address{Local: "grüße", Domain: "bücher.example"}, "", true},
	{"a@b.example", mail.Address{}, "", false},
	{"<a@b.example", mail.Address{}, "", false},
	{"<a@b@c.example>", mail.Address{}, "", false},
	{"<a b@c.example>", mail.Address{}, "", false},
	{"<<a@b.example>>", mail.Address{}, "", false},
	{"<@x.example:>", mail.Address{}, "", false},
	{"<@x.example a@b.example>", mail.Address{}, "", false},
	{"<@x.example>", mail.Address{}, "", false},
	{"<x.example:a@b.example>", mail.Address{}, "", false},
	{"<@:a@b.example>", mail.Address{}, "", false},
	{"<@[192.0.2.1]:a@b.example>", mail.Address{}, "", false},
	{"<a>", mail.Address{}, "", false},
	{"<a@>", mail.Address{}, "", false},
	{`<"a@b.example>`, mail.Address{}, "", false},
	{"<" + strings.Repeat("a", 100) + "=c.example@b.example>", mail.Address{Local: strings.Repeat("a", 100) + "=c.example", Domain: "b.example"}, "", true},
	{"<" + strings.Repeat("a", 250) + "@b.example>", mail.Address{}, "", false},
	{"<a@" + strings.Repeat("a.", 300) + "example>", mail.Address{}, "", false},
	{"", mail.Address{}, "", false},
}

func TestParsePath(t *testing.T) {
	for _, tt := range pathCases {
		for name, parse := range map[string]func(string) (mail.Address, string, error){"Reverse": ParseReversePath, "Forward": ParseForwardPath} {
			got, rest, err := parse(tt.in)
			replyOf(t, err)
			if got != tt.want || rest != tt.rest || (err == nil) != tt.ok {
				t.Errorf("Parse%sPath(%q) = %+v, %q, %v; want %+v, %q", name, tt.in, got, rest, err, tt.want, tt.rest)
			}
		}
	}
	if a, rest, err := ParseReversePath("<> X"); !a.IsZero() || rest != " X" || err != nil {
		t.Errorf("ParseReversePath(<>) = %+v, %q, %v", a, rest, err)
	}
	if a, _, err := ParseForwardPath("<>"); err == nil {
		t.Errorf("ParseForwardPath(<>) = %+v, want an error", a)
	}
	if a, rest, err := ParseForwardPath("<PostMaster> X"); a != (mail.Address{Local: "postmaster"}) || rest != " X" || err != nil {
		t.Errorf("ParseForwardPath(<PostMaster>) = %+v, %q, %v", a, rest, err)
	}
}

// senderCases are senders in use that RFC 5321 does not permit: no recipient may be so.
var senderCases = []struct {
	in   string
	want string // in Return-Path
}{
	{"<root@web_1.example.com>", "root@web_1.example.com"},
	{"<taro..yamada@docomo.example> SIZE=1", `"taro..yamada"@docomo.example`},
	{"<taro.@ezweb.example>", `"taro."@ezweb.example`},
	{"<@x.example:.taro@y_.example>", `".taro"@y_.example`},
}

func TestSendersInUse(t *testing.T) {
	for _, tt := range senderCases {
		a, _, err := ParseReversePath(tt.in)
		if got := string(AppendReturnPath(nil, a)); err != nil || got != "Return-Path: <"+tt.want+">\r\n" {
			t.Errorf("ParseReversePath(%q) = %+v, %v, written as %q; want %q", tt.in, a, err, got, tt.want)
		}
		if a, _, err := ParseForwardPath(tt.in); err == nil {
			t.Errorf("ParseForwardPath(%q) = %+v, want an error", tt.in, a)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, tt := range pathCases {
		f.Add(tt.in)
	}
	for _, tt := range senderCases {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, parse := range map[string]func(string) (mail.Address, string, error){"Reverse": ParseReversePath, "Forward": ParseForwardPath} {
			a, rest, err := parse(s)
			replyOf(t, err)
			if err != nil {
				continue
			}
			if !strings.HasSuffix(s, rest) {
				t.Errorf("Parse%sPath(%q) leaves %q", name, s, rest)
			}
			again, _, err := parse("<" + a.String() + ">")
			if err != nil || again != a {
				t.Errorf("Parse%sPath(%q) = %+v, which written and read again is %+v, %v", name, s, a, again, err)
			}
			if strings.ContainsAny(a.String(), "\r\n\x00") {
				t.Errorf("Parse%sPath(%q) = %q", name, s, a)
			}
		}
	})
}

var mailCases = []struct {
	arg  string
	want Mail
	err  Reply
}{
	{"FROM:<>", Mail{Size: -1}, ""},
	{"from: <> ", Mail{Size: -1}, ""},
	{"FROM:<a@b.example> SIZE=100 BODY=8BITMIME", Mail{From: mail.Address{Local: "a", Domain: "b.example"}, Size: 100, Bit8: true}, ""},
	{"FROM:<> size=0 body=7bit smtputf8", Mail{UTF8: true}, ""},
	{"FROM:<> SIZE=99999999999999999999", Mail{Size: 1<<63 - 1}, ""},
	{"FROM:<> RET=hdrs ENVID=a+2Bb+20c", Mail{Size: -1, Ret: "HDRS", EnvID: "a+b c"}, ""},
	{"FROM:<> AUTH=<>", Mail{Size: -1, Auth: "<>"}, ""},
	{"FROM:<> AUTH=e+3Dmc2@example.com", Mail{Size: -1, Auth: "e=mc2@example.com"}, ""},
	{"FROM:<ä@b.example> SMTPUTF8", Mail{From: mail.Address{Local: "ä", Domain: "b.example"}, Size: -1, UTF8: true}, ""},
	{"FROM:<a..b@c_d.example> SIZE=1", Mail{From: mail.Address{Local: "a..b", Domain: "c_d.example"}, Size: 1}, ""},
	{"FROM:<ä@b.example>", Mail{}, ReplyNeedUTF8},
	{"FROM:<a@bücher.example>", Mail{}, ReplyNeedUTF8},
	{"TO:<a@b.example>", Mail{}, ReplySender},
	{"<a@b.example>", Mail{}, ReplySender},
	{"FROM", Mail{}, ReplySender},
	{"FROM:<a@b.example>SIZE=1", Mail{}, ReplyArgument},
	{"FROM:<> SIZE", Mail{}, ReplyParameter},
	{"FROM:<> SIZE=", Mail{}, ReplyParameter},
	{"FROM:<> SIZE=-1", Mail{}, ReplyParameter},
	{"FROM:<> SIZE=1 SIZE=2", Mail{}, ReplyParameter},
	{"FROM:<> SIZE=1=2", Mail{}, ReplyParameter},
	{"FROM:<> =1", Mail{}, ReplyParameter},
	{"FROM:<> -A=1", Mail{}, ReplyParameter},
	{"FROM:<> A_B", Mail{}, ReplyParameter},
	{"FROM:<> BODY=BINARYMIME", Mail{}, ReplyParameter},
	{"FROM:<> SMTPUTF8=1", Mail{}, ReplyParameter},
	{"FROM:<> RET=ALL", Mail{}, ReplyParameter},
	{"FROM:<> ENVID", Mail{}, ReplyParameter},
	{"FROM:<> ENVID=+00", Mail{}, ReplyParameter},
	{"FROM:<> ENVID=+0D+0A", Mail{}, ReplyParameter},
	{"FROM:<> ENVID=" + strings.Repeat("x", 101), Mail{}, ReplyParameter},
	{"FROM:<> AUTH=nobody", Mail{}, ReplyParameter},
	{"FROM:<> AUTH=+", Mail{}, ReplyParameter},
	{"FROM:<> MT-PRIORITY=3", Mail{}, ReplyUnknown},
	{"FROM:<> A=1 B=1 C=1 D=1 E=1 F=1 G=1 H=1 I=1 J=1 K=1 L=1 M=1 N=1 O=1 P=1 Q=1", Mail{}, ReplyUnknown},
}

func TestParseMail(t *testing.T) {
	for _, tt := range mailCases {
		got, err := ParseMail(tt.arg)
		if r := replyOf(t, err); r != tt.err || err == nil && got != tt.want {
			t.Errorf("ParseMail(%q) = %+v, %q (%v); want %+v, %q", tt.arg, got, r, err, tt.want, tt.err)
		}
	}
}

var rcptCases = []struct {
	arg  string
	utf8 bool
	want Rcpt
	err  Reply
}{
	{"TO:<a@b.example>", false, Rcpt{To: mail.Address{Local: "a", Domain: "b.example"}}, ""},
	{"to: <postmaster>", false, Rcpt{To: mail.Address{Local: "postmaster"}}, ""},
	{"TO:<postmaster> NOTIFY=never", false, Rcpt{To: mail.Address{Local: "postmaster"}, Notify: NotifyNever}, ""},
	{"TO:<postmaster> NOTIFY=SUCCESS,FAILURE,DELAY", false, Rcpt{To: mail.Address{Local: "postmaster"}, Notify: NotifySuccess | NotifyFailure | NotifyDelay}, ""},
	{"TO:<postmaster> ORCPT=rfc822;Bob+2BX@b.example", false, Rcpt{To: mail.Address{Local: "postmaster"}, ORcptType: "rfc822", ORcpt: "Bob+X@b.example"}, ""},
	{`TO:<postmaster> ORCPT=UTF-8;\x{FC}@b.example`, false, Rcpt{To: mail.Address{Local: "postmaster"}, ORcptType: "utf-8", ORcpt: `\x{FC}@b.example`}, ""},
	{"TO:<ä@b.example>", true, Rcpt{To: mail.Address{Local: "ä", Domain: "b.example"}}, ""},
	{"TO:<ä@b.example>", false, Rcpt{}, ReplyNeedUTF8},
	{"TO:<>", false, Rcpt{}, ReplyRecipient},
	{"TO:<a..b@c.example>", false, Rcpt{}, ReplyRecipient},
	{"TO:<a@b_c.example>", false, Rcpt{}, ReplyRecipient},
	{"FROM:<a@b.example>", false, Rcpt{}, ReplyRecipient},
	{"TO:<a@b.example> NOTIFY", false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> NOTIFY=NEVER,SUCCESS", false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> NOTIFY=DELAY,DELAY", false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> NOTIFY=ALWAYS", false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> ORCPT=a@b.example", false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> ORCPT=;a", false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> ORCPT=rfc822;", false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> ORCPT=rfc822;+0A", false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> ORCPT=r!;a", false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> ORCPT=rfc822;" + strings.Repeat("x", 500), false, Rcpt{}, ReplyParameter},
	{"TO:<a@b.example> SIZE=1", false, Rcpt{}, ReplyUnknown},
}

func TestParseRcpt(t *testing.T) {
	for _, tt := range rcptCases {
		got, err := ParseRcpt(tt.arg, tt.utf8)
		if r := replyOf(t, err); r != tt.err || err == nil && got != tt.want {
			t.Errorf("ParseRcpt(%q) = %+v, %q (%v); want %+v, %q", tt.arg, got, r, err, tt.want, tt.err)
		}
	}
}

func FuzzParseParameters(f *testing.F) {
	for _, tt := range mailCases {
		f.Add(tt.arg)
	}
	for _, tt := range rcptCases {
		f.Add(tt.arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		m, err := ParseMail(arg)
		replyOf(t, err)
		if err == nil {
			if m.Size < -1 || !m.UTF8 && !m.From.IsASCII() || strings.ContainsAny(m.EnvID+m.Auth+m.Ret, "\r\n\x00") {
				t.Errorf("ParseMail(%q) = %+v", arg, m)
			}
		}
		for _, utf8 := range []bool{false, true} {
			r, err := ParseRcpt(arg, utf8)
			replyOf(t, err)
			if err == nil && (r.To.IsZero() || !utf8 && !r.To.IsASCII() || r.Notify&NotifyNever != 0 && r.Notify != NotifyNever) {
				t.Errorf("ParseRcpt(%q, %v) = %+v", arg, utf8, r)
			}
		}
	})
}

var xtextCases = []struct {
	in, want string
	ok       bool
}{
	{"", "", true}, {"abc", "abc", true}, {"a+2Bb", "a+b", true}, {"a+3D+3d", "a==", true}, {"+00+FF", "\x00\xff", true},
	{"a+", "", false}, {"a+2", "", false}, {"a+GG", "", false}, {"a=b", "", false}, {"a b", "", false}, {"ä", "", false}, {"+2Bä", "", false},
}

func TestDecodeXtext(t *testing.T) {
	for _, tt := range xtextCases {
		if got, err := DecodeXtext(tt.in); got != tt.want && tt.ok || (err == nil) != tt.ok {
			t.Errorf("DecodeXtext(%q) = %q, %v; want %q, success = %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

func FuzzXtext(f *testing.F) {
	for _, tt := range xtextCases {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := DecodeXtext(EncodeXtext(s)); got != s || err != nil {
			t.Errorf("DecodeXtext(EncodeXtext(%q)) = %q, %v", s, got, err)
		}
		if got, err := DecodeXtext(s); err == nil {
			if again, err := DecodeXtext(EncodeXtext(got)); again != got || err != nil {
				t.Errorf("DecodeXtext(%q) = %q, then %q, %v", s, got, again, err)
			}
		}
	})
}
