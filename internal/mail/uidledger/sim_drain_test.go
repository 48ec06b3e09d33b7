package uidledger

import (
	"errors"
	"fmt"

	"porcupine/internal/cluster"
)

// drain has a node lose sight of what it has granted: it was drained, the drain was taken back, and what it had lies on a node that is away. Or that
// node comes back.
func (w *world) drain(n *simNode) {
	if n.moved != nil {
		w.undrain(n)
		return
	}
	if n.grant != nil {
		n.moved, n.grant = n.grant, nil
		w.counts.drains++
		w.note("what node %d has granted lies on a node that is away", n.i)
	}
}

// undrain joins what a node had granted to what it has granted since.
func (w *world) undrain(n *simNode) {
	if n.moved == nil {
		return
	}
	both := n.moved
	if n.grant != nil {
		var err error
		if both, err = Merge(n.grant, n.moved); err != nil {
			w.fail("R1", "%v", err)
		}
	}
	n.grant, n.moved = both, nil
	w.note("node %d has again what it had granted", n.i)
}

var errMoved = errors.New("what was granted may lie on a node that is away")

// recall does what a ledger replica does that finds no grant object of its own while nodes are away.
func (w *world) recall(n *simNode, r *Request) error {
	if n.grant != nil || n.moved == nil {
		return nil
	}
	if !r.IsUsed() {
		return errMoved // of a folder in which nobody knows of any numbers it would begin: here that would be untrue
	}
	var others [][]byte
	for _, m := range r.Set.Members {
		if x := w.nodes[m.Node-1]; x != n && !x.lost && x.grant != nil && w.both(n.i, x.i) {
			others = append(others, x.grant)
		}
	}
	state, err := Regain(r, others)
	if err != nil {
		if !cluster.IsKind(err, cluster.KindUnavailable) {
			w.fail("L2", "%v", err)
		}
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	n.grant = state
	w.counts.regained++
	return nil
}
