package turnstile

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
)

// entered takes n turns that must come at once.
func entered(t *testing.T, ts *Turnstile, n int) (leave []func(bool)) {
	t.Helper()
	for range n {
		waited, l, err := ts.Enter(t.Context())
		if waited || err != nil {
			t.Fatalf("Enter = %v, %v; want a turn at once", waited, err)
		}
		leave = append(leave, l)
	}
	return leave
}

// line fills the line with n who wait, and gives what becomes of each.
func line(t *testing.T, ts *Turnstile, n int) <-chan error { return lineOf(t, n, ts.Enter) }

func lineOf(t *testing.T, n int, enter func(context.Context) (bool, func(bool), error)) <-chan error {
	results := make(chan error, n)
	for range n {
		go func() {
			_, leave, err := enter(t.Context())
			if err == nil {
				leave(true)
			}
			results <- err
		}()
	}
	synctest.Wait()
	return results
}

func TestTurnsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := New(Config{})
		leave := entered(t, ts, LimitFirst)
		order := make(chan int, 3)
		for i := range 3 {
			go func() {
				waited, leave, err := ts.Enter(t.Context())
				if !waited || err != nil {
					t.Errorf("Enter = %v, %v; want a turn after a wait", waited, err)
					return
				}
				order <- i
				leave(true)
			}()
			synctest.Wait()
		}
		leave[0](true) // lets the first in, whose end lets the next in
		for want := range 3 {
			if got := <-order; got != want {
				t.Errorf("turn of %d, want %d", got, want)
			}
		}
		if f := ts.Figures(); f.Inside != LimitFirst-1 || f.Waiting != 0 {
			t.Errorf("%d inside, %d waiting; want %d and 0", f.Inside, f.Waiting, LimitFirst-1)
		}
	})
}

// However many are patient, the others find their line empty, and get three turns of four; nor do the patient starve.
func TestThePatientDoNotFillTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := New(Config{})
		inside := entered(t, ts, LimitFirst)
		order := make(chan string, 2*LimitFirst)
		enter := func(who string, enter func(context.Context) (bool, func(bool), error)) {
			go func() {
				if _, _, err := enter(t.Context()); err == nil {
					order <- who
				}
			}()
			synctest.Wait()
		}
		for range LimitMax {
			enter("p", ts.EnterPatiently)
		}
		if err := <-lineOf(t, 1, ts.EnterPatiently); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("patient in a full line: %v", err)
		}
		if !ts.AdmitsConnection() || !ts.AdmitsMessage() {
			t.Error("the patient keep connections or messages out")
		}
		for range 6 {
			enter("m", ts.Enter)
		}
		if f := ts.Figures(); f.Waiting != LimitMax+6 {
			t.Errorf("%d wait, want %d", f.Waiting, LimitMax+6)
		}
		var got strings.Builder
		for i := range 10 {
			inside[i](true)
			got.WriteString(<-order)
		}
		if want := "mmmpmmmppp"; got.String() != want {
			t.Errorf("turns of %s, want %s", &got, want)
		}
	})
}

// The patient wait for as long as they like, however low the limit is, and leave the line when they give up.
func TestThePatientWaitUntilTheyGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := New(Config{})
		inside := entered(t, ts, LimitFirst)
		first := lineOf(t, 1, ts.EnterPatiently)
		ctx, cancel := context.WithTimeout(t.Context(), 20*WaitMaxDefault)
		defer cancel()
		began := time.Now()
		waited, _, err := ts.EnterPatiently(ctx)
		if !waited || !cluster.IsKind(err, cluster.KindUnavailable) || time.Since(began) != 20*WaitMaxDefault {
			t.Errorf("EnterPatiently = %v, %v after %v; want KindUnavailable when ctx ends", waited, err, time.Since(began))
		}
		if f := ts.Figures(); f.Waiting != 1 || f.Refused != (Refused{Late: 1}) {
			t.Errorf("figures %+v, want one who waits and one who was late", f)
		}
		inside[0](true)
		if err := <-first; err != nil {
			t.Errorf("the one who waited on: %v", err)
		}
	})
}

// Nobody else waits for longer than WaitMax, and who is sent away is not counted as waiting.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := New(Config{})
		entered(t, ts, LimitFirst)
		began := time.Now()
		err := <-line(t, ts, 1)
		if !cluster.IsKind(err, cluster.KindUnavailable) || time.Since(began) != WaitMaxDefault {
			t.Errorf("Enter = %v after %v, want KindUnavailable after %v", err, time.Since(began), WaitMaxDefault)
		}
		if f := ts.Figures(); f.Waiting != 0 || f.Refused.Late != 1 || f.Waited != WaitMaxDefault {
			t.Errorf("figures %+v, want one who was late", f)
		}
	})
}

func TestCallerThatGoesLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := New(Config{})
		leave := entered(t, ts, LimitFirst)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() {
			_, _, err := ts.Enter(ctx)
			result <- err
		}()
		synctest.Wait()
		leave[0](true) // its turn comes at the moment at which it goes
		cancel()
		if err := <-result; err != nil && !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Enter = %v, want KindUnavailable", err)
		}
		for _, l := range leave[1:] {
			l(true)
		}
		if f := ts.Figures(); f.Inside > 1 || f.Waiting != 0 {
			t.Errorf("figures %+v, want nobody but perhaps one inside", f)
		}
	})
}

// Fault 38: who comes late is sent away the earlier, the less they have cost.
func TestWhoIsSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ts := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		entered(t, ts, LimitFirst)
		look := func(when string, connection, message bool) {
			t.Helper()
			if c, m := ts.AdmitsConnection(), ts.AdmitsMessage(); c != connection || m != message {
				t.Errorf("%s: connections %v, messages %v; want %v, %v", when, c, m, connection, message)
			}
		}
		look("nobody waits", true, true)
		line(t, ts, LimitFirst/2)
		look("the line is half full", false, true)
		line(t, ts, LimitFirst/4)
		look("three quarters", false, false)
		line(t, ts, LimitFirst/4)
		if _, _, err := ts.Enter(t.Context()); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Enter with a full line = %v, want KindUnavailable", err)
		}
		f := ts.Figures()
		if want := (Refused{Connections: 2, Messages: 1, Full: 1}); f.Refused != want || f.Waiting != LimitFirst {
			t.Errorf("figures %+v, want %+v", f, want)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d log lines at one moment, want 1: %s", n, log.String())
		}
	})
}

func TestWorkForNobodyIsCounted(t *testing.T) {
	ts := New(Config{})
	entered(t, ts, 1)[0](false)
	if f := ts.Figures(); f.Gone != 1 || f.Inside != 0 {
		t.Errorf("figures %+v, want one gone", f)
	}
}

func BenchmarkEnter(b *testing.B) {
	ts := New(Config{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, leave, err := ts.Enter(context.Background())
			if err == nil {
				leave(true)
			}
		}
	})
}
