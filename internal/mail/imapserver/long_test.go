package imapserver_test

import (
	"strings"
	"testing"

	"porcupine/internal/mail"
)

// TestVanishedIsToldInPieces expunges every other one of many messages.
func TestVanishedIsToldInPieces(t *testing.T) {
	m := newMail()
	var gone []mail.UID
	for range 2100 {
		m.Deliver(alice, "INBOX", "x", clock)
		if uid := m.Deliver(alice, "INBOX", "x", clock); uid > 0 {
			gone = append(gone, uid)
		}
	}
	c := newRig(t, m, options{}).play(login + "C: 1 ENABLE QRESYNC\nS: ...\nS: ...\nC: 2 SELECT INBOX\n" + strings.Repeat("S: ...\n", 10))
	m.Remove(alice, "INBOX", gone...)
	play(t, c, "C: 3 NOOP\nS: * VANISHED 2,4,...,2048\nS: * VANISHED 2050,...,4096\nS: * VANISHED 4098,...,4200\nS: 3 OK NOOP completed")
	play(t, c, "C: 4 SELECT INBOX (QRESYNC (1 1000))\n"+strings.Repeat("S: ...\n", 10)+"S: * VANISHED (EARLIER) 2,...,2048\nS: * VANISHED (EARLIER) 2050,...\nS: * VANISHED (EARLIER) 4098,...,4200")
}

// TestMistakesOfALongSession: twenty in a row end a session, twenty in a week do not.
func TestMistakesOfALongSession(t *testing.T) {
	newRig(t, newMail(), options{}).play(login + strings.Repeat("C: 1 FOO\nS: 1 BAD unknown command\nC: 2 NOOP\nS: 2 OK NOOP completed\n", 50))
}
