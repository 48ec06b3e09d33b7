package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// The name of a machine is known of its nodes when they are away, also if nobody ever asked for it, and is forgotten
// with a node that is removed.
func TestMachinesOfAbsentNodes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.register = func(n *Node) {
			if n.ID() != w.machines[0].id {
				n.cfg.Machine = "rack 1"
				n.on = cluster.MachineNamed(n.cfg.Machine)
			}
		}
		for _, m := range w.machines {
			m.start()
		}
		w.settle(w.machines...)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		ctx, end := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); a.node.LearnMachines(ctx) }()
		defer func() { end(); <-done }()
		w.await("names heard", time.Minute, func() error {
			if x, y := a.node.MachineOf(b.id), a.node.MachineOf(c.id); x != "rack 1" || y != x || a.node.MachineOf(a.id) != "" {
				return fmt.Errorf("machines %q, %q", x, y)
			}
			return nil
		})
		if list := a.node.unnamed(); len(list) > 0 {
			t.Errorf("%v are asked again", list)
		}
		c.kill()
		w.settle(a, b)
		if name := a.node.MachineOf(c.id); name != "rack 1" {
			t.Errorf("the machine of the absent node is %q", name)
		}
		if err := a.node.Forget(ctx, c.id); err != nil {
			t.Fatal(err)
		}
		w.await("forgotten", 2*time.Minute, func() error {
			if name := a.node.MachineOf(c.id); name != "" {
				return fmt.Errorf("machine %q of a node that is removed", name)
			}
			return nil
		})
	})
}

// The memory of names is bounded, and what is in it can change.
func TestMachineNamesAreBounded(t *testing.T) {
	var s machineNames
	for id := range cluster.NodeID(MachineNamesMax + 1) {
		s.learn(id+1, "rack")
	}
	if len(s.byID) != MachineNamesMax || s.get(MachineNamesMax+1) != "" {
		t.Errorf("%d names are remembered, at most %d", len(s.byID), MachineNamesMax)
	}
	s.learn(1, "other")
	s.learn(2, "")
	if s.get(1) != "other" || s.get(2) != "" {
		t.Errorf("names %q, %q", s.get(1), s.get(2))
	}
}
