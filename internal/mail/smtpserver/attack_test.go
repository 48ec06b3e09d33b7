package smtpserver_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
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

// relayCases are addresses that some server somewhere has relayed to (attack 15). None may ever
// be accepted; 5xx where our knowledge is whole, 4xx or a syntax error where it is not.
var relayCases = []string{
	"<victim@victim.example>", "<victim@victim.example.>", "<victim%victim.example@example.test>",
	"<victim%victim.example@[192.0.2.25]>", "<victim%victim.example@[127.0.0.1]>", "<victim%victim.example@mx.example.test>",
	"<victim!victim@example.test>", "<victim.example!victim@example.test>", "<victim.example!victim>",
	"<victim.example!victim@[192.0.2.25]>", `<"victim@victim.example"@example.test>`, `<"victim@victim.example">`,
	`<"victim%victim.example"@example.test>`, `<"victim@victim.example"@[192.0.2.25]>`,
	"<@example.test:victim@victim.example>", "<@mx.example.test:victim@victim.example>", "<@[192.0.2.25]:victim@victim.example>",
	"<@example.test,@other.example:victim@victim.example>", "<victim@victim.example@example.test>", "<victim@[192.0.2.99]>",
	"<victim@[IPv6:2001:db8::99]>", "<victim@[IPv6:::1]>", "<victim@[127.0.0.1]>", "<victim@localhost>",
	"<victim%victim.example>", "<victim%victim.example%example.test@example.test>", "<victim@victim.example%example.test>",
	"<victim@example.test.victim.example>", "<victim@victimexample.test>", "<victim@sub.example.test>",
	"<victim@xn--exmple-cua.test>", "victim@victim.example", "< victim@victim.example >", "<victim @victim.example>",
	"<SMTP:victim@victim.example>", "<victim@victim.example,u0@example.test>", "<u0@example.test,victim@victim.example>",
	"<u0@example.test> <victim@victim.example>", "<victim@victim.example\x00@example.test>", "<victim@EXAMPLE>",
	`<victim\@victim.example@example.test>`, "<victim@exämple.test>", "<victim:victim.example@example.test>", "<>",
}

func TestAttack15_OpenRelay(t *testing.T) {
	if len(relayCases) < 40 {
		t.Fatalf("%d cases, want at least 40", len(relayCases))
	}
	for _, role := range []smtpserver.Role{smtpserver.MX, smtpserver.LMTP, smtpserver.Submission} {
		for _, state := range []string{"normal", "degraded"} {
			h := start(t, role, withLimits(func(l *smtpserver.Limits) { l.RefusedMax, l.TarpitAfter, l.BadCommandsMax = 1000, 1000, 1000 }))
			if state == "degraded" {
				h.delivery.verify = cluster.Errorf(cluster.KindUnavailable, "verify", "the manager is gone")
			}
			c := h.connect()
			switch role {
			case smtpserver.LMTP:
				c.do("LHLO c.example", "250-")
			case smtpserver.Submission:
				c.hello().do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
			default:
				c.hello()
			}
			c.do("MAIL FROM:<u0@example.test>", "250 ")
			for _, rcpt := range relayCases {
				c.send("RCPT TO:" + rcpt + "\r\n")
				got := c.reply()
				refused := strings.HasPrefix(got, "5") || state == "degraded" && strings.HasPrefix(got, "451 ")
				if !refused || state == "degraded" && strings.HasPrefix(got, "550 ") {
					t.Errorf("%v, %s: RCPT TO:%s = %q", role, state, rcpt, got)
				}
			}
			c.do("DATA", "503 ")
		}
	}
}

func TestAttack16_SubmissionSpoofing(t *testing.T) {
	me := "From: u0@example.test\r\n"
	tests := []struct{ name, header, want string }{
		{"own", me, "250 "},
		{"own with a name", "From: =?iso-2022-jp?B?GyRCJUYbKEI=?= <U0@EXAMPLE.TEST>\r\n", "250 "},
		{"own, alias of one", "From: postmaster@example.test\r\n", "250 "},
		{"own, folded", "from : \r\n u0@example.test\r\n\t(comment)\r\n", "250 "},
		{"none", "Subject: x\r\n", "550 5.6.0"},
		{"another's", "From: u1@example.test\r\n", "550 5.7.1"},
		{"elsewhere", "From: ceo@bank.example\r\n", "550 5.7.1"},
		{"two headers", me + "From: u1@example.test\r\n", "550 5.6.0"},
		{"two of the same", me + me, "550 5.6.0"},
		{"two addresses", "From: u0@example.test, u1@example.test\r\n", "550 5.7.1"},
		{"group", "From: us: u0@example.test, u1@example.test;\r\n", "550 5.7.1"},
		{"empty group", "From: us:;\r\n", "550 5.6.0"},
		{"group list", "From: team@example.test\r\n", "550 5.7.1"},
		{"name that is an address", "From: \"ceo@bank.example\" <u0@example.test>\r\n", "250 "},
		{"encoded word as address", "From: =?utf-8?Q?u0=40example.test?=\r\n", "550 5.6.0"},
		{"space before colon", me + "FROM : u1@example.test\r\n", "550 5.6.0"},
		{"not an address", "From: u0\r\n", "550 5.6.0"},
		{"too long", "From: u0@example.test" + strings.Repeat(", u0@example.test", 600) + "\r\n", "550 5.6.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, smtpserver.Submission).connect().hello()
			c.do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
			c.envelopeFrom("u0@example.test", "u2@example.test").do("DATA", "354 ")
			c.do(tt.header+"\r\nFrom: u1@example.test\r\n.", tt.want)
		})
	}
	t.Run("MAIL FROM", func(t *testing.T) {
		h := start(t, smtpserver.Submission)
		c := h.connect().hello()
		c.do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
		for from, want := range map[string]string{
			"": "250", "u0@example.test": "250", "postmaster@example.test": "250", "team@example.test": "550 5.7.1", "u1@example.test": "550 5.7.1",
			"no@example.test": "550 5.7.1", "x@elsewhere.example": "550 5.7.1",
		} {
			c.do("RSET", "250")
			c.do("MAIL FROM:<"+from+">", want)
		}
		h.delivery.verify = cluster.Errorf(cluster.KindUnavailable, "verify", "gone")
		c.do("RSET", "250")
		c.do("MAIL FROM:<postmaster@example.test>", "451 ")
	})
}

// A message for nobody is refused at RCPT: nothing is ever bounced (attack 17).
func TestAttack17_NoBackscatter(t *testing.T) {
	h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) { l.RefusedMax, l.TarpitAfter, l.BadCommandsMax = 2000, 2000, 2000 }))
	c := h.connect().hello()
	for i := range 1000 {
		c.do(fmt.Sprintf("MAIL FROM:<forged%d@victim.example>", i), "250 ")
		c.do("RCPT TO:<nobody@example.test>", "550 5.1.1")
		c.do("DATA", "503 ")
		if i%200 == 199 { // RSET is an idle command
			c.do("QUIT", "221 ")
			c = h.connect().hello()
			continue
		}
		c.do("RSET", "250 ")
	}
	if got := h.delivery.got(); len(got) != 0 {
		t.Errorf("%d messages came of mail for nobody", len(got))
	}
}

func TestAttack18_Loop(t *testing.T) {
	for n, want := range map[int]string{50: "250 ", 51: "554 5.4.6 "} {
		c := start(t, smtpserver.MX).connect().hello().envelope("u0@example.test")
		c.do("DATA", "354 ")
		c.do(strings.Repeat("Received: from a by b; now\r\n\t(folded)\r\n", n)+"Subject: x\r\n\r\n"+strings.Repeat("Received: in the body\r\n", 60)+".", want)
	}
}

func TestAttack20_LogInjection(t *testing.T) {
	var log bytes.Buffer
	h := start(t, smtpserver.Submission, func(c *smtpserver.Config, _ *listenerConfig) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c := h.connect()
	c.do("EHLO \x1b[31mred", "500 ")
	c.do("EHLO c.example", "250-")
	c.do("\x1b]0;title\x07", "500 ")
	c.do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
	c.do(`MAIL FROM:<"a level=ERROR msg=fake"@example.test>`, "550 ")
	c.do("MAIL FROM:<u0@example.test> "+"X\"=1", "501 ")
	c.do("MAIL FROM:<u0@example.test>", "250 ")
	c.do(`RCPT TO:<"x\" level=ERROR msg=\"fake"@example.test>`, "550 ")
	c.do("QUIT", "221 ")
	h.connect().hello().do("AUTH PLAIN "+plain("u0@example.test", "canary-password"), "535 ")
	h.stop()
	text := log.String()
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("log line %d is not ours: %q", i, line)
		}
		if strings.Contains(line, " level=ERROR msg=") && !strings.Contains(line, `"`) {
			t.Errorf("log line %d is forged: %q", i, line)
		}
	}
	secrets := []string{"canary-password", "secret", plain("u0@example.test", "canary-password"), "\x1b", "\x07"}
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("the log holds %q", s)
		}
	}
	if !strings.Contains(text, "session=") || !strings.Contains(text, "remote=192.0.2.1") {
		t.Errorf("log lines lack the session: %s", text)
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
