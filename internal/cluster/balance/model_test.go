package balance

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// What a policy is worth is computed here, on a model: disks that commit in groups, a proxy beside each, clients
// who keep a fixed number of messages under way. The proxies choose with the real code and the real table; a
// modelled disk measures itself as the store does.

// disk is one node's. A group of k updates takes base + k*each.
type disk struct {
	base, each time.Duration
	hang       func(at time.Duration) time.Duration // more for a group that begins then; nil: never
}

// measure is what a node tells of its disk's speed.
type measure uint8

const (
	nothing   measure = iota // pending alone counts, as in the papers
	perGroup                 // the moving average of a commit
	perUpdate                // the moving average of a commit, divided by its updates
)

// play is one run.
type play struct {
	disks       []disk
	measure     measure
	spread      int
	age         time.Duration // between two news of all loads at a proxy
	answers     bool          // each answer brings the load of its node, too
	calls       bool          // and each call that of who calls; a manager is asked first: as nodes do
	fresh       time.Duration // in place of FreshMax; 0: that
	current     bool          // a commit that takes longer already than they do counts with its age
	ageless     bool          // old news is taken for fresh
	counted     bool          // a proxy adds what it has sent to a node since it last heard of it
	outstanding int           // messages under way, for each node
	length      time.Duration
}

// outcome is what a run shows.
type outcome struct {
	rate float64       // messages a second
	mean time.Duration // from the choice to the end
	p99  time.Duration
}

const modelUsers = 20_000

// happening is the end of a group at a disk, or news at a proxy.
type happening struct {
	at   time.Duration
	node int
	news bool
}

type happenings []happening

func (h happenings) Len() int           { return len(h) }
func (h happenings) Less(i, j int) bool { return h[i].at < h[j].at }
func (h happenings) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)        { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// sent is a message on its way.
type sent struct {
	proxy int
	begun time.Duration
}

// place is a node: a disk and a proxy.
type place struct {
	disk
	table   *Table
	heard   []cluster.Load // by node: for who ignores the age
	waiting []sent
	group   []sent // being committed
	since   time.Duration
	mean    time.Duration // of a commit, or of an update in it
}

type stage struct {
	play
	rng     *rand.Rand
	now     time.Duration
	queue   happenings
	places  []place
	members []cluster.NodeID
	holders [][]cluster.NodeID
	waits   []time.Duration
}

func (p play) run() outcome {
	s := &stage{play: p, rng: rand.New(rand.NewPCG(3, 4)), places: make([]place, len(p.disks)), holders: make([][]cluster.NodeID, modelUsers)}
	for i := range s.places {
		s.members = append(s.members, cluster.NodeID(i+1))
		s.places[i] = place{disk: p.disks[i], table: NewTable(), heard: make([]cluster.Load, len(p.disks))}
		s.places[i].table.fresh = cmp.Or(p.fresh, FreshMax)
		heap.Push(&s.queue, happening{time.Duration(s.rng.Int64N(int64(p.age))), i, true})
	}
	for range p.outstanding * len(p.disks) {
		s.send()
	}
	warm := p.length / 4
	for s.now < p.length {
		h := heap.Pop(&s.queue).(happening)
		s.now = h.at
		if h.news {
			s.hear(h.node)
		} else {
			s.end(h.node, warm)
		}
	}
	slices.Sort(s.waits)
	sum := time.Duration(0)
	for _, w := range s.waits {
		sum += w
	}
	n := max(1, len(s.waits))
	return outcome{float64(len(s.waits)) / (p.length - warm).Seconds(), sum / time.Duration(n), s.waits[n*99/100]}
}

func (s *stage) wall() time.Time { return start.Add(s.now) }

func (s *stage) load(i int) cluster.Load {
	p := &s.places[i]
	l := cluster.Load{Pending: len(p.waiting) + len(p.group)}
	if s.measure != nothing {
		l.Commit = p.mean
		if s.current && len(p.group) > 0 && p.mean > 0 {
			l.Commit = max(p.mean, s.now-p.since)
		}
	}
	return l
}

func (s *stage) tell(proxy, of int) {
	l := s.load(of)
	s.places[proxy].heard[of] = l
	s.places[proxy].table.Observe(s.members[of], l, s.wall())
}

func (s *stage) hear(proxy int) {
	for i := range s.places {
		s.tell(proxy, i)
	}
	heap.Push(&s.queue, happening{s.now + s.age, proxy, true})
}

// send begins a message at a random proxy for a random user; a tenth of the sessions empty a mailbox before.
func (s *stage) send() {
	for s.rng.Float64() < 0.1 {
		s.holders[s.rng.IntN(modelUsers)] = nil
	}
	proxy, user := s.rng.IntN(len(s.places)), s.rng.IntN(modelUsers)
	p := &s.places[proxy]
	if s.ageless {
		for i, l := range p.heard {
			p.table.Observe(s.members[i], l, s.wall())
		}
	}
	s.tell(proxy, proxy)
	if s.calls {
		manager := s.rng.IntN(len(s.places))
		s.tell(manager, proxy)
		s.tell(proxy, manager)
	}
	id := Choose(Request{Holders: s.holders[user], Members: s.members, Spread: s.spread}, p.table, s.wall(), s.rng)[0]
	at := int(id) - 1
	if s.calls {
		s.tell(at, proxy)
	}
	if s.counted && at != proxy {
		p.heard[at].Pending++
		if k, ok := p.table.Get(id); ok {
			k.Load.Pending++
			p.table.Observe(id, k.Load, k.At)
		}
	}
	if !slices.Contains(s.holders[user], id) {
		s.holders[user] = append(s.holders[user], id)
	}
	d := &s.places[at]
	d.waiting = append(d.waiting, sent{proxy, s.now})
	if len(d.group) == 0 {
		s.begin(at)
	}
}

// groupMax is the most updates of a commit in the model.
const groupMax = 64

func (s *stage) begin(at int) {
	d := &s.places[at]
	k := min(len(d.waiting), groupMax)
	d.group, d.waiting = slices.Clone(d.waiting[:k]), slices.Clone(d.waiting[k:])
	d.since = s.now
	took := time.Duration(float64(d.base+time.Duration(k)*d.each) * (0.8 + 0.4*s.rng.Float64()))
	if d.hang != nil {
		took += d.hang(s.now)
	}
	heap.Push(&s.queue, happening{s.now + took, at, false})
}

func (s *stage) end(at int, warm time.Duration) {
	d := &s.places[at]
	group := d.group
	took := s.now - d.since
	if s.measure == perUpdate {
		took /= time.Duration(len(group))
	}
	if d.mean == 0 {
		d.mean = took
	}
	d.mean += (took - d.mean) / 8
	d.group = nil
	if len(d.waiting) > 0 {
		s.begin(at)
	}
	for _, m := range group {
		if s.answers || s.calls {
			s.tell(m.proxy, at)
		}
		if s.now >= warm {
			s.waits = append(s.waits, s.now-m.begun)
		}
		s.send()
	}
}

func alike(n int, d disk) []disk {
	list := make([]disk, n)
	for i := range list {
		list[i] = d
	}
	return list
}

func with(list []disk, k int, d disk) []disk {
	for i := range k {
		list[i*7%len(list)] = d
	}
	return list
}

// A disk that is ten times slower than 29 others costs little, however old the news of it are: it is not
// tried again and again because nothing is known of it for a moment.
func TestModel_SlowDiskIsNotForgotten(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of computing")
	}
	p := play{disks: slowOne(), measure: perGroup, spread: 2, age: 5 * time.Second, outstanding: 6, length: 15 * time.Second}
	all := 29 / modelService.Seconds()
	if o := p.run(); o.rate < 0.7*all {
		t.Errorf("%.0f messages/s of %.0f that the fast disks can do, with news of 5 s", o.rate, all)
	}
}

// modelService is how long a disk of the papers takes for a message.
const modelService = 36 * time.Millisecond

func slowOne() []disk {
	return with(alike(30, disk{each: modelService}), 1, disk{each: 10 * modelService})
}

// stopping makes a disk stop for two seconds of every ten.
func stopping(d disk) disk {
	d.hang = func(at time.Duration) time.Duration {
		if in := at % (10 * time.Second); in < 2*time.Second {
			return 2*time.Second - in
		}
		return 0
	}
	return d
}

// BenchmarkModel computes the throughput of 30 nodes, for kinds of disks, spreads, ages of news and measures
// of load. Run it with -benchtime 1x: it is no measure of time.
func BenchmarkModel(b *testing.B) {
	queue, fsync := disk{each: modelService}, disk{base: 8 * time.Millisecond, each: time.Millisecond / 2}
	for _, c := range []struct {
		name  string
		disks []disk
	}{
		{"queue", alike(30, queue)},
		{"queue,3 of 3 times the speed", with(alike(30, queue), 3, disk{each: modelService / 3})},
		{"queue,1 of a tenth", slowOne()},
		{"fsync", alike(30, fsync)},
		{"fsync,3 of 3 times the speed", with(alike(30, fsync), 3, disk{base: fsync.base / 3, each: fsync.each / 3})},
		{"fsync,1 of a tenth", with(alike(30, fsync), 1, disk{base: 10 * fsync.base, each: 10 * fsync.each})},
		{"queue,1 that stops", with(alike(30, queue), 1, stopping(queue))},
		{"fsync,1 that stops", with(alike(30, fsync), 1, stopping(fsync))},
	} {
		for _, spread := range []int{2, 4} {
			for _, age := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second, 5 * time.Second} {
				for _, v := range []struct {
					name string
					set  func(*play)
				}{
					{"papers", func(p *play) { p.measure, p.ageless = nothing, true }},
					{"pending", func(p *play) { p.measure = nothing }},
					{"ours", func(p *play) { p.measure = perGroup }},
					{"by update", func(p *play) { p.measure = perUpdate }},
					{"ours and own", func(p *play) { p.measure, p.counted = perGroup, true }},
					{"ours and current", func(p *play) { p.measure, p.current = perGroup, true }},
					{"ours with answers", func(p *play) { p.measure, p.answers = perGroup, true }},
				} {
					b.Run(fmt.Sprintf("%s/D%d/%v/%s", c.name, spread, age, v.name), func(b *testing.B) {
						p := play{disks: c.disks, spread: spread, age: age, outstanding: 6, length: 20 * time.Second}
						v.set(&p)
						var o outcome
						for b.Loop() {
							o = p.run()
						}
						b.ReportMetric(o.rate, "messages/s")
						b.ReportMetric(float64(o.mean.Milliseconds()), "ms-mean")
						b.ReportMetric(float64(o.p99.Milliseconds()), "ms-p99")
					})
				}
			}
		}
	}
}
