package message

// The messages of the table tests. In raw and want, "\n" stands for CR LF where crlf is true.

// sample is a message, the shape it must have, and sections that must be exactly these octets.
type sample struct {
	name  string
	raw   string
	shape string
	want  map[string]string // section, such as "1.2.HEADER" -> octets; "-": there is none
}

func samples() []sample {
	return slicesConcat(plainSamples(), multipartSamples(), nestedSamples(), brokenSamples(), typeSamples())
}

func slicesConcat(lists ...[]sample) (all []sample) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func plainSamples() []sample {
	return []sample{
		{"plain", "Subject: a\r\nFrom: b@c\r\n\r\nhello\r\n", "text/plain", map[string]string{
			"": "Subject: a\r\nFrom: b@c\r\n\r\nhello\r\n", "HEADER": "Subject: a\r\nFrom: b@c\r\n\r\n", "TEXT": "hello\r\n",
			"1": "hello\r\n", "1.MIME": "Subject: a\r\nFrom: b@c\r\n\r\n", "2": "-", "1.1": "-", "0": "-", "MIME": "-", "1.HEADER": "-", "1.TEXT": "-"}},
		{"bare line feeds", "Subject: a\n\nhello\nworld\n", "text/plain", map[string]string{
			"HEADER": "Subject: a\n\n", "TEXT": "hello\nworld\n"}},
		{"mixed line ends", "Subject: a\nX: y\r\n\nhello\r\nworld\n", "text/plain", map[string]string{
			"HEADER": "Subject: a\nX: y\r\n\n", "TEXT": "hello\r\nworld\n"}},
		{"bare carriage returns end nothing", "Subject: a\rX: y\r\r\n\rtext\r\n\r\nbody", "text/plain", map[string]string{
			"HEADER": "Subject: a\rX: y\r\r\n\rtext\r\n\r\n", "TEXT": "body"}},
		{"CR CR LF is no empty line", "A: b\r\r\n\r\r\nC: d\r\n\r\nbody", "text/plain", map[string]string{"TEXT": "body"}},
		{"empty message", "", "text/plain", map[string]string{"": "", "HEADER": "", "TEXT": "", "1": "", "1.MIME": ""}},
		{"only an empty line", "\r\n", "text/plain", map[string]string{"HEADER": "\r\n", "TEXT": ""}},
		{"only a line feed", "\n", "text/plain", map[string]string{"HEADER": "\n", "TEXT": ""}},
		{"no header", "\r\nhello", "text/plain", map[string]string{"HEADER": "\r\n", "TEXT": "hello"}},
		{"header without an end", "Subject: a\r\nFrom: b\r\n", "text/plain", map[string]string{
			"HEADER": "Subject: a\r\nFrom: b\r\n", "TEXT": ""}},
		{"header without a line end", "Subject: a", "text/plain", map[string]string{"HEADER": "Subject: a", "TEXT": "", "1": ""}},
		{"line without colon in the header", "Subject: a\r\nthis is no field\r\nTo: b\r\n\r\nx", "text/plain", map[string]string{
			"HEADER": "Subject: a\r\nthis is no field\r\nTo: b\r\n\r\n", "TEXT": "x"}},
		{"mbox line first", "From joe Mon Jan  1 10:00:00 2026\r\nSubject: a\r\n\r\nx", "text/plain", map[string]string{
			"HEADER": "From joe Mon Jan  1 10:00:00 2026\r\nSubject: a\r\n\r\n", "TEXT": "x"}},
		{"folded line of blanks in the header", "Subject: a\r\n \t\r\nTo: b\r\n\r\nx", "text/plain", map[string]string{
			"HEADER": "Subject: a\r\n \t\r\nTo: b\r\n\r\n", "TEXT": "x"}},
		{"header begins with a blank", " folded\r\nContent-Type: text/html\r\n\r\nx", "text/html", map[string]string{"TEXT": "x"}},
		{"NUL in header and body", "Subject: a\x00b\r\n\r\nx\x00y", "text/plain", map[string]string{
			"HEADER": "Subject: a\x00b\r\n\r\n", "TEXT": "x\x00y"}},
		{"no line end at the end", "A: b\r\n\r\nhello", "text/plain", map[string]string{"1": "hello"}},
		{"boundary lines in a text", "A: b\r\n\r\n--x\r\n--x--\r\n", "text/plain", map[string]string{"1": "--x\r\n--x--\r\n"}},
		{"octets above 127", "Subject: \xe4\r\n\r\n\xff\xfe", "text/plain", map[string]string{"HEADER": "Subject: \xe4\r\n\r\n", "1": "\xff\xfe"}},
		{"second empty line is body", "A: b\r\n\r\n\r\nx", "text/plain", map[string]string{"HEADER": "A: b\r\n\r\n", "TEXT": "\r\nx"}},
	}
}

const mixed = "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"

func multipartSamples() []sample {
	return []sample{
		{"two parts", mixed + "preamble\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\nepilogue\r\n",
			"multipart/mixed(text/plain text/html)", map[string]string{
				"HEADER": mixed, "TEXT": "preamble\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\nepilogue\r\n",
				"1": "one", "1.MIME": "\r\n", "2": "<p>", "2.MIME": "Content-Type: text/html\r\n\r\n", "3": "-", "1.1": "-", "1.HEADER": "-", "0": "-"}},
		{"bare line feeds in a multipart", "Content-Type: multipart/mixed; boundary=b\n\n--b\nA: b\n\none\n--b\n\ntwo\n\n--b--\n",
			"multipart/mixed(text/plain text/plain)", map[string]string{"1": "one", "1.MIME": "A: b\n\n", "2": "two\n", "2.MIME": "\n"}},
		{"not terminated", mixed + "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n", "multipart/mixed(text/plain text/plain)", map[string]string{
			"1": "one", "2": "two\r\n"}},
		{"boundary at once after the header", mixed + "--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"empty part", mixed + "--b\r\n--b\r\n\r\n--b\r\nA: b\r\n--b\r\nA: b\r\n\r\n--b--\r\n",
			"multipart/mixed(text/plain text/plain text/plain text/plain)", map[string]string{
				"1": "", "1.MIME": "", "2": "", "2.MIME": "\r\n", "3": "", "3.MIME": "A: b\r\n", "4": "", "4.MIME": "A: b\r\n\r\n", "5": "-"}},
		{"part of one empty line", mixed + "--b\r\n\r\n\r\n--b--\r\n", "multipart/mixed(text/plain)", map[string]string{"1": "", "1.MIME": "\r\n"}},
		{"part of two empty lines", mixed + "--b\r\n\r\n\r\n\r\n--b--\r\n", "multipart/mixed(text/plain)", map[string]string{"1": "\r\n"}},
		{"blanks after the boundary", mixed + "--b \t\r\n\r\none\r\n--b-- \t \r\nx", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"text after the boundary is no boundary", mixed + "--b\r\n\r\none\r\n--bc\r\n--b-\r\n--b x\r\n--b--\r\n", "multipart/mixed(text/plain)", map[string]string{
			"1": "one\r\n--bc\r\n--b-\r\n--b x"}},
		{"boundary within a line", mixed + "--b\r\n\r\none --b\r\n --b\r\n--b--\r\n", "multipart/mixed(text/plain)", map[string]string{"1": "one --b\r\n --b"}},
		{"after the last boundary none counts", mixed + "--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n", "multipart/mixed(text/plain)", map[string]string{
			"1": "one", "2": "-"}},
		{"boundary without a line end", mixed + "--b\r\n\r\none\r\n--b", "multipart/mixed(text/plain text/plain)", map[string]string{"1": "one", "2": "", "2.MIME": ""}},
		{"last boundary without a line end", mixed + "--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"no boundary in the text", mixed + "just text\r\n", "multipart/mixed(text/plain)", map[string]string{
			"1": "just text\r\n", "1.MIME": "", "TEXT": "just text\r\n"}},
		{"closed before it began", mixed + "--b--\r\n", "multipart/mixed(text/plain)", map[string]string{"1": "--b--\r\n"}},
		{"no boundary parameter", "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\none\r\n--b--\r\n", "multipart/mixed(text/plain)", map[string]string{
			"1": "--b\r\n\r\none\r\n--b--\r\n"}},
		{"empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\none\r\n----\r\n", "multipart/mixed(text/plain)", map[string]string{
			"1": "--\r\n\r\none\r\n----\r\n"}},
		{"boundary of blanks", "Content-Type: multipart/mixed; boundary=\"  \"\r\n\r\n--  \r\nx", "multipart/mixed(text/plain)", map[string]string{"1": "--  \r\nx"}},
		{"boundary with blanks inside", "Content-Type: multipart/mixed; boundary=\"a b \"\r\n\r\n--a b\r\n\r\none\r\n--a b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"boundary without quotes with odd octets", "Content-Type: multipart/mixed; boundary==_a/b:c?\r\n\r\n--=_a/b:c?\r\n\r\none\r\n--=_a/b:c?--\r\n",
			"multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"boundary in sections", "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\n\r\none\r\n--ab--\r\n",
			"multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"boundary that ends with two hyphens", "Content-Type: multipart/mixed; boundary=a--\r\n\r\n--a--\r\n\r\none\r\n--a----\r\nx", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"boundary of one case only", mixed + "--B\r\n\r\n--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"line end of the boundary is CR LF, that of the text LF", mixed + "--b\n\none\n--b\r\n\r\ntwo\r\n--b--", "multipart/mixed(text/plain text/plain)", map[string]string{
			"1": "one", "1.MIME": "\n", "2": "two"}},
		{"bare CR before the boundary's line end", mixed + "--b\r\n\r\none\r\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one\r"}},
		{"folded Content-Type", "Content-Type: multipart/mixed;\r\n\tboundary=\"b\"\r\n\r\n--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"boundary ends the header of a part", mixed + "--b\r\nContent-Type: text/html\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
			"multipart/mixed(text/html text/plain)", map[string]string{"1": "", "1.MIME": "Content-Type: text/html\r\n", "2": "two"}},
		{"end in the header of a part", mixed + "--b\r\nContent-Type: text/html\r\n", "multipart/mixed(text/html)", map[string]string{
			"1": "", "1.MIME": "Content-Type: text/html\r\n"}},
		{"a message's own boundary does not end its header", "A: b\r\n" + mixed[:len(mixed)-2] + "--b\r\n\r\none\r\n--b--\r\n", "multipart/mixed(text/plain)", map[string]string{"TEXT": "one\r\n--b--\r\n", "1": "one\r\n--b--\r\n"}},
		{"signature line in a part", mixed + "--b\r\n\r\none\r\n-- \r\njoe\r\n--b--\r\n", "multipart/mixed(text/plain)", map[string]string{"1": "one\r\n-- \r\njoe"}},
	}
}

const rfc822 = "Content-Type: message/rfc822\r\n\r\n"

func nestedSamples() []sample {
	inner := "Content-Type: multipart/alternative; boundary=i\r\n\r\n"
	return []sample{
		{"alternative in mixed", mixed + "--b\r\n" + inner + "--i\r\n\r\none\r\n--i\r\nContent-Type: text/html\r\n\r\n<p>\r\n--i--\r\n\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
			"multipart/mixed(multipart/alternative(text/plain text/html) text/plain)", map[string]string{
				"1": "--i\r\n\r\none\r\n--i\r\nContent-Type: text/html\r\n\r\n<p>\r\n--i--\r\n", "1.1": "one", "1.2": "<p>", "1.3": "-",
				"1.2.MIME": "Content-Type: text/html\r\n\r\n", "1.MIME": inner, "2": "two", "1.HEADER": "-"}},
		{"inner multipart not terminated", mixed + "--b\r\n" + inner + "--i\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
			"multipart/mixed(multipart/alternative(text/plain) text/plain)", map[string]string{"1.1": "one", "1": "--i\r\n\r\none", "2": "two"}},
		{"inner multipart in its header", mixed + "--b\r\n" + inner[:len(inner)-2] + "--b--\r\n", "multipart/mixed(multipart/alternative(text/plain))", map[string]string{
			"1": "", "1.1": ""}},
		{"inner boundary begins with the outer one", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\none\r\n--bb--\r\n--b--\r\n",
			"multipart/mixed(multipart/mixed(text/plain))", map[string]string{"1.1": "one", "1": "--bb\r\n\r\none\r\n--bb--"}},
		{"outer boundary begins with the inner one", "Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n--bb--\r\n",
			"multipart/mixed(multipart/mixed(text/plain))", map[string]string{"1.1": "one"}},
		{"same boundary twice", mixed + "--b\r\n" + mixed + "--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
			"multipart/mixed(multipart/mixed(text/plain) text/plain)", map[string]string{"1.1": "one", "2": "two"}},
		{"message in a message", mixed + "--b\r\n" + rfc822 + "Subject: in\r\n\r\nhello\r\n--b--\r\n",
			"multipart/mixed(message/rfc822(text/plain))", map[string]string{
				"1": "Subject: in\r\n\r\nhello", "1.MIME": rfc822, "1.HEADER": "Subject: in\r\n\r\n", "1.TEXT": "hello",
				"1.1": "hello", "1.1.MIME": "Subject: in\r\n\r\n", "1.1.1": "-", "1.2": "-", "1.1.HEADER": "-"}},
		{"multipart in a message in a message", mixed + "--b\r\n" + rfc822 + "Subject: in\r\n" + inner + "--i\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--i--\r\n--b--\r\n",
			"multipart/mixed(message/rfc822(multipart/alternative(text/plain text/plain)))", map[string]string{
				"1.HEADER": "Subject: in\r\n" + inner, "1.TEXT": "--i\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--i--", "1.1": "one", "1.2": "two", "1.3": "-"}},
		{"the message itself is message/rfc822", rfc822 + "Subject: in\r\n\r\nhello", "message/rfc822(text/plain)", map[string]string{
			"HEADER": rfc822, "TEXT": "Subject: in\r\n\r\nhello", "1": "Subject: in\r\n\r\nhello", "1.HEADER": "Subject: in\r\n\r\n", "1.TEXT": "hello",
			"1.1": "hello", "1.MIME": rfc822, "1.1.1": "-"}},
		{"message in a message in a message", rfc822 + rfc822 + "A: b\r\n\r\nx", "message/rfc822(message/rfc822(text/plain))", map[string]string{
			"1": rfc822 + "A: b\r\n\r\nx", "1.HEADER": rfc822, "1.1": "A: b\r\n\r\nx", "1.1.HEADER": "A: b\r\n\r\n", "1.1.1": "x", "1.1.TEXT": "x", "1.1.1.1": "-"}},
		{"digest", "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\n\r\nhello\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
			"multipart/digest(message/rfc822(text/plain) text/plain)", map[string]string{
				"1": "Subject: in\r\n\r\nhello", "1.MIME": "\r\n", "1.HEADER": "Subject: in\r\n\r\n", "1.1": "hello", "2": "x"}},
		{"message without a text", mixed + "--b\r\n" + rfc822 + "Subject: in\r\n--b--\r\n", "multipart/mixed(message/rfc822(text/plain))", map[string]string{
			"1": "Subject: in\r\n", "1.HEADER": "Subject: in\r\n", "1.TEXT": "", "1.1": ""}},
		{"empty message in a message", mixed + "--b\r\n" + rfc822 + "--b--\r\n", "multipart/mixed(message/rfc822(text/plain))", map[string]string{
			"1": "", "1.HEADER": "", "1.TEXT": ""}},
		{"message of an empty line", mixed + "--b\r\n" + rfc822 + "\r\n--b--\r\n", "multipart/mixed(message/rfc822(text/plain))", map[string]string{
			"1": "\r\n", "1.HEADER": "\r\n", "1.TEXT": ""}},
		{"message part that is only a header", mixed + "--b\r\nContent-Type: message/rfc822\r\n--b--\r\n", "multipart/mixed(message/rfc822(text/plain))", map[string]string{
			"1": "", "1.MIME": "Content-Type: message/rfc822\r\n", "1.HEADER": ""}},
		{"encoded message is opaque", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogYQ==", "application/octet-stream", map[string]string{
			"1": "U3ViamVjdDogYQ==", "1.HEADER": "-", "1.1": "-"}},
		{"message/global", "Content-Type: message/global\r\n\r\nSubject: \xc3\xa4\r\n\r\nx", "message/global(text/plain)", map[string]string{"1.HEADER": "Subject: \xc3\xa4\r\n\r\n"}},
		{"delivery status is a leaf", "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nA: b\r\n\r\nC: d\r\n\r\n--b--\r\n",
			"multipart/report(message/delivery-status)", map[string]string{"1": "A: b\r\n\r\nC: d\r\n", "1.HEADER": "-"}},
		{"outer boundary inside a message", mixed + "--b\r\n" + rfc822 + inner + "--i\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--", "multipart/mixed(message/rfc822(multipart/alternative(text/plain)) text/plain)", map[string]string{
			"1.1": "one", "1.TEXT": "--i\r\n\r\none", "2": "two"}},
	}
}

func brokenSamples() []sample {
	return []sample{
		{"Content-Type that is none", "Content-Type: nonsense\r\n\r\nx", "text/plain", nil},
		{"empty Content-Type", "Content-Type:\r\n\r\nx", "text/plain", nil},
		{"Content-Type of a slash", "Content-Type: /\r\n\r\nx", "text/plain", nil},
		{"type without subtype", "Content-Type: text; charset=utf-8\r\n\r\nx", "text/plain", nil},
		{"multipart without subtype", "Content-Type: multipart; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"two Content-Types: the first counts", "Content-Type: text/html\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nx", "text/html", map[string]string{"1": "--b\r\nx"}},
		{"comment in the type", "Content-Type: text/html (a (b) ;) ; charset=utf-8\r\n\r\nx", "text/html", nil},
		{"blanks around the slash", "Content-Type: text / html\r\n\r\nx", "text/html", nil},
		{"blank before the colon", "Content-Type : text/html\r\n\r\nx", "text/html", nil},
		{"type in capitals", "CONTENT-TYPE: TEXT/HTML\r\n\r\nx", "text/html", nil},
		{"missing semicolon", "Content-Type: multipart/mixed boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"quote without an end", "Content-Type: multipart/mixed; boundary=\"b\r\n\r\n--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"two semicolons", "Content-Type: multipart/mixed;; ;boundary=b;\r\n\r\n--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"parameter that is none", "Content-Type: multipart/mixed; foo; =x; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"comment after the boundary parameter", "Content-Type: multipart/mixed; boundary=b (x)\r\n\r\n--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
		{"line feed before CR", "A: b\n\r\n\rbody", "text/plain", map[string]string{"HEADER": "A: b\n\r\n", "TEXT": "\rbody"}},
		{"encoded multipart is one all the same", "Content-Transfer-Encoding: base64\r\n" + mixed + "--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", map[string]string{"1": "one"}},
	}
}

func typeSamples() []sample {
	long := make([]byte, 300)
	for i := range long {
		long[i] = 'a'
	}
	return []sample{
		{"type too long", "Content-Type: x/" + string(long) + "\r\n\r\nx", "application/octet-stream", nil},
		{"boundary too long", "Content-Type: multipart/mixed; boundary=" + string(long) + "\r\n\r\n--" + string(long) + "\r\n\r\nx", "multipart/mixed(text/plain)", map[string]string{
			"1": "--" + string(long) + "\r\n\r\nx"}},
		{"unknown type", "Content-Type: foo/bar+baz\r\n\r\nx", "foo/bar+baz", nil},
		{"image", "Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBO", "image/png", map[string]string{"1": "iVBO"}},
	}
}
