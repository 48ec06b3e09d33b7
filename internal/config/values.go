package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration written as text: "200ms", "5m0s".
type Duration time.Duration

// D gives the value as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads Go's notation: a number and a unit of ns, us, ms, s, m, h.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("duration %q: write a number and a unit, for example \"200ms\", \"5s\" or \"2h\"", b)
	}
	*d = Duration(v)
	return nil
}

// Term is a Duration that can be switched off: written like one, or "off".
type Term time.Duration

// TermOff is a Term that is switched off.
const TermOff Term = -1

// Time gives how long it is; false: it is switched off.
func (t Term) Time() (time.Duration, bool) { return max(0, time.Duration(t)), t >= 0 }

// MarshalText writes the form that UnmarshalText reads.
func (t Term) MarshalText() ([]byte, error) {
	if t < 0 {
		return []byte(Off), nil
	}
	return Duration(t).MarshalText()
}

// UnmarshalText reads a Duration that is not negative, or "off".
func (t *Term) UnmarshalText(b []byte) error {
	if string(b) == Off {
		*t = TermOff
		return nil
	}
	var d Duration
	if err := d.UnmarshalText(b); err != nil {
		return fmt.Errorf("%w, or %q", err, Off)
	}
	if d < 0 {
		return fmt.Errorf("duration %q is negative: write %q if it shall be none", b, Off)
	}
	*t = Term(d)
	return nil
}

// Size is a number of bytes written as text: "50MiB", "512KiB", "1000".
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// MarshalText writes the form that UnmarshalText reads, in the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return []byte(strconv.FormatInt(int64(s)/u.bytes, 10) + u.name), nil
		}
	}
	return []byte(strconv.FormatInt(int64(s), 10)), nil
}

// UnmarshalText reads a whole number with one of the units B, KiB, MiB, GiB, TiB, or none for
// bytes.
func (s *Size) UnmarshalText(b []byte) error {
	text, unit := string(b), int64(1)
	for _, u := range sizeUnits {
		if t, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = strings.TrimSpace(t), u.bytes
			break
		}
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 || v > (1<<62)/unit {
		wrong := ""
		if strings.HasPrefix(text, "-") {
			wrong = " must not be negative"
		}
		return fmt.Errorf("size %q%s: write a whole number and a unit, for example \"50MiB\" or \"20GiB\"", b, wrong)
	}
	*s = Size(v * unit)
	return nil
}
