package softstate

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// lane is what one manager is owed, and what is under way to it: at most one scan or one push of
// buckets, and beside it at most one push of single holdings. While one is under way, the
// next gather, so a busy lane sends few large pushes.
type lane struct {
	to       cluster.NodeID
	buckets  []cluster.Bucket // owed, to be scanned
	scan     []cluster.Bucket // asked of the shell, if scanning
	scanning bool
	sending  []cluster.Bucket // scanned, not yet acknowledged, in order
	queue    []*Push          // cut from the scan; the first is under way if bucketFlight says so

	owners []string    // single holdings to send
	sent   []sentOwner // under way

	waiting bool // in Reporter.line
	counted bool // in Reporter.active

	bucketFlight flight
	singleFlight flight
}

type sentOwner struct {
	owner string
	seq   uint64
}

// flight is the state of a push under way, or the pause after one that failed.
type flight struct {
	id      uint64    // 0: nothing is under way
	until   time.Time // it counts as failed then; with id 0: no new one before then
	backoff time.Duration
}

func (f *flight) ready(now time.Time) bool { return f.id == 0 && !now.Before(f.until) }
func (f *flight) late(now time.Time) bool  { return f.id != 0 && !now.Before(f.until) }

func (f *flight) start(id uint64, now time.Time) { f.id, f.until = id, now.Add(PushTimeout) }

// rest ends a pause that is over, so that Deadline does not name it again.
func (f *flight) rest(now time.Time) {
	if f.ready(now) {
		f.until = time.Time{}
	}
}

func (f *flight) land() { *f = flight{} }

// fail ends the flight and doubles the pause before the next.
func (f *flight) fail(now time.Time) {
	f.backoff = min(max(2*f.backoff, retryMin), retryMax)
	f.id, f.until = 0, now.Add(f.backoff)
}

// abandon gives up the scan or push of buckets under way. What was not acknowledged is to be
// scanned anew.
func (l *lane) abandon() {
	l.buckets = slices.Concat(l.sending, l.scan, l.buckets)
	l.scan, l.scanning, l.sending, l.queue = nil, false, nil, nil
}

// recall takes back the single holdings under way.
func (l *lane) recall() {
	for _, s := range l.sent {
		l.owners = append(l.owners, s.owner)
	}
	l.sent = nil
}

// active reports whether the lane counts against lanesMax.
func (l *lane) active() bool { return l.scanning || len(l.queue) > 0 }

// idle reports whether nothing is owed to the manager.
func (l *lane) idle() bool {
	return !l.active() && len(l.buckets) == 0 && len(l.owners) == 0 && len(l.sent) == 0
}

// deadline says when the lane needs a Tick.
func (l *lane) deadline() time.Time {
	var at time.Time
	if l.bucketFlight.id != 0 || len(l.buckets) > 0 || len(l.queue) > 0 {
		at = l.bucketFlight.until
	}
	if l.singleFlight.id != 0 || len(l.owners) > 0 {
		at = earlier(at, l.singleFlight.until)
	}
	return at
}

// earlier gives the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// lane gives the lane to a manager, and makes it if need be.
func (r *Reporter) lane(to cluster.NodeID) *lane {
	l, ok := r.lanes[to]
	if !ok {
		l = &lane{to: to}
		r.lanes[to] = l
	}
	return l
}

// dispatch goes on with the lanes that have changed, and lets those in line have the turns that
// have become free. Its work does not grow with the number of managers.
func (r *Reporter) dispatch(now time.Time, changed ...*lane) Output {
	var out Output
	for _, l := range changed {
		l.bucketFlight.rest(now)
		l.singleFlight.rest(now)
		r.sendSingles(&out, l, now)
		r.sendBuckets(&out, l, now)
		r.rank(l, now)
	}
	for r.active < lanesMax && len(r.line) > 0 {
		l := r.line[0]
		r.line = r.line[1:]
		l.waiting = false
		r.askScan(&out, l)
		r.rank(l, now)
	}
	return out
}

// rank keeps the lists of lanes true after a lane has changed.
func (r *Reporter) rank(l *lane, now time.Time) {
	if l.active() != l.counted {
		l.counted = l.active()
		if l.counted {
			r.active++
		} else {
			r.active--
		}
	}
	if !l.counted && !l.waiting && len(l.buckets) > 0 && l.bucketFlight.ready(now) {
		l.waiting = true
		r.line = append(r.line, l)
	}
	if l.deadline().IsZero() {
		delete(r.timed, l)
	} else {
		r.timed[l] = true
	}
	if l.idle() {
		delete(r.lanes, l.to)
	}
}

// askScan asks the shell for the lane's next buckets.
func (r *Reporter) askScan(out *Output, l *lane) {
	n := min(len(l.buckets), ScanBucketsMax)
	r.scans++
	l.scanning, l.scan = true, l.buckets[:n:n]
	l.buckets = l.buckets[n:]
	for _, b := range l.scan {
		r.debts[b] = read
	}
	r.asked[r.scans] = l
	out.Scans = append(out.Scans, Scan{To: l.to, Attempt: r.scans, Buckets: l.scan})
}

// sendBuckets sends the next push of a scan; the one before it has been acknowledged.
func (r *Reporter) sendBuckets(out *Output, l *lane, now time.Time) {
	if len(l.queue) > 0 && l.bucketFlight.ready(now) {
		l.bucketFlight.start(r.send(out, l, l.queue[0]), now)
	}
}

// sendSingles sends the changed holdings that have gathered.
func (r *Reporter) sendSingles(out *Output, l *lane, now time.Time) {
	if len(l.owners) == 0 || !l.singleFlight.ready(now) {
		return
	}
	p := &Push{}
	bytes := 0
	for len(l.owners) > 0 && len(p.Holdings) < PushHoldingsMax {
		h := r.single[l.owners[0]]
		size := SizeOf(h)
		if len(p.Holdings) > 0 && bytes+size > PushBytesMax {
			break
		}
		bytes += size
		p.Holdings = append(p.Holdings, *h)
		l.sent = append(l.sent, sentOwner{h.Owner, h.Seq})
		l.owners = l.owners[1:]
	}
	l.singleFlight.start(r.send(out, l, p), now)
}

// send completes a push and puts it into the output.
func (r *Reporter) send(out *Output, l *lane, p *Push) uint64 {
	r.ids++
	p.ID, p.From, p.Epoch = r.ids, r.self, r.view.Epoch
	r.flying[r.ids] = l
	out.Pushes = append(out.Pushes, Outgoing{To: l.to, Push: p})
	return p.ID
}

// cut makes pushes of scanned buckets, within the limits of one push. A bucket's marker is in
// the push with its last holding, or in a later one.
func cut(got []Scanned) []*Push {
	var pushes []*Push
	p, bytes := &Push{}, 0
	flush := func() {
		pushes = append(pushes, p)
		p, bytes = &Push{}, 0
	}
	for _, s := range got {
		for i := range s.Holdings {
			size := SizeOf(&s.Holdings[i])
			if n := len(p.Holdings); n == PushHoldingsMax || n > 0 && bytes+size > PushBytesMax {
				flush()
			}
			p.Holdings = append(p.Holdings, s.Holdings[i])
			bytes += size
		}
		p.Complete = append(p.Complete, s.Bucket)
		if len(p.Complete) == PushCompleteMax {
			flush()
		}
	}
	if len(p.Complete) > 0 {
		flush()
	}
	return pushes
}
