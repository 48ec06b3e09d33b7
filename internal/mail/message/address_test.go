package message

import (
	"strconv"
	"strings"
	"testing"
)

// inIMAP writes addresses as an ENVELOPE has them.
func inIMAP(list []Address) string {
	var b strings.Builder
	for _, a := range list {
		var words []string
		for _, s := range []NString{a.Name, a.Route, a.Mailbox, a.Host} {
			if s.Set {
				words = append(words, strconv.Quote(s.Text))
			} else {
				words = append(words, "NIL")
			}
		}
		b.WriteString("(" + strings.Join(words, " ") + ")")
	}
	return b.String()
}

func TestParseAddresses(t *testing.T) {
	const end = "(NIL NIL NIL NIL)"
	tests := []struct{ in, want string }{
		{``, ``},
		{` , ,, `, ``},
		{`joe@example.org`, `(NIL NIL "joe" "example.org")`},
		{`Joe Doe <joe@example.org>`, `("Joe Doe" NIL "joe" "example.org")`},
		{`"Doe, Joe" <joe@example.org>`, `("Doe, Joe" NIL "joe" "example.org")`},
		{`"J \"X\" \\ D" <joe@example.org>`, `("J \"X\" \\ D" NIL "joe" "example.org")`},
		{`Joe   "Q."  Doe<joe@example.org>`, `("Joe Q. Doe" NIL "joe" "example.org")`},
		{`J. Doe <joe@example.org>`, `("J. Doe" NIL "joe" "example.org")`},
		{`=?utf-8?q?J=C3=B6?= <joe@example.org>`, `("=?utf-8?q?J=C3=B6?=" NIL "joe" "example.org")`},
		{`joe@example.org (Joe (the) Doe)`, `("Joe (the) Doe" NIL "joe" "example.org")`},
		{`<joe@example.org> (Joe)`, `("Joe" NIL "joe" "example.org")`},
		{`(Joe) joe@example.org`, `("Joe" NIL "joe" "example.org")`},
		{`(Joe) <joe@example.org>`, `("Joe" NIL "joe" "example.org")`},
		{`Joe (x) <joe@example.org>`, `("Joe" NIL "joe" "example.org")`},
		{`a@b, c@d`, `(NIL NIL "a" "b")(NIL NIL "c" "d")`},
		{`a@b; c@d`, `(NIL NIL "a" "b")(NIL NIL "c" "d")`},
		{`a@b c@d`, `(NIL NIL "a" "b")`},
		{`a @ b . c`, `(NIL NIL "a" "b.c")`},
		{`joe . doe @ example.org`, `(NIL NIL "joe.doe" "example.org")`},
		{`"joe doe"@example.org`, `(NIL NIL "joe doe" "example.org")`},
		{`"a@b"@example.org`, `(NIL NIL "a@b" "example.org")`},
		{`<"a@b"@example.org>`, `(NIL NIL "a@b" "example.org")`},
		{`"a\"b"@c`, `(NIL NIL "a\"b" "c")`},
		{`joe@[127.0.0.1]`, `(NIL NIL "joe" "[127.0.0.1]")`},
		{`joe@[IPv6:::1], a@b`, `(NIL NIL "joe" "[IPv6:::1]")(NIL NIL "a" "b")`},
		{`Joe <joe@[IPv6:::1]>`, `("Joe" NIL "joe" "[IPv6:::1]")`},
		{`<@a,@b:joe@c>`, `(NIL "@a,@b" "joe" "c")`},
		{`<@a>`, `(NIL NIL "" "a")`},
		{`joe`, `(NIL NIL "joe" "")`},
		{`Joe Doe`, `(NIL NIL "Joe Doe" "")`},
		{`Joe <joe>`, `("Joe" NIL "joe" "")`},
		{`Joe <>`, `("Joe" NIL "" "")`},
		{`<>`, `(NIL NIL "" "")`},
		{`joe@`, `(NIL NIL "joe" "")`},
		{`@example.org`, `(NIL NIL "" "example.org")`},
		{`a@b@c`, `(NIL NIL "a@b" "c")`},
		{`joe@example.org <joe@example.org>`, `("joe@example.org" NIL "joe" "example.org")`},
		{`joe@a.example via List <list@b.example>`, `("joe@a.example via List" NIL "list" "b.example")`},
		{`Joe <joe@example.org`, `("Joe" NIL "joe" "example.org")`},
		{`Joe <joe@example.org, Ann <ann@b>`, `("Joe" NIL "joe" "example.org")("Ann" NIL "ann" "b")`},
		{`Joe <<joe@example.org>>`, `("Joe" NIL "joe" "example.org")`},
		{`<a@b> <c@d>`, `(NIL NIL "a" "b")(NIL NIL "c" "d")`},
		{`<a@b> junk, c@d`, `(NIL NIL "a" "b")(NIL NIL "c" "d")`},
		{`"Joe <joe@example.org>`, `("Joe" NIL "joe" "example.org")`},
		{`Joe (x <joe@example.org>`, `("Joe x" NIL "joe" "example.org")`},
		{`Joe) <joe@example.org>`, `("Joe)" NIL "joe" "example.org")`},
		{`joe@[1.2, a@b`, `(NIL NIL "joe" "[1.2")(NIL NIL "a" "b")`},
		{`undisclosed-recipients:;`, `(NIL NIL "undisclosed-recipients" NIL)` + end},
		{`A Group: a@b, Joe <c@d>;, e@f`, `(NIL NIL "A Group" NIL)(NIL NIL "a" "b")("Joe" NIL "c" "d")` + end + `(NIL NIL "e" "f")`},
		{`"a: b": c@d;`, `(NIL NIL "a: b" NIL)(NIL NIL "c" "d")` + end},
		{`g: a@b`, `(NIL NIL "g" NIL)(NIL NIL "a" "b")` + end},
		{`g:; h: a@b;`, `(NIL NIL "g" NIL)` + end + `(NIL NIL "h" NIL)(NIL NIL "a" "b")` + end},
		{`g: h: a@b;`, `(NIL NIL "g" NIL)(NIL NIL "h:a" "b")` + end},
		{`:;`, `(NIL NIL "" NIL)` + end},
		{"J\xf6 <a@b>", `("J\xf6" NIL "a" "b")`},
		{"Jö <ö@ä>", `("Jö" NIL "ö" "ä")`},
		{`((((a@b`, `(NIL NIL "a" "b")`},
		{`a@b (x`, `(NIL NIL "a" "b")`},
	}
	for _, tt := range tests {
		if got := inIMAP(parseAddresses(tt.in, AddressesMax)); got != tt.want {
			t.Errorf("parseAddresses(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestEnvelope(t *testing.T) {
	x := build(t, "Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\nFrom: Fred <foobar@Blurdybloop.example>\r\nSubject:  afternoon\r\n meeting \r\n"+
		"To: mooch@owatagu.example\r\nTo: b@c\r\nCC:\r\nMessage-Id: <B27397-0100000@Blurdybloop.example>\r\nReply-To:\r\nin-reply-to: <a@b> (x)\r\n"+
		"References: <\"x\"@y>\r\n <z@y>\r\nSubject: no\r\nBcc: g:;\r\n\r\nhello")
	e := x.Root.Envelope
	for _, tt := range []struct{ name, got, want string }{
		{"From", inIMAP(e.From), `("Fred" NIL "foobar" "Blurdybloop.example")`},
		{"Sender", inIMAP(e.Sender), `("Fred" NIL "foobar" "Blurdybloop.example")`},
		{"ReplyTo", inIMAP(e.ReplyTo), `("Fred" NIL "foobar" "Blurdybloop.example")`},
		{"To", inIMAP(e.To), `(NIL NIL "mooch" "owatagu.example")(NIL NIL "b" "c")`},
		{"Cc", inIMAP(e.Cc), ``},
		{"Bcc", inIMAP(e.Bcc), `(NIL NIL "g" NIL)(NIL NIL NIL NIL)`},
		{"Date", e.Date.Text, "Mon, 7 Feb 1994 21:52:25 -0800 (PST)"},
		{"Subject", e.Subject.Text, "afternoon meeting"},
		{"MessageID", e.MessageID.Text, "<B27397-0100000@Blurdybloop.example>"},
		{"InReplyTo", e.InReplyTo.Text, "<a@b> (x)"},
		{"ID", x.ID, "B27397-0100000@Blurdybloop.example"},
		{"References", strings.Join(x.References, " "), "x@y z@y"},
		{"Sent", x.Sent.Format("2006-01-02T15:04:05-07:00"), "1994-02-07T21:52:25-08:00"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	e = build(t, "Subject:\r\nIn-Reply-To: <a@b> <c@d>\r\n\r\n").Root.Envelope
	if want := (NString{"", true}); e.Subject != want {
		t.Errorf("Subject of an empty field = %v, want %v", e.Subject, want)
	}
	if e.Date.Set || e.MessageID.Set || e.From != nil || e.Sender != nil {
		t.Errorf("envelope without fields = %+v, want NIL", e)
	}
	x = build(t, "In-Reply-To: Your message <a@b> <c@d>\r\n\r\n")
	if got := strings.Join(x.References, " "); got != "a@b" {
		t.Errorf("References without the field = %q, want the first of In-Reply-To", got)
	}
}

// Attack 19: nothing that an index says has a line end or a NUL in it.
func TestAttack19_NoLineEndsInTexts(t *testing.T) {
	x := build(t, "Subject: a\rBcc: x\x00y\r\n\tz\nFrom: \"a\r\n b\rc\" <\"d\x00\"@e\r>\r\nContent-Type: text/plain; name=\"a\rb\x00\"\r\nContent-ID: <a\rb>\r\n\r\n")
	e := x.Root.Envelope
	all := e.Subject.Text + inIMAP(e.From) + x.Root.Params[0].Value + x.Root.ID.Text
	if strings.ContainsAny(all, "\r\n\x00") || strings.Contains(all, `\r`) || strings.Contains(all, `\x00`) {
		t.Errorf("the index has a line end or a NUL: %q", all)
	}
	if got, want := x.Root.Envelope.Subject.Text, "a Bcc: x y\tz"; got != want {
		t.Errorf("Subject = %q, want %q", got, want)
	}
}
