package config

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	for _, c := range []struct {
		text          string
		start, length time.Duration
		ok            bool
	}{
		{"off", 0, 0, true},
		{"always", 0, day, true},
		{"02:00-05:30", 2 * time.Hour, 3*time.Hour + 30*time.Minute, true},
		{"23:00-01:00", 23 * time.Hour, 2 * time.Hour, true},
		{"02:00-02:00", 0, 0, false},
		{"2:00-5:00", 0, 0, false},
		{"02:00-25:00", 0, 0, false},
		{"", 0, 0, false},
		{"02:00-05:00 ", 0, 0, false},
		{"nightly", 0, 0, false},
	} {
		_, _, err := parseWindow(c.text)
		start, length := Window(c.text).Times()
		if (err == nil) != c.ok || start != c.start || length != c.length {
			t.Errorf("Window(%q) = %v, %v, %v; want %v, %v, %t", c.text, start, length, err, c.start, c.length, c.ok)
		}
	}
}
