package imapserver_test

import "strings"

// crlf gives text line ends as messages have them.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// The messages of the tests.
var (
	plain = crlf(`From: Fred Foobar <foobar@example.test>
To: mooch@example.test, "Mooch, Sr." <senior@example.test>
Date: Mon, 5 Jan 2026 08:30:00 +0100
Subject: afternoon meeting
Message-ID: <one@example.test>

Hello Joe,
do you think we can meet at 3:30 tomorrow?
`)
	mixed = crlf(`From: =?utf-8?q?Gr=C3=BC=C3=9Fe?= <g@example.test>
To: friends: a@example.test, b@example.test;
Date: Tue, 6 Jan 2026 08:30:00 +0100
Subject: =?utf-8?q?two_parts?=
Message-ID: <two@example.test>
In-Reply-To: <one@example.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

preamble
--b1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe
--b1
Content-Type: application/octet-stream; name="a.bin"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="a.bin"; size=4
Content-ID: <part2@example.test>
Content-Description: four octets
Content-Language: en, de
Content-Location: http://example.test/a
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==

AAEC/w==
--b1
Content-Type: text/plain
Content-Transfer-Encoding: x-unknown

what is this
--b1--
epilogue
`)
	nested = crlf(`From: outer@example.test
Subject: forwarded
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: message/rfc822

From: inner@example.test
Subject: inner
Content-Type: multipart/alternative; boundary=y

--y
Content-Type: text/plain

inner text
--y
Content-Type: text/html

<p>inner html</p>
--y--
--x--
`)
	// strange has no header field that can be read, and bare line feeds.
	strange = "this is no header\nnor this\n\nbody"
)
