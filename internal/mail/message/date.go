package message

import (
	"strconv"
	"strings"
	"time"
)

// dateReadMax is how much of a Date field is read: a date has about 40 octets.
const dateReadMax = 256

// zoneMinutesMax is the largest distance from UTC, in minutes.
const zoneMinutesMax = 24*60 - 1

// zones are the names of zones (RFC 5322 §4.3), in hours from UTC. All others mean UTC.
var zones = map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}

var months = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

// date is a date being read.
type date struct {
	day, month, year     int // 0: not seen
	hour, minute, second int
	zone                 int // minutes
	timed                bool
}

// parseDate reads a Date field (RFC 5322 §3.3, §4.3), and what people make of it: the words may stand in any
// order, day, month and year may be joined with hyphens. It gives the zero time for what is no date.
func parseDate(s string) time.Time {
	s = s[:min(len(s), dateReadMax)]
	l := lexer{s: s}
	var d date
	for l.pos < len(s) {
		l.skip()
		start := l.pos
		for l.pos < len(s) && strings.IndexByte(" \t(,", s[l.pos]) < 0 {
			l.pos++
		}
		if start == l.pos {
			l.pos++
			continue
		}
		if !d.word(s[start:l.pos]) {
			return time.Time{}
		}
	}
	return d.time()
}

// word reads one word. It is false for one that makes the whole no date.
func (d *date) word(w string) bool {
	switch c := w[0]; {
	case strings.Contains(w, ":"):
		return d.clock(w)
	case c == '+' || c == '-':
		return d.offset(w)
	case c >= '0' && c <= '9':
		if parts := strings.Split(w, "-"); len(parts) == 3 {
			return d.word(parts[0]) && parts[1] != "" && d.word(parts[1]) && parts[2] != "" && d.word(parts[2])
		}
		return d.number(w)
	case d.timed:
		if hours, ok := zones[strings.ToUpper(w)]; ok {
			d.zone = hours * 60
		}
	case len(w) >= 3:
		for i, m := range months {
			if strings.EqualFold(w[:3], m) && d.month == 0 {
				d.month = i + 1
			}
		}
	}
	return true
}

// number reads a day or a year. Years of two and three digits are those of RFC 5322 §4.3.
func (d *date) number(w string) bool {
	n, err := strconv.ParseUint(w, 10, 16)
	if err != nil {
		return false
	}
	switch {
	case d.day == 0 && len(w) <= 2:
		d.day = int(n)
	case d.year == 0:
		d.year = int(n)
		switch {
		case len(w) <= 2 && n < 50:
			d.year += 2000
		case len(w) <= 3:
			d.year += 1900
		}
	}
	return true
}

// clock reads hours, minutes and perhaps seconds. A leap second is the second before.
func (d *date) clock(w string) bool {
	if d.timed {
		return true
	}
	parts := strings.Split(w, ":")
	if len(parts) > 3 {
		return false
	}
	var n [3]uint64
	for i, part := range parts {
		part, _, _ = strings.Cut(part, ".")
		v, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return false
		}
		n[i] = v
	}
	if n[0] > 23 || n[1] > 59 || n[2] > 60 {
		return false
	}
	d.hour, d.minute, d.second, d.timed = int(n[0]), int(n[1]), min(int(n[2]), 59), true
	return true
}

// offset reads a zone such as +0100. One that is none is UTC.
func (d *date) offset(w string) bool {
	n, err := strconv.ParseUint(w[1:], 10, 16)
	if err != nil || len(w) != 5 || n%100 > 59 || n/100 > 23 {
		return true
	}
	d.zone = int(n/100*60 + n%100)
	if w[0] == '-' {
		d.zone = -d.zone
	}
	return true
}

func (d *date) time() time.Time {
	if d.day == 0 || d.month == 0 || d.year == 0 {
		return time.Time{}
	}
	t := time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, d.second, 0, time.UTC)
	if t.Day() != d.day || d.year < 100 || d.year > 9999 {
		return time.Time{}
	}
	return sentTime(t.Unix()-int64(d.zone)*60, d.zone)
}

// sentTime is a moment in a zone that is so many minutes before UTC.
func sentTime(seconds int64, zone int) time.Time {
	if zone == 0 {
		return time.Unix(seconds, 0).UTC()
	}
	return time.Unix(seconds, 0).In(time.FixedZone("", zone*60))
}
