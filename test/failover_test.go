package test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/dev"
)

// outcomes are the deliveries to one user while a node dies.
type outcomes struct {
	mu    sync.Mutex
	tries []try
}

// servedSince reports whether a delivery that began after that moment succeeded.
func (o *outcomes) servedSince(moment time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.tries, func(t try) bool { return t.err == nil && t.began.After(moment) })
}

// failoverMax is the longest that a user may wait on a busy machine.
const failoverMax = 15 * time.Second

type try struct {
	began, ended time.Time
	err          error
}

func (o *outcomes) add(t try) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tries = append(o.tries, t)
}

// managers finds out which node manages each user: the one that gives the lock of the mailbox.
func managers(t *testing.T, c *clusterUnderTest, users int) []int {
	t.Helper()
	found := make([]int, users)
	for u := range users {
		before := locks(t, c)
		pop := popDial(t, at(c.node(1).Ports.POP3), fmt.Sprintf("u%d@%s", u, dev.Domain), dev.Password)
		for n, held := range locks(t, c) {
			if held > before[n] {
				found[u] = n + 1
			}
		}
		pop.ok("QUIT")
		pop.conn.Close()
		if found[u] == 0 {
			t.Fatalf("nobody gave the lock of u%d", u)
		}
		for !slices.Equal(locks(t, c), before) { // QUIT is answered before the lock is back
			wait(t, 2*time.Millisecond)
		}
	}
	return found
}

func locks(t *testing.T, c *clusterUnderTest) []float64 {
	t.Helper()
	var held []float64
	for _, n := range c.state.Nodes {
		held = append(held, metric(t, n.Ports.HTTP, "porcupine_maildrop_locks_given"))
	}
	return held
}

// V1, M5 and the failover: a manager is killed with SIGKILL while mail comes in for all users at
// the other two nodes. No mail is refused for good; users of the other managers see no error at all;
// for the dead node's users the time from the kill to the first delivery that began after it is
// measured.
func TestFailoverTime(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a node under load")
	}
	const users = 24
	kills := killsWanted(t)
	c := startCluster(t, 3, users)
	var affected []time.Duration
	var others []time.Duration
	for round := range kills {
		victim := 2 + round%2 // node 1 always lives: it tells how the others are
		c.await(1, "a cluster at rest", settled(3))
		managed := managers(t, c, users)
		all := make([]*outcomes, users)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for u := range users {
			all[u] = &outcomes{}
			wg.Go(func() { c.deliverAgainAndAgain(ctx, u, victim, all[u]) })
		}
		wait(t, time.Second)
		killed := time.Now()
		c.kill(victim)
		for time.Since(killed) < failoverMax && slices.ContainsFunc(all, func(o *outcomes) bool { return !o.servedSince(killed) }) {
			wait(t, 50*time.Millisecond)
		}
		wait(t, time.Second) // errors of users that were served at once would come now
		stop()
		wg.Wait()
		for u, o := range all {
			took := judgeFailover(t, u, o, killed, managed[u] == victim)
			if managed[u] == victim {
				affected = append(affected, took)
			} else {
				others = append(others, took)
			}
		}
		c.serve(victim)
		c.await(1, "the node is back", settled(3))
	}
	for name, took := range map[string][]time.Duration{"users of the dead manager": affected, "all others": others} {
		slices.Sort(took)
		if len(took) == 0 {
			t.Fatalf("no samples of %s", name)
		}
		t.Logf("%s: %d samples, from the kill to the first delivery p50 %v, p99 %v, max %v", name, len(took),
			took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	}
	if worst := affected[len(affected)-1]; worst > failoverMax {
		t.Errorf("the slowest user waited %v", worst)
	}
}

// killsWanted is how many nodes are killed: PORCUPINE_KILLS, or a few.
func killsWanted(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PORCUPINE_KILLS")
	if text == "" {
		if manyClusters() {
			return 20
		}
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("PORCUPINE_KILLS = %q: want a number from 1 on", text)
	}
	return n
}

// deliverAgainAndAgain sends to one user by the nodes that will live.
func (c *clusterUnderTest) deliverAgainAndAgain(ctx context.Context, user, victim int, o *outcomes) {
	ports := []int{c.node(1).Ports.SMTP, c.node(5 - victim).Ports.SMTP}
	for i := 0; ctx.Err() == nil; i++ {
		x := try{began: time.Now()}
		conn, err := dialFrom(context.WithoutCancel(ctx), "", ports[i%2])
		if err == nil {
			err = errors.Join(conn.SetDeadline(time.Now().Add(clientPatience)), deliver(conn, fmt.Sprintf("u%d@%s", user, dev.Domain), []byte("Subject: x\r\n\r\nx\r\n")))
			conn.Close()
		}
		x.err, x.ended = err, time.Now()
		o.add(x)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// judgeFailover gives the time from the kill to the end of the first good delivery that began after it.
func judgeFailover(t *testing.T, user int, o *outcomes, killed time.Time, managedByDead bool) time.Duration {
	t.Helper()
	var first time.Duration
	for _, x := range o.tries {
		var refusal *smtpRefusal
		switch {
		case x.err == nil && first == 0 && x.began.After(killed):
			first = x.ended.Sub(killed)
		case x.err == nil:
		case errors.As(x.err, &refusal) && strings.HasPrefix(refusal.reply, "5"):
			t.Errorf("u%d was refused for good: %v", user, x.err)
		case !managedByDead || x.ended.Before(killed):
			var nerr net.Error
			t.Errorf("u%d, of a living manager, had an error %v after the kill: %v (time-out %v)", user, x.ended.Sub(killed), x.err, errors.As(x.err, &nerr) && nerr.Timeout())
		}
	}
	if first == 0 {
		first = time.Hour
	}
	return first
}
