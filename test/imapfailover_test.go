package test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porcupine/internal/dev"
)

// toldWithin is how soon an idle client hears of new mail after its user's manager was killed.
const toldWithin = 5 * time.Second

// M5, U1 with real processes: a client waits with IDLE at node 1 while the manager of its mailbox is killed. Mail
// that comes in afterwards is announced without a new connection, or the session ends with BYE and a new one
// shows it at once. What the client knew keeps its UIDs.
func TestIMAP_IdleWhileTheManagerIsKilled(t *testing.T) {
	needTime(t)
	if testing.Short() {
		t.Skip("kills nodes")
	}
	const users = 12
	rounds := 2
	if manyClusters() {
		rounds = 10
	}
	c := startCluster(t, 3, users)
	for round := range rounds {
		c.await(1, "a cluster at rest", settled(3))
		victim := 2 + round%2
		var took []time.Duration
		var idle []*idler
		for u, m := range managers(t, c, users) {
			if m == victim && len(idle) < 4 {
				idle = append(idle, c.idle(t, u, round))
			}
		}
		if len(idle) == 0 {
			t.Logf("round %d: node %d manages none of %d users", round, victim, users)
			continue
		}
		c.kill(victim)
		for _, x := range idle {
			took = append(took, x.afterKill(t, c, round, time.Now()))
		}
		slices.Sort(took)
		t.Logf("round %d: node %d killed, %d idle clients of its users: new mail was seen after %v, from its acceptance", round, victim, len(idle), took)
		if worst := took[len(took)-1]; worst > toldWithin {
			t.Errorf("a client waited %v for mail that had been accepted, want %v at most", worst, toldWithin)
		}
		c.serve(victim)
		c.await(1, "the node is back", settled(3))
	}
}

// idler is a client that waits.
type idler struct {
	*imapTalk
	user   string
	before []shown
	valid  uint64
}

// idle gives the user a message and has a client wait at node 1.
func (c *clusterUnderTest) idle(t *testing.T, u, round int) *idler {
	t.Helper()
	x := &idler{user: fmt.Sprintf("u%d@%s", u, dev.Domain)}
	sendIMAP(t, at(c.node(1).Ports.SMTP), x.user, fmt.Sprintf("before-%d-%d", u, round))
	x.imapTalk = dialIMAP(t, at(c.node(1).Ports.IMAP), x.user)
	x.valid = number(x.must(t, "SELECT INBOX"), "UIDVALIDITY")
	all, err := x.messages()
	if err == nil {
		err = x.begin()
	}
	if err != nil {
		t.Fatal(err)
	}
	x.before = all
	return x
}

// begin sends IDLE.
func (c *imapTalk) begin() error {
	if _, err := fmt.Fprint(c.conn, "idle IDLE\r\n"); err != nil {
		return err
	}
	reply, err := c.readLine()
	if err == nil && !strings.HasPrefix(reply, "+") {
		err = &imapRefusal{"IDLE", reply}
	}
	return err
}

// end leaves IDLE; what was said before its reply is passed over.
func (c *imapTalk) end() error {
	if _, err := fmt.Fprint(c.conn, "DONE\r\n"); err != nil {
		return err
	}
	for {
		reply, err := c.readLine()
		if err != nil || strings.HasPrefix(reply, "idle ") {
			return err
		}
	}
}

// afterKill delivers a message and gives the time from its acceptance until the client could see it.
func (x *idler) afterKill(t *testing.T, c *clusterUnderTest, round int, killed time.Time) time.Duration {
	t.Helper()
	name := fmt.Sprintf("after-%s-%d", strings.Split(x.user, "@")[0], round)
	for deliverTo(t, at(c.node(1).Ports.SMTP), x.user, imapMessage(name)) != nil {
		if time.Since(killed) > failoverMax {
			t.Fatalf("%s gets no mail %v after the kill", x.user, failoverMax)
		}
		wait(t, 20*time.Millisecond)
	}
	accepted := time.Now()
	want := fmt.Sprintf("* %d EXISTS", len(x.before)+1)
	how := "announced"
	if err := x.conn.SetDeadline(accepted.Add(2 * toldWithin)); err != nil {
		t.Fatal(err)
	}
	for {
		reply, err := x.readLine()
		if err == nil && reply == want {
			break
		}
		if err != nil {
			var slow net.Error
			if errors.As(err, &slow) && slow.Timeout() {
				t.Errorf("%s was told nothing within %v", x.user, 2*toldWithin)
			}
			how = "with a new connection, since the session ended"
			break
		}
		if strings.HasPrefix(reply, "* BYE") {
			t.Logf("%s: %s", x.user, reply)
		}
	}
	if how == "announced" {
		if err := x.end(); err != nil {
			t.Errorf("DONE: %v", err)
		}
	} else {
		x.imapTalk = dialIMAP(t, at(c.node(1).Ports.IMAP), x.user)
		if valid := number(x.must(t, "SELECT INBOX"), "UIDVALIDITY"); valid != x.valid {
			t.Errorf("%s: UIDVALIDITY was %d and is %d", x.user, x.valid, valid)
		}
	}
	all, err := x.messages()
	if err != nil {
		t.Error(err)
		return time.Since(accepted)
	}
	took := time.Since(accepted)
	t.Logf("%s: %s %v after its acceptance, %v after the kill", x.user, how, took.Round(time.Millisecond), time.Since(killed).Round(time.Millisecond))
	if len(all) != len(x.before)+1 {
		t.Errorf("%s sees %q, want %q and the new message", x.user, subjects(all), subjects(x.before))
	}
	for _, old := range x.before {
		if !slices.ContainsFunc(all, func(s shown) bool { return s.uid == old.uid && s.id == old.id && s.text == old.text }) {
			t.Errorf("%s: UID %d, %s, is not what it was before the kill", x.user, old.uid, old.subject())
		}
	}
	x.conn.Close()
	return took
}

// D1, U1 with real processes: mbsync keeps a copy by node 1 while another node is killed and comes back, with
// changes on both sides all the time. In the end both sides are alike: nothing twice, nothing lost.
func TestIMAP_SyncThroughAKilledNode(t *testing.T) {
	needClients(t)
	needCommand(t, "mbsync")
	rounds := 1
	if manyClusters() {
		rounds = 5
	}
	c := startCluster(t, 3, 3)
	s := newSyncer(t, dev.Host, c.node(1).Ports.IMAP, "u0@"+dev.Domain)
	s.smtp = []string{at(c.node(1).Ports.SMTP)}
	for round := range rounds {
		victim := 2 + round%2
		c.await(1, "a cluster at rest", settled(3))
		s.change(fmt.Sprintf("whole-%d", round))
		s.run()
		c.kill(victim)
		for i := range 4 {
			s.change(fmt.Sprintf("killed-%d-%d", round, i))
			s.run()
		}
		c.serve(victim)
		c.await(1, "the node is back", settled(3))
		s.change(fmt.Sprintf("back-%d", round))
		s.run()
	}
	s.alike(at(c.node(1).Ports.IMAP), at(c.node(2).Ports.IMAP), at(c.node(3).Ports.IMAP))
}

// syncer is a user of mbsync, with a list of what must be there in the end.
type syncer struct {
	t        *testing.T
	dir, rc  string
	user     string
	smtp     []string
	imap     string
	want     map[string]bool // what must be there; what was deleted is false
	runs     int
	failures int
}

func newSyncer(t *testing.T, host string, port int, user string) *syncer {
	t.Helper()
	s := &syncer{t: t, dir: t.TempDir(), user: user, imap: net.JoinHostPort(host, fmt.Sprint(port)), want: map[string]bool{}}
	makeMaildir(t, filepath.Join(s.dir, "mail", "INBOX"))
	s.rc = filepath.Join(s.dir, "mbsyncrc")
	if err := os.WriteFile(s.rc, []byte(mbsyncConfig(s.dir, host, port, user)), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *syncer) inbox() string { return filepath.Join(s.dir, "mail", "INBOX") }

// change has mail come in, puts a message on the client's side, flags one there and deletes one there.
func (s *syncer) change(name string) {
	s.t.Helper()
	for i, addr := range s.smtp {
		subject := fmt.Sprintf("in-%s-%d", name, i)
		switch err := deliverTo(s.t, addr, s.user, imapMessage(subject)); {
		case err == nil:
			s.want[subject] = true
		default:
			s.t.Logf("%s by %s: %v", subject, addr, err) // not acknowledged: it may be there or not
			s.want[subject] = false
		}
	}
	local := maildir(s.t, s.inbox())
	names := make([]string, 0, len(local))
	for subject := range local {
		names = append(names, subject)
	}
	slices.Sort(names)
	if len(names) > 3 {
		flagOnDisk(s.t, s.inbox(), names[0], "FS")
		gone := names[len(names)/2]
		if err := os.Remove(local[gone].path); err != nil {
			s.t.Fatal(err)
		}
		delete(s.want, gone)
	}
	putOnDisk(s.t, s.inbox(), "out-"+name)
	s.want["out-"+name] = true
}

// once runs mbsync.
func (s *syncer) once() error {
	ctx, cancel := context.WithTimeout(s.t.Context(), clientMax)
	defer cancel()
	s.runs++
	out, err := exec.CommandContext(ctx, needCommand(s.t, "mbsync"), "-c", s.rc, "-a").CombinedOutput()
	if err != nil {
		s.failures++
		return fmt.Errorf("mbsync: %w: %s", err, out)
	}
	return nil
}

// run runs mbsync until it succeeds, as its user's timer would.
func (s *syncer) run() {
	s.t.Helper()
	for began := time.Now(); ; wait(s.t, 200*time.Millisecond) {
		err := s.once()
		if err == nil {
			return
		}
		s.t.Log(err)
		if time.Since(began) > failoverMax {
			s.t.Fatalf("mbsync did not succeed within %v: %v", failoverMax, err)
		}
	}
}

// alike demands that the client and every node have the same messages, those that must be there.
func (s *syncer) alike(nodes ...string) {
	s.t.Helper()
	s.run()
	s.run()
	local := maildir(s.t, s.inbox())
	for _, addr := range nodes {
		requireAlike(s.t, local, dialIMAP(s.t, addr, s.user).folder(s.t, "INBOX"))
	}
	for subject, must := range s.want {
		if _, ok := local[subject]; !ok && must {
			s.t.Errorf("%s is lost", subject)
		}
	}
	for subject := range local {
		if _, ok := s.want[subject]; !ok {
			s.t.Errorf("%s was deleted and is back", subject)
		}
	}
	s.t.Logf("mbsync ran %d times, %d of them in vain; %d messages on both sides", s.runs, s.failures, len(local))
}
