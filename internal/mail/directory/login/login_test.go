package login

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/directory/credential"
)

var cheap = credential.Params{ArgonMemory: 64, ArgonTime: 1, NoSCRAM: true}

// fixture is a verifier with a clock of its own, and a count of the derivations it asked for.
type fixture struct {
	*Verifier
	now    time.Time
	opened atomic.Int64
	stored credential.Credential
}

func newFixture(t *testing.T, cfg Config) *fixture {
	t.Helper()
	f := &fixture{now: time.Unix(1e9, 0)}
	cfg.Decoy = cheap
	cfg.Now = func() time.Time { return f.now }
	f.Verifier = New(cfg)
	var err error
	if f.stored, err = credential.New("secret", cheap); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) attempt(password string) Attempt {
	return Attempt{User: "u@x.test", Service: "pop3", Mechanism: "password", Password: password, Profile: []byte("profile 1"),
		Remote: netip.MustParseAddr("192.0.2.1"),
		Open: func() (credential.Credential, bool, error) {
			f.opened.Add(1)
			return f.stored, true, nil
		}}
}

func kind(err error) string {
	if err == nil {
		return "ok"
	}
	return cluster.KindOf(err).String()
}

func TestVerifyRemembers(t *testing.T) {
	f := newFixture(t, Config{CacheTTL: time.Minute})
	ctx := context.Background()
	steps := []struct {
		name   string
		change func(*Attempt)
		wait   time.Duration
		err    string
		opened int64 // derivations so far
	}{
		{name: "the first is derived", err: "ok", opened: 1},
		{name: "the second is remembered", err: "ok", opened: 1},
		{name: "a wrong one is derived", change: func(a *Attempt) { a.Password = "wrong" }, err: "denied", opened: 2},
		{name: "and is not remembered", change: func(a *Attempt) { a.Password = "wrong" }, err: "denied", opened: 3},
		{name: "the right one still is", err: "ok", opened: 3},
		{name: "until a minute is over", wait: time.Minute, err: "ok", opened: 4},
		{name: "a changed profile is another", change: func(a *Attempt) { a.Profile = []byte("profile 2") }, err: "ok", opened: 5},
		{name: "a user that is gone is not remembered", change: func(a *Attempt) { a.Profile, a.Open = nil, nil }, err: "denied", opened: 5},
	}
	for _, s := range steps {
		f.now = f.now.Add(s.wait)
		a := f.attempt("secret")
		if s.change != nil {
			s.change(&a)
		}
		if err := f.Verify(ctx, a); kind(err) != s.err || f.opened.Load() != s.opened {
			t.Errorf("%s: Verify = %v after %d derivations, want %s after %d", s.name, err, f.opened.Load(), s.err, s.opened)
		}
	}
}

// What is remembered of one login serves no other user, service, mechanism or record.
func TestAttack14_CacheMixUp(t *testing.T) {
	f := newFixture(t, Config{})
	ctx := context.Background()
	if err := f.Verify(ctx, f.attempt("secret")); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Attempt){
		"user":      func(a *Attempt) { a.User = "v@x.test" },
		"service":   func(a *Attempt) { a.Service = "submission" },
		"mechanism": func(a *Attempt) { a.Mechanism = "PLAIN" },
		"profile":   func(a *Attempt) { a.Profile = []byte("profile 2") },
		"password":  func(a *Attempt) { a.Password = "secret " },
		"shifted":   func(a *Attempt) { a.User, a.Service = "u@x.testp", "op3" },
	} {
		a := f.attempt("secret")
		change(&a)
		before := f.opened.Load()
		if err := f.Verify(ctx, a); f.opened.Load() != before+1 {
			t.Errorf("another %s was not derived: %v", name, err)
		}
	}
	other := newFixture(t, Config{})
	if f.digest(f.attempt("secret")) == other.digest(f.attempt("secret")) {
		t.Error("two processes have the same key")
	}
}

// Equal attempts share a derivation, not the fate of the client that came first.
func TestTheFirstOfEqualAttemptsGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Derivations: 1})
		f.slots <- struct{}{} // others are being checked
		ctx, cancel := context.WithCancel(context.Background())
		errs := make(chan error, 4)
		go func() { errs <- f.Verify(ctx, f.attempt("secret")) }()
		synctest.Wait()
		for range 3 {
			go func() { errs <- f.Verify(context.Background(), f.attempt("secret")) }()
		}
		synctest.Wait()
		cancel()
		if err := <-errs; kind(err) != "unavailable" {
			t.Errorf("Verify of the client that went away = %v", err)
		}
		synctest.Wait()
		<-f.slots
		for range 3 {
			if err := <-errs; err != nil {
				t.Errorf("Verify of a client that stayed = %v", err)
			}
		}
		if n := f.opened.Load(); n != 1 {
			t.Errorf("%d derivations, want 1", n)
		}
	})
}

// Many clients of one user that come at once, all with the right password, are not guessing.
func TestManyEqualAttemptsAreOneTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Derivations: 1, FailuresMax: 3})
		f.slots <- struct{}{}
		errs := make(chan error, 20)
		for range cap(errs) {
			go func() { errs <- f.Verify(context.Background(), f.attempt("secret")) }()
		}
		synctest.Wait()
		<-f.slots
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Errorf("Verify = %v", err)
			}
		}
	})
}

// A user that may not log in is denied, and not remembered.
func TestDisabledAndCorrupt(t *testing.T) {
	f := newFixture(t, Config{})
	a := f.attempt("secret")
	a.Open = func() (credential.Credential, bool, error) { return f.stored, false, nil }
	for range 2 {
		if err := f.Verify(context.Background(), a); kind(err) != "denied" {
			t.Errorf("Verify of a disabled user = %v", err)
		}
	}
	a.Open = func() (credential.Credential, bool, error) { return f.stored, true, errors.New("bad json") }
	if err := f.Verify(context.Background(), a); kind(err) != "corrupt" {
		t.Errorf("Verify of a corrupt profile = %v", err)
	}
	a.Open = func() (credential.Credential, bool, error) { return credential.Credential{Password: "x"}, true, nil }
	if err := f.Verify(context.Background(), a); kind(err) != "corrupt" {
		t.Errorf("Verify of a corrupt record = %v", err)
	}
}

func TestAttack09_FailuresAreCountedAndForgiven(t *testing.T) {
	f := newFixture(t, Config{FailuresMax: 3, FailureTTL: time.Minute})
	ctx := context.Background()
	want := func(step, password, err string) {
		t.Helper()
		if got := f.Verify(ctx, f.attempt(password)); kind(got) != err {
			t.Errorf("%s: Verify = %v, want %s", step, got, err)
		}
	}
	for range 3 {
		want("guess", "wrong", "denied")
	}
	want("guess too many", "wrong", "limit")
	want("not even the right one", "secret", "limit")
	f.now = f.now.Add(time.Minute)
	want("one is forgiven", "wrong", "denied")
	want("and used", "wrong", "limit")
	f.now = f.now.Add(time.Minute)
	want("the right one", "secret", "ok")
	for range 3 {
		want("forgives all", "wrong", "denied")
	}
	want("guess too many again", "wrong", "limit")
	want("what is remembered needs no guess", "secret", "ok")
	a := f.attempt("secret")
	a.Remote = netip.MustParseAddr("192.0.2.2")
	a.Service = "submission" // so that it is derived
	if err := f.Verify(ctx, a); err != nil {
		t.Errorf("another network = %v", err)
	}
}

// Many logins at once: few derivations run, some wait, the rest is sent away, and memory stays.
func TestAttack12_ManyLoginsAtOnce(t *testing.T) {
	f := newFixture(t, Config{Derivations: 2, QueueMax: 10})
	// A record as costly as the real ones: 19 MiB each.
	stored, err := credential.New("secret", credential.Params{NoSCRAM: true})
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	var running, runningMax, finished atomic.Int64
	var wg sync.WaitGroup
	results := make([]error, 1000)
	for i := range results {
		a := f.attempt("secret")
		a.User = fmt.Sprintf("u%d@x.test", i)
		a.Open = func() (credential.Credential, bool, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for {
				m := runningMax.Load()
				if n <= m || runningMax.CompareAndSwap(m, n) {
					break
				}
			}
			<-release
			return stored, true, nil
		}
		wg.Go(func() {
			defer finished.Add(1)
			results[i] = f.Verify(context.Background(), a)
		})
	}
	for finished.Load() < int64(len(results)-cap(f.queue)) { // all places are taken: the rest is sent away
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	counts := map[string]int{}
	for _, err := range results {
		counts[kind(err)]++
	}
	if counts["ok"] != 12 || counts["limit"] != len(results)-12 {
		t.Errorf("results %v: want 12 ok, the rest limit", counts)
	}
	if runningMax.Load() > 2 {
		t.Errorf("%d derivations ran at once, want at most 2", runningMax.Load())
	}
	if stats.HeapSys > 200<<20 {
		t.Errorf("the heap grew to %d MiB", stats.HeapSys>>20)
	}
}

// Equal attempts that come together share one derivation.
func TestFlights(t *testing.T) {
	f := newFixture(t, Config{Derivations: 1})
	started, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	errs := make([]error, 20)
	a := f.attempt("secret")
	a.Open = func() (credential.Credential, bool, error) {
		f.opened.Add(1)
		close(started)
		<-release
		return f.stored, true, nil
	}
	wg.Go(func() { errs[0] = f.Verify(context.Background(), a) })
	<-started
	for i := range errs[1:] {
		wg.Go(func() { errs[i+1] = f.Verify(context.Background(), a) })
	}
	close(release)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("attempt %d = %v", i, err)
		}
	}
	if f.opened.Load() != 1 {
		t.Errorf("%d derivations, want 1", f.opened.Load())
	}
}

// An attempt that comes to its derivation when an equal one has just ended uses the verdict.
func TestLateEqualAttempt(t *testing.T) {
	f := newFixture(t, Config{})
	a := f.attempt("secret")
	if err := f.Verify(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := f.derive(t.Context(), f.digest(a), a); err != nil || f.opened.Load() != 1 {
		t.Errorf("derive = %v after %d derivations, want one", err, f.opened.Load())
	}
}

func TestContextEndsTheWait(t *testing.T) {
	f := newFixture(t, Config{Derivations: 1})
	f.slots <- struct{}{} // taken
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Verify(ctx, f.attempt("secret")); kind(err) != "unavailable" {
		t.Errorf("Verify = %v, want unavailable", err)
	}
	<-f.slots
	if err := f.Verify(context.Background(), f.attempt("secret")); err != nil {
		t.Errorf("Verify afterwards = %v", err)
	}
}

// Where hashing is swamped an attempt waits for WaitMax and is then sent away for the moment, which is no failure of its
// user; equal attempts that came later wait for their own time (attack 12).
func TestAttack12_WaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Derivations: 1, FailuresMax: 2})
		f.slots <- struct{}{} // it is taken, and stays so
		began := time.Now()
		type end struct {
			err  error
			took time.Duration
		}
		ends := make(chan end, 3)
		verify := func(a Attempt) { err := f.Verify(context.Background(), a); ends <- end{err, time.Since(began)} }
		go verify(f.attempt("secret"))
		time.Sleep(WaitMaxDefault / 2) //nolint // in a bubble
		go verify(f.attempt("secret"))
		other := f.attempt("secret")
		other.User = "v@x.test"
		go verify(other)
		for i, want := range []time.Duration{WaitMaxDefault, WaitMaxDefault * 3 / 2, WaitMaxDefault * 3 / 2} {
			if e := <-ends; kind(e.err) != "limit" || e.took != want {
				t.Errorf("attempt %d: Verify = %v after %v, want limit after %v", i, e.err, e.took, want)
			}
		}
		<-f.slots
		synctest.Wait()
		if len(f.queue) != 0 || len(f.flights) != 0 || f.opened.Load() != 0 {
			t.Errorf("%d in the queue, %d flights, %d derivations; want none", len(f.queue), len(f.flights), f.opened.Load())
		}
		for range 3 { // no failure was counted
			a := f.attempt("secret")
			a.Profile = []byte(time.Now().String())
			if err := f.Verify(context.Background(), a); err != nil {
				t.Errorf("Verify afterwards = %v", err)
			}
		}
	})
}

// The memory of logins and of failures is bounded.
func TestMemoryIsBounded(t *testing.T) {
	f := newFixture(t, Config{CacheMax: 10, AccountsMax: 10})
	for i := range 100 {
		a := f.attempt("secret")
		a.User = fmt.Sprint(i)
		if err := f.Verify(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		a.Password = "wrong"
		if err := f.Verify(context.Background(), a); kind(err) != "denied" {
			t.Fatal(err)
		}
	}
	if len(f.verified) > 10 || len(f.failures) > 10 || len(f.flights) != 0 {
		t.Errorf("%d logins, %d failures, %d flights are kept, want at most 10, 10, 0", len(f.verified), len(f.failures), len(f.flights))
	}
}

func BenchmarkVerifyRemembered(b *testing.B) {
	v := New(Config{Decoy: cheap})
	stored, err := credential.New("secret", cheap)
	if err != nil {
		b.Fatal(err)
	}
	a := Attempt{User: "u@x.test", Service: "pop3", Mechanism: "password", Password: "secret", Profile: make([]byte, 700),
		Open: func() (credential.Credential, bool, error) { return stored, true, nil }}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Verify(context.Background(), a); err != nil {
			b.Fatal(err)
		}
	}
}
