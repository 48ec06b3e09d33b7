package search

import "porcupine/internal/mail"

// none is no node of a forest.
const none int32 = -1

// Forest is threads: trees of messages as deep as a hostile client's References make them. So no code here or
// around it may call itself for each level: it is walked by Child and Next, or from Order, in which each node comes before its
// children.
type Forest struct {
	Roots          []int32 // the threads, in order
	uids           []mail.UID
	child, sibling []int32 // of each node: its first child, the next child of its parent
}

func newForest(nodes int) *Forest {
	f := &Forest{uids: make([]mail.UID, nodes), child: make([]int32, nodes), sibling: make([]int32, nodes)}
	for i := range nodes {
		f.child[i], f.sibling[i] = none, none
	}
	return f
}

// UID gives the message of a node; 0: none, the node only holds its children together.
func (f *Forest) UID(node int32) mail.UID { return f.uids[node] }

// Child gives the first child of a node; false: there is none.
func (f *Forest) Child(node int32) (int32, bool) { return f.child[node], f.child[node] != none }

// Next gives the next child of a node's parent. Roots have none: they stand in Roots.
func (f *Forest) Next(node int32) (int32, bool) { return f.sibling[node], f.sibling[node] != none }

// Order gives all nodes, each before its children.
func (f *Forest) Order() []int32 {
	order := append(make([]int32, 0, len(f.uids)), f.Roots...)
	for i := 0; i < len(order); i++ {
		for at := f.child[order[i]]; at != none; at = f.sibling[at] {
			order = append(order, at)
		}
	}
	return order
}
