package smtpserver_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/smtpserver"
)

func plain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

// Each transcript is one session: "C:" is sent as one write with its CR LF (\n in a Go string
// begins another line of the same write), "S:" is a reply, or its beginning if it ends in "...".
// "X" is the end of the connection.
func TestTranscripts(t *testing.T) {
	u0 := plain("u0@example.test", "secret")
	tests := []struct {
		name, script string
		role         smtpserver.Role
		stored       int
	}{
		{"greeting and quit", `
S: 220 mx.example.test ESMTP Porcupine
C: QUIT
S: 221 2.0.0 bye
X`, smtpserver.MX, 0},
		{"one message (RFC 5321 appendix D)", `
S: 220 ...
C: EHLO bar.com
S: 250-mx.example.test
C: MAIL FROM:<Smith@bar.com>
S: 250 2.1.0 sender ok
C: RCPT TO:<u0@example.test>
S: 250 2.1.5 recipient ok
C: RCPT TO:<nobody@example.test>
S: 550 5.1.1 no such mailbox
C: DATA
S: 354 ...
C: Blah blah blah...|...etc. etc. etc.|.
S: 250 2.0.0 message is stored
C: QUIT
S: 221 2.0.0 bye
X`, smtpserver.MX, 1},
		{"pipelined (RFC 2920 §4)", `
S: 220 ...
C: EHLO bar.com
S: 250-mx.example.test
C: MAIL FROM:<a@bar.com>|RCPT TO:<u0@example.test>|RCPT TO:<u1@example.test>|DATA
S: 250 2.1.0 sender ok
S: 250 2.1.5 recipient ok
S: 250 2.1.5 recipient ok
S: 354 ...
C: one|.|MAIL FROM:<>|RCPT TO:<u2@example.test>|DATA
S: 250 2.0.0 message is stored
S: 250 2.1.0 sender ok
S: 250 2.1.5 recipient ok
S: 354 ...
C: two|.|QUIT
S: 250 2.0.0 message is stored
S: 221 2.0.0 bye
X`, smtpserver.MX, 2},
		{"HELO and lower case", `
S: 220 ...
C: helo bar.com
S: 250 mx.example.test
C: mail from: <a@bar.com> size=100 body=8bitmime
S: 250 2.1.0 sender ok
C: rcpt to: <u0@example.test>
S: 250 2.1.5 recipient ok
C: data
S: 354 ...
C: .
S: 250 2.0.0 message is stored
X quit`, smtpserver.MX, 1},
		{"order", `
S: 220 ...
C: MAIL FROM:<a@bar.com>
S: 503 5.5.1 say hello first
C: EHLO bar.com
S: 250-mx...
C: RCPT TO:<u0@example.test>
S: 503 5.5.1 MAIL first
C: DATA
S: 503 5.5.1 MAIL first
C: MAIL FROM:<a@bar.com>
S: 250 ...
C: MAIL FROM:<b@bar.com>
S: 503 5.5.1 a sender was given already; RSET starts anew
C: DATA
S: 503 5.5.1 no recipient was accepted
C: RSET
S: 250 2.0.0 ok
C: RCPT TO:<u0@example.test>
S: 503 5.5.1 MAIL first
C: AUTH PLAIN
S: 502 5.5.1 command not offered
C: LHLO bar.com
S: 500 5.5.1 command not known
C: STARTTLS
S: 502 5.5.1 command not offered
X quit`, smtpserver.MX, 0},
		{"arguments", `
S: 220 ...
C: EHLO
S: 501 5.5.4 a domain name or an address literal is needed
C: EHLO (bad)
S: 501 5.5.4 a domain name or an address literal is needed
C: EHLO [IPv6:2001:db8::1]
S: 250-mx...
C: MAIL FROM:a@bar.com
S: 501 5.1.7 ...
C: MAIL FROM:<a@bar.com> SIZE=99999999999
S: 552 5.3.4 message too big
C: MAIL FROM:<a@bar.com> FOO=BAR
S: 555 5.5.4 parameter not recognised
C: MAIL FROM:<a@bar.com> BODY=BINARYMIME
S: 501 5.5.4 bad parameter
C: MAIL FROM:<a@bar.com> RET=HDRS ENVID=QQ+2B314 AUTH=<>
S: 250 ...
C: RCPT TO:<u0@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;u0@example.test
S: 250 ...
C: RCPT TO:<u1@example.test> NOTIFY=NEVER,DELAY
S: 501 5.5.4 bad parameter
C: RCPT TO:<Postmaster>
S: 250 ...
C: DATA now
S: 501 5.5.4 this command takes no argument
X quit`, smtpserver.MX, 0},
		{"SMTPUTF8 (RFC 6531)", `
S: 220 ...
C: EHLO bar.com
S: 250-mx...
C: MAIL FROM:<jörg@bar.com>
S: 553 5.6.7 a non-ASCII address needs the SMTPUTF8 parameter
C: MAIL FROM:<a@bar.com>
S: 250 ...
C: RCPT TO:<grüße@example.test>
S: 553 5.6.7 a non-ASCII address needs the SMTPUTF8 parameter
C: RSET
S: 250 ...
C: MAIL FROM:<jörg@bar.com> SMTPUTF8
S: 250 ...
C: RCPT TO:<grüße@example.test>
S: 250 ...
C: DATA
S: 354 ...
C: hi|.
S: 250 ...
X quit`, smtpserver.MX, 1},
		{"other commands", `
S: 220 ...
C: EHLO bar.com
S: 250-mx...
C: NOOP ignored
S: 250 2.0.0 ok
C: VRFY u0
S: 252 2.1.5 ...
C: EXPN list
S: 502 5.5.1 command not offered
C: HELP
S: 214 ...
C: TURN
S: 500 5.5.1 command not known
C: ???
S: 500 5.5.1 command not known
C: QUIT now
S: 501 ...
X quit`, smtpserver.MX, 0},
		{"BDAT (RFC 3030 §4.1)", `
S: 220 ...
C: EHLO bar.com
S: 250-mx...
C: MAIL FROM:<a@bar.com>|RCPT TO:<u0@example.test>|BDAT 6|one.|BDAT 8 LAST|.|two|QUIT
S: 250 2.1.0 sender ok
S: 250 2.1.5 recipient ok
S: 250 2.0.0 chunk ok
S: 250 2.0.0 message is stored
S: 221 2.0.0 bye
X`, smtpserver.MX, 1},
		{"BDAT out of place", `
S: 220 ...
C: EHLO bar.com
S: 250-mx...
C: BDAT 6|QUIT
S: 503 5.5.1 MAIL first
C: MAIL FROM:<a@bar.com>
S: 250 ...
C: BDAT 6 LAST|QUIT
S: 503 5.5.1 no recipient was accepted
C: RCPT TO:<u0@example.test>
S: 250 ...
C: BDAT 4|ab
S: 250 2.0.0 chunk ok
C: DATA
S: 503 5.5.1 the message is coming in chunks; go on with BDAT or RSET
C: RCPT TO:<u1@example.test>
S: 503 5.5.1 the message is coming in chunks; go on with BDAT or RSET
C: MAIL FROM:<a@bar.com>
S: 503 ...
C: RSET
S: 250 ...
C: BDAT none
S: 501 5.5.4 bad argument
X`, smtpserver.MX, 0},
		{"LMTP answers for each recipient (RFC 2033 §4.2)", `
S: 220 mx.example.test LMTP Porcupine
C: EHLO bar.com
S: 500 5.5.1 command not known
C: LHLO bar.com
S: 250-mx...
C: MAIL FROM:<a@bar.com>
S: 250 ...
C: RCPT TO:<u0@example.test>
S: 250 ...
C: RCPT TO:<gone@example.test>
S: 550 5.1.1 no such mailbox
C: RCPT TO:<u1@example.test>
S: 250 ...
C: RCPT TO:<U0@example.test>
S: 250 ...
C: DATA
S: 354 ...
C: hi|.
S: 250 2.0.0 message is stored
S: 250 2.0.0 message is stored
S: 250 2.0.0 message is stored
C: AUTH PLAIN
S: 502 5.5.1 command not offered
X quit`, smtpserver.LMTP, 1},
		{"submission", `
S: 220 ...
C: EHLO bar.com
S: 250-mx...
C: MAIL FROM:<u0@example.test>
S: 530 5.7.0 log in first
C: AUTH PLAIN ` + u0 + `
S: 235 2.7.0 welcome
C: AUTH PLAIN ` + u0 + `
S: 503 5.5.1 you are logged in already
C: MAIL FROM:<u1@example.test>
S: 550 5.7.1 this sender address is not yours
C: MAIL FROM:<U0@Example.Test>
S: 250 ...
C: RCPT TO:<friend@elsewhere.example>
S: 550 5.7.1 mail to other domains cannot be sent from this server yet
C: RCPT TO:<u1@example.test>
S: 250 ...
C: DATA
S: 354 ...
C: From: Zero <u0@example.test>||hi|.
S: 250 2.0.0 message is stored
X quit`, smtpserver.Submission, 1},
		{"AUTH LOGIN and failures (RFC 4954)", `
S: 220 ...
C: AUTH LOGIN
S: 503 5.5.1 say hello first
C: EHLO bar.com
S: 250-mx...
C: AUTH
S: 501 5.5.4 bad argument
C: AUTH CRAM-MD5
S: 504 5.5.4 mechanism not offered
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: *
S: 501 5.7.0 login given up
C: AUTH PLAIN
S: 334 
C: =bad=
S: 501 5.5.2 bad authentication data
C: AUTH LOGIN dTBAZXhhbXBsZS50ZXN0
S: 334 UGFzc3dvcmQ6
C: c2VjcmV0
S: 235 2.7.0 welcome
X quit`, smtpserver.Submission, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, tt.role)
			play(t, h.connectEarly(""), tt.script)
			if got := h.delivery.got(); len(got) != tt.stored {
				t.Errorf("%d messages stored, want %d", len(got), tt.stored)
			}
		})
	}
}

// play runs one transcript.
func play(t *testing.T, c *client, script string) {
	t.Helper()
	for line := range strings.Lines(strings.TrimPrefix(script, "\n")) {
		kind, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch kind {
		case "C":
			c.send(strings.ReplaceAll(text, "|", "\r\n") + "\r\n")
		case "S":
			got := c.reply()
			first, _, _ := strings.Cut(got, "\r\n")
			if prefix, open := strings.CutSuffix(text, "..."); first != text && !(open && strings.HasPrefix(first, prefix)) {
				t.Fatalf("reply = %q, want %q", got, text)
			}
		case "X quit":
			c.do("QUIT", "221 ")
			c.wantClosed()
		case "X":
			c.wantClosed()
		default:
			t.Fatalf("bad transcript line %q", line)
		}
	}
}

func TestExtensionsOffered(t *testing.T) {
	noTLS := func(c *smtpserver.Config, _ *listener.Config) {}
	tests := []struct {
		name   string
		role   smtpserver.Role
		option option
		hello  string
		want   string
	}{
		{"mx", smtpserver.MX, noTLS, "EHLO", "PIPELINING SIZE=52428800 8BITMIME SMTPUTF8 CHUNKING ENHANCEDSTATUSCODES LIMITS=MAILMAX=1000=RCPTMAX=100"},
		{"lmtp", smtpserver.LMTP, noTLS, "LHLO", "PIPELINING SIZE=52428800 8BITMIME SMTPUTF8 CHUNKING ENHANCEDSTATUSCODES LIMITS=MAILMAX=1000=RCPTMAX=100"},
		{"submission", smtpserver.Submission, noTLS, "EHLO", "PIPELINING SIZE=52428800 8BITMIME SMTPUTF8 CHUNKING ENHANCEDSTATUSCODES AUTH=SCRAM-SHA-256=PLAIN=LOGIN LIMITS=MAILMAX=1000=RCPTMAX=100"},
		{"submission with TLS to come", smtpserver.Submission, func(c *smtpserver.Config, l *listener.Config) {
			c.Auth = newAuth(t, passwords{}, false)
			withTLS(t)(c, l)
		}, "EHLO", "PIPELINING SIZE=52428800 8BITMIME SMTPUTF8 CHUNKING ENHANCEDSTATUSCODES STARTTLS LIMITS=MAILMAX=1000=RCPTMAX=100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, tt.role, tt.option).connect()
			lines := strings.Split(strings.TrimSpace(c.do(tt.hello+" c.example", "250-mx.example.test\r\n")), "\r\n")[1:]
			for i, l := range lines {
				lines[i] = strings.ReplaceAll(l[4:], " ", "=")
			}
			if got := strings.Join(lines, " "); got != tt.want {
				t.Errorf("%s offers %q, want %q", tt.hello, got, tt.want)
			}
		})
	}
}
