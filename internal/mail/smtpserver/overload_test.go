package smtpserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/delivery/turnstile"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/smtpserver"
)

// The storm: a node whose disk takes 50 messages a second, and clients who give up.
const (
	diskService = 20 * time.Millisecond // of one message
	capacity    = int(time.Second / diskService)
	patience    = 2 * time.Second // of a client, for all of a session
	triesMax    = 6
	retryAfter  = 500 * time.Millisecond
)

// slowDisk is a mail service whose messages go to disk one by one, in the order in which they came.
// What is in the line is done when its turn comes, whether or not anybody still wants it.
type slowDisk struct {
	*fakeDelivery
	disk chan struct{}

	mu     sync.Mutex
	copies map[string]int // by the message's text
}

func (d *slowDisk) Deliver(ctx context.Context, env mail.Envelope, body cluster.Body) []error {
	errs := make([]error, len(env.Recipients))
	select {
	case d.disk <- struct{}{}:
	case <-ctx.Done():
		for i := range errs {
			errs[i] = cluster.Errorf(cluster.KindUnavailable, "deliver", "%w", ctx.Err())
		}
		return errs
	}
	<-time.After(diskService)
	text, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	d.mu.Lock()
	_, mark, _ := strings.Cut(string(text), "Subject: ")
	d.copies[strings.TrimSpace(mark)]++
	d.mu.Unlock()
	<-d.disk
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// storm is what the clients of a run see.
type storm struct {
	h     *host
	disk  *slowDisk
	began time.Time

	mu        sync.Mutex
	acked     map[int]int // messages, by the second in which they were acknowledged
	promised  map[string]bool
	ambiguous int // tries that ended after the message was sent, without an answer
	withBody  int // messages refused after they were sent
	wg        sync.WaitGroup
}

// client delivers one message, and comes again when it is refused or loses patience.
func (s *storm) client(name string) {
	for try := range triesMax {
		if s.try(name) {
			s.mu.Lock()
			s.acked[int(time.Since(s.began)/time.Second)]++
			s.promised[name] = true
			s.mu.Unlock()
			return
		}
		<-time.After(retryAfter << try)
	}
}

func (s *storm) try(name string) bool {
	conn, err := s.h.ln.dial("")
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(patience)) != nil {
		return false
	}
	r := bufio.NewReader(conn)
	reply := func() string {
		for {
			line, err := r.ReadString('\n')
			if err != nil || len(line) < 4 || line[3] == ' ' {
				return line
			}
		}
	}
	for _, step := range []struct{ send, want string }{
		{"", "220"}, {"EHLO c.example\r\n", "250"}, {"MAIL FROM:<a@c.example>\r\n", "250"},
		{"RCPT TO:<u0@example.test>\r\n", "250"}, {"DATA\r\n", "354"},
	} {
		if _, err := io.WriteString(conn, step.send); err != nil || !strings.HasPrefix(reply(), step.want) {
			return false
		}
	}
	if _, err := io.WriteString(conn, "Subject: "+name+"\r\n\r\n.\r\n"); err != nil {
		return false
	}
	answer := reply()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case answer == "":
		s.ambiguous++
	case answer[0] == '4':
		s.withBody++
	}
	return strings.HasPrefix(answer, "250")
}

// offer starts so many clients a second for a time.
func (s *storm) offer(phase string, rate int, span time.Duration) {
	pause := time.Second / time.Duration(rate)
	for i := range int(span / pause) {
		name := fmt.Sprintf("%s-%d", phase, i)
		s.wg.Go(func() { s.client(name) })
		<-time.After(pause)
	}
}

// goodput is how many messages a second were acknowledged in the seconds from, to of the run.
func (s *storm) goodput(from, to int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for i := from; i < to; i++ {
		n += s.acked[i]
	}
	return n / (to - from)
}

// The phases, in seconds: 0.7 of what the disk can do, three times of it, and 0.7 again.
const calmEnd, stormEnd, allEnd = 5, 25, 50

// weather runs the three phases in fake time.
func weather(t *testing.T, turns *turnstile.Turnstile) *storm {
	t.Helper()
	gate, err := listener.NewGate(listener.GateConfig{ConnectionsMax: 100_000, PerNetworkMax: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	s := &storm{acked: map[int]int{}, promised: map[string]bool{}, began: time.Now(),
		disk: &slowDisk{fakeDelivery: newDelivery(), disk: make(chan struct{}, 1), copies: map[string]int{}}}
	s.h = start(t, smtpserver.MX, func(c *smtpserver.Config, d *listener.Config) {
		c.Delivery, d.Gate = s.disk, gate
		if turns != nil {
			c.Turns, d.HasRoom = turns, turns.AdmitsConnection
			d.Refusal = func(why listener.Reason) string { return smtpserver.Refusal(string(why)) }
		}
	})
	s.offer("calm", capacity*7/10, calmEnd*time.Second)
	s.offer("storm", 3*capacity, (stormEnd-calmEnd)*time.Second)
	s.offer("after", capacity*7/10, (allEnd-stormEnd)*time.Second)
	s.wg.Wait()
	s.h.stop()
	return s
}

// Fault 38: three times what the disk can do, by clients who give up after two seconds and come again,
// costs nothing of what the disk can do, and is over when it is over.
func TestFault38_StormOfImpatientClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnstile.New(turnstile.Config{})
		s := weather(t, turns)
		f := turns.Figures()
		t.Logf("goodput: before %d, in the storm %d, at its end %d, after it %d, of %d a second; ambiguous %d, refused with the message %d; %+v",
			s.goodput(1, calmEnd), s.goodput(calmEnd, stormEnd), s.goodput(stormEnd-5, stormEnd), s.goodput(allEnd-10, allEnd), capacity, s.ambiguous, s.withBody, f)
		if got := s.goodput(calmEnd+5, stormEnd); got < capacity*9/10 {
			t.Errorf("%d messages a second in the storm, want at least nine tenths of %d", got, capacity)
		}
		if got := s.goodput(allEnd-10, allEnd); got < capacity*7/10-1 {
			t.Errorf("%d messages a second after it, want all that are offered: %d", got, capacity*7/10)
		}
		for name := range s.promised {
			if s.disk.copies[name] == 0 {
				t.Fatalf("message %s was acknowledged and is lost (D1)", name)
			}
		}
		extra := 0
		for _, n := range s.disk.copies {
			extra += n - 1
		}
		if extra > s.ambiguous {
			t.Errorf("%d copies too many, %d acknowledgements were ambiguous: want at most as many (D6)", extra, s.ambiguous)
		}
		if early := f.Refused.Connections + f.Refused.Messages; early < 10*(f.Refused.Full+f.Refused.Late) {
			t.Errorf("%d refused before the message was sent, %d after: want ten times as many", early, f.Refused.Full+f.Refused.Late)
		}
		if f.Inside != 0 || f.Waiting != 0 {
			t.Errorf("%d inside and %d waiting at the end, want none", f.Inside, f.Waiting)
		}
	})
}

// Without turns the same storm shows what they are for: the disk works for clients who are gone.
func TestFault38_WithoutTurns(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of sessions that wait for nobody")
	}
	synctest.Test(t, func(t *testing.T) {
		s := weather(t, nil)
		t.Logf("goodput: in the storm %d, at its end %d, right after it %d, later %d, of %d a second; ambiguous %d",
			s.goodput(calmEnd, stormEnd), s.goodput(stormEnd-5, stormEnd), s.goodput(stormEnd, stormEnd+10), s.goodput(allEnd-10, allEnd), capacity, s.ambiguous)
		if got := s.goodput(stormEnd-5, stormEnd); got > capacity/2 {
			t.Errorf("%d messages a second without turns: the test shows nothing any more", got)
		}
	})
}

// What is busy says so at MAIL, and to a message that is here already; the client's next try is
// welcome (V1: nothing is refused for good).
func TestBusy(t *testing.T) {
	turns := &fakeTurns{admits: true}
	h := start(t, smtpserver.MX, func(c *smtpserver.Config, _ *listener.Config) { c.Turns = turns })
	c := h.connect().hello()
	c.envelope("u0@example.test").do("DATA", "354")
	turns.full = true
	c.do("x\r\n.", "452 4.3.2")
	turns.full = false
	c.envelope("u0@example.test").do("DATA", "354")
	c.do("x\r\n.", "250 ")
	if turns.inside != 0 || len(h.delivery.got()) != 1 {
		t.Errorf("%d turns not given back, %d messages; want 0 and 1", turns.inside, len(h.delivery.got()))
	}
	turns.admits = false
	c.do("MAIL FROM:<a@c.example>", "421 4.3.2")
	c.wantClosed()
	if got, want := smtpserver.Refusal(string(listener.ReasonBusy)), "421 4.3.2 "; !strings.HasPrefix(got, want) {
		t.Errorf("Refusal = %q, want %q...", got, want)
	}
}

// D6: a client that has gone while its message waited comes again: this one is not stored.
func TestBusyClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := &fakeTurns{admits: true, wait: make(chan struct{})}
		h := start(t, smtpserver.MX, func(c *smtpserver.Config, _ *listener.Config) { c.Turns = turns })
		for _, goes := range []bool{true, false} {
			c := h.connect().hello()
			c.envelope("u0@example.test").do("DATA", "354")
			c.send("x\r\n.\r\n")
			synctest.Wait()
			if goes {
				c.Close()
			}
			turns.wait <- struct{}{}
			synctest.Wait()
			if want := map[bool]int{true: 0, false: 1}[goes]; len(h.delivery.got()) != want || turns.inside != 0 {
				t.Errorf("client gone %v: %d messages stored, %d turns not given back; want %d and 0", goes, len(h.delivery.got()), turns.inside, want)
			}
			c.Close()
		}
		h.stop()
	})
}

// Whether a client that sends no more has gone or still listens cannot be told: so it is told that its message is not
// stored, and what it sent behind it is answered.
func TestBusyClientThatSendsNoMoreIsAnswered(t *testing.T) {
	for role, answers := range map[smtpserver.Role]int{smtpserver.MX: 1, smtpserver.LMTP: 2} {
		synctest.Test(t, func(t *testing.T) {
			turns := &fakeTurns{admits: true, wait: make(chan struct{})}
			h := start(t, role, func(c *smtpserver.Config, _ *listener.Config) { c.Turns = turns })
			c := h.connect()
			c.do(map[smtpserver.Role]string{smtpserver.MX: "EHLO c.example", smtpserver.LMTP: "LHLO c.example"}[role], "250-")
			c.envelope("u0@example.test", "u1@example.test").do("DATA", "354")
			c.send("x\r\n.\r\nQUIT\r\n")
			if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			turns.wait <- struct{}{}
			for range answers {
				c.want("452 4.3.2")
			}
			c.want("221 ")
			c.wantClosed()
			if n := len(h.delivery.got()); n != 0 || turns.inside != 0 {
				t.Errorf("%v: %d messages stored, %d turns not given back; want none", role, n, turns.inside)
			}
			h.stop()
		})
	}
}

// fakeTurns does what it is told.
type fakeTurns struct {
	mu           sync.Mutex
	admits, full bool
	wait         chan struct{} // not nil: every turn waits for it
	inside       int
}

func (f *fakeTurns) AdmitsMessage() bool { return f.admits }

func (f *fakeTurns) Enter(context.Context) (bool, func(bool), error) {
	if f.wait != nil {
		<-f.wait
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return false, nil, cluster.Errorf(cluster.KindUnavailable, "enter", "full")
	}
	f.inside++
	return f.wait != nil, func(bool) { f.mu.Lock(); f.inside--; f.mu.Unlock() }, nil
}
