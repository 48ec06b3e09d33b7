package imapserver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/imaptest"
)

// slow is mail whose contents are opened after a function has done something; it may give others in their place.
type slow struct {
	*imaptest.Mail
	open func(ctx context.Context) (io.ReadCloser, error)
}

func (s slow) Open(ctx context.Context, u mail.User, c mail.Client) (imapserver.Mailbox, error) {
	box, err := s.Mail.Open(ctx, u, c)
	return slowBox{box, s}, err
}

type slowBox struct {
	imapserver.Mailbox
	slow slow
}

func (s slowBox) Select(ctx context.Context, name string, readOnly bool) (imapserver.Selected, error) {
	sel, err := s.Mailbox.Select(ctx, name, readOnly)
	return slowFolder{sel, s.slow}, err
}

type slowFolder struct {
	imapserver.Selected
	slow slow
}

func (s slowFolder) Open(ctx context.Context, uid mail.UID, offset, length int64) (io.ReadCloser, error) {
	r, err := s.slow.open(ctx)
	if r != nil || err != nil {
		return r, err
	}
	return s.Selected.Open(ctx, uid, offset, length)
}

// stuck waits until its context ends, and says so.
type stuck struct {
	ctx   context.Context
	ended chan<- struct{}
}

func (s stuck) Read([]byte) (int, error) {
	<-s.ctx.Done()
	close(s.ended)
	return 0, s.ctx.Err()
}

// selectedOne is a transcript up to an open INBOX with one message.
const selectedOne = login + "C: S SELECT INBOX\nS: ...\nS: ...\nS: ...\nS: ...\nS: ...\nS: ...\nS: ...\nS: ...\nS: ...\nS: S OK ...\n"

func oneMessage() *imaptest.Mail {
	m := newMail()
	m.Deliver(alice, "INBOX", plain, clock)
	return m
}

func TestClientGoneEndsItsSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := oneMessage()
		reading, ended := make(chan struct{}), make(chan struct{})
		box := slow{m, func(ctx context.Context) (io.ReadCloser, error) {
			close(reading)
			return io.NopCloser(stuck{ctx, ended}), nil
		}}
		began := time.Now()
		c := newRig(t, m, options{mailboxes: box}).play(selectedOne + "C: 1 SEARCH BODY x")
		<-reading
		synctest.Wait() // the search reads; one that ends between opening and reading reads nothing
		c.Close()
		<-ended
		synctest.Wait()
		if n := m.Sessions(); n != 0 || !time.Now().Equal(began) {
			t.Errorf("%d mailboxes and folders are open %v after the client went away", n, time.Since(began))
		}
	})
}

func TestSearchThatStandsStillIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := oneMessage()
		box := slow{m, func(ctx context.Context) (io.ReadCloser, error) {
			return io.NopCloser(stuck{ctx, make(chan struct{})}), nil
		}}
		began := time.Now()
		newRig(t, m, options{mailboxes: box}).play(selectedOne + `
			C: 1 SEARCH BODY x
			S: 1 NO [UNAVAILABLE] not possible now; try again later
			C: 2 SEARCH FROM fred
			S: * SEARCH 1
			S: 2 OK SEARCH completed`)
		if d := time.Since(began); d != imapserver.ServiceTimeoutDefault {
			t.Errorf("answered after %v, want %v", d, imapserver.ServiceTimeoutDefault)
		}
	})
}

func TestSearchSaysThatItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := oneMessage()
		proceed := make(chan struct{})
		box := slow{m, func(ctx context.Context) (io.ReadCloser, error) {
			<-proceed
			return nil, nil
		}}
		cfg := imapserver.Config{KeepAlive: time.Minute, ServiceTimeout: time.Hour}
		c := newRig(t, m, options{mailboxes: box, cfg: cfg}).play(selectedOne + `
			C: 1 SEARCH BODY tomorrow
			S: * OK still searching
			S: * OK still searching`)
		close(proceed)
		play(t, c, `
			S: * SEARCH 1
			S: 1 OK SEARCH completed
			C: 2 NOOP
			S: 2 OK NOOP completed`)
	})
}

func TestCommandsDuringASearchWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := oneMessage()
		reading, proceed := make(chan struct{}), make(chan struct{})
		box := slow{m, func(ctx context.Context) (io.ReadCloser, error) {
			close(reading)
			<-proceed
			return nil, nil
		}}
		c := newRig(t, m, options{mailboxes: box}).play(selectedOne + "C: 1 SEARCH BODY tomorrow")
		<-reading
		play(t, c, "C: 2 NOOP\nC- 3 NO")
		synctest.Wait()
		close(proceed)
		play(t, c, `
			S: * SEARCH 1
			S: 1 OK SEARCH completed
			S: 2 OK NOOP completed
			C: OP
			S: 3 OK NOOP completed`)
	})
}

func TestShutdownEndsASearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := oneMessage()
		reading := make(chan struct{})
		box := slow{m, func(ctx context.Context) (io.ReadCloser, error) {
			close(reading)
			return io.NopCloser(stuck{ctx, make(chan struct{})}), nil
		}}
		r := newRig(t, m, options{mailboxes: box})
		c := r.play(selectedOne + "C: 1 SEARCH BODY x")
		<-reading
		go r.front.Shutdown(t.Context())
		play(t, c, "S: * BYE [UNAVAILABLE] server is shutting down; connect again\nS: (end)")
	})
}

// TestAttack40_PanicInASearchEndsTheSearch: one of its goroutines panics, and the session goes on.
func TestAttack40_PanicInASearchEndsTheSearch(t *testing.T) {
	m := oneMessage()
	box := slow{m, func(context.Context) (io.ReadCloser, error) { panic("a test") }}
	newRig(t, m, options{mailboxes: box}).play(selectedOne + `
		C: 1 SEARCH BODY x
		S: 1 NO [SERVERBUG] internal error; not possible now; try again later
		C: 2 SEARCH FROM fred
		S: * SEARCH 1
		S: 2 OK SEARCH completed`)
}

// A message that goes away in the middle of a search is not found, and the others are.
func TestSearchOfAMessageThatGoes(t *testing.T) {
	m := oneMessage()
	m.Deliver(alice, "INBOX", plain, clock)
	box := slow{m, func(context.Context) (io.ReadCloser, error) { // of either: nobody knows which is read first
		m.Remove(alice, "INBOX", 1)
		return nil, nil
	}}
	newRig(t, m, options{mailboxes: box}).play(selectedOne + `
		C: 1 SEARCH BODY hello
		S: * SEARCH 2
		S: 1 OK SEARCH completed`)
}

// TestSearchOfManyMessages goes over pages, and finds what the reader of many messages at once must not mix up.
func TestSearchOfManyMessages(t *testing.T) {
	m := newMail()
	const n = 1500
	var want bytes.Buffer
	for i := range n {
		text := fmt.Sprintf("Subject: message %d\r\n\r\nthe number is %d.\r\n", n-i, i*i%97)
		m.Deliver(alice, "INBOX", text, clock)
		if i*i%97 == 36 {
			fmt.Fprintf(&want, " %d", i+1)
		}
	}
	c := newRig(t, m, options{}).play(selectedOne)
	play(t, c, "C: 1 SEARCH BODY \"number is 36.\"\nS: * SEARCH"+want.String()+"\nS: 1 OK SEARCH completed")
	play(t, c, "C: 2 SEARCH RETURN (COUNT) NOT BODY \"number is 36.\"\n"+
		fmt.Sprintf("S: * ESEARCH (TAG \"2\") COUNT %d\nS: 2 OK SEARCH completed", n-strings.Count(want.String(), " ")))
	play(t, c, "C: 3 UID SORT (SUBJECT) UTF-8 SUBJECT \"message 100\"\nS: * SORT 1401 501 500 499 498 497 496 495 494 493 492\nS: 3 OK SORT completed")
}

// TestAttack24_ThreadsAreDeep answers with a thread as deep as it has messages (attack 24).
func TestAttack24_ThreadsAreDeep(t *testing.T) {
	m := newMail()
	const n = 3000
	for i := range n {
		m.Deliver(alice, "INBOX", fmt.Sprintf("Message-ID: <%d@x>\r\nReferences: <%d@x>\r\n\r\n", i, i-1), clock)
	}
	c := newRig(t, m, options{}).play(selectedOne)
	var want strings.Builder
	for i := range n {
		fmt.Fprintf(&want, " %d", i+1)
	}
	play(t, c, "C: 1 THREAD REFERENCES UTF-8 ALL\nS: * THREAD ("+strings.TrimSpace(want.String())+")\nS: 1 OK THREAD completed")
}
