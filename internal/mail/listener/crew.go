package listener

import "sync"

// idleHandsMax is how many goroutines wait for the next connection; more end with theirs.
const idleHandsMax = 64

// crew runs sessions on goroutines that take another when theirs is over. A session's stack grows several
// times on its way into the depth of the service, and each time all of it is copied: on a new goroutine that is
// a fifteenth of all that a short session costs. Make it with newCrew.
type crew struct {
	next chan *Conn // a connection for a hand that waits
	over chan struct{}
	once sync.Once
	idle chan struct{} // a slot for each hand that waits
	all  sync.WaitGroup
}

func newCrew() *crew {
	return &crew{next: make(chan *Conn), over: make(chan struct{}), idle: make(chan struct{}, idleHandsMax)}
}

// run has serve serve a connection, at once. It must not be called AFTER end.
func (w *crew) run(c *Conn, serve func(*Conn)) {
	select {
	case w.next <- c:
	default:
		w.all.Go(func() { w.hand(c, serve) })
	}
}

// hand serves connections, until there are enough others who wait for the next.
func (w *crew) hand(c *Conn, serve func(*Conn)) {
	for {
		serve(c)
		select {
		case w.idle <- struct{}{}:
		default:
			return
		}
		select {
		case c = <-w.next:
			<-w.idle
		case <-w.over:
			return
		}
	}
}

// end sends those home who wait, and the others when their sessions are over; it waits for all.
func (w *crew) end() {
	w.once.Do(func() { close(w.over) })
	w.all.Wait()
}
