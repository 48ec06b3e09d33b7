package iowatch

import (
	"testing"
	"time"
)

func TestUnderway(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	u := NewUnderway(func() time.Time { return now })
	want := func(age time.Duration, d Deed) {
		t.Helper()
		if a, got := u.Oldest(); a != age || got != d {
			t.Errorf("Oldest() = %v, %v, want %v, %v", a, got, age, d)
		}
	}
	want(0, DeedNone)
	first := u.Begin(DeedSync)
	now = now.Add(time.Second)
	second := u.Begin(DeedWrite)
	now = now.Add(2 * time.Second)
	want(3*time.Second, DeedSync)
	u.End(first)
	want(2*time.Second, DeedWrite)
	now = now.Add(-time.Hour) // a clock without monotonic readings may go back
	want(time.Nanosecond, DeedWrite)
	now = now.Add(time.Hour)
	u.End(second)
	want(0, DeedNone)
}

// More at once than there are places for are not watched, and nobody is harmed.
func TestUnderway_Full(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	u := NewUnderway(func() time.Time { return now })
	var places []int
	for range 2 * placesMax {
		places = append(places, u.Begin(DeedRead))
	}
	now = now.Add(time.Second)
	if a, d := u.Oldest(); a != time.Second || d != DeedRead {
		t.Errorf("Oldest() = %v, %v, want 1s, a read", a, d)
	}
	for _, p := range places {
		u.End(p)
	}
	if a, d := u.Oldest(); a != 0 || d != DeedNone {
		t.Errorf("Oldest() = %v, %v after the end of all, want none", a, d)
	}
}

func TestDeedNames(t *testing.T) {
	for d := DeedNone + 1; d <= deedMax; d++ {
		if d.String() == "" {
			t.Errorf("deed %d has no name", d)
		}
	}
	if got := Deed(200).String(); got == "" {
		t.Error("an unknown deed has no name")
	}
	if deedMax >= 1<<deedBits {
		t.Error("a place has too few bits for the deeds")
	}
}
