package test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/dev"
)

// tryLogin makes one POP3 login from that address and gives the reply to PASS and the time of it.
func tryLogin(ctx context.Context, from string, port int, user, password string) (reply string, took time.Duration, err error) {
	conn, err := dialFrom(ctx, from, port)
	if err != nil {
		return "", 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * clientPatience)); err != nil {
		return "", 0, err
	}
	s := &smtpSender{conn: conn} // the replies are lines, as there
	if err := errors.Join(s.step("greeting", "", "+OK"), s.step("USER", "USER "+user, "+OK")); err != nil {
		return "", 0, err
	}
	began := time.Now()
	if _, err := conn.Write([]byte("PASS " + password + "\r\n")); err != nil {
		return "", 0, err
	}
	reply, err = s.reply()
	return reply, time.Since(began), err
}

// TestAttack10_KnownAndUnknownUsersLookAlike: the reply to a wrong password has the same bytes whether
// the user exists or not; the times are compared and logged.
func TestAttack10_KnownAndUnknownUsersLookAlike(t *testing.T) {
	needManyAddresses(t)
	samples := 40
	if manyClusters() {
		samples = 500
	}
	n := startNode(t, "[auth]\nallow_plaintext = true\n")
	n.users(samples)
	replies := map[string]bool{}
	var known, unknown []float64
	for i := range samples {
		// Each attempt has an account and an address of its own: no delay of an earlier failure.
		for j, user := range []string{"u", "v"} {
			if i%2 == 1 { // neither is always the first
				j, user = 1-j, []string{"v", "u"}[j]
			}
			from := fmt.Sprintf("127.1.%d.%d", 2*(i/250)+j, 1+i%250)
			reply, took, err := tryLogin(t.Context(), from, n.ports.POP3, fmt.Sprintf("%s%d@%s", user, i, dev.Domain), "wrong")
			if err != nil {
				t.Fatal(err)
			}
			replies[reply] = true
			if user == "u" {
				known = append(known, took.Seconds()*1000)
			} else {
				unknown = append(unknown, took.Seconds()*1000)
			}
		}
	}
	if len(replies) != 1 {
		t.Errorf("replies differ: %v", replies)
	}
	mk, mu := median(known), median(unknown)
	t.Logf("%d samples each: median known %.2f ms, unknown %.2f ms (%+.1f %%), Welch t = %.2f", samples, mk, mu, 100*(mu-mk)/mk, welch(known, unknown))
	if d := math.Abs(mu-mk) / mk; d > 0.5 { // generous: this machine may be busy
		t.Errorf("the medians differ by %.0f %%", 100*d)
	}
	// SCRAM: an unknown user gets a salt and iterations too, and always the same ones.
	first := map[string]string{}
	for range 2 {
		for _, user := range []string{"u0", "nobody"} {
			l := dialLine(t, "", n.ports.POP3)
			challenge := l.must("AUTH SCRAM-SHA-256 "+encode("n,,n="+user+"@"+dev.Domain+",r=fyko+d2lbbFgONRv9qkxdawL"), "+ ")
			_, salt, ok := strings.Cut(decode(t, strings.TrimPrefix(challenge, "+ ")), ",s=")
			if !ok || !strings.Contains(salt, ",i=600000") {
				t.Errorf("SCRAM for %s: challenge %q", user, challenge)
			}
			if first[user] == "" {
				first[user] = salt
			} else if first[user] != salt {
				t.Errorf("SCRAM for %s: salt and iterations %q, then %q", user, first[user], salt)
			}
			l.conn.Close()
		}
	}
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	return s[len(s)/2]
}

// welch gives the t statistic of two samples of unequal variance.
func welch(a, b []float64) float64 {
	moments := func(x []float64) (mean, variance float64) {
		for _, v := range x {
			mean += v / float64(len(x))
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / float64(len(x)-1)
		}
		return mean, variance
	}
	ma, va := moments(a)
	mb, vb := moments(b)
	return (ma - mb) / math.Sqrt(va/float64(len(a))+vb/float64(len(b)))
}

// TestAttack12_ParallelLogins: a thousand logins with wrong passwords at once, from many addresses,
// against two nodes: memory grows by 200 MiB at most. A user who logged in before from the same
// address gets in at once; one who comes from nowhere is told to try again at worst, and gets in
// when the flood is over.
func TestAttack12_ParallelLogins(t *testing.T) {
	needManyAddresses(t)
	attempts, growthMax := 200, int64(200<<20)
	if manyClusters() {
		attempts = 1000
	}
	c := startCluster(t, 2, 20)
	c.await(1, "a cluster at rest", settled(2))
	login := func(from, user string) (reply string, took time.Duration) {
		t.Helper()
		began := time.Now()
		reply, _, err := tryLogin(t.Context(), from, c.node(1).Ports.POP3, user+"@"+dev.Domain, dev.Password)
		if err != nil {
			t.Errorf("%s: %v", user, err)
		}
		return reply, time.Since(began).Round(time.Millisecond)
	}
	if reply, _ := login("127.3.0.1", "u0"); !strings.HasPrefix(reply, "+OK") {
		t.Fatalf("before the flood: %q", reply)
	}
	var stops []func() int64
	for n := 1; n <= 2; n++ {
		stops = append(stops, watchMemory(t, c.pid(n), c.node(n).Dir))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	replies := map[string]int{}
	for i := range attempts {
		wg.Go(func() {
			reply, _, err := tryLogin(t.Context(), fmt.Sprintf("127.2.%d.%d", i/250, 1+i%250), c.node(1+i%2).Ports.POP3,
				fmt.Sprintf("u%d@%s", 2+i%18, dev.Domain), fmt.Sprintf("wrong%d", i))
			if err != nil {
				reply = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			replies[reply]++
		})
	}
	began := time.Now()
	wait(t, 500*time.Millisecond)
	if reply, took := login("127.3.0.1", "u0"); !strings.HasPrefix(reply, "+OK") {
		t.Errorf("a user who was here before got %q after %v", reply, took)
	} else {
		t.Logf("a user who was here before: in after %v", took)
	}
	for {
		reply, took := login("127.3.0.2", "u1")
		t.Logf("a user from nowhere: %q after %v", reply, took)
		if strings.HasPrefix(reply, "+OK") {
			break
		}
		if !strings.Contains(reply, "SYS/TEMP") || time.Since(began) > 3*time.Minute {
			t.Errorf("a user from nowhere got %q", reply)
			break
		}
	}
	wg.Wait()
	t.Logf("%d attempts took %v; replies: %v", attempts, time.Since(began).Round(time.Millisecond), replies)
	for i, stop := range stops {
		growth := stop()
		t.Logf("node %d grew by %.1f MiB", i+1, float64(growth)/(1<<20))
		if growth > growthMax {
			t.Errorf("node %d grew by %d MiB, want at most %d", i+1, growth>>20, growthMax>>20)
		}
	}
	for reply := range replies {
		if strings.HasPrefix(reply, "+OK") {
			t.Errorf("a wrong password was taken: %q", reply)
		}
	}
}

// TestAttack47_Quota: a user's limits hold on every node, are lifted by deleting, and a session that
// says beforehand that it brings too much is told so at once.
func TestAttack47_Quota(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, 2)
	client := admin.NewClient(c.node(1).Dir + "/" + admin.SocketName)
	messages, size := int64(3), int64(1<<20)
	if err := client.EditUser(t.Context(), "u0@"+dev.Domain, admin.UserChange{QuotaMessages: &messages}); err != nil {
		t.Fatal(err)
	}
	if err := client.EditUser(t.Context(), "u1@"+dev.Domain, admin.UserChange{QuotaBytes: &size}); err != nil {
		t.Fatal(err)
	}
	l := dialLine(t, "", c.node(1).Ports.SMTP)
	l.must("EHLO client.example", "250")
	if reply := l.ask("MAIL FROM:<a@sender.example> SIZE=99999999999"); !strings.HasPrefix(reply, "552") {
		t.Errorf("MAIL with a SIZE over the node's limit = %q, want 552", reply)
	}
	large := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("a", 76)+"\r\n", 2<<20/78)
	if err := trySend(at(c.node(1).Ports.SMTP), "u1@example.test", large); err == nil {
		t.Error("a message of 2 MiB was taken into a mailbox of 1 MiB")
	}
	send(t, at(c.node(2).Ports.SMTP), "u1@example.test", "Subject: small\r\n\r\nx\r\n")
	if n := popDial(t, at(c.node(1).Ports.POP3), "u1@example.test", dev.Password).count(); n != 1 {
		t.Errorf("u1 has %d messages, want the small one", n)
	}
	for i := range 3 {
		send(t, at(c.node(1+i%2).Ports.SMTP), "u0@example.test", "Subject: x\r\n\r\nx\r\n")
	}
	awaitCount(t, client, "u0@"+dev.Domain, 3)
	for n := 1; n <= 2; n++ {
		err := trySend(at(c.node(n).Ports.SMTP), "u0@example.test", "Subject: x\r\n\r\nx\r\n")
		if err == nil || !strings.Contains(err.Error(), "2.2") {
			t.Errorf("node %d: a fourth message of three = %v, want x.2.2 (mailbox full)", n, err)
		}
	}
	pop := popDial(t, at(c.node(2).Ports.POP3), "u0@example.test", dev.Password)
	pop.ok("DELE 1")
	pop.ok("QUIT")
	awaitCount(t, client, "u0@"+dev.Domain, 2)
	send(t, at(c.node(2).Ports.SMTP), "u0@example.test", "Subject: x\r\n\r\nx\r\n")
}

// awaitCount waits until the user's manager counts so many messages.
func awaitCount(t *testing.T, client *admin.Client, address string, want int64) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		users, err := client.ListUsers(t.Context(), "", admin.PageMax)
		if err != nil {
			t.Fatal(err)
		}
		var got int64
		for _, u := range users {
			if u.Address == address {
				got = u.Messages
			}
		}
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the manager of %s counts %d messages, want %d", address, got, want)
		}
		wait(t, 50*time.Millisecond)
	}
}
