package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// Faults say how a link treats what it carries: requests one way, answers the other. The zero value
// is a link that delivers everything at once.
type Faults struct {
	// Loss is the share of requests and answers that vanish: their caller waits until its deadline.
	Loss float64
	// Duplicate is the share of requests that arrive, and are executed, twice. The second answer
	// goes nowhere.
	Duplicate float64
	// DelayMin and DelayMax bound how long each takes, at random: what is sent later may so
	// arrive earlier. DelayMax below DelayMin counts as DelayMin.
	DelayMin, DelayMax time.Duration
}

// Switch is a network in one process, with faults by a seed. Every link has a random stream of its
// own, so that what happens on one does not change the luck of another. Safe for concurrent use.
type Switch struct {
	seed uint64

	mu       sync.Mutex
	ports    map[string]*SwitchPort // by address
	defaults Faults
	links    map[direction]*link
}

type direction struct{ from, to cluster.NodeID }

// link is one direction between two nodes. Guarded by Switch.mu.
type link struct {
	rng    *rand.Rand
	faults *Faults // nil: the switch's defaults
	cut    bool
}

// NewSwitch makes a network without nodes and without faults.
func NewSwitch(seed uint64) *Switch {
	return &Switch{seed: seed, ports: make(map[string]*SwitchPort), links: make(map[direction]*link)}
}

// SetFaults sets the faults of all links that have none of their own.
func (s *Switch) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.defaults = f
}

// SetLinkFaults sets the faults of one direction of one link.
func (s *Switch) SetLinkFaults(from, to cluster.NodeID, f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link(from, to).faults = &f
}

// Cut makes all vanish that goes from one node to the other: its requests, and its answers. The
// other direction stays as it is.
func (s *Switch) Cut(from, to cluster.NodeID) { s.setCut(from, to, true) }

// Heal undoes Cut.
func (s *Switch) Heal(from, to cluster.NodeID) { s.setCut(from, to, false) }

func (s *Switch) setCut(from, to cluster.NodeID, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link(from, to).cut = cut
}

// Partition cuts all links between nodes of different groups, in both directions, and heals those
// within a group. Links of nodes that are in no group stay as they are.
func (s *Switch) Partition(groups ...[]cluster.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, group := range groups {
		for j, other := range groups {
			for _, a := range group {
				for _, b := range other {
					s.link(a, b).cut = i != j
				}
			}
		}
	}
}

// HealAll undoes all cuts. Faults stay.
func (s *Switch) HealAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		l.cut = false
	}
}

// link gives one direction. Preconditions: s.mu is held.
func (s *Switch) link(from, to cluster.NodeID) *link {
	d := direction{from, to}
	l := s.links[d]
	if l == nil {
		// The seed of a link does not depend on when it was first used.
		l = &link{rng: rand.New(rand.NewPCG(s.seed^uint64(from), uint64(to)))}
		s.links[d] = l
	}
	return l
}

// fate is what becomes of one request or answer.
type fate struct {
	lost  bool
	delay time.Duration
	// again: a request arrives once more, after that delay.
	again      bool
	againDelay time.Duration
}

// toss decides on what goes from one node to another.
func (s *Switch) toss(from, to cluster.NodeID) fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.link(from, to)
	f := s.defaults
	if l.faults != nil {
		f = *l.faults
	}
	// Always as many draws, so that one fault does not shift the luck of the next.
	loss, twice, first, second := l.rng.Float64(), l.rng.Float64(), l.rng.Float64(), l.rng.Float64()
	spread := float64(max(f.DelayMax-f.DelayMin, 0))
	return fate{
		lost:       l.cut || loss < f.Loss,
		delay:      f.DelayMin + time.Duration(first*spread),
		again:      twice < f.Duplicate,
		againDelay: f.DelayMin + time.Duration(second*spread),
	}
}

// find gives the port at an address, if one serves there.
func (s *Switch) find(addr string) (*SwitchPort, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.ports[addr]
	return p, ok
}

// Port plugs a node in. It takes calls once it serves; another port at the address is KindExists.
func (s *Switch) Port(id cluster.NodeID, addr string) (*SwitchPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, ok := s.ports[addr]; ok {
		return nil, cluster.Errorf(cluster.KindExists, fmt.Sprintf("plug in node %s", id), "node %s has address %s", other.id, addr)
	}
	p := &SwitchPort{net: s, id: id, addr: addr}
	p.life, p.end = context.WithCancel(context.Background())
	s.ports[addr] = p
	return p, nil
}

func (s *Switch) unplug(p *SwitchPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports[p.addr] == p {
		delete(s.ports, p.addr)
	}
}
