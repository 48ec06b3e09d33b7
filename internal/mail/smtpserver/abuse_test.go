package smtpserver_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/smtpserver"
)

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
		{"none", "Subject: x\r\n", "550 5.6.0 the message has no From header: it needs one, with an address of yours"},
		{"another's", "From: u1@example.test\r\n", "550 5.7.1"},
		{"elsewhere", "From: ceo@bank.example\r\n", "550 5.7.1"},
		{"two headers", me + "From: u1@example.test\r\n", "550 5.6.0"},
		{"two of the same", me + me, "550 5.6.0 the message has more than one From header"},
		{"two addresses", "From: u0@example.test, u1@example.test\r\n", "550 5.7.1"},
		{"group", "From: us: u0@example.test, u1@example.test;\r\n", "550 5.7.1"},
		{"empty group", "From: us:;\r\n", "550 5.6.0"},
		{"group list", "From: team@example.test\r\n", "550 5.7.1"},
		{"name that is an address", "From: \"ceo@bank.example\" <u0@example.test>\r\n", "250 "},
		{"encoded word as address", "From: =?utf-8?Q?u0=40example.test?=\r\n", "550 5.6.0"},
		{"space before colon", me + "FROM : u1@example.test\r\n", "550 5.6.0"},
		{"many spaces before colon", "From" + strings.Repeat(" ", 16) + ": Boss <u1@example.test>\r\n" + me, "550 5.6.0"},
		{"very many", "From" + strings.Repeat(" \t", 400) + ": Boss <u1@example.test>\r\n" + me, "550 5.6.0"},
		{"own, many spaces before colon", "From" + strings.Repeat(" ", 40) + ": u0@example.test\r\n", "250 "},
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

// Who sends needs no room: a user whose mailbox is full can tell others so, under an alias too, in MAIL and in the header.
func TestSendersNeedNoRoom(t *testing.T) {
	h := start(t, smtpserver.Submission)
	c := h.connect().hello()
	c.do("AUTH PLAIN "+plain("u0@example.test", "secret"), "235 ")
	h.delivery.full["postmaster"] = true
	c.do("MAIL FROM:<postmaster@example.test>", "250 ")
	c.do("RCPT TO:<u1@example.test>", "250 ")
	c.do("RCPT TO:<postmaster@example.test>", "452 4.2.2 ")
	c.do("DATA", "354 ")
	c.do("From: postmaster@example.test\r\n\r\nI have no room\r\n.", "250 ")
}

// A message for nobody is refused at RCPT: nothing is ever bounced (attack 17).
func TestAttack17_NoBackscatter(t *testing.T) {
	h := start(t, smtpserver.MX, withLimits(func(l *smtpserver.Limits) {
		l.RefusedMax, l.NetworkRefusedMax, l.TarpitAfter, l.BadCommandsMax = 2000, 2000, 2000, 2000
	}))
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
		for _, name := range []string{"Received", "Received" + strings.Repeat(" ", 20)} {
			c := start(t, smtpserver.MX).connect().hello().envelope("u0@example.test")
			c.do("DATA", "354 ")
			c.do(strings.Repeat(name+": from a by b; now\r\n\t(folded)\r\n", n)+"Subject: x\r\n\r\n"+strings.Repeat("Received: in the body\r\n", 60)+".", want)
		}
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
