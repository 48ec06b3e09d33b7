package node

import (
	"context"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// machineNames are the names of machines as their nodes have told them. What decides where copies lie travels with
// every call, as a number; the name is for people, is told in answer to MethodStatus only, and is remembered here of
// nodes that are away too: when a machine dies, its name is what one wants to see. It is in memory alone.
type machineNames struct {
	mu   sync.Mutex
	byID map[cluster.NodeID]string // of nodes that are known; MachineNamesMax at most
}

const (
	// MachineNamesMax bounds the nodes of which the name of the machine is remembered.
	MachineNamesMax = 4096
	// machineNamesRest is between a change of the view and the questions, and machineNamesEvery between two rounds:
	// who restarts with another name in the same view, or did not answer, is asked then.
	machineNamesRest  = 2 * time.Second
	machineNamesEvery = time.Minute
)

// learn notes what a node has said.
func (s *machineNames) learn(id cluster.NodeID, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case name == "":
		delete(s.byID, id)
	case s.byID == nil:
		s.byID = map[cluster.NodeID]string{id: name}
	case s.byID[id] != "" || len(s.byID) < MachineNamesMax:
		s.byID[id] = name
	}
}

func (s *machineNames) get(id cluster.NodeID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// retain forgets the nodes that are not known any more.
func (s *machineNames) retain(known []cluster.Known) {
	keep := make(map[cluster.NodeID]bool, len(known))
	for i := range known {
		keep[known[i].ID] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.byID {
		if !keep[id] {
			delete(s.byID, id)
		}
	}
}

// MachineOf gives the name of a node's machine as it was last heard, of a node that is away too; empty: it has none,
// or none was heard since this process began.
func (n *Node) MachineOf(id cluster.NodeID) string {
	if id == n.cfg.Self.ID {
		return n.cfg.Machine
	}
	return n.machines.get(id)
}

// LearnMachines asks the members for the names of their machines, each once, until ctx ends. Where no node
// shares a machine it asks nobody.
func (n *Node) LearnMachines(ctx context.Context) {
	for ctx.Err() == nil {
		changed := n.Changed()
		if !pauseUntil(ctx, machineNamesRest, nil) {
			return
		}
		n.machines.retain(n.Known())
		for _, m := range n.unnamed() {
			n.memberStatus(ctx, m) // what it says is noted; who does not answer is asked again
		}
		pauseUntil(ctx, machineNamesEvery, changed)
	}
}

// unnamed lists the members whose machine is another than the one whose name was heard.
func (n *Node) unnamed() (list []cluster.Member) {
	loads := n.Loads()
	for _, m := range n.View().Members {
		if m.ID != n.cfg.Self.ID && loads[m.ID].Machine != cluster.MachineNamed(n.machines.get(m.ID)) {
			list = append(list, m)
		}
	}
	return list
}

// pauseUntil waits that long, or until woken; false if ctx has ended.
func pauseUntil(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
	return ctx.Err() == nil
}
