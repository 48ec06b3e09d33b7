package imapserver_test

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/imaptest"
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

// paged is mail whose folder gives its news one by one.
type paged struct{ *imaptest.Mail }

func (p paged) Open(ctx context.Context, u mail.User, c mail.Client) (imapserver.Mailbox, error) {
	b, err := p.Mail.Open(ctx, u, c)
	return pagedBox{b}, err
}

type pagedBox struct{ imapserver.Mailbox }

func (p pagedBox) Select(ctx context.Context, name string, readOnly bool) (imapserver.Selected, error) {
	s, err := p.Mailbox.Select(ctx, name, readOnly)
	return &pagedFolder{Selected: s}, err
}

type pagedFolder struct {
	imapserver.Selected
	left imapserver.Changes
}

func (p *pagedFolder) Sync(ctx context.Context) (imapserver.Changes, error) {
	if len(p.left.Changed) == 0 {
		var err error
		if p.left, err = p.Selected.Sync(ctx); err != nil || len(p.left.Changed) == 0 {
			return p.left, err
		}
		slices.SortFunc(p.left.Changed, func(a, b mail.Summary) int { return cmp.Compare(a.ModSeq, b.ModSeq) })
	}
	page := p.left
	page.Changed, p.left.Changed = page.Changed[:1], page.Changed[1:]
	if page.More = len(p.left.Changed) > 0; page.More {
		page.Status.HighestModSeq = page.Changed[0].ModSeq
	}
	return page, nil
}

// All pages of news are told before the command that asked is completed, and none of them what the session changed itself.
func TestNewsInPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		r := newRig(t, m, options{mailboxes: paged{m}})
		c, other := r.play(selectInbox), r.play(selectInbox)
		play(t, other, `
			C: 1 STORE 1 +FLAGS.SILENT (\Flagged)
			S: 1 OK STORE completed
			C: 2 STORE 2 +FLAGS.SILENT (\Flagged)
			S: 2 OK STORE completed`)
		play(t, c, `
			C: 1 STORE 3 +FLAGS.SILENT (\Flagged)
			S: 1 OK STORE completed
			C: 2 STORE 4 +FLAGS.SILENT (\Flagged)
			S: 2 OK STORE completed
			C: 3 NOOP
			S: * 1 FETCH (UID 1 FLAGS (\Flagged \Seen))
			S: * 2 FETCH (UID 2 FLAGS (\Flagged))
			S: 3 OK NOOP completed`)
	})
}
