package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/bench"
	"porcupine/internal/dev"
)

// Settings of the nodes in the lab: what is kept twice must survive the loss of any node.
const twoCopies = `message_copies = 2
[upkeep]
repair_after = "10s"`

// length is how long a scenario's load takes: the long form, or that of CI.
func length(long, short time.Duration) time.Duration {
	if labMode() == labShort {
		return short
	}
	return long
}

// D1, V1, R6 on machines: one of three nodes is killed under load and its disk is lost. Nothing
// acknowledged is lost, nobody is refused for good; repair_after later the two that are left bring
// everything back to two copies; a machine that joins in its place gets its share.
func TestMachines_NodeLostForGood(t *testing.T) {
	l := newLab(t, 3, twoCopies)
	l.start()
	mail := l.newKept()
	if n := mail.deliver(300, l.machines...); n != 300 {
		t.Fatalf("%d of 300 messages were taken by a cluster at rest", n)
	}
	l.drained(20 * time.Second)
	if counts := l.copies(l.machines...); counts[2] != 300 || len(counts) > 1 {
		t.Fatalf("messages by their number of copies: %v, want 300 with two", counts)
	}
	l.fullestLast()
	judged := l.loadIndependent(32, length(60*time.Second, 20*time.Second))
	wait(t, length(15*time.Second, 5*time.Second))
	lost := l.machines[2]
	identity := lost.identity()
	lost.kill()
	lost.destroy()
	killed := time.Now()
	stop := l.watchRepair(killed)
	took := l.repairedAfter(killed, mail)
	if said := stop(); len(said) == 0 {
		t.Error("status said nothing of the repair")
	}
	t.Logf("%v after the loss everything kept has two copies again", took.Round(time.Second))
	if took > 70*time.Second {
		t.Errorf("the repair took until %v after the loss, want 60 s after repair_after", took)
	}
	judged()
	if counts := l.copies(l.machines[:2]...); counts[2] != 300 || len(counts) > 1 {
		t.Errorf("messages on the two survivors by their number of copies: %v, want 300 with two", counts)
	}
	mail.check(l.machines[0])
	mail.check(l.machines[1])
	l.verified()

	if _, err := l.machines[0].porcupine("", "node", "remove", identity); err != nil {
		t.Error(err)
	}
	lost.join(l.machines[0])
	lost.serve()
	lost.ready()
	if n := mail.deliver(150, l.machines...); n != 150 {
		t.Errorf("%d of 150 messages were taken after a machine was replaced", n)
	}
	l.drained(30 * time.Second)
	if n := len(lost.dump()); n == 0 {
		t.Error("the machine that joined in place of the lost one holds nothing")
	}
	mail.check(lost)
	l.verified()
}

// fullestLast puts the machine that holds the most messages, other than the first, in the last place: its
// loss hurts.
func (l *lab) fullestLast() {
	l.t.Helper()
	most, at, last := -1, 0, len(l.machines)-1
	for i, m := range l.machines[1:] {
		n := 0
		for _, c := range m.dump() {
			if c.Type == "message" {
				n++
			}
		}
		if n > most {
			most, at = n, i+1
		}
	}
	l.machines[at], l.machines[last] = l.machines[last], l.machines[at]
	l.t.Logf("machine %d, which will be lost, holds %d messages", l.machines[last].n, most)
}

// D1, V1, R1, R4 on machines: a partition of two nodes from one, with clients on both sides. Both
// take mail; after the heal the update logs are empty within 30 s, the copies are alike, and
// nothing is lost.
func TestMachines_Partition(t *testing.T) {
	l := newLab(t, 3, twoCopies)
	l.start()
	sides := [][]*machine{l.machines[:2], l.machines[2:]}
	var addrs []string
	for i := range 30 {
		addrs = append(addrs, fmt.Sprintf("a%d@%s", i, dev.Domain), fmt.Sprintf("b%d@%s", i, dev.Domain))
	}
	if err := l.machines[0].admin.AddUsers(t.Context(), addrs, dev.Password); err != nil {
		t.Fatal(err)
	}
	l.drained(20 * time.Second)
	mail := l.newKept()
	parted := length(30*time.Second, 8*time.Second)
	first := l.load(sides[0], "a%d@"+dev.Domain, 30, 16, parted+8*time.Second)
	second := l.load(sides[1], "b%d@"+dev.Domain, 30, 16, parted+8*time.Second)
	wait(t, 3*time.Second)
	l.part(sides[0], sides[1])
	began := time.Now()
	taken := [2]int{}
	for time.Since(began) < parted {
		for i, side := range sides {
			taken[i] += mail.deliver(5, side...)
		}
	}
	l.heal()
	healed := time.Now()
	l.await("one view of all", func(s admin.Status) bool { return len(s.Members) == 3 })
	t.Logf("%d and %d messages for the same users were taken by the two sides; one view %v after the heal", taken[0], taken[1], time.Since(healed).Round(100*time.Millisecond))
	if taken[0] == 0 || taken[1] == 0 {
		t.Error("not both sides took mail")
	}
	judgeAway(t, <-first)
	judgeAway(t, <-second)
	l.drained(30 * time.Second)
	l.repaired()
	for _, m := range l.machines {
		mail.check(m)
	}
	l.copies(l.machines...)
	l.verified()
}

// judgeAway is judge, but for what the return of a node may do: mail that was deleted while it was away is
// shown once more, by that node, until it hears of the deletion (Porcupine §4.4: the replicas agree in the
// end). And a session that was answered "try again later" by a node that comes or goes may have left a
// message that its reader fetched before the node could take it back. drained and the kept mail look at the
// end.
func judgeAway(t *testing.T, r bench.Report) {
	t.Helper()
	if n := r.Ledger.Duplicated; n > 0 {
		t.Logf("%d messages were shown again after their deletion, by nodes that had not heard of it yet", n)
	}
	if n := r.Ledger.Phantom; n > 0 && int64(n) <= r.Refused4xx {
		t.Logf("%d messages were there although their senders had been asked to try again later", n)
		r.Ledger.Phantom = 0
	}
	r.Ledger.Duplicated = 0
	judge(t, r)
}

// R5, A2, D4 on machines: a user deletes mail and changes the password, an alias and a user are
// removed, while one replica is down. After its return nothing deleted is back, and only the
// new password works, on every node.
func TestMachines_DeletedWhileAReplicaIsDown(t *testing.T) {
	l := newLab(t, 3, twoCopies)
	l.start()
	mail := l.newKept()
	mail.deliver(200, l.machines...)
	ctx := t.Context()
	first, away := l.machines[0], l.machines[2]
	if err := first.admin.AddAlias(ctx, "alias@"+dev.Domain, []string{keeper(0)}); err != nil {
		t.Fatal(err)
	}
	l.drained(20 * time.Second)
	away.kill()
	l.await("a view without it", func(s admin.Status) bool { return len(s.Members) == 2 })

	pop := popDial(t, l.machines[1].at(labPOP3), keeper(0), dev.Password)
	for n := range pop.count() {
		pop.ok(fmt.Sprintf("DELE %d", n+1))
	}
	pop.ok("QUIT")
	mail.forget(keeper(0))
	const fresh = "a new password"
	for what, err := range map[string]error{
		"change the password": l.machines[1].admin.SetPassword(ctx, keeper(0), fresh),
		"remove the alias":    first.admin.RemoveAlias(ctx, "alias@"+dev.Domain),
		"remove a user":       first.admin.RemoveUser(ctx, loadUser(59)),
	} {
		if err != nil {
			t.Errorf("%s while a replica is down: %v", what, err)
		}
	}
	away.serve()
	away.ready()
	l.await("three members", settled(3))
	l.drained(30 * time.Second)
	l.repaired()
	for _, m := range l.machines {
		if canLogIn(t, m, keeper(0), dev.Password) {
			t.Errorf("machine %d: the old password works", m.n)
		}
		pop := popDial(t, m.at(labPOP3), keeper(0), fresh)
		if n := pop.count(); n != 0 {
			t.Errorf("machine %d: %d deleted messages are back", m.n, n)
		}
		pop.ok("QUIT")
		for _, to := range []string{"alias@" + dev.Domain, loadUser(59)} {
			if err := deliverTo(t, m.at(labSMTP), to, "Subject: x\r\n\r\nx\r\n"); err == nil || !strings.Contains(err.Error(), "550") {
				t.Errorf("machine %d: mail for %s, which was removed: %v, want 550", m.n, to, err)
			}
		}
	}
	if err := first.admin.SetPassword(ctx, keeper(0), dev.Password); err != nil {
		t.Fatal(err)
	}
	for _, m := range l.machines {
		mail.check(m)
	}
	l.verified()
}

// canLogIn reports whether a login succeeds.
func canLogIn(t *testing.T, m *machine, user, password string) bool {
	t.Helper()
	conn := m.dial(labPOP3)
	defer conn.conn.Close()
	conn.must("USER "+user, "+OK")
	return strings.HasPrefix(conn.ask("PASS "+password), "+OK")
}

// dial connects to a port of the machine and reads the greeting.
func (m *machine) dial(port int) *line {
	m.lab.t.Helper()
	conn, err := net.DialTimeout("tcp", m.at(port), 10*time.Second)
	if err != nil {
		m.lab.t.Fatal(err)
	}
	l := newLine(m.lab.t, conn)
	l.read()
	return l
}

// D3, D1 on machines: all nodes are killed at once under load and started in any order.
func TestMachines_AllKilledAtOnce(t *testing.T) {
	longOnly(t)
	l := newLab(t, 4, twoCopies)
	l.start()
	mail := l.newKept()
	result := l.loadAll(32, 25*time.Second)
	for range 2 {
		mail.deliver(60, l.machines...)
		for _, m := range l.machines {
			m.signal(syscall.SIGKILL)
		}
		for _, m := range l.machines {
			<-m.p.done
		}
		for _, i := range rand.Perm(len(l.machines)) {
			l.machines[i].serve()
			wait(t, time.Duration(rand.IntN(1000))*time.Millisecond)
		}
		for _, m := range l.machines {
			m.ready()
		}
	}
	judge(t, <-result)
	l.drained(30 * time.Second)
	l.repaired()
	mail.check(l.machines[1])
	l.verified()
}

// M5, D1 on machines: a node is stopped for 20 s and goes on as if nothing had been (a zombie, fault 25).
func TestMachines_StoppedAndResumed(t *testing.T) {
	stopped := length(20*time.Second, 6*time.Second)
	l := newLab(t, 3, twoCopies)
	l.start()
	mail := l.newKept()
	result := l.loadAll(16, stopped+10*time.Second)
	mail.deliver(60, l.machines...)
	l.machines[1].signal(syscall.SIGSTOP)
	others := []*machine{l.machines[0], l.machines[2]}
	l.await("a view without the stopped node", func(s admin.Status) bool { return len(s.Members) == 2 })
	if n := mail.deliver(60, others...); n < 60 {
		t.Errorf("%d of 60 messages were taken while a node was stopped and out of the view", n)
	}
	wait(t, stopped)
	l.machines[1].signal(syscall.SIGCONT)
	mail.deliver(60, l.machines...)
	judgeAway(t, <-result)
	l.rest(mail)
}

// M5, fault 15 on machines: one node hears nothing of another, which hears it well.
func TestMachines_OneWay(t *testing.T) {
	longOnly(t)
	l := newLab(t, 3, twoCopies)
	l.start()
	mail := l.newKept()
	before := l.await("a cluster at rest", settled(3))
	result := l.loadAll(16, 30*time.Second)
	wait(t, 2*time.Second)
	l.machines[1].deafTo(l.machines[2])
	for began := time.Now(); time.Since(began) < 15*time.Second; {
		mail.deliver(10, l.machines[0])
	}
	l.heal()
	after := l.await("one view of all", func(s admin.Status) bool { return len(s.Members) == 3 })
	t.Logf("epochs %s before, %s after", before.Epoch, after.Epoch)
	judgeAway(t, <-result)
	l.rest(mail)
}

// Q3, D10, fault 10 on machines: a node's disk is full to the last byte, while mail comes in. The others go on;
// when there is room again, the node is started and everything is there.
func TestMachines_FullDisk(t *testing.T) {
	l := newLab(t, 3, twoCopies)
	small := l.machines[2]
	small.disk(192 << 20)
	l.start()
	mail := l.newKept()
	result := l.loadAll(16, length(30*time.Second, 12*time.Second))
	mail.deliver(60, l.machines...)
	filler := filepath.Join(small.dir, "disk", "fill")
	fill(t, filler)
	mail.deliver(120, l.machines[:2]...)
	wait(t, length(10*time.Second, 3*time.Second))
	mail.deliver(60, l.machines[:2]...)
	t.Logf("the node with the full disk still runs: %v", small.p.runs())
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if !small.p.runs() {
		small.serve()
	}
	small.ready()
	judgeAway(t, <-result)
	l.rest(mail)
}

// D10, fault 11 on machines: the file system of a node goes read-only, as after an error of its disk.
func TestMachines_ReadOnlyDisk(t *testing.T) {
	longOnly(t)
	l := newLab(t, 3, twoCopies)
	broken := l.machines[2]
	broken.disk(512 << 20)
	l.start()
	mail := l.newKept()
	result := l.loadAll(16, 30*time.Second)
	mail.deliver(60, l.machines...)
	mount := filepath.Join(broken.dir, "disk")
	must(t, "mount", "-o", "remount,abort", mount) // ext4's own way to play an error: now, and whoever writes
	mail.deliver(200, l.machines[:2]...)
	select {
	case <-broken.p.done:
	case <-time.After(30 * time.Second):
		t.Error("a node whose disk takes nothing goes on as if it did")
	}
	must(t, "umount", mount)
	image := filepath.Join(broken.dir, "disk.img")
	if out, err := exec.Command("fsck.ext4", "-y", image).CombinedOutput(); err != nil {
		t.Logf("fsck: %v: %s", err, out) // status 1: errors were corrected
	}
	must(t, "mount", "-o", "loop,errors=remount-ro", image, mount)
	broken.serve()
	broken.ready()
	judgeAway(t, <-result)
	l.rest(mail)
}

// rest is the end of a scenario: the load has ended, and the cluster comes to rest whole.
func (l *lab) rest(mail *kept) {
	l.t.Helper()
	l.drained(30 * time.Second)
	l.repaired()
	for _, m := range l.machines {
		mail.check(m)
	}
	l.verified()
}

// identity is the id of the node that runs on the machine.
func (m *machine) identity() string {
	m.lab.t.Helper()
	s, err := m.status()
	if err != nil {
		m.lab.t.Fatal(err)
	}
	return s.Node.String()
}

// pendingMetric is how many objects on a node need another copy, or one less, as its upkeep last saw.
const pendingMetric = "porcupine_repair_pending"

// pending adds it up. A node that is just being looked at may have ended: it counts as nothing.
func (l *lab) pending() (n float64) {
	for _, m := range l.alive() {
		n += metricAt(l.t, m.at(labHTTP), pendingMetric)
	}
	return n
}

// repaired waits until nothing needs repair any more.
func (l *lab) repaired() {
	l.t.Helper()
	const within = 90 * time.Second
	for began := time.Now(); l.pending() > 0; wait(l.t, 200*time.Millisecond) {
		if time.Since(began) > within {
			l.logs()
			l.t.Fatalf("%v objects still need repair after %v", l.pending(), within)
		}
	}
}

// repairedAfter waits until all kept mail has two copies on the machines that run, as their disks say,
// and gives how long that is after a moment.
func (l *lab) repairedAfter(since time.Time, mail *kept) time.Duration {
	l.t.Helper()
	for {
		copies := map[string]int{}
		for _, m := range l.alive() {
			for key, c := range m.dump() {
				if c.Type == "message" && strings.HasPrefix(c.Owner, "k") {
					copies[key]++
				}
			}
		}
		single := 0
		for _, n := range copies {
			if n < 2 {
				single++
			}
		}
		switch {
		case single == 0 && len(copies) == mail.total():
			return time.Since(since)
		case time.Since(since) > 2*time.Minute:
			l.logs()
			l.t.Fatalf("%d of %d messages have one copy only %v after the loss; %d messages are kept", single, len(copies), time.Since(since), mail.total())
		}
		wait(l.t, time.Second)
	}
}

// watchRepair follows what 'porcupine status' on the first machine says of copies that are missing
// and being made, until stop is called, which gives the different lines.
func (l *lab) watchRepair(since time.Time) (stop func() []string) {
	ctx, cancel := context.WithCancel(l.t.Context())
	var wg sync.WaitGroup
	var said []string
	wg.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			out, err := l.machines[0].porcupine("", "status")
			if err != nil {
				continue // the view is changing
			}
			for line := range strings.Lines(out) {
				if line = strings.TrimSpace(line); repairLine.MatchString(line) && !slices.Contains(said, line) {
					said = append(said, line)
					l.t.Logf("%v after the loss, status: %s", time.Since(since).Round(100*time.Millisecond), line)
				}
			}
		}
	})
	return func() []string { cancel(); wg.Wait(); return said }
}

var repairLine = regexp.MustCompile(`have fewer live copies than wanted|repairs: `)
