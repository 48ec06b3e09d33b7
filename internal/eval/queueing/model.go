package queueing

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
)

// pickUpShare is the share of sessions that empty a mailbox.
const pickUpShare = 0.1

// Config says what is modelled.
type Config struct {
	Nodes   int
	Users   int
	Service time.Duration // of one message at a disk
	// Speed is by how much each disk is faster than that; nil: all are alike.
	Speed []float64
	// Unweighted: a proxy hears how long the queues are and not how fast the disks, as in the papers.
	Unweighted bool
	Policy     balance.Policy
	// Refresh is the time after which a proxy hears the load of all nodes again.
	Refresh time.Duration
	// Ageless: a proxy takes what it heard for what is, however old it is, as the papers do. Otherwise the table knows
	// how old it is.
	Ageless bool
	// Outstanding is how many messages are under way, for each node.
	Outstanding  int
	Warm, Window time.Duration // what is run first, and what is counted then
	Seed         uint64
}

// Outcome is what a run shows.
type Outcome struct {
	Throughput float64       // messages a second
	Wait       time.Duration // mean, from the choice of the node to the end
}

// event is the end of a message at a disk, or the next news at a proxy.
type event struct {
	at    time.Duration
	node  int // disk or proxy
	begun time.Duration
	news  bool
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) } //nolint:errcheck // heap gives what was pushed
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// node is one disk and one proxy.
type node struct {
	pending int
	free    time.Duration // when the disk will be
	table   *balance.Table
	heard   []cluster.Load // by node, at the last news
}

// model is a run.
type model struct {
	Config
	rng     *rand.Rand
	now     time.Duration
	queue   events
	nodes   []node
	members []cluster.NodeID
	holders [][]cluster.NodeID // by user
}

// epoch is the wall time at which every run begins.
func epoch() time.Time { return time.Unix(1_800_000_000, 0) }

// Run plays a model.
func Run(c Config) (Outcome, error) {
	if c.Nodes < 1 || c.Users < 1 || c.Service <= 0 || c.Refresh <= 0 || c.Outstanding < 1 || c.Window <= 0 || c.Policy == nil {
		return Outcome{}, errors.New("queueing model: give nodes, users, service time, policy, refresh, outstanding messages and window")
	}
	if c.Speed != nil && (len(c.Speed) != c.Nodes || slices.Min(c.Speed) <= 0) {
		return Outcome{}, fmt.Errorf("queueing model: %d speeds for %d nodes, want one above 0 for each", len(c.Speed), c.Nodes)
	}
	m := &model{Config: c, rng: rand.New(rand.NewPCG(c.Seed, 7)), nodes: make([]node, c.Nodes), holders: make([][]cluster.NodeID, c.Users)}
	for i := range m.nodes {
		m.members = append(m.members, cluster.NodeID(i+1))
		m.nodes[i] = node{table: balance.NewTable(), heard: make([]cluster.Load, c.Nodes)}
		heap.Push(&m.queue, event{at: time.Duration(m.rng.Int64N(int64(c.Refresh))), node: i, news: true})
	}
	for range c.Outstanding * c.Nodes {
		m.session()
	}
	done, waits := 0, time.Duration(0)
	for m.now < c.Warm+c.Window {
		e := heap.Pop(&m.queue).(event) //nolint:errcheck // heap gives what was pushed
		m.now = e.at
		if e.news {
			m.hear(e.node)
			continue
		}
		m.nodes[e.node].pending--
		if m.now >= c.Warm {
			done++
			waits += m.now - e.begun
		}
		m.session()
	}
	return Outcome{Throughput: float64(done) / c.Window.Seconds(), Wait: waits / time.Duration(max(done, 1))}, nil
}

// load is what a node says of itself.
func (m *model) load(i int) cluster.Load {
	l := cluster.Load{Pending: m.nodes[i].pending, Commit: m.Service}
	if !m.Unweighted {
		l.Commit = m.service(i)
	}
	return l
}

// service is the time of a message at a disk.
func (m *model) service(i int) time.Duration {
	if m.Speed == nil {
		return m.Service
	}
	return time.Duration(float64(m.Service) / m.Speed[i])
}

// hear gives a proxy the load of all nodes, and orders the next news.
func (m *model) hear(proxy int) {
	p := &m.nodes[proxy]
	for i := range m.nodes {
		p.heard[i] = m.load(i)
		p.table.Observe(m.members[i], p.heard[i], epoch().Add(m.now))
	}
	heap.Push(&m.queue, event{at: m.now + m.Refresh, node: proxy, news: true})
}

// session begins one: it leads to a message under way, perhaps after some pick-ups, which ask no disk.
func (m *model) session() {
	for m.rng.Float64() < pickUpShare {
		m.holders[m.rng.IntN(m.Users)] = nil
	}
	proxy, user := m.rng.IntN(m.Nodes), m.rng.IntN(m.Users)
	at := m.choose(proxy, user)
	n := &m.nodes[at]
	n.free = max(n.free, m.now) + m.service(at)
	n.pending++
	if id := m.members[at]; !slices.Contains(m.holders[user], id) {
		m.holders[user] = append(m.holders[user], id)
	}
	heap.Push(&m.queue, event{at: n.free, node: at, begun: m.now})
}

// choose asks the policy for the node of a message.
func (m *model) choose(proxy, user int) int {
	p, now := &m.nodes[proxy], epoch().Add(m.now)
	if m.Ageless {
		for i, l := range p.heard {
			p.table.Observe(m.members[i], l, now)
		}
	}
	p.table.Observe(m.members[proxy], m.load(proxy), now) // a node knows its own load always
	bucket := cluster.Bucket(user * cluster.BucketCount / m.Users)
	chosen := m.Policy.Choose(balance.Request{Holders: m.holders[user], Members: m.members, Bucket: bucket, Copies: 1}, p.table, now, m.rng)
	return int(chosen[0]) - 1 // every node is open, so there is one
}
