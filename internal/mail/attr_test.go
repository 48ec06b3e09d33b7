package mail_test

import (
	"math"
	"testing"
	"time"

	"porcupine/internal/mail"
)

// The date of a message of a file, or of an APPEND, may be of any year: 1601 is what converters write for none. What does not fit is
// the nearest that does, not a date at the other end.
func TestReceivedOfAnyYear(t *testing.T) {
	at := func(year int) time.Time { return time.Date(year, 7, 1, 2, 3, 4, 0, time.UTC) }
	first, last := time.Unix(0, math.MinInt64).UTC(), time.Unix(0, math.MaxInt64).UTC()
	for _, tt := range []struct{ received, want time.Time }{
		{at(1), first}, {at(1601), first}, {first, first}, {first.Add(-1), first}, {first.Add(time.Second), first.Add(time.Second)},
		{last.Add(1), last}, {at(1969), at(1969)}, {at(2026), at(2026)}, {last.Add(-1), last.Add(-1)}, {last, last}, {at(2300), last}, {at(9999), last}, {time.Time{}, first},
	} {
		a, err := mail.ParseMessageAttr(mail.MessageAttr{Received: tt.received}.Append(nil))
		if err != nil || !a.Received.Equal(tt.want) {
			t.Errorf("%v is kept as %v, %v; want %v", tt.received, a.Received, err, tt.want)
		}
	}
}
