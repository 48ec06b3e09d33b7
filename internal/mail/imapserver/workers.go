package imapserver

import (
	"sync"
	"time"
)

// workers tell sessions inside IDLE what happened. A worker is a goroutine that lives while there is
// work; there are at most so many, however many sessions have news. A session is in the queue at most once.
//
// A client that does not read what it is told must not keep others from being told (RFC 9051 §5.3): a worker that
// takes longer than workerPatience with one session counts no more, and ends with it. Such workers are no more than
// sessions, and each ends when its write is given up.
type workers struct {
	most    int
	running sync.WaitGroup

	mu    sync.Mutex
	count int
	queue []*session
}

// add puts a session into the queue. It never blocks.
func (w *workers) add(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, s)
	w.more()
}

// more starts a worker if there may be one more. The caller has the lock.
func (w *workers) more() {
	if len(w.queue) > 0 && w.count < w.most {
		w.count++
		w.running.Go(w.work)
	}
}

// work serves sessions until none waits.
func (w *workers) work() {
	for {
		w.mu.Lock()
		if len(w.queue) == 0 {
			w.queue = nil
			w.count--
			w.mu.Unlock()
			return
		}
		s := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		w.mu.Unlock()
		replaced := make(chan struct{})
		slow := time.AfterFunc(workerPatience, func() {
			w.heldUp()
			close(replaced)
		})
		s.tell()
		if !slow.Stop() {
			<-replaced // so that wait waits for its successor too
			return
		}
	}
}

// workerPatience is how long a worker may take with one session before another one takes its place.
const workerPatience = 100 * time.Millisecond

// heldUp is called of a worker that takes long.
func (w *workers) heldUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count--
	w.more()
}

// wait waits until all work is done.
func (w *workers) wait() { w.running.Wait() }
