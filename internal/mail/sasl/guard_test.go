package sasl_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/sasl"
)

func newGuard(t *testing.T, cfg sasl.GuardConfig) *sasl.Guard {
	t.Helper()
	g, err := sasl.NewGuard(cfg)
	if err != nil {
		t.Fatalf("NewGuard(%+v): %v", cfg, err)
	}
	return g
}

// try makes one attempt and tells how long it was kept waiting; refused ones give -1.
func try(t *testing.T, g *sasl.Guard, from, login string, o sasl.Outcome) time.Duration {
	t.Helper()
	began := time.Now()
	a, err := g.Admit(context.Background(), clientFrom(from), login)
	if err != nil {
		if !cluster.IsKind(err, cluster.KindLimit) {
			t.Fatalf("Admit = %v, want a limit", err)
		}
		return -1
	}
	a.Done(o)
	return time.Since(began)
}

// TestAttack09 plays stories: who tries, how it ends, and the seconds it waited for its turn.
func TestAttack09_Delays(t *testing.T) {
	const (
		ok, bad, dunno = sasl.Succeeded, sasl.Failed, sasl.Undecided
		ip1, ip2       = "192.0.2.1", "192.0.2.2"
		pause          = "pause" // instead of an address: let the minutes in wait pass
	)
	type step struct {
		from, login string
		outcome     sasl.Outcome
		wait        int // seconds
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"grows from 2 to 15 s", []step{
			{ip1, "a", bad, 0}, {ip1, "a", bad, 2}, {ip1, "a", bad, 4}, {ip1, "a", bad, 8}, {ip1, "a", bad, 15}, {ip1, "a", bad, 15}}},
		{"other network, other account: nothing", []step{{ip1, "a", bad, 0}, {ip2, "b", bad, 0}}},
		{"spraying: other accounts wait as well", []step{{ip1, "a", bad, 0}, {ip1, "b", bad, 2}, {ip1, "c", bad, 4}}},
		{"one account from many networks", []step{{ip1, "a", bad, 0}, {ip2, "A", bad, 2}, {"192.0.2.3", "a", bad, 4}}},
		{"one account, however it is written", []step{
			{ip1, "a@x.test", bad, 0}, {ip2, `"a"@X.test`, bad, 2}, {"192.0.2.3", `"\a"@x.test.`, bad, 4}}},
		{"success resets", []step{{ip1, "a", bad, 0}, {ip1, "a", bad, 2}, {ip1, "a", ok, 4}, {ip1, "a", ok, 0}, {ip2, "a", ok, 0}}},
		{"success with an own account clears no other's failures", []step{
			{ip1, "a", bad, 0}, {ip1, "mine", ok, 2}, {ip1, "a", bad, 2}, {ip1, "mine", ok, 0}, {ip1, "a", bad, 4}, {ip1, "mine", ok, 0}, {ip1, "a", bad, 8}}},
		{"owner is not slowed where he is known", []step{
			{ip1, "a", ok, 0}, {ip2, "a", bad, 0}, {ip2, "a", bad, 2}, {ip2, "a", bad, 4}, {ip1, "a", ok, 0}}},
		{"but guessing there is", []step{{ip1, "a", ok, 0}, {ip1, "a", bad, 0}, {ip1, "a", bad, 2}, {ip1, "a", bad, 4}}},
		{"what decides nothing costs nothing", []step{{ip1, "a", dunno, 0}, {ip1, "a", dunno, 0}}},
		{"forgotten after a while", []step{{ip1, "a", bad, 0}, {ip1, "a", bad, 2}, {pause, "", ok, 16}, {ip1, "a", bad, 0}}},
		{"IPv6: one /64 is one", []step{{"2001:db8::1", "a", bad, 0}, {"2001:db8::2", "b", bad, 2}, {"2001:db8:0:1::1", "c", bad, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuard(t, sasl.GuardConfig{})
				for i, s := range tt.steps {
					if s.from == pause {
						time.Sleep(time.Duration(s.wait) * time.Minute)
						continue
					}
					if got := try(t, g, s.from, s.login, s.outcome); got != time.Duration(s.wait)*time.Second {
						t.Fatalf("step %d: %s as %s waited %v, want %d s", i, s.from, s.login, got, s.wait)
					}
				}
			})
		})
	}
}

func TestAttack09_IPv6SiteIsSlowedAfterManyFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, sasl.GuardConfig{})
		var waits []time.Duration
		for i := range 20 { // another /64 of one /48, another account, every time
			waits = append(waits, try(t, g, fmt.Sprintf("2001:db8:0:%x::1", i), fmt.Sprint("user", i), sasl.Failed))
		}
		for i, w := range waits {
			want := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second}
			switch {
			case i <= 16 && w != 0:
				t.Errorf("attempt %d waited %v, want 0", i, w)
			case i > 16 && w != want[i-17]:
				t.Errorf("attempt %d waited %v, want %v", i, w, want[i-17])
			}
		}
	})
}

// TestAttack09_ManyGuesses is the criterion of row 9 for one node: ten thousand guesses over
// many connections, and how many passwords are looked at.
func TestAttack09_ManyGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newUsers()
		a := newAuth(t, sasl.Config{Backend: b})
		var wg sync.WaitGroup
		began := time.Now()
		for i := range 10_000 {
			wg.Go(func() {
				_, err := a.Login(context.Background(), clientFrom("192.0.2.66"), alice, fmt.Sprint("guess", i))
				if k := cluster.KindOf(err); k != cluster.KindDenied && k != cluster.KindLimit {
					t.Errorf("Login = %v, want denied or limit", err)
				}
			})
		}
		synctest.Wait()
		// The owner, from elsewhere, gets in meanwhile.
		if _, err := a.Login(context.Background(), clientFrom("192.0.2.1"), alice, password); err != nil {
			t.Errorf("the owner's Login = %v", err)
		}
		wg.Wait()
		bound := sasl.GuardPerNetworkMaxDefault + 1 + 3
		if n := b.evaluated(); n > bound {
			t.Errorf("%d passwords were looked at in %v, want at most %d", n, time.Since(began), bound)
		}
		if d := time.Since(began); d > sasl.GuardWaitMaxDefault {
			t.Errorf("the last attempt was answered after %v, want within %v", d, sasl.GuardWaitMaxDefault)
		}
	})
}

// slow is a Backend whose every check takes 100 ms.
type slow struct {
	users
	now, most atomic.Int64
}

func (s *slow) Authenticate(context.Context, mail.Client, string, string) (mail.User, error) {
	n := s.now.Add(1)
	for m := s.most.Load(); n > m && !s.most.CompareAndSwap(m, n); m = s.most.Load() {
	}
	time.Sleep(100 * time.Millisecond)
	s.now.Add(-1)
	return alice, nil
}

func TestAttack12_ThousandParallelLoginsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slow{}
		a := newAuth(t, sasl.Config{Backend: b})
		var wg sync.WaitGroup
		var in atomic.Int64
		for i := range 1000 {
			wg.Go(func() {
				c := clientFrom("192.0.2.1")
				c.Remote = netip.AddrFrom4([4]byte{10, 0, byte(i >> 4), byte(i)})
				if _, err := a.Login(context.Background(), c, alice, password); err == nil {
					in.Add(1)
				}
			})
		}
		wg.Wait()
		if b.most.Load() != sasl.GuardParallelMaxDefault || in.Load() != 1000 {
			t.Errorf("%d checks at once, %d logins, want %d and 1000", b.most.Load(), in.Load(), sasl.GuardParallelMaxDefault)
		}
	})
}

func TestGuardQueueAndContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, sasl.GuardConfig{ParallelMax: 1, QueueMax: 1})
		first, err := g.Admit(context.Background(), clientFrom("192.0.2.1"), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		errs := make(chan error, 1)
		go func() {
			_, err := g.Admit(ctx, clientFrom("192.0.2.1"), "a")
			errs <- err
		}()
		synctest.Wait()
		if _, err := g.Admit(context.Background(), clientFrom("192.0.2.2"), "b"); !cluster.IsKind(err, cluster.KindLimit) {
			t.Errorf("Admit beyond the queue = %v, want a limit", err)
		}
		cancel()
		if err := <-errs; !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Admit with a cancelled context = %v, want unavailable", err)
		}
		first.Done(sasl.Succeeded)
		if d := try(t, g, "192.0.2.3", "c", sasl.Succeeded); d != 0 {
			t.Errorf("a slot was lost: waited %v", d)
		}
	})
}

func TestGuardMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, sasl.GuardConfig{EntriesMax: 4})
		try(t, g, "192.0.2.1", "a", sasl.Failed) // three entries: network, account, both
		try(t, g, "192.0.2.2", "b", sasl.Failed) // pushes two of them out
		try(t, g, "192.0.2.3", "c", sasl.Failed)
		if d := try(t, g, "192.0.2.1", "a", sasl.Failed); d != 0 {
			t.Errorf("waited %v: more than EntriesMax is remembered", d)
		}
	})
}

func TestAttack26_GuardLimits(t *testing.T) {
	for _, cfg := range []sasl.GuardConfig{{EntriesMax: -1}, {ParallelMax: -1}, {WaitMax: -1}} {
		if _, err := sasl.NewGuard(cfg); err == nil {
			t.Errorf("NewGuard(%+v) succeeded, want an error", cfg)
		}
	}
}
