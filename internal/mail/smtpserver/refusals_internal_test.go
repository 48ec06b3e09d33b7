package smtpserver

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestRefusals(t *testing.T) {
	r := newRefusals(3, time.Second)
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for _, tt := range []struct {
		from    string
		counts  int
		at      int
		wantNow bool // over its ration afterwards
	}{
		{"192.0.2.1", 2, 100, false},
		{"192.0.2.1", 1, 100, true},
		{"::ffff:192.0.2.1", 0, 100, true},
		{"192.0.2.2", 0, 100, false},
		{"192.0.2.1", 0, 101, false},
		{"192.0.2.1", 1, 101, true},
		{"192.0.2.1", 2, 200, false}, // long paid: it begins anew
		{"2001:db8::1", 2, 100, false},
		{"2001:db8::2", 1, 100, true}, // the same /64
		{"2001:db8:0:1::1", 0, 100, false},
		{"127.0.0.1", 100, 100, false},
		{"10.1.2.3", 100, 100, false},
		{"::ffff:10.1.2.3", 100, 100, false},
		{"fd00::1", 100, 100, false},
	} {
		from := netip.MustParseAddr(tt.from)
		for range tt.counts {
			r.count(from, at(tt.at))
		}
		if got := r.isOver(from, at(tt.at)); got != tt.wantNow {
			t.Errorf("%d more from %s at %d: isOver = %v, want %v", tt.counts, tt.from, tt.at, got, tt.wantNow)
		}
	}
}

// Attack 10: one customer has an IPv6 /48, 65,536 networks. Together they have four rations, not one each, and are forgiven four
// times as fast.
func TestAttack10_RefusalsCountSites(t *testing.T) {
	r := newRefusals(200, 4*time.Second)
	now := time.Unix(1000, 0)
	network := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i)) }
	asked := 0
	for i := range 10_000 {
		if !r.isOver(network(i), now) {
			r.count(network(i), now)
			asked++
		}
	}
	if asked != 800 {
		t.Errorf("networks of one /48 heard of %d unknown recipients, want 800", asked)
	}
	if other := netip.MustParseAddr("2001:db8:2::1"); r.isOver(other, now) {
		t.Error("another site is put off with it")
	}
	now = now.Add(time.Second)
	r.count(network(0xffff), now)
	if now = now.Add(time.Second - 1); !r.isOver(network(0xfffe), now) {
		t.Error("more than one was forgiven in a second")
	}
	if now = now.Add(1); r.isOver(network(0xfffe), now) {
		t.Error("none was forgiven in a second")
	}
}

// Q2: the table stays bounded, whoever comes, and those that have paid go first.
func TestRefusalsAreBounded(t *testing.T) {
	r := newRefusals(3, time.Second)
	a := netip.MustParseAddr("32.0.0.0")
	for i := range networksMax {
		r.count(a, time.Unix(int64(i%2)*1000, 0))
		a = a.Next()
	}
	r.count(a, time.Unix(500, 0))
	if n := len(r.paid); n != networksMax/2+1 {
		t.Errorf("%d networks after those that have paid went, want %d", n, networksMax/2+1)
	}
	for range 2 * networksMax {
		a = a.Next()
		r.count(a, time.Unix(1000, 0))
		if n := len(r.paid); n > networksMax {
			t.Fatalf("%d networks, want at most %d", n, networksMax)
		}
	}
}
