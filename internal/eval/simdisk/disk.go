// Package simdisk simulates a node's disk: one queue, first come first served, in which every message that is
// stored takes a fixed time. It makes each of many nodes on one machine as slow as the papers' nodes
// were, whatever the machine: the code under test is the real code, and it is limited by its disks.
//
// Costs are told in units, the time of one synchronous write of a message (its later reading and removal
// included); an update record costs less, or nothing if the log is in NVRAM. Time is real, but the
// disk keeps to its schedule: when a work item is over follows from when it came and from what was
// before it, not from when the machine found time to say so. So a busy machine makes answers late, but
// does not make a disk that has a queue slower, and what was served between two moments can be said
// exactly.
package simdisk

import (
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster/store"
)

// servedMax bounds the items that are remembered since the last Forget; beyond it the oldest are dropped.
const servedMax = 1 << 20

// Costs are what a disk's work costs, in units.
type Costs struct {
	Object float64 // a message
	Record float64 // an update record that is written with one
}

// Of gives the cost of work.
func (c Costs) Of(w store.Work) float64 {
	return float64(w.Objects)*c.Object + float64(w.Records)*c.Record
}

// Disk is one simulated disk. Its methods may be called from any goroutine.
type Disk struct {
	wake  chan struct{} // there is work, or none will come any more
	ended chan struct{}

	mu     sync.Mutex
	unit   time.Duration // the time of one unit
	costs  Costs
	queue  []item
	free   time.Time // when all of the queue will have been served
	served []moment
	closed bool
}

var _ store.Disk = (*Disk)(nil)

// item is work that waits, or is being done.
type item struct {
	took time.Duration
	at   time.Time // when it is over
	done func(time.Duration)
}

// moment is when work was over, and how much it was.
type moment struct {
	at      time.Time
	objects int
	took    time.Duration
}

// New makes a disk that takes so long for a unit. Close ends it.
func New(unit time.Duration, costs Costs) *Disk {
	d := &Disk{wake: make(chan struct{}, 1), ended: make(chan struct{}), unit: unit, costs: costs}
	go d.run()
	return d
}

// Set changes what work costs from now on. What waits already keeps its cost.
func (d *Disk) Set(unit time.Duration, costs Costs) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unit, d.costs = unit, costs
}

// Serve is for the store.
func (d *Disk) Serve(w store.Work, done func(took time.Duration)) {
	now := time.Now()
	d.mu.Lock()
	took := time.Duration(d.costs.Of(w) * float64(d.unit))
	if d.closed || took <= 0 {
		d.mu.Unlock()
		done(max(took, 1))
		return
	}
	if d.free.Before(now) {
		d.free = now
	}
	d.free = d.free.Add(took)
	d.queue = append(d.queue, item{took: took, at: d.free, done: done})
	if len(d.served) >= servedMax {
		d.served = append(d.served[:0], d.served[servedMax/2:]...)
	}
	d.served = append(d.served, moment{at: d.free, objects: w.Objects, took: took})
	d.mu.Unlock()
	d.kick()
}

func (d *Disk) kick() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run says of each item that it is over, when it is.
func (d *Disk) run() {
	defer close(d.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, wait, closed := d.next(time.Now())
		switch {
		case next.done != nil:
			next.done(next.took)
			continue
		case closed:
			return
		case wait > 0:
			timer.Reset(wait)
		}
		select {
		case <-timer.C:
		case <-d.wake:
		}
	}
}

// next takes the first item out of the queue if it is over, or says how long it still takes.
func (d *Disk) next(now time.Time) (first item, wait time.Duration, closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return item{}, 0, d.closed
	}
	if wait = d.queue[0].at.Sub(now); wait > 0 && !d.closed {
		return item{}, wait, false
	}
	first = d.queue[0]
	d.queue[0] = item{}
	d.queue = d.queue[1:]
	return first, 0, false
}

// Served gives what was over between two moments: the messages, and the time that the disk was busy with
// them. It knows of what came since the last Forget.
func (d *Disk) Served(from, to time.Time) (objects int, busy time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.served {
		if m.at.After(from) && !m.at.After(to) {
			objects += m.objects
			busy += m.took
		}
	}
	return objects, busy
}

// Waiting gives the length of the queue.
func (d *Disk) Waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue)
}

// Forget drops what Served knows of what is over.
func (d *Disk) Forget() {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.served = slices.DeleteFunc(d.served, func(m moment) bool { return !m.at.After(now) })
}

// Drop ends all that waits, at once, and takes it out of what Served counts: the machine has lost its power.
// The callers are answered; who reads the answers has lost its power too.
func (d *Disk) Drop() {
	d.mu.Lock()
	now := time.Now()
	for i := range d.queue {
		d.queue[i].at = now
	}
	d.free = now
	for i := range d.served {
		if d.served[i].at.After(now) {
			d.served = d.served[:i]
			break
		}
	}
	d.mu.Unlock()
	d.kick()
}

// Close ends the disk: what waits is answered at once, and so is what comes later.
func (d *Disk) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.kick()
	<-d.ended
}
