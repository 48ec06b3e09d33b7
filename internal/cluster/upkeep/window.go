package upkeep

import "time"

const day = 24 * time.Hour

// Window is a time of day, in the machine's time zone: from Start for Length. The zero Window is
// never.
type Window struct {
	Start  time.Duration // since midnight
	Length time.Duration // at most a day: always
}

// Contains reports whether a moment lies in the window.
func (w Window) Contains(t time.Time) bool {
	h, m, s := t.Clock()
	since := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	return (since-w.Start+day)%day < w.Length
}
