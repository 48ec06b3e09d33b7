package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/dev"
)

// on runs a command for a node of the cluster.
func (c *clusterUnderTest) on(n int, args ...string) string {
	c.t.Helper()
	return command(c.t, "", append(args, "--config", c.node(n).Config)...)
}

// mailbox gives the subjects of a user's messages, sorted; what it reads stays.
func mailbox(t *testing.T, addr, user, password string) []string {
	t.Helper()
	pop := popDial(t, addr, user, password)
	defer pop.conn.Close()
	var subjects []string
	for i := range pop.count() {
		for line := range strings.Lines(string(pop.retr(i + 1))) {
			if rest, ok := strings.CutPrefix(line, "Subject: "); ok {
				subjects = append(subjects, strings.TrimSpace(rest))
				break
			}
		}
	}
	pop.ok("QUIT")
	slices.Sort(subjects)
	return subjects
}

// empty deletes all mail of a user.
func empty(t *testing.T, addr, user string) {
	t.Helper()
	pop := popDial(t, addr, user, dev.Password)
	defer pop.conn.Close()
	for i := range pop.count() {
		pop.ok(fmt.Sprintf("DELE %d", i+1))
	}
	pop.ok("QUIT")
}

// A backup of every node, made under load, brings back what users have deleted and what administrators
// have removed, and a whole new cluster when all nodes are lost.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes two clusters")
	}
	const users, each = 4, 6
	c := startCluster(t, 3, users)
	want := make([][]string, users)
	for u := range users {
		for i := range each {
			subject := fmt.Sprintf("mail %d of %d", i, u)
			send(t, at(c.node(1+i%3).Ports.SMTP), fmt.Sprintf("u%d@%s", u, dev.Domain), "Subject: "+subject+"\r\n\r\n"+strings.Repeat("x\r\n", 1000*i)+"\r\n")
			want[u] = append(want[u], subject)
		}
	}
	c.await(1, "a cluster at rest", settled(3))
	dir := filepath.Join(t.TempDir(), "backup")
	for n := 1; n <= 3; n++ {
		c.on(n, "backup", "--to", dir)
		if left, err := filepath.Glob(filepath.Join(c.node(n).Dir, "checkpoint-*")); err != nil || len(left) > 1 {
			t.Errorf("node %d: checkpoints are left: %v, %v", n, left, err)
		}
	}
	t.Log(c.on(1, "backup", "--to", dir, "--keep", "1"))
	if out := command(t, "", "backup", "verify", dir); !strings.Contains(out, "3 nodes, 3 generations") || !strings.Contains(out, " 0 faults") {
		t.Errorf("backup verify: %s", out)
	}
	if out := c.on(1, "restore", "--from", dir, "--dry-run"); !strings.Contains(out, " 0 lacking") {
		t.Errorf("restore of what is all there: %s", out)
	}

	pop := at(c.node(2).Ports.POP3)
	first := "u0@" + dev.Domain
	empty(t, pop, first)
	empty(t, pop, "u2@"+dev.Domain)
	c.on(1, "user", "remove", "u1@"+dev.Domain)
	if out := c.on(3, "restore", "--from", dir, "--user", "U0@"+strings.ToUpper(dev.Domain)); !strings.Contains(out, fmt.Sprintf(" %d injected", each)) {
		t.Errorf("restore of one user: %s", out)
	}
	if got := mailbox(t, pop, first, dev.Password); !slices.Equal(got, want[0]) {
		t.Errorf("u0 has %q after the restore, want %q", got, want[0])
	}
	if n := len(mailbox(t, pop, "u2@"+dev.Domain, dev.Password)); n != 0 {
		t.Errorf("u2 has %d messages though u0 alone was asked for", n)
	}
	if out := c.on(1, "restore", "--from", dir); !strings.Contains(out, fmt.Sprintf(" %d injected", each)) {
		t.Errorf("restore of all: %s: want u2's %d messages, and u1 left as removed", out, each)
	}
	if out := c.on(1, "user", "list"); strings.Contains(out, "u1@") {
		t.Error("a removed user came back without being asked for")
	}
	t.Log(c.on(1, "restore", "--from", dir, "--deleted"))
	for u := range users {
		if got := mailbox(t, pop, fmt.Sprintf("u%d@%s", u, dev.Domain), dev.Password); !slices.Equal(got, want[u]) {
			t.Errorf("u%d has %q, want %q", u, got, want[u])
		}
	}

	n := startEmpty(t, "[auth]\nallow_plaintext = true\n")
	if out, err := exec.Command(program, "restore", "--from", dir, "--config", n.conf).CombinedOutput(); err == nil || !strings.Contains(string(out), "--other-cluster") {
		t.Errorf("a backup of another cluster: %v: %s", err, out)
	}
	t.Log(command(t, "", "restore", "--from", dir, "--other-cluster", "--config", n.conf))
	for u := range users {
		if got := mailbox(t, at(n.ports.POP3), fmt.Sprintf("u%d@%s", u, dev.Domain), dev.Password); !slices.Equal(got, want[u]) {
			t.Errorf("in a new cluster u%d has %q, want %q", u, got, want[u])
		}
	}
	send(t, at(n.ports.SMTP), first, "Subject: new\r\n\r\nx\r\n")
}

// What lay on one node alone, whose data directory was set aside, comes back by reinject, and only that.
func TestReinject(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes a cluster")
	}
	const users, messages = 12, 36
	c := &clusterUnderTest{t: t, dir: t.TempDir(), base: freeBase(t)}
	running := c.resume(3, users)
	running.stop(t)
	for n := 1; n <= 3; n++ { // one copy of each message, each user on one node
		text, err := os.ReadFile(c.node(n).Config)
		if err == nil {
			err = os.WriteFile(c.node(n).Config, []byte(strings.Replace(string(text), "[cluster]", "[cluster]\nmessage_copies = 1\nspread = 1", 1)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.resume(3, users)
	for i := range messages {
		send(t, at(c.node(1).Ports.SMTP), fmt.Sprintf("u%d@%s", i%users, dev.Domain), fmt.Sprintf("Subject: %02d\r\n\r\nx\r\n", i))
	}
	s := c.await(1, "a cluster at rest", settled(3))
	for _, m := range s.Members {
		t.Logf("%s holds %d objects", m.Name, m.Objects)
	}
	lost := lostNode(t, c, s)
	pid := c.pid(lost)
	c.kill(lost)
	awaitExit(t, pid)
	alive := 1 + lost%3
	c.await(alive, "a view without it", func(s admin.Status) bool { return len(s.Members) == 2 })
	aside := filepath.Join(t.TempDir(), "aside")
	if err := os.Rename(filepath.Join(c.node(lost).Dir, "store"), aside); err != nil {
		t.Fatal(err)
	}
	conf := c.node(alive).Config
	if out, err := exec.Command(program, "store", "reinject", aside, "--config", conf).CombinedOutput(); err == nil || !strings.Contains(string(out), "absent") {
		t.Errorf("reinject while the node is only absent: %v: %s", err, out)
	}
	for _, a := range c.await(alive, "an absent node", func(s admin.Status) bool { return len(s.Absent) == 1 }).Absent {
		c.on(alive, "node", "remove", a.ID.String())
	}
	c.await(alive, "the node struck", func(s admin.Status) bool { return len(s.Absent) == 0 })
	all := func() (subjects []string) {
		for u := range users {
			subjects = append(subjects, mailbox(t, at(c.node(alive).Ports.POP3), fmt.Sprintf("u%d@%s", u, dev.Domain), dev.Password)...)
		}
		slices.Sort(subjects)
		return subjects
	}
	before := all()
	if len(before) == messages || len(before) == 0 {
		t.Fatalf("%d of %d messages are left: nothing is tested", len(before), messages)
	}
	listed := command(t, "", "store", "reinject", aside, "--dry-run", "--config", conf)
	if n := strings.Count(listed, "message u"); n != messages-len(before) {
		t.Errorf("a dry run lists %d messages, %d are missing:\n%s", n, messages-len(before), listed)
	}
	began := time.Now()
	out := command(t, "", "store", "reinject", aside, "--config", conf)
	t.Logf("%v: %s", time.Since(began).Round(time.Millisecond), out)
	if got := all(); len(got) != messages || len(slices.Compact(got)) != messages {
		t.Errorf("there are %q after reinject, want %d different messages", got, messages)
	}
	if out := command(t, "", "store", "reinject", aside, "--config", conf); !strings.Contains(out, " 0 injected") {
		t.Errorf("a second reinject: %s", out)
	}
}

// lostNode is a node other than the first that holds messages.
func lostNode(t *testing.T, c *clusterUnderTest, s admin.Status) int {
	t.Helper()
	for _, m := range s.Members {
		for n := 2; n <= 3; n++ {
			if m.Name == c.node(n).Name && m.Objects > 0 {
				return n
			}
		}
	}
	t.Skip("by chance node 1 has all messages")
	return 0
}
