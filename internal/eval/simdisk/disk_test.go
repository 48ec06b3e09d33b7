package simdisk

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster/store"
)

const unit = 36 * time.Millisecond

// What waits is served in its order, one after the other, and each says when it is over.
func TestFIFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(unit, Costs{Object: 1, Record: 0.5})
		defer d.Close()
		began := time.Now()
		var mu sync.Mutex
		var at, took []time.Duration
		serve := func(w store.Work) {
			d.Serve(w, func(x time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				at, took = append(at, time.Since(began)), append(took, x)
			})
		}
		serve(store.Work{Objects: 1})
		serve(store.Work{Objects: 1, Records: 1})
		serve(store.Work{Objects: 2})
		if n := d.Waiting(); n != 3 {
			t.Errorf("Waiting = %d, want 3", n)
		}
		time.Sleep(10 * unit)
		serve(store.Work{Objects: 1}) // after a rest
		time.Sleep(2 * unit)
		mu.Lock()
		at, took = slices.Clone(at), slices.Clone(took)
		mu.Unlock()
		want := []time.Duration{unit, unit * 5 / 2, unit * 9 / 2, 11 * unit}
		wantTook := []time.Duration{unit, unit * 3 / 2, 2 * unit, unit}
		for i := range want {
			if i >= len(at) || at[i] != want[i] || took[i] != wantTook[i] {
				t.Fatalf("over at %v after %v each, want %v, %v", at, took, want, wantTook)
			}
		}
		if n, busy := d.Served(began, began.Add(3*unit)); n != 2 || busy != unit*5/2 {
			t.Errorf("Served in 3 units = %d messages, busy %v", n, busy)
		}
		if n, _ := d.Served(began.Add(unit), began.Add(20*unit)); n != 4 {
			t.Errorf("Served later = %d messages, want 4", n)
		}
		serve(store.Work{Objects: 1})
		d.Forget()
		time.Sleep(2 * unit)
		if n, _ := d.Served(began, began.Add(20*unit)); n != 1 {
			t.Errorf("Served after Forget = %d, want the one that was waiting", n)
		}
		d.Forget()
		if n, _ := d.Served(began, began.Add(20*unit)); n != 0 {
			t.Errorf("Served after Forget = %d", n)
		}
	})
}

func TestNVRAMAndFasterDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(unit, Costs{Object: 1, Record: 0.5})
		defer d.Close()
		d.Set(unit/2, Costs{Object: 1})
		done := make(chan time.Duration, 1)
		d.Serve(store.Work{Objects: 1, Records: 1}, func(took time.Duration) { done <- took })
		if took := <-done; took != unit/2 {
			t.Errorf("took %v, want %v", took, unit/2)
		}
		d.Set(unit, Costs{}) // as fast as the machine
		d.Serve(store.Work{Objects: 1}, func(took time.Duration) { done <- took })
		select {
		case <-done:
		default:
			t.Error("work that costs nothing waits")
		}
	})
}

// A machine that loses its power answers nobody, and has not served what waited.
func TestDropAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(unit, Costs{Object: 1})
		began := time.Now()
		answers := make(chan time.Duration, 10)
		for range 4 {
			d.Serve(store.Work{Objects: 1}, func(took time.Duration) { answers <- took })
		}
		time.Sleep(unit + unit/2)
		d.Drop()
		synctest.Wait()
		if n, _ := d.Served(began, began.Add(time.Hour)); n != 1 || len(answers) != 4 || d.Waiting() != 0 {
			t.Errorf("after Drop %d served, %d answered, %d wait; want 1, 4, 0", n, len(answers), d.Waiting())
		}
		d.Serve(store.Work{Objects: 1}, func(took time.Duration) { answers <- took })
		time.Sleep(unit)
		if n, _ := d.Served(began, began.Add(time.Hour)); n != 2 {
			t.Errorf("after Drop and one more %d served, want 2", n)
		}
		d.Serve(store.Work{Objects: 1}, func(took time.Duration) { answers <- took })
		d.Close()
		d.Serve(store.Work{Objects: 1}, func(took time.Duration) { answers <- took })
		if len(answers) != 7 {
			t.Errorf("after Close %d answered, want all 7", len(answers))
		}
	})
}
