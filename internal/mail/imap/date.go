package imap

import (
	"errors"
	"strconv"
	"time"
)

// The forms of RFC 9051 §9: date and date-time. time.Parse is more lenient than they are, so shapes are
// checked first.
const (
	dateForm     = "2-Jan-2006"
	dateTimeForm = "_2-Jan-2006 15:04:05 -0700"
)

var errDate = errors.New("this is not a date")

// ParseDate reads a date such as "1-Feb-1994", of a search: midnight UTC of that day, by which the caller
// compares days and not times (RFC 9051 §6.4.4).
func ParseDate(s string) (time.Time, error) {
	day, rest := 1, len("-Jan-2006")
	if len(s) == 2+rest {
		day = 2
	}
	if len(s) != day+rest || !every(s[:day], isDigit) || !every(s[day+5:], isDigit) {
		return time.Time{}, errDate
	}
	t, err := time.Parse(dateForm, s)
	if err != nil && day == 2 && s[0] == '0' { // "01-Feb-1994"
		t, err = time.Parse(dateForm, s[1:])
	}
	if err != nil {
		return time.Time{}, errDate
	}
	return t, nil
}

// ParseDateTime reads a date-time without its quotes, such as "17-Jul-1996 02:44:25 -0700" (RFC 9051 §9).
func ParseDateTime(s string) (time.Time, error) {
	const shape = "dd-mmm-dddd dd:dd:dd sdddd"
	if len(s) != len(shape) {
		return time.Time{}, errDate
	}
	for i := range len(s) {
		var ok bool
		switch c := s[i]; shape[i] {
		case 'd':
			ok = isDigit(c) || i == 0 && c == ' '
		case 'm':
			ok = 'a' <= c|0x20 && c|0x20 <= 'z'
		case 's':
			ok = c == '+' || c == '-'
		default:
			ok = c == shape[i]
		}
		if !ok {
			return time.Time{}, errDate
		}
	}
	if s[0] == '0' {
		s = " " + s[1:]
	}
	hours, _ := strconv.Atoi(s[22:24]) // digits: checked above
	minutes, _ := strconv.Atoi(s[24:])
	if hours > 23 || minutes > 59 {
		return time.Time{}, errDate
	}
	t, err := time.ParseInLocation(dateTimeForm, s, time.UTC) // never in the zone of this machine, under its name
	if err != nil || t.Year() < 1 {
		return time.Time{}, errDate
	}
	return t, nil
}

// appendDateTime writes a date-time with its quotes. The zone is that of t; seconds of a zone, which IMAP cannot
// say, make it UTC. A year that has not four digits, which IMAP cannot say either, is the nearest that has.
func appendDateTime(dst []byte, t time.Time) []byte {
	if _, offset := t.Zone(); offset%60 != 0 || offset <= -24*3600 || offset >= 24*3600 {
		t = t.UTC()
	}
	switch year := t.Year(); {
	case year < 1:
		t = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	case year > 9999:
		t = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	dst = append(dst, '"')
	dst = t.AppendFormat(dst, dateTimeForm)
	return append(dst, '"')
}
