package upkeep

import (
	"fmt"
	"time"
)

// Window is a time of day, in the machine's time zone: from Start for Length. The zero Window is
// never.
type Window struct {
	Start  time.Duration // since midnight
	Length time.Duration // at most 24 h
}

// ParseWindow reads "02:00-05:00" (also over midnight), "always" or "off".
func ParseWindow(s string) (Window, error) {
	const day = 24 * time.Hour
	switch s {
	case "off":
		return Window{}, nil
	case "always":
		return Window{Length: day}, nil
	}
	var h1, m1, h2, m2 int
	if n, err := fmt.Sscanf(s, "%2d:%2d-%2d:%2d", &h1, &m1, &h2, &m2); err != nil || n != 4 ||
		s != fmt.Sprintf("%02d:%02d-%02d:%02d", h1, m1, h2, m2) || min(h1, m1, h2, m2) < 0 || max(h1, h2) > 23 || max(m1, m2) > 59 {
		return Window{}, fmt.Errorf("window %q: write a time of day as \"02:00-05:00\", or \"always\" or \"off\"", s)
	}
	w := Window{Start: time.Duration(h1)*time.Hour + time.Duration(m1)*time.Minute}
	w.Length = (time.Duration(h2)*time.Hour + time.Duration(m2)*time.Minute - w.Start + day) % day
	if w.Length == 0 {
		return Window{}, fmt.Errorf("window %q: it begins when it ends; write \"always\" or \"off\"", s)
	}
	return w, nil
}

// Contains reports whether a moment lies in the window.
func (w Window) Contains(t time.Time) bool {
	const day = 24 * time.Hour
	h, m, s := t.Clock()
	since := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	return (since-w.Start+day)%day < w.Length
}
