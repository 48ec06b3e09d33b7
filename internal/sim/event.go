package sim

// event is something that happens at one moment. Exactly one of packet and do is set; a wake has
// neither.
type event struct {
	at     int64  // nanoseconds since the start of the run
	order  uint64 // of scheduling: breaks ties
	node   *node  // whose process it happens in; nil: the world's
	life   int    // of the node for which do was scheduled; it is dropped if that life is over
	packet *packet
	do     func()
}

// queue is a heap of events, four children a node: shallower than two, and faster.
type queue struct {
	heap  []event
	order uint64
}

func (q *queue) before(a, b *event) bool {
	return a.at < b.at || a.at == b.at && a.order < b.order
}

// push schedules an event.
func (q *queue) push(e event) {
	q.order++
	e.order = q.order
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if q.before(&q.heap[parent], &e) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = e
}

// pop takes the earliest event. The queue must not be empty.
func (q *queue) pop() event {
	top := q.heap[0]
	n := len(q.heap) - 1
	last := q.heap[n]
	q.heap[n] = event{}
	q.heap = q.heap[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		least := 4*i + 1
		if least >= n {
			break
		}
		for c := least + 1; c < min(4*i+5, n); c++ {
			if q.before(&q.heap[c], &q.heap[least]) {
				least = c
			}
		}
		if !q.before(&q.heap[least], &last) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = last
	return top
}
