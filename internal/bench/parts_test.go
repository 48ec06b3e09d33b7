package bench

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"porcupine/internal/bench/ledger"
)

func TestLatencyPercentiles(t *testing.T) {
	// Against the obvious: sorted samples 1 ms to 1000 ms.
	var l Latency
	for i := 1000; i >= 1; i-- {
		l.Record(time.Duration(i) * time.Millisecond)
	}
	for _, p := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		want := p * 1000
		got := ms(l.Percentile(p))
		if got < want*0.999 || got > want*histogramStep*1.001 {
			t.Errorf("Percentile(%v) = %v ms, want %v ms or at most 2 %% more", p, got, want)
		}
	}
	if l.Max() != time.Second || l.Count() != 1000 || l.Mean() != 500500*time.Microsecond {
		t.Errorf("Max, Count, Mean = %v, %d, %v", l.Max(), l.Count(), l.Mean())
	}
	var both Latency
	both.Add(&l)
	both.Add(&l)
	if both.Count() != 2000 || both.Percentile(.5) != l.Percentile(.5) {
		t.Errorf("Add: count %d, median %v", both.Count(), both.Percentile(.5))
	}
}

func TestLatencyEdges(t *testing.T) {
	var l Latency
	if l.Percentile(.5) != 0 || l.Mean() != 0 {
		t.Errorf("empty: %v, %v, want 0", l.Percentile(.5), l.Mean())
	}
	l.Record(-time.Second)
	l.Record(0)
	l.Record(1000 * time.Hour)
	if l.Max() != 1000*time.Hour || l.Percentile(.1) != time.Microsecond {
		t.Errorf("Max, Percentile(.1) = %v, %v", l.Max(), l.Percentile(.1))
	}
}

func TestSizesAreHeavyTailed(t *testing.T) {
	s := newSizes(DefaultConfig())
	rng := rand.New(rand.NewPCG(1, 1))
	const draws = 200_000
	sum, largest := 0.0, 0
	for range draws {
		n := s.draw(rng)
		if n < MessageMin || n > 1<<20 {
			t.Fatalf("draw = %d, outside the limits", n)
		}
		sum += float64(n)
		largest = max(largest, n)
	}
	if mean := sum / draws; math.Abs(mean-4700) > 0.05*4700 {
		t.Errorf("mean size = %.0f, want 4700 within 5 %%", mean)
	}
	if largest < 200_000 {
		t.Errorf("largest of %d sizes = %d, want a tail beyond 200 KB", draws, largest)
	}
}

func TestMessageIsRecognised(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	w := &writer{run: "0011223344556677", from: "b@x.example", filler: newFiller(rng), rng: rng}
	var book ledger.Ledger
	for _, size := range []int{0, MessageMin, 513, 4700, 65536, 1 << 20} {
		n := book.Enter(0)
		m := bytes.Clone(w.message(n, "u0@example.test", size))
		if size >= MessageMin && (len(m) > size || len(m) < size-2) {
			t.Errorf("message of %d bytes has %d", size, len(m))
		}
		if !bytes.HasSuffix(m, []byte("\r\n")) || bytes.Contains(bytes.ReplaceAll(m, []byte("\r\n"), nil), []byte("\n")) {
			t.Errorf("message of %d bytes has a line that does not end in CRLF", size)
		}
		_, sent, ok := recognise(w.run, m)
		if !ok {
			t.Fatalf("message of %d bytes is not recognised as sent", size)
		}
		fetched := append([]byte("Return-Path: <b@x.example>\r\nReceived: from a\r\n\tby b\r\n"), m...)
		got, sum, ok := recognise(w.run, fetched)
		if !ok || got != n || sum != sent {
			t.Errorf("recognise below trace fields = %d, %v, sums equal %v, want %d", got, ok, sum == sent, n)
		}
		if _, sum, _ := recognise(w.run, fetched[:len(fetched)-1]); sum == sent {
			t.Errorf("a message without its last byte has the same sum")
		}
	}
}

var strangers = []struct{ name, message string }{
	{"empty", ""},
	{"another run's", markField + "ffff 1\r\n\r\n"},
	{"in the body", "Subject: x\r\n\r\n" + markField + "run 1\r\n"},
	{"no number", markField + "run\r\n\r\n"},
	{"number too large", markField + "run 4294967296\r\n\r\n"},
	{"no line end", "Subject: x"},
}

func TestRecogniseStrangers(t *testing.T) {
	for _, tt := range strangers {
		if n, _, ok := recognise("run", []byte(tt.message)); ok {
			t.Errorf("%s: recognise(%q) = %d, want a stranger", tt.name, tt.message, n)
		}
	}
}

func FuzzRecognise(f *testing.F) {
	for _, tt := range strangers {
		f.Add([]byte(tt.message))
	}
	f.Add([]byte("Received: x\r\n" + markField + "run 7\r\n\r\nbody\r\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if _, _, ok := recognise("run", message); ok && !bytes.Contains(message, []byte(markField+"run ")) {
			t.Errorf("recognise(%q) sees a mark", message)
		}
	})
}
