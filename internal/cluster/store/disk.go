package store

import "time"

// Work is what one call has had written.
type Work struct {
	Objects int   // that were stored with contents of their own, not in their records: messages
	Bytes   int64 // of these contents
	Records int   // update records that were written with them
}

// Disk takes the place of a disk that is slower than the machine's, so that nodes which share a machine are each
// limited by a disk of their own (Config.Disk). It does not keep anything: what it serves is durable already.
type Disk interface {
	// Serve is asked for each call that stored contents, in the order of the commits, by one goroutine, and
	// may not wait. When the disk would have done the work it calls done, from one goroutine at a time, with
	// the time that the work itself took. Only then the caller of the store is answered.
	Serve(w Work, done func(took time.Duration))
}

// count adds an update that was applied.
func (w *Work) count(st *staged, r *Result) {
	if !r.Applied || st.number == 0 {
		return
	}
	w.Objects++
	w.Bytes += st.object.Size
	if r.Record != nil {
		w.Records++
	}
}

// finish answers the caller of an op, which is the caller's from then on. With a simulated disk it is
// called when that has done the work.
func (s *Store) finish(p *op) {
	if p.metaKey != nil {
		s.count.values.Add(-1)
		<-s.values
	} else {
		s.count.pending.Add(-1)
		<-s.places
	}
	p.done <- struct{}{} // never blocks
}

// serve has the simulated disk do an op's work, if there are both; false: there is nothing to wait for.
func (s *Store) serve(p *op) bool {
	if s.cfg.Disk == nil || p.work.Objects == 0 {
		return false
	}
	s.cfg.Disk.Serve(p.work, func(took time.Duration) {
		s.count.committed(took, s.cfg.Now())
		s.finish(p)
	})
	return true
}
