package message

import (
	"io"
	"strings"
	"testing"
)

// message5K is an ordinary message with two texts; message10M one with an attachment.
func message5K() string {
	head := "Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example with ESMTPS id 12345\r\n\tfor <joe@example.org>; Mon, 5 Jan 2026 10:00:00 +0100\r\n" +
		"Date: Mon, 5 Jan 2026 10:00:00 +0100\r\nFrom: Ann Example <ann@a.example>\r\nTo: Joe Doe <joe@example.org>, list@example.org\r\nSubject: =?utf-8?q?A_m=C3=BCde_subject?=\r\n" +
		"Message-ID: <0123456789abcdef@a.example>\r\nIn-Reply-To: <fedcba@b.example>\r\nReferences: <123@b.example> <fedcba@b.example>\r\nMIME-Version: 1.0\r\n"
	text := strings.Repeat("The quick brown fox jumps over the lazy dog, and over it again.\r\n", 28)
	return head + "Content-Type: multipart/alternative; boundary=\"=_boundary_1234\"\r\n\r\n--=_boundary_1234\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + text +
		"\r\n--=_boundary_1234\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><body>" + text + "</body></html>\r\n--=_boundary_1234--\r\n"
}

func message10M() string {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	return "Date: Mon, 5 Jan 2026 10:00:00 +0100\r\nFrom: Ann Example <ann@a.example>\r\nTo: joe@example.org\r\nSubject: files\r\n" +
		"Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\n\r\nHere it is.\r\n--=_b\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		strings.Repeat(line, 10<<20/len(line)) + "--=_b--\r\n"
}

func BenchmarkBuild(b *testing.B) {
	for name, raw := range map[string]string{"5KB": message5K(), "10MB": message10M()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				x, err := Build(strings.NewReader(raw), int64(len(raw)))
				if err != nil {
					b.Fatal(err)
				}
				x.Append(nil)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	raw := message5K()
	x, err := Build(strings.NewReader(raw), int64(len(raw)))
	if err != nil {
		b.Fatal(err)
	}
	octets := x.Append(nil)
	b.ReportMetric(float64(len(octets)), "octets")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(octets); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for encoding, raw := range map[string]string{"base64": strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 10_000), "quoted-printable": strings.Repeat("The quick =C3=A4 brown fox jumps over the lazy dog=\r\n", 15_000)} {
		b.Run(encoding, func(b *testing.B) {
			p := &Part{Type: "text", Subtype: "plain", Encoding: encoding}
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := p.Decode(strings.NewReader(raw))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBuildPlain is the message that most deliveries of the load generators bring: one text without structure.
func BenchmarkBuildPlain(b *testing.B) {
	raw := "Date: Mon, 5 Jan 2026 10:00:00 +0100\r\nFrom: Ann Example <ann@a.example>\r\nTo: joe@example.org\r\nSubject: plain\r\n" +
		"Message-ID: <0123456789abcdef@a.example>\r\n\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog, and over it again.\r\n", 70)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		x, err := Build(strings.NewReader(raw), int64(len(raw)))
		if err != nil {
			b.Fatal(err)
		}
		x.Append(nil)
	}
}
