package smtpserver_test

import (
	"fmt"
	"strings"
	"testing"

	"porcupine/internal/mail/smtpserver"
)

// shapes are messages as they come in the wild, whole and broken. Each must come through byte for
// byte (D5); one without a final line end gets it.
func shapes() map[string]string {
	head := "From: a@b.example\r\nSubject: x\r\n"
	return map[string]string{
		"plain":                   head + "\r\nhello\r\n",
		"empty":                   "",
		"one line end":            "\r\n",
		"headers only":            head,
		"no blank line":           head + "not a header\r\n",
		"no final line end":       head + "\r\nlast line",
		"dots":                    head + "\r\n.\r\n..\r\n...\r\n.hidden\r\n. \r\nend.\r\n",
		"ends in a dot line":      head + "\r\n.\r\n",
		"begins with a dot line":  ".\r\n" + head,
		"blank lines":             head + "\r\ntext" + strings.Repeat("\r\n", 40),
		"spaces and tabs":         head + "\r\na  \r\n\t\r\n  \r\nb\t\t\r\n",
		"line of 5,000":           head + "\r\n" + strings.Repeat("y", 5000) + "\r\n",
		"line of 1,000,000":       head + "\r\n" + strings.Repeat("y", 1_000_000) + "\r\n",
		"latin-1, undeclared":     head + "\r\ncaf\xe9 \xa4\xff\xfe\r\n",
		"controls":                head + "\r\nbell \x07 esc \x1b[31m form \x0c del \x7f\r\n",
		"starts with a fold":      " fold\r\n" + head + "\r\nbody\r\n",
		"mbox line":               "From a@b.example Tue Dec  7 09:15:00 1999\r\n" + head + "\r\nFrom here\r\n",
		"raw UTF-8 header":        "Subject: Überraschung 🦔\r\n" + head + "\r\nbody\r\n",
		"8-bit header name":       "X-\xc3\xa4: 1\r\n" + head + "\r\nbody\r\n",
		"500 headers":             strings.Repeat("X-H: value\r\n", 500) + "\r\nbody\r\n",
		"many lines":              head + "\r\n" + strings.Repeat("a short line\r\n", 50_000),
		"CR LF at the buffer end": head + strings.Repeat("x", 32<<10-len(head)-1) + "\r\n.\r\nmore\r\n",
	}
}

func TestBytesSurvive(t *testing.T) {
	h := start(t, smtpserver.MX)
	c := h.connect().hello()
	n := 0
	for name, text := range shapes() {
		want := text
		if text != "" && !strings.HasSuffix(text, "\r\n") {
			want += "\r\n"
		}
		stuffed := strings.ReplaceAll("\r\n"+want, "\r\n.", "\r\n..")[2:]
		c.envelope("u0@example.test").do("DATA", "354 ")
		c.do(stuffed+".", "250 ")
		c.envelope("u0@example.test")
		third := len(text) / 3
		c.send(fmt.Sprintf("BDAT %d\r\n%sBDAT 0\r\nBDAT %d LAST\r\n%s", third, text[:third], len(text)-third, text[third:]))
		for range 3 {
			c.want("250 ")
		}
		got := h.delivery.got()
		for i, by := range []string{"DATA", "BDAT"} {
			if body := without(t, got[n+i].body); body != want {
				t.Errorf("%s by %s: %d bytes came out %d bytes long: %.80q", name, by, len(want), len(body), body)
			}
		}
		n += 2
	}
}

func TestTraceFields(t *testing.T) {
	h := start(t, smtpserver.MX)
	c := h.connect().hello()
	c.envelope("u0@example.test").do("DATA", "354 ")
	c.do(".", "250 ")
	c.do("MAIL FROM:<>", "250 ")
	c.do("RCPT TO:<u0@example.test>", "250 ")
	c.do("RCPT TO:<u1@example.test>", "250 ")
	c.do("DATA", "354 ")
	c.do(".", "250 ")
	got := h.delivery.got()
	one, two := got[0].body, got[1].body
	for _, part := range []string{"Return-Path: <alice@sender.example>\r\nReceived: from client.example ([192.0.2.1])\r\n\tby mx.example.test with ESMTP\r\n\tid ", "\r\n\tfor <u0@example.test>;\r\n\t"} {
		if !strings.Contains(one, part) {
			t.Errorf("trace fields %q lack %q", one, part)
		}
	}
	if !strings.HasPrefix(two, "Return-Path: <>\r\nReceived: ") || strings.Contains(two, "for <") {
		t.Errorf("trace fields of two recipients: %q", two)
	}
	if got[0].env.Received.IsZero() || !got[1].env.From.IsZero() {
		t.Errorf("envelopes %+v, %+v", got[0].env, got[1].env)
	}
}

func TestObserver(t *testing.T) {
	o := &observer{ended: make(chan smtpserver.SessionStats, 1)}
	h := start(t, smtpserver.MX, func(c *smtpserver.Config, _ *listenerConfig) { c.Observer = o })
	c := h.connect().hello().envelope("u0@example.test")
	c.do("DATA", "354 ")
	c.do("12345\r\n.", "250 ")
	c.do("FOO", "500 ")
	c.do("QUIT", "221 ")
	end := <-o.ended
	if end.Messages != 1 || end.Commands != 6 || end.Bad != 1 || end.End != "quit" {
		t.Errorf("session ended with %+v", end)
	}
	if got := strings.Join(o.commands, ", "); o.started != 1 || got != "EHLO 250, MAIL 250, RCPT 250, DATA 250, unknown 500, QUIT 221" {
		t.Errorf("%d sessions, commands %s", o.started, got)
	}
	if len(o.messages) != 1 || o.messages[0].Code != 250 || o.messages[0].Bytes != 7 || o.messages[0].Recipients != 1 {
		t.Errorf("messages %+v", o.messages)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := smtpserver.Config{Hostname: "mx", Delivery: newDelivery(), Spool: brokenFiles{}}
	if _, err := smtpserver.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*smtpserver.Config){
		"role": func(c *smtpserver.Config) { c.Role = 9 }, "host name": func(c *smtpserver.Config) { c.Hostname = "" },
		"delivery": func(c *smtpserver.Config) { c.Delivery = nil }, "authenticator": func(c *smtpserver.Config) { c.Role = smtpserver.Submission },
		"spool": func(c *smtpserver.Config) { c.Spool = nil },
	} {
		c := good
		spoil(&c)
		if _, err := smtpserver.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New without a good %s = %v, want an error that says so", name, err)
		}
	}
}
