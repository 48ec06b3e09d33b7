package pop3server_test

import (
	"slices"
	"testing"
	"testing/synctest"
)

const (
	one   = "Subject: one\r\n\r\nfirst\r\n.dot\r\nthird\r\n"
	two   = "Subject: two\r\n\r\nno final line end"
	three = "Subject: three\r\n\r\n"
)

// transcripts are sessions against a mailbox of one, two and three: 36, 33 and 18 octets.
var transcripts = []struct {
	name string
	text string
	left []string // in the mailbox afterwards
}{
	{"quit at once", greeting + `
C: QUIT
S: +OK bye
S: (end)`, []string{one, two, three}},
	{"STAT LIST UIDL", login + `
C: STAT
S: +OK 3 87
C: LIST
S: +OK list follows
S: 1 36
S: 2 33
S: 3 18
S: .
C: LIST 2
S: +OK 2 33
C: UIDL
S: +OK list follows
S: 1 id
S: 2 idx
S: 3 idxx
S: .
C: UIDL 3
S: +OK 3 idxx
C: LIST 4
S: -ERR no such message
C: UIDL 4
S: -ERR no such message
C: NOOP
S: +OK
C: QUIT
S: +OK bye
S: (end)`, []string{one, two, three}},
	{"RETR TOP", login + `
C: RETR 1
S: +OK message follows
S: Subject: one
S: 
S: first
S: ..dot
S: third
S: .
C: RETR 2
S: +OK message follows
S: Subject: two
S: 
S: no final line end
S: .
C: TOP 1 0
S: +OK message follows
S: Subject: one
S: 
S: .
C: TOP 1 2
S: +OK message follows
S: Subject: one
S: 
S: first
S: ..dot
S: .
C: TOP 3 99
S: +OK message follows
S: Subject: three
S: 
S: .
C: RETR 4
S: -ERR no such message
C: TOP 4 1
S: -ERR no such message
C: TOP 1
S: -ERR wrong arguments
C: RETR
S: -ERR wrong arguments
C: QUIT
S: +OK bye`, []string{one, two, three}},
	{"DELE RSET", login + `
C: DELE 2
S: +OK marked for deletion
C: DELE 2
S: -ERR no such message
C: RETR 2
S: -ERR no such message
C: UIDL 2
S: -ERR no such message
C: STAT
S: +OK 2 54
C: LIST
S: +OK list follows
S: 1 36
S: 3 18
S: .
C: RSET
S: +OK no message is marked
C: STAT
S: +OK 3 87
C: DELE 1
S: +OK marked for deletion
C: DELE 3
S: +OK marked for deletion
C: QUIT
S: +OK bye
S: (end)`, []string{two}},
	{"wrong state", greeting + `
C: STAT
S: -ERR not valid in this state
C: PASS x
S: -ERR send USER first
C: USER ` + alice + `
S: +OK send PASS
C: CAPA
S: +OK capabilities follow
S: TOP
S: UIDL
S: PIPELINING
S: RESP-CODES
S: AUTH-RESP-CODE
S: EXPIRE NEVER
S: USER
S: SASL SCRAM-SHA-256 PLAIN LOGIN
S: STLS
S: IMPLEMENTATION Porcupine
S: .
C: PASS ` + password + `
S: -ERR send USER first
C: APOP x y
S: -ERR unknown command
C: USER ` + alice + `
S: +OK send PASS
C: PASS ` + password + `
S: +OK mailbox open
C: USER x
S: -ERR not valid in this state
C: STLS
S: -ERR not valid in this state
C: QUIT
S: +OK bye`, []string{one, two, three}},
	{"wrong password, then right", greeting + `
C: USER ` + alice + `
S: +OK send PASS
C: PASS wrong
S: -ERR [AUTH] user name or password is wrong
C: USER ` + alice + `
S: +OK send PASS
C: PASS ` + password + `
S: +OK mailbox open`, []string{one, two, three}},
	{"AUTH", greeting + `
C: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==
S: +OK mailbox open
C: AUTH PLAIN
S: -ERR not valid in this state`, []string{one, two, three}},
	{"AUTH without initial response", greeting + `
C: AUTH PLAIN
S: + 
C: AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==
S: +OK mailbox open`, []string{one, two, three}},
	{"AUTH LOGIN", greeting + `
C: AUTH LOGIN
S: + VXNlcm5hbWU6
C: YWxpY2VAZXhhbXBsZS50ZXN0
S: + UGFzc3dvcmQ6
C: d29uZGVyIGxhbmQ=
S: +OK mailbox open`, []string{one, two, three}},
	{"AUTH goes wrong", greeting + `
C: AUTH
S: -ERR AUTH needs a mechanism; see CAPA
C: AUTH CRAM-MD5
S: -ERR mechanism is not offered
C: AUTH PLAIN
S: + 
C: *
S: -ERR authentication aborted
C: AUTH PLAIN =
S: -ERR authentication is malformed or not offered
C: AUTH PLAIN %%%
S: -ERR authentication is malformed or not offered
C: AUTH PLAIN AGFsaWNlAHg=
S: -ERR [AUTH] user name or password is wrong
C: QUIT
S: +OK bye`, []string{one, two, three}},
	{"pipelined", greeting + `
C: USER ` + alice + `
C: PASS ` + password + `
C: STAT
C: DELE 1
C: NOOP
C: LIST 1
C: QUIT
S: +OK send PASS
S: +OK mailbox open
S: +OK 3 87
S: +OK marked for deletion
S: +OK
S: -ERR no such message
S: +OK bye
S: (end)`, []string{two, three}},
}

func TestTranscripts(t *testing.T) {
	for _, tt := range transcripts {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrops(one, two, three)
				c := newRig(t, d, options{}).play(tt.text)
				c.Close()
				synctest.Wait()
				if got := d.left(); !slices.Equal(got, tt.left) {
					t.Errorf("mailbox afterwards %q, want %q", got, tt.left)
				}
				if d.isOpen() {
					t.Error("the mailbox is still locked")
				}
			})
		})
	}
}
