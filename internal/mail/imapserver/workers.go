package imapserver

import "sync"

// workers tell sessions inside IDLE what happened. A worker is a goroutine that lives while there is
// work; there are at most so many, however many sessions have news. A session is in the queue at most once.
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
	if w.count < w.most {
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
		s.tell()
	}
}

// wait waits until all work is done.
func (w *workers) wait() { w.running.Wait() }
