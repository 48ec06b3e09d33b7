package test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"porcupine/internal/admin"
)

// threeCopies has each machine hold what was there before a partition: a message of which all copies are on the other
// side can be neither read nor expunged until the heal.
const threeCopies = `message_copies = 3
[upkeep]
repair_after = "10s"`

// follower is a client that stays with one machine and remembers all that it was ever shown, as a client that
// keeps a copy does. It complains of each broken promise of UIDs.
type follower struct {
	t     *testing.T
	m     *machine
	user  string
	c     *imapTalk
	valid uint64
	next  uint64
	shown map[uint64]shown // by UID, the last that was seen of it; nothing is ever taken out
	now   []shown
}

func (m *machine) follow(t *testing.T, user string) *follower {
	return &follower{t: t, m: m, user: user, shown: map[uint64]shown{}}
}

// look selects INBOX, over a connection that is made again if it has ended, and compares it with all that was
// shown before (U1, U3, U4).
func (f *follower) look() []shown {
	f.t.Helper()
	for began := time.Now(); ; wait(f.t, 100*time.Millisecond) {
		err := f.tryLook()
		if err == nil {
			return f.now
		}
		if f.c != nil {
			f.c.conn.Close()
			f.c = nil
		}
		if time.Since(began) > failoverMax {
			f.t.Fatalf("machine %d does not show the mail of %s: %v", f.m.n, f.user, err)
		}
	}
}

func (f *follower) tryLook() (err error) {
	if f.c == nil {
		if f.c, err = openIMAP(f.m.at(labIMAP), f.user); err != nil {
			return err
		}
		c := f.c
		f.t.Cleanup(func() { c.conn.Close() })
	}
	replies, err := f.c.ask("SELECT INBOX")
	if err != nil {
		return err
	}
	all, err := f.c.reachable()
	if err != nil {
		return err
	}
	for i, s := range all {
		if old, ok := f.shown[s.uid]; ok && s.text == "" && old.id == s.id {
			all[i].text = old.text // it lies on the other side: its client has it
		}
	}
	valid, next := number(replies, "UIDVALIDITY"), number(replies, "UIDNEXT")
	if f.valid != 0 && valid != f.valid {
		f.t.Errorf("machine %d: UIDVALIDITY was %d and is %d: its clients fetch all again", f.m.n, f.valid, valid)
	}
	if next < f.next {
		f.t.Errorf("U4: machine %d: UIDNEXT was %d and is %d", f.m.n, f.next, next)
	}
	for _, s := range all {
		old, known := f.shown[s.uid]
		switch {
		case known && (old.id != s.id || old.text != s.text):
			f.t.Errorf("U1: machine %d showed UID %d for %s and now for %s", f.m.n, s.uid, old.subject(), s.subject())
		case !known && s.uid < f.next:
			f.t.Errorf("U3: machine %d shows %s with UID %d, after it had said that the next is %d", f.m.n, s.subject(), s.uid, f.next)
		}
		f.shown[s.uid] = s
	}
	f.valid, f.next, f.now = valid, next, all
	return nil
}

// uid finds a message by what it is called.
func (f *follower) uid(subject string) uint64 {
	f.t.Helper()
	for _, s := range f.now {
		if s.subject() == subject {
			return s.uid
		}
	}
	f.t.Fatalf("machine %d does not show %s to %s: %q", f.m.n, subject, f.user, subjects(f.now))
	return 0
}

// sees waits until a message that was accepted is shown.
func (f *follower) sees(subject string) {
	f.t.Helper()
	for began := time.Now(); !slices.Contains(subjects(f.look()), subject); wait(f.t, 50*time.Millisecond) {
		if time.Since(began) > toldWithin {
			f.t.Fatalf("machine %d does not show %s to %s within %v of its acceptance: %q", f.m.n, subject, f.user, toldWithin, subjects(f.now))
		}
	}
}

// do runs a command on a message, again if the session had to end: what it asks for is the same the second time.
func (f *follower) do(format string, subject string) {
	f.t.Helper()
	for began := time.Now(); ; wait(f.t, 100*time.Millisecond) {
		f.look()
		_, err := f.c.ask(fmt.Sprintf(format, f.uid(subject)))
		if err == nil {
			return
		}
		if time.Since(began) > failoverMax {
			f.t.Fatalf("machine %d, %s: %v", f.m.n, f.user, err)
		}
	}
}

// append uploads a message. Whoever gets no answer cannot know whether it is there, so it is done once.
func (f *follower) append(subject, flags string) {
	f.t.Helper()
	f.look()
	f.c.must(f.t, "APPEND INBOX ("+flags+")", imapMessage(subject))
}

// U1, U3, U4, U8, D1 on machines: a partition, with clients of the same mailbox on both sides that append, set
// flags, expunge and get mail. After the heal each follower's view is that of all: no UID was ever shown for two
// messages, nothing is lost, flags of both sides are joined, what either side expunged is gone.
func TestMachines_IMAPPartition(t *testing.T) {
	l := newLab(t, 3, threeCopies)
	l.start()
	sides := [][]*machine{l.machines[:2], l.machines[2:]}
	users := length2(8, 3)
	followers := make([][]*follower, users)
	for u := range users {
		user := keeper(u)
		sendIMAP(t, l.machines[u%3].at(labSMTP), user, "flags", "gone-0", "gone-1", "both", "quiet")
		for _, side := range sides {
			f := side[u%len(side)].follow(t, user)
			f.look()
			followers[u] = append(followers[u], f)
		}
	}
	l.part(sides[0], sides[1])
	parted := time.Now()
	want := make([][]string, users)
	for round := range length2(4, 2) {
		for u := range users {
			want[u] = append(want[u], l.partedRound(followers[u], round)...)
		}
	}
	t.Logf("%d mailboxes were changed on both sides for %v", users, time.Since(parted).Round(time.Second))
	l.heal()
	healed := time.Now()
	l.await("one view of all", func(s admin.Status) bool { return len(s.Members) == 3 })
	l.drained(30 * time.Second)
	t.Logf("one view and empty update logs %v after the heal", time.Since(healed).Round(100*time.Millisecond))
	for u := range users {
		judgeParted(t, followers[u], append(want[u], "flags", "both", "quiet"))
	}
	l.verified()
}

// length2 is a number that CI wants smaller.
func length2(long, short int) int {
	if labMode() == labShort {
		return short
	}
	return long
}

// partedRound changes one mailbox on both sides, and gives what must be there afterwards.
func (l *lab) partedRound(sides []*follower, round int) (want []string) {
	for i, f := range sides {
		name := fmt.Sprintf("%d-%d", i, round)
		taken := false
		for range 10 { // just after the cut some nodes have not noticed it
			err := deliverTo(l.t, f.m.at(labSMTP), f.user, imapMessage("in-"+name))
			if taken = err == nil; taken {
				break
			}
			l.t.Logf("machine %d, in-%s: %v", f.m.n, name, err)
			var refusal *smtpRefusal
			if errors.As(err, &refusal) && strings.HasPrefix(refusal.reply, "5") {
				l.t.Errorf("V1: %v", err)
			}
			wait(l.t, time.Second)
		}
		if !taken {
			l.t.Fatalf("machine %d took no mail for %s", f.m.n, f.user)
		}
		f.sees("in-" + name)
		f.append("up-"+name, `\Draft`)
		f.look()
		want = append(want, "in-"+name, "up-"+name)
		if round > 0 {
			f.do(`UID STORE %d +FLAGS (\Seen)`, "in-"+name)
			continue
		}
		// Of what both sides had: each gives a flag of its own, takes out one message, and both take up the same
		// flag.
		f.do(`UID STORE %d +FLAGS (`+[]string{`\Flagged`, `\Answered`}[i]+`)`, "flags")
		f.do(`UID STORE %d +FLAGS ($Forwarded)`, "both")
		gone := fmt.Sprintf("gone-%d", i)
		uid := f.uid(gone)
		f.do(`UID STORE %d +FLAGS (\Deleted)`, gone)
		f.c.must(l.t, fmt.Sprintf("UID EXPUNGE %d", uid))
	}
	return want
}

// judgeParted looks at a mailbox after the heal, with the clients that followed each side.
func judgeParted(t *testing.T, sides []*follower, want []string) {
	t.Helper()
	slices.Sort(want)
	settledWithin := time.Now().Add(repairWithin)
	for _, f := range sides {
		for !slices.Equal(subjects(f.look()), want) && time.Now().Before(settledWithin) {
			wait(t, 200*time.Millisecond)
		}
		if got := subjects(f.now); !slices.Equal(got, want) {
			t.Errorf("machine %d shows %s %q, want %q", f.m.n, f.user, got, want)
		}
		for _, s := range f.now {
			wanted := map[string][]string{"flags": {`\Answered`, `\Flagged`}, "both": {`$Forwarded`}, "quiet": {}}[s.subject()]
			if wanted != nil && !slices.Equal(s.flags, wanted) {
				t.Errorf("machine %d: %s has the flags %q, want %q", f.m.n, s.subject(), s.flags, wanted)
			}
			if strings.HasPrefix(s.subject(), "up-") && (!slices.Equal(s.flags, []string{`\Draft`}) || s.text != imapMessage(s.subject())) {
				t.Errorf("machine %d: %s is %q with the flags %q", f.m.n, s.subject(), s.text, s.flags)
			}
		}
		requireEnds(t, f.now)
	}
	sides[0].look()
	sides[1].look()
	if a, b := fmt.Sprint(sides[0].now), fmt.Sprint(sides[1].now); a != b {
		t.Errorf("the two sides show %s different mailboxes after the heal:\n%s\n%s", sides[0].user, a, b)
	}
	crossed := 0
	for uid, a := range sides[0].shown {
		if b, ok := sides[1].shown[uid]; ok && (a.id != b.id || a.text != b.text) {
			t.Errorf("U1: UID %d of %s was shown for %s on one side and for %s on the other", uid, sides[0].user, a.subject(), b.subject())
		}
	}
	for uid := range sides[0].shown {
		if !slices.ContainsFunc(sides[0].now, func(s shown) bool { return s.uid == uid }) {
			crossed++
		}
	}
	t.Logf("%s: %d messages; of the UIDs that one side had shown, %d are retired", sides[0].user, len(want), crossed)
}

// D1, U1 on machines: mbsync keeps a copy by one side of a partition while mail comes in on both; after the heal
// the client and all machines are alike.
func TestMachines_IMAPSyncThroughAPartition(t *testing.T) {
	needCommand(t, "mbsync")
	l := newLab(t, 3, threeCopies)
	l.start()
	user := keeper(0)
	near := l.machines[2]
	s := newSyncer(t, near.addr, labIMAP, user)
	s.smtp = []string{near.at(labSMTP), l.machines[0].at(labSMTP)}
	s.change("whole")
	s.run()
	l.part(l.machines[:2], l.machines[2:])
	for i := range length2(6, 3) {
		s.change(fmt.Sprintf("parted-%d", i))
		s.run()
	}
	l.heal()
	l.await("one view of all", func(s admin.Status) bool { return len(s.Members) == 3 })
	l.drained(30 * time.Second)
	s.change("healed")
	var nodes []string
	for _, m := range l.machines {
		nodes = append(nodes, m.at(labIMAP))
	}
	s.alike(nodes...)
	l.verified()
}
