package smtpserver

import "time"

// pace is how long a message may take to come in (attack 28). It begins with DataTimeout, and each byte earns a
// little more, so that a client on a slow line gets through; but no more than DataEarnedMax is ever saved up, or who has sent
// much could then hold it open for as long, and the whole has an end. Only time inside DATA or a chunk counts: between
// chunks the client has the time that it has for any command.
type pace struct {
	used   time.Time // what was earned is used up then
	end    time.Time // the message has taken DataMax then
	paused time.Time // when a chunk ended; zero inside one
}

func beginPace(now time.Time, l *Limits) pace {
	return pace{used: now.Add(l.DataTimeout), end: now.Add(l.DataMax)}
}

// earn counts bytes that came.
func (p *pace) earn(bytes int, now time.Time, l *Limits) {
	p.used = p.used.Add(time.Duration(bytes) * time.Second / time.Duration(l.DataRateMin))
	if most := now.Add(l.DataTimeout + l.DataEarnedMax); most.Before(p.used) {
		p.used = most
	}
}

// pause ends a chunk after which another may come.
func (p *pace) pause(now time.Time) { p.paused = now }

// resume begins that other.
func (p *pace) resume(now time.Time) {
	if p.paused.IsZero() {
		return
	}
	between := now.Sub(p.paused)
	p.used, p.end, p.paused = p.used.Add(between), p.end.Add(between), time.Time{}
}

// deadline is when the next bytes must be there: soon after the last ones, and before the time is over.
func (p *pace) deadline(now time.Time, l *Limits) time.Time {
	at := now.Add(l.DataTimeout)
	for _, over := range []time.Time{p.used, p.end} {
		if over.Before(at) {
			at = over
		}
	}
	return at
}
