package smtpserver_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/smtp"
	"porcupine/internal/mail/smtpserver"
)

// terminators are all strings of 3 of these symbols between a line and a dot-like end.
func terminators() []string {
	symbols := []string{"\r", "\n", "\r\n", "\x00"}
	var all []string
	for _, a := range symbols {
		for _, b := range symbols {
			for _, c := range symbols {
				all = append(all, a+"."+b+c, a+b+"."+c)
			}
		}
	}
	return all
}

const smuggled = "MAIL FROM:<evil@example.test>\r\nRCPT TO:<u1@example.test>\r\nDATA\r\nsmuggled\r\n.\r\n"

func TestAttack01_Smuggling(t *testing.T) {
	for _, role := range []smtpserver.Role{smtpserver.MX, smtpserver.Submission, smtpserver.LMTP} {
		for _, end := range terminators() {
			ways := []string{"DATA", "after BDAT", "split"}
			if role != smtpserver.MX {
				ways = ways[:1] // trusted clients have no exception
			}
			for _, by := range ways {
				t.Run(fmt.Sprintf("%v %q %s", role, end, by), func(t *testing.T) {
					smuggle(t, role, end, by)
				})
			}
		}
	}
}

// smuggle sends a message that some would end at end, and commands after it.
func smuggle(t *testing.T, role smtpserver.Role, end, by string) {
	h := start(t, role, withLimits(func(l *smtpserver.Limits) { l.LingerMax = time.Millisecond }))
	c := h.connect()
	switch role {
	case smtpserver.LMTP:
		c.do("LHLO c.example", "250-")
	case smtpserver.Submission:
		c.hello().do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
	default:
		c.hello()
	}
	first := "From: u0@example.test\r\n\r\nfirst"
	if by == "after BDAT" {
		c.envelopeFrom("u0@example.test", "u0@example.test").do("BDAT 32 LAST\r\nFrom: u0@example.test\r\n\r\nfirst", "250 ")
	}
	c.envelopeFrom("u0@example.test", "u0@example.test").do("DATA", "354 ")
	data := first + end + smuggled
	pieces := []string{data}
	if by == "split" {
		pieces = strings.Split(data, "")
	}
	for _, piece := range pieces {
		if _, err := c.Write([]byte(piece)); err != nil {
			break // refused and closed
		}
	}
	c.Close() // the server reads all of it, then the end
	h.stop()
	clean := strings.Contains("\r\n"+first+end, "\r\n.\r\n") && onlyCRLF(end)
	for _, m := range h.delivery.got() {
		if !onlyCRLF(m.body) {
			t.Errorf("stored %q", m.body)
		}
		if strings.Contains(m.body, "smuggled") && m.env.From.Local == "evil" && !clean {
			t.Errorf("smuggled: %+v", m)
		}
	}
}

func onlyCRLF(s string) bool {
	s = strings.ReplaceAll(s, "\r\n", "")
	return !strings.ContainsAny(s, "\r\n\x00")
}

func (c *client) envelopeFrom(from string, rcpts ...string) *client {
	c.t.Helper()
	c.do("MAIL FROM:<"+from+">", "250 ")
	for _, r := range rcpts {
		c.do("RCPT TO:<"+r+">", "250 ")
	}
	return c
}

func TestAttack01_BareLineEndsAreAnsweredAndClosed(t *testing.T) {
	for _, body := range []string{"a\nb\r\n.\r\n", "a\rb\r\n.\r\n", "a\x00b\r\n.\r\n", "a\r\r\n.\r\n", "a\n.\n", "\n"} {
		h := start(t, smtpserver.MX)
		c := h.connect().hello().envelope("u0@example.test")
		c.do("DATA", "354 ")
		c.send(body)
		c.want("554 5.6.0 ")
		c.wantClosed()
		if got := h.delivery.got(); len(got) != 0 {
			t.Errorf("body %q was stored: %+v", body, got)
		}
	}
	for _, chunk := range []string{"BDAT 3\r\na\nb", "BDAT 3\r\na\rb", "BDAT 3\r\na\x00b", "BDAT 2 LAST\r\na\r", "BDAT 2\r\na\rBDAT 1 LAST\r\nb"} {
		c := start(t, smtpserver.MX).connect().hello().envelope("u0@example.test")
		c.send(chunk)
		reply := c.reply()
		if strings.HasPrefix(reply, "250 2.0.0 chunk") {
			reply = c.reply()
		}
		if !strings.HasPrefix(reply, "554 5.6.0 ") {
			t.Errorf("%q: reply %q, want 554 5.6.0", chunk, reply)
		}
		c.wantClosed()
	}
	for _, line := range []string{"NOOP\n", "NOOP\r", "NO\rOP\r\n", "\n", "NOOP\r\r\n"} {
		c := start(t, smtpserver.MX).connect()
		c.send(line)
		if !strings.HasSuffix(line, "\n") {
			c.send("\n")
			c.want("250 ") // CR LF after all
			continue
		}
		c.want("500 5.5.2 ")
		c.wantClosed()
	}
}

// TestAttack02_StateDesync plays random commands against a model of RFC 5321 §4.1.4.
func TestAttack02_StateDesync(t *testing.T) {
	h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) {
		l.BadCommandsMax, l.RefusedMax, l.IdleCommandsMax, l.TarpitAfter = 1e6, 1e6, 1e6, 1e6
	}))
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	c := h.connect()
	m := model{}
	for i := range 3000 {
		cmd := modelCommands[r.IntN(len(modelCommands))]
		want := m.step(cmd)
		c.send(cmd + "\r\n")
		got := c.reply()
		if len(got) < 3 || got[:3] != want {
			t.Fatalf("seed %d, step %d: reply to %q = %q, want %s; model %+v", seed, i, cmd, got, want, m)
		}
		if want == "354" {
			m.store()
			c.do(fmt.Sprintf("message %d\r\n.", len(m.stored)), "250 ")
		}
	}
	c.do("QUIT", "221 ")
	got := h.delivery.got()
	if len(got) != len(m.stored) {
		t.Fatalf("seed %d: %d messages stored, want %d", seed, len(got), len(m.stored))
	}
	for i, g := range got {
		var to []string
		for _, rc := range g.env.Recipients {
			to = append(to, rc.Address.String())
		}
		if s := g.env.From.String() + " " + strings.Join(to, ","); s != m.stored[i] {
			t.Errorf("seed %d: envelope %d = %q, want %q", seed, i, s, m.stored[i])
		}
	}
}

var modelCommands = []string{
	"EHLO a.example", "HELO a.example", "EHLO (", "RSET", "RSET x", "NOOP", "VRFY x", "DATA", "DATA", "DATA", "DATA x",
	"MAIL FROM:<a@a.example>", "MAIL FROM:<b@b.example>", "MAIL FROM:<>", "MAIL FROM:<c@c.example> SIZE=999999999", "MAIL FROM:x",
	"RCPT TO:<u0@example.test>", "RCPT TO:<u1@example.test>", "RCPT TO:<u0@example.test>", "RCPT TO:<no@example.test>",
	"RCPT TO:<u0@other.example>", "RCPT TO:<u0", "BDAT 3\r\nx", "BDAT 3 LAST\r\ny", "BDAT 0", "BDAT 0 LAST", "FOO",
}

// model is what the session ought to know.
type model struct {
	hello, open, chunks bool
	from                string
	to                  []string
	stored              []string
}

func (m *model) reset() { m.open, m.chunks, m.from, m.to = false, false, "", nil }

func (m *model) store() {
	m.stored = append(m.stored, m.from+" "+strings.Join(m.to, ","))
	m.reset()
}

func (m *model) step(cmd string) string {
	verb, arg, _ := strings.Cut(cmd, " ")
	switch verb {
	case "EHLO", "HELO":
		if arg == "(" {
			return "501"
		}
		m.reset()
		m.hello = true
		return "250"
	case "RSET":
		if arg != "" {
			return "501"
		}
		m.reset()
		return "250"
	case "NOOP":
		return "250"
	case "VRFY":
		return "252"
	case "MAIL":
		return m.mail(arg)
	case "RCPT":
		return m.rcpt(arg)
	case "DATA":
		switch {
		case arg != "":
			return "501"
		case !m.open, m.chunks, len(m.to) == 0:
			return "503"
		}
		return "354"
	case "BDAT":
		if !m.open || len(m.to) == 0 {
			return "503"
		}
		if m.chunks = true; strings.Contains(arg, "LAST") {
			m.store()
		}
		return "250"
	}
	return "500"
}

func (m *model) mail(arg string) string {
	switch {
	case !m.hello, m.open:
		return "503"
	case strings.Contains(arg, "SIZE"):
		return "552"
	case !strings.Contains(arg, "<"):
		return "501"
	}
	m.open, m.from = true, strings.Trim(arg[len("FROM:"):], "<>")
	return "250"
}

func (m *model) rcpt(arg string) string {
	to := strings.Trim(arg[len("TO:"):], "<>")
	switch {
	case !m.open, m.chunks:
		return "503"
	case !strings.HasSuffix(arg, ">"):
		return "501"
	case !strings.HasPrefix(to, "u") || !strings.HasSuffix(to, "@example.test"):
		return "550"
	case !strings.Contains(strings.Join(m.to, ","), to):
		m.to = append(m.to, to)
	}
	return "250"
}

func TestAttack05_HTTP(t *testing.T) {
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: mx.example.test\r\n\r\n",
		"POST /<script> HTTP/1.1\r\nContent-Length: 100\r\n\r\nEHLO x\r\nMAIL FROM:<a@b>\r\n",
		"Host: <script>\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "OPTIONS / HTTP/1.0\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\n", "SSH-2.0-x\n",
	} {
		c := start(t, smtpserver.MX).connect()
		c.send(request)
		got := c.reply()
		if !strings.HasPrefix(got, "500 ") || strings.Contains(got, "script") || strings.Count(got, "\n") != 1 {
			t.Errorf("reply to %q = %q, want one line 500", request, got)
		}
		c.wantClosed()
	}
}

func TestAttack08_EarlyTalker(t *testing.T) {
	h := start(t, smtpserver.MX)
	c := h.connectEarly("EHLO early.example\r\n")
	c.want("554 5.5.0 ")
	c.wantClosed()
}

func TestAttack08_GreetingDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) { l.GreetingDelay = time.Second }))
		began := time.Now()
		patient, hasty := h.connectEarly(""), h.connectEarly("")
		hasty.send("E")
		hasty.want("554 5.5.0 ")
		if took := time.Since(began); took != 0 {
			t.Errorf("an early talker was answered after %v, want at once", took)
		}
		patient.want("220 ")
		if took := time.Since(began); took != time.Second {
			t.Errorf("the greeting came after %v, want the delay of 1 s", took)
		}
		patient.hello()
		h.stop()
	})
}

func TestAttack08_SyncPoints(t *testing.T) {
	tests := []struct {
		before, group string
		replies       []string
	}{
		{"", "EHLO a.example\r\nMAIL FROM:<a@b.example>\r\n", []string{"554 5.5.0 "}},
		{"EHLO a.example", "STARTTLS\r\nNOOP\r\n", []string{"554 5.5.0 "}},
		{"EHLO a.example", "MAIL FROM:<a@b.example>\r\nRCPT TO:<u0@example.test>\r\nDATA\r\nx\r\n.\r\n", []string{"250 ", "250 ", "554 5.5.0 "}},
		{"EHLO a.example", "AUTH PLAIN\r\nAAAA\r\n", []string{"554 5.5.0 "}},
		{"EHLO a.example", "NOOP\r\nVRFY x\r\nNOOP\r\nQUIT\r\n", []string{"250 ", "252 ", "250 ", "221 "}},
	}
	for _, tt := range tests {
		h := start(t, smtpserver.MX)
		c := h.connect()
		if tt.before != "" {
			c.do(tt.before, "250")
		}
		c.send(tt.group)
		for _, want := range tt.replies {
			c.want(want)
		}
		c.wantClosed()
		if n := len(h.delivery.got()); n != 0 {
			t.Errorf("%q: %d messages stored, want none", tt.group, n)
		}
	}
}

// TestAttack19_TraceHeaders: nothing a client says adds a line to the trace fields.
func TestAttack19_TraceHeaders(t *testing.T) {
	for _, text := range []string{"a\r\nb", "a\nX: y", "\x00", "\x1b[0m", "(", ")", ";", "a b", "é"} {
		if name, err := smtp.ParseHello(text); err == nil {
			t.Errorf("ParseHello(%q) = %q, want an error", text, name)
		}
		for _, path := range []string{`<"` + text + `"@example.test>`, "<a@" + text + ">", "<" + text + "@b.example>"} {
			a, _, err := smtp.ParseReversePath(path)
			if err != nil {
				continue
			}
			r := smtp.Received{Hello: "c.example", By: "mx", ID: "1", For: a}
			if got := string(r.Append(smtp.AppendReturnPath(nil, a))); strings.Count(got, "\n") != 6 || !onlyCRLF(got) {
				t.Errorf("path %q gives the header %q", path, got)
			}
		}
	}
}

// Attack 33: no name that a client gives becomes the name of a file.
func TestAttack33_NamesNeverBecomePaths(t *testing.T) {
	for _, rcpt := range []string{`"../../../etc/passwd"@example.test`, `"a/b"@example.test`, "../x@example.test", "a/b@example.test"} {
		h := start(t, smtpserver.MX)
		c := h.connect().hello().envelope()
		c.send("RCPT TO:<" + rcpt + ">\r\n")
		c.want("5")
	}

}
