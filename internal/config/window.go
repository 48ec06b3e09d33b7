package config

import (
	"fmt"
	"time"
)

// Window is a time of day written as text: "02:00-05:00", which may pass midnight, "always" or "off".
type Window string

const day = 24 * time.Hour

// Times gives the window's start, since midnight, and its length, at most a day; 0: it is off. A text
// that is no window, which Validate refuses, is off.
func (w Window) Times() (start, length time.Duration) {
	start, length, err := parseWindow(string(w))
	if err != nil {
		return 0, 0
	}
	return start, length
}

func parseWindow(s string) (start, length time.Duration, err error) {
	switch s {
	case "off":
		return 0, 0, nil
	case "always":
		return 0, day, nil
	}
	const form = "hh:mm-hh:mm"
	if len(s) == len(form) && s[5] == '-' {
		from, err1 := time.Parse("15:04", s[:5])
		to, err2 := time.Parse("15:04", s[6:])
		if err1 == nil && err2 == nil && !from.Equal(to) {
			start = time.Duration(from.Hour())*time.Hour + time.Duration(from.Minute())*time.Minute
			return start, (to.Sub(from) + day) % day, nil
		}
	}
	return 0, 0, fmt.Errorf("time of day %q: write \"02:00-05:00\", \"always\" or \"off\"", s)
}
