package test

import (
	"context"
	"strings"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/bench"
	"porcupine/internal/dev"
)

// load runs the benchmark's workload against all nodes in the background.
func (c *clusterUnderTest) startLoad(users int, d time.Duration) <-chan bench.Report {
	c.t.Helper()
	cfg := bench.DefaultConfig()
	cfg.SMTP, cfg.POP3 = c.addrs(smtpPort), c.addrs(popPort)
	cfg.UserPattern, cfg.Users, cfg.Password = "u%d@"+dev.Domain, users, dev.Password
	cfg.Workers, cfg.Duration = 16, d
	result := make(chan bench.Report, 1)
	ctx, cancel := context.WithTimeout(c.t.Context(), d+3*time.Minute)
	go func() {
		defer cancel()
		report, err := bench.Run(ctx, cfg)
		if err != nil {
			c.t.Errorf("bench: %v", err)
		}
		result <- report
	}()
	return result
}

// judge demands that no promise was broken (D1, D5, D6, D8) and nobody was refused for good (V1).
func judge(t *testing.T, r bench.Report) {
	t.Helper()
	l := r.Ledger
	t.Logf("accepted %d, picked up %d, refused 4xx %d, broken %d; ledger %+v", r.Accepted, r.Retrieved, r.Refused4xx, r.SMTPErrors, l)
	if r.Accepted == 0 {
		t.Error("no message was accepted")
	}
	if l.Lost > 0 || l.Corrupt > 0 || l.Misplaced > 0 || l.Phantom > 0 {
		t.Errorf("promises were broken: %+v; for example %q", l, r.Examples)
	}
	if l.Duplicated > l.Ambiguous {
		t.Errorf("%d messages duplicated, %d acknowledgements ambiguous: want at most as many (D6)", l.Duplicated, l.Ambiguous)
	}
	if r.Refused5xx > 0 {
		t.Errorf("%d sessions were refused for good, want none (V1); for example %q", r.Refused5xx, r.Examples)
	}
	if len(r.Unread) > 0 {
		t.Errorf("mailboxes could not be read at the end: %q", r.Unread)
	}
}

// wait sleeps in real time: whole processes know no other.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test ended while it waited")
	}
}

// D1, V1, V2, M5 with real processes: a node is killed under load and started again.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	c := startCluster(t, 3, 30)
	result := c.startLoad(30, 12*time.Second)
	wait(t, 3*time.Second)
	c.kill(2)
	c.await(1, "a view without the dead node", settled(2))
	wait(t, 2*time.Second)
	c.serve(2)
	c.await(1, "a view with the node back", func(s admin.Status) bool { return len(s.Members) == 3 })
	judge(t, <-result)
	c.await(3, "a cluster at rest", settled(3))
}

// M3, S2 with real processes: a fourth node started under load takes its share and gets mail.
func TestFourthNodeUnderLoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	c := startCluster(t, 3, 60)
	result := c.startLoad(60, 10*time.Second)
	wait(t, 2*time.Second)
	c.run("dev", "--add", "--dir", c.dir).awaitLine(t, "ready")
	c.load()
	s := c.await(4, "four members with a quarter of the buckets each", func(s admin.Status) bool {
		return len(s.Members) == 4 && s.IncompleteBuckets == 0
	})
	for _, m := range s.Members {
		if m.Buckets != 1024 {
			t.Errorf("node %s manages %d buckets, want 1024", m.Name, m.Buckets)
		}
	}
	report := <-result
	judge(t, report)
	if report.SMTPErrors+report.POP3Errors > 0 {
		t.Errorf("%d sessions broke while a node was added, want none; for example %q", report.SMTPErrors+report.POP3Errors, report.Examples)
	}
	metrics := get(t, "http://"+at(c.node(4).Ports.HTTP)+"/metrics")
	if strings.Contains(metrics, "\nporcupine_store_bytes_total 0\n") {
		t.Error("the new node got no mail")
	}
}

// D3, M2 with real processes: all nodes are killed at once under load and started in any order.
func TestKillAllUnderLoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	c := startCluster(t, 3, 30)
	before := c.await(1, "a cluster at rest", settled(3))
	result := c.startLoad(30, 8*time.Second)
	wait(t, 2*time.Second)
	for n := 1; n <= 3; n++ {
		c.kill(n)
	}
	for _, n := range []int{3, 1, 2} {
		c.serve(n)
	}
	c.await(2, "three members again", func(s admin.Status) bool { return len(s.Members) == 3 && s.IncompleteBuckets == 0 })
	judge(t, <-result)
	after := c.await(1, "a cluster at rest", settled(3))
	if before.Epoch == after.Epoch {
		t.Errorf("epoch %s before and after all nodes restarted, want a later one", after.Epoch)
	}
}
