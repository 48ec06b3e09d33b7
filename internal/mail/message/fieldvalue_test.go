package message

import (
	"strings"
	"testing"
	"time"
)

func TestParseType(t *testing.T) {
	tests := []struct{ in, want string }{
		{`text/plain`, `text/plain`},
		{`TEXT/Plain; Charset=UTF-8`, `text/plain charset=UTF-8`},
		{`text/plain; charset="us-ascii" (a; b)`, `text/plain charset=us-ascii`},
		{`text/plain; charset=us-ascii (Plain text)`, `text/plain charset=us-ascii`},
		{`text/plain; (x) charset (y) = (z) utf-8`, `text/plain charset=utf-8`},
		{`a/b; name="a;b\"c\\d"`, `a/b name=a;b"c\d`},
		{`a/b; name=my file (1).pdf; x=y`, `a/b name=my file (1).pdf x=y`},
		{`a/b; name="x`, `a/b name=x`},
		{`a/b; name="x" y=z`, `a/b name=x y=z`},
		{`a/b; name=; y=z`, `a/b name= y=z`},
		{`a/b; =x; y; "q;r"; z=1`, `a/b z=1`},
		{`a/b;;; ;x=1;`, `a/b x=1`},
		{`a/b x=1`, `a/b x=1`},
		{`a/b; x=1; x=2`, `a/b x=1 x=2`},
		{`a/b; filename*0*=us-ascii''a; filename*1=b`, `a/b filename*0*=us-ascii''a filename*1=b`},
		{`a/b/c; x=1`, `a/b x=1`},
		{`a`, ``}, {``, ``}, {`/b`, ``}, {`a/`, ``}, {`"a/b"`, ``}, {`;x=1`, ` x=1`}, {`text`, `text/plain`},
	}
	for _, tt := range tests {
		typ, subtype, params := parseType(tt.in)
		got := ""
		if typ != "" {
			got = typ + "/" + subtype
		}
		for _, p := range params {
			got += " " + p.Name + "=" + p.Value
		}
		if got != tt.want {
			t.Errorf("parseType(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestParam(t *testing.T) {
	tests := []struct{ in, want string }{
		{`name=a.txt`, `a.txt`},
		{`name*=utf-8''%e4%bd%a0.txt; name=x`, `你.txt`},
		{`name=x; name*=iso-8859-1'en'%E4`, `ä`},
		{`name*0="a b"; name*1=c`, `a bc`},
		{`name*1=c; name*0=a`, `ac`},
		{`name*0*=utf-8''%e4%bd; name*1*=%a0; name*2="%20"`, `你%20`},
		{`name*0=a; name*2=c`, `a`},
		{`name*=x%zz%`, `x%zz%`},
		{`name*x=1; name=y`, `y`},
		{`name*1=b; name=y`, `y`},
		{`name*0=a; name*0=b; name*1=c`, `ac`},
		{`name*18446744073709551616=a; name=y`, `y`},
		{`named=y`, ``},
		{`name=a; name=b`, `a`},
	}
	for _, tt := range tests {
		_, _, params := parseType("a/b; " + tt.in)
		if got, _ := findParam(params, "name"); got != tt.want {
			t.Errorf("findParam(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	x := build(t, "Content-Type: a/b; name=x\r\nContent-Disposition: attachment; filename=\"=?utf-8?b?w6Q=?=.txt\"\r\n\r\n")
	if got, want := x.Root.Filename(), "ä.txt"; got != want {
		t.Errorf("Filename = %q, want %q", got, want)
	}
}

func TestBodyFields(t *testing.T) {
	p := build(t, "content-type: image/png\r\nContent-ID: <a@b>\r\nContent-Description: a\r\n b\r\nContent-Transfer-Encoding: BASE64 (x)\r\n"+
		"Content-MD5: Q2hl==\r\nContent-Disposition: INLINE; size=1\r\nContent-Language: en, de (x),fr-CH\r\nContent-Location: http://a\r\n b\r\n\r\nAA==\r\n").Root
	for _, tt := range []struct{ name, got, want string }{
		{"ID", p.ID.Text, "<a@b>"},
		{"Description", p.Description.Text, "a b"},
		{"Encoding", p.Encoding, "base64"},
		{"MD5", p.MD5.Text, "Q2hl=="},
		{"Disposition", p.Disposition.Type, "inline"},
		{"Disposition.Params", p.Disposition.Params[0].Name + "=" + p.Disposition.Params[0].Value, "size=1"},
		{"Language", strings.Join(p.Language, " "), "en de fr-CH"},
		{"Location", p.Location.Text, "http://ab"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	p = build(t, "Content-Transfer-Encoding: \"Quoted-Printable\"\r\n\r\n").Root
	if p.Encoding != "quoted-printable" {
		t.Errorf("Encoding = %q, want quoted-printable", p.Encoding)
	}
	if p.ID.Set || p.Disposition.Type != "" || p.Language != nil || p.Location.Set {
		t.Errorf("part without fields = %+v, want NIL", p)
	}
}

func TestParseDate(t *testing.T) {
	tests := []struct{ in, want string }{
		{"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
		{"21 Nov 1997 09:55:06 +0530", "1997-11-21T09:55:06+05:30"},
		{"Thu, 13 Feb 1969 23:32 -0330", "1969-02-13T23:32:00-03:30"},
		{"Thu,\t13\tFeb 1969 23:32:00 -0330 (Newfoundland Time)", "1969-02-13T23:32:00-03:30"},
		{"21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06Z"},
		{"21 Nov 07 09:55:06 EST", "2007-11-21T09:55:06-05:00"},
		{"21 Nov 107 09:55:06 Z", "2007-11-21T09:55:06Z"},
		{"Fri Nov 21 09:55:06 1997", "1997-11-21T09:55:06Z"},
		{"Fri Nov 21 09:55:06 PST 1997", "1997-11-21T09:55:06-08:00"},
		{"21-Nov-1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
		{"21 November 1997 9:5:6 +0000", "1997-11-21T09:05:06Z"},
		{"31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59Z"},
		{"1 (a (b)) Jan 2026", "2026-01-01T00:00:00Z"},
		{"1 Jan 2026 10:00:00.123 +9999", "2026-01-01T10:00:00Z"},
		{"1 Jan 2026 10:00 -2359", "2026-01-01T10:00:00-23:59"},
		{"29 Feb 2025 10:00:00 +0000", ""},
		{"32 Jan 2026", ""}, {"0 Jan 2026", ""}, {"1 Foo 2026", ""}, {"Jan 2026", ""}, {"1 Jan", ""}, {"", ""},
		{"1 Jan 2026 25:00", ""}, {"1 Jan 2026 10:61", ""}, {"1 Jan 2026 a:b", ""}, {"1 Jan 2026 1:2:3:4", ""},
		{"1x Jan 2026", ""}, {"1 Jan 99999", ""}, {"1 Jan 0000", ""}, {"1--2026", ""}, {"-", ""}, {"+", ""},
	}
	for _, tt := range tests {
		got := ""
		if d := parseDate(tt.in); !d.IsZero() {
			got = d.Format(time.RFC3339)
		}
		if got != tt.want {
			t.Errorf("parseDate(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestParseMessageIDs(t *testing.T) {
	tests := []struct{ in, want string }{
		{"<a@b>", "a@b"}, {"<a@b> <c@d>", "a@b c@d"}, {"<a@b><c@d>", "a@b c@d"}, {"x <a@b> (<c@d>) y", "a@b"},
		{`<"a"@b> < "c\"d" @ e >`, `a@b c"d@e`}, {"<a\t b@c>", "ab@c"}, {"<a@b <c@d>", "c@d"}, {"<a@b", ""}, {"a@b", ""}, {"<>", ""}, {"", ""}, {"<a(b@c>", "a(b@c"},
		{"<" + strings.Repeat("a", MessageIDMax+1) + "> <b>", "b"},
	}
	for _, tt := range tests {
		if got := strings.Join(parseMessageIDs(tt.in), " "); got != tt.want {
			t.Errorf("parseMessageIDs(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestFields(t *testing.T) {
	const header = "From x\r\nA: 1\r\n folded\r\nBb: 2\nA : 3\r\nno field\r\n\tx\r\na: 4\r\n\r\n"
	tests := []struct {
		header string
		names  string
		not    bool
		want   string
	}{
		{header, "a", false, "A: 1\r\n folded\r\nA : 3\r\na: 4\r\n\r\n"},
		{header, "A", true, "From x\r\nBb: 2\nno field\r\n\tx\r\n\r\n"},
		{header, "BB c", false, "Bb: 2\n\r\n"},
		{header, "b", false, "\r\n"},
		{header, "", true, header},
		{header, "From", false, "\r\n"},
		{"A: 1\nB: 2\n\n", "b", false, "B: 2\n\n"},
		{"A: 1\r\nB: 2", "b", false, "B: 2"},
		{"A: 1\r\nB: 2", "a", false, "A: 1\r\n"},
		{"", "a", true, ""},
		{"A: " + strings.Repeat("x", 100_000) + "\r\nB: 1\r\n\r\n", "b", false, "B: 1\r\n\r\n"},
		{"A: " + strings.Repeat("x:", 50_000) + "\r\nB: 1\r\n\r\n", "a", false, "A: " + strings.Repeat("x:", 50_000) + "\r\n\r\n"},
	}
	for _, tt := range tests {
		for _, r := range readers(tt.header) {
			if got := readAll(t, Fields(r, strings.Fields(tt.names), tt.not)); got != tt.want {
				t.Errorf("Fields(%.100q, %q, %v) = %.200q, want %.200q", tt.header, tt.names, tt.not, got, tt.want)
			}
		}
	}
}
