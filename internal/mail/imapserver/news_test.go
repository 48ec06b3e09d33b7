package imapserver_test

import (
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
)

// Q2, V1: a session whose question finds no room in the line at the manager, as after a failover of a user with many, goes on, and is told
// of the news later: inside IDLE by itself, else with a command.
func TestV1_NoRoomToAskForNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		c := newRig(t, m, options{}).play(selectInbox)
		m.Fail("Selected.Sync", cluster.Errorf(cluster.KindLimit, "ask", "512 questions are waiting"))
		m.Deliver(alice, "INBOX", plain, clock)
		play(t, c, `
			C: 1 NOOP
			S: 1 OK NOOP completed
			C: 2 IDLE
			S: + idling`)
		time.Sleep(5 * time.Second) //nolint // in a bubble
		synctest.Wait()
		m.Fail("Selected.Sync", nil)
		play(t, c, `
			S: * 5 EXISTS
			S: * 0 RECENT
			C: DONE
			S: 2 OK IDLE completed`)
		m.Fail("Selected.Sync", cluster.Errorf(cluster.KindLimit, "ask", "512 questions are waiting"))
		m.Remove(alice, "INBOX", 1)
		play(t, c, "C: 3 NOOP\nS: 3 OK NOOP completed")
		m.Fail("Selected.Sync", nil)
		time.Sleep(2 * time.Second) //nolint // in a bubble
		synctest.Wait()
		play(t, c, `
			C: 4 UID FETCH 2 FLAGS
			S: * 2 FETCH (UID 2 FLAGS ())
			S: * 1 EXPUNGE
			S: 4 OK FETCH completed`)
	})
}
