package sim

import (
	"math/rand/v2"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
)

// packet is one message under way: a membership message, a request or an answer.
type packet struct {
	from, to *node
	member   membership.Message
	clock    cluster.Timestamp // the sender's; of a membership message
	request  *request
	answer   *answer
}

// link is what the network does to packets from one node to another.
type link struct {
	cut int // number of faults that cut it
}

// network is the simulated network. Faults change it; the zero rates are a network in order.
type network struct {
	rng     *rand.Rand
	links   [][]link // from, to
	latency time.Duration
	jitter  time.Duration // up to this much more, skewed to little
	loss    float64
	dup     float64
	late    float64 // comes a second time, minutes later
	free    []*packet
}

// grow makes room for n nodes.
func (t *network) grow(n int) {
	for i := range t.links {
		t.links[i] = append(t.links[i], make([]link, n-len(t.links[i]))...)
	}
	for len(t.links) < n {
		t.links = append(t.links, make([]link, n))
	}
}

// disorder reports whether packets may be lost or late.
func (t *network) disorder() bool {
	if t.loss > 0 || t.jitter > 0 {
		return true
	}
	for _, from := range t.links {
		for _, l := range from {
			if l.cut > 0 {
				return true
			}
		}
	}
	return false
}

// delay draws the time one packet takes.
func (t *network) delay(p *packet) int64 {
	d := t.latency + time.Duration(t.rng.Int64N(int64(t.latency)+1))
	if t.jitter > 0 {
		f := t.rng.Float64()
		d += time.Duration(f * f * float64(t.jitter))
	}
	return int64(d + p.from.slow + p.to.slow)
}

// packet gives an empty packet.
func (t *network) packet() *packet {
	if n := len(t.free); n > 0 {
		p := t.free[n-1]
		t.free = t.free[:n-1]
		return p
	}
	return new(packet)
}

func (t *network) release(p *packet) {
	*p = packet{}
	t.free = append(t.free, p)
}

// send puts a packet on its way: it may be lost, delayed, doubled, and so reordered.
func (w *World) send(p *packet) {
	w.stats.Messages++
	w.meter.count(p)
	t := &w.net
	if p.from == p.to {
		w.queue.push(event{at: w.now + int64(10*time.Microsecond), node: p.to, packet: p})
		return
	}
	if t.links[p.from.index][p.to.index].cut > 0 || t.loss > 0 && t.rng.Float64() < t.loss {
		t.release(p)
		return
	}
	if t.dup > 0 && t.rng.Float64() < t.dup {
		twin := t.packet()
		*twin = *p
		w.queue.push(event{at: w.now + t.delay(p), node: p.to, packet: twin})
	}
	if t.late > 0 && p.request != nil && p.request.updates != nil && t.rng.Float64() < t.late {
		twin := t.packet()
		*twin = *p
		w.queue.push(event{at: w.now + t.rng.Int64N(int64(lateMax)), node: p.to, packet: twin})
	}
	w.queue.push(event{at: w.now + t.delay(p), node: p.to, packet: p})
}

// lateMax is how late a packet may come: longer than a deletion is remembered.
const lateMax = 12 * time.Minute

// cut cuts or mends the link from a to b.
func (w *World) cut(a, b *node, on bool) {
	if on {
		w.net.links[a.index][b.index].cut++
	} else {
		w.net.links[a.index][b.index].cut--
	}
}
