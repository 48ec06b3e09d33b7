package sim

import (
	"fmt"
	"time"

	"porcupine/internal/cluster"
)

// drawMachines decides on how many machines the nodes are, if several are on one: Options.Machines.
func (w *World) drawMachines() {
	if w.opt.Machines {
		w.machines = 3 + w.stream("machines").IntN(3)
		w.opt.Nodes = max(w.opt.Nodes, 4)
	}
}

// machineOf draws the machine of a node; some have none.
func (w *World) machineOf(n *node) cluster.Machine {
	if w.machines == 0 {
		return cluster.NoMachine
	}
	return cluster.Machine(w.stream("machine of " + n.addr()).IntN(w.machines + 1))
}

// on gives the machines of all nodes.
func (w *World) on() cluster.Machines {
	m := cluster.Machines{}
	for _, n := range w.nodes {
		m[n.id] = n.machine
	}
	return m
}

// crowded is R6 where nodes share machines: an object with two copies on one machine, though a node on another one could
// take one.
func (w *World) crowded() string {
	if w.machines == 0 {
		return ""
	}
	machines := w.on()
	var open []cluster.NodeID
	for _, n := range w.nodes {
		if n.up() {
			open = append(open, n.id)
		}
	}
	for _, n := range w.nodes {
		if !n.up() {
			continue
		}
		for _, id := range n.disk.ids() {
			s := n.disk.objects[id]
			if o := &s.object; !o.Deleted && !s.damaged && machines.Count(o.Replicas) < len(o.Replicas) && len(machines.Apart(o.Replicas, open)) > 0 {
				return fmt.Sprintf("%s of %s lies on %v, of which %v share a machine, and %v have none of it", id.ID, id.Owner,
					w.names(o.Replicas), w.names(machines.Together(o.Replicas)), w.names(cluster.NewReplicaSet(machines.Apart(o.Replicas, open)...)))
			}
		}
	}
	return ""
}

// loseMachine takes away the machine with the most nodes, all of them in one moment and with their disks, if two other
// machines are left. The cluster was at rest, and everything had two copies: nothing may be lost.
func (w *World) loseMachine() {
	m := w.largest()
	if m == cluster.NoMachine || w.copies < 2 || w.check.failure != nil {
		return
	}
	var live []cluster.ObjectID
	for _, n := range w.nodes {
		for _, id := range n.disk.ids() {
			if s := n.disk.objects[id]; n.up() && !s.object.Deleted && !s.damaged && !w.oracle.lost[id] {
				live = append(live, id)
			}
		}
	}
	w.stats.Machines++
	for _, n := range w.nodes {
		if n.machine != m || n.gone {
			continue
		}
		w.record(fmt.Sprintf("is lost with machine %d", m), n)
		n.crash()
		w.lose(n)
		w.acts++
		w.after(time.Minute, func() { w.strike(n.id) })
	}
	for _, id := range live {
		if w.oracle.lost[id] {
			w.check.that("R6", fmt.Sprintf("%s of %s is lost with machine %d", id.ID, id.Owner, m))
		}
	}
}

// largest gives the machine with the most nodes of those that can be lost while two others are left; NoMachine: there is
// none, or nodes are not on machines.
func (w *World) largest() (most cluster.Machine) {
	count := map[cluster.Machine]int{}
	for m := cluster.Machine(1); int(m) <= w.machines; m++ {
		others := cluster.ReplicaSet{}
		for _, n := range w.nodes {
			if n.up() && n.machine == m {
				count[m]++
			} else if n.up() {
				others = append(others, n.id)
			}
		}
		if w.on().Count(others) >= 2 && count[m] > count[most] {
			most = m
		}
	}
	return most
}
