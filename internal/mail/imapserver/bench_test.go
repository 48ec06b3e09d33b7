package imapserver_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"porcupine/internal/mail/imapserver/imaptest"
)

// large is a folder of so many messages.
func large(n int) *imaptest.Mail {
	m := newMail()
	for range n {
		m.Deliver(alice, "INBOX", plain, clock)
	}
	return m
}

// ask sends a command and reads to its end.
func ask(b *testing.B, c io.ReadWriter, command string) (octets int64) {
	if _, err := io.WriteString(c, "x "+command+"\r\n"); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		octets += int64(n)
		if i := bytes.LastIndex(buf[:n-1], []byte("\n")); bytes.HasPrefix(buf[i+1:n], []byte("x ")) {
			return octets
		}
	}
}

// BenchmarkSync is what a client does with a folder of 100,000 messages, one command at a time.
func BenchmarkSync(b *testing.B) {
	m := large(100_000)
	for _, command := range []string{
		"EXAMINE INBOX", "UID FETCH 1:* (FLAGS)", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
		"UID FETCH 1:1000 (ENVELOPE BODYSTRUCTURE)", "UID FETCH 1:1000 (BODY.PEEK[HEADER.FIELDS (From To Subject Date)])", "UID FETCH 1:1000 BODY.PEEK[]",
	} {
		b.Run(strings.ReplaceAll(command, " ", "_"), func(b *testing.B) {
			c := newRig(b, m, options{}).play(login + "C: 1 EXAMINE INBOX\n" + strings.Repeat("S: ...\n", 10))
			for b.Loop() {
				b.SetBytes(ask(b, c, command))
			}
			c.Close()
		})
	}
}
