package search

import (
	"slices"
)

// references is THREAD=REFERENCES (RFC 5256 §3), step by step as they are numbered there. Nodes 0 to
// len(messages)-1 are the messages by UID, the others dummies: messages that are only referred to, and those that step 5 makes.
type references struct {
	*Threader
	roots   []int32 // the children of the root
	parents []int32 // of the other nodes; none: it is a root, or was pruned
	kids    [][]int32
}

func (t *Threader) references() *Forest {
	r := &references{Threader: t}
	l := r.link()
	r.prune(l.parent)
	r.sortRoots()
	r.gather()
	return r.forest()
}

// dummy reports whether a node is no message.
func (r *references) dummy(node int32) bool { return int(node) >= len(r.messages) }

// link is step 1: nodes for all messages and for what they refer to, and who is below whom.
func (r *references) link() *links {
	l := newLinks(len(r.messages))
	nodes := make(map[hash]int32, len(r.messages))
	for i := range r.messages {
		// Of messages with the same id only the first has it.
		if id := r.messages[i].id; id != (hash{}) {
			if _, taken := nodes[id]; !taken {
				nodes[id] = int32(i) // #nosec G115 -- messages have 32-bit UIDs; there are not 2^31 of them
			}
		}
	}
	for i := range r.messages {
		node, last := int32(i), none // #nosec G115 -- as above
		// (A) the references among each other
		for _, ref := range r.refs[r.messages[i].refs.start:r.messages[i].refs.end] {
			at, known := nodes[ref]
			if !known {
				at = l.add()
				nodes[ref] = at
			}
			if last != none && l.parent[at] == none && !l.loops(at, last) {
				l.link(at, last)
			}
			last = at
		}
		// (B) the message below the last of them
		if l.parent[node] != none && l.parent[node] != last {
			l.cut(node)
		}
		if last != none && l.parent[node] == none && !l.loops(node, last) {
			l.link(node, last)
		}
	}
	return l
}

// prune is steps 2 and 3: without dummies but for those above several threads.
func (r *references) prune(above []int32) {
	// The nodes from the roots down: each list of children as a chain.
	below, next := make([]int32, len(above)), make([]int32, len(above))
	for i := range below {
		below[i] = none
	}
	order := make([]int32, 0, len(above))
	for i, up := range above {
		node := int32(i) // #nosec G115 -- as in link
		if up == none {
			order = append(order, node)
			continue
		}
		next[node], below[up] = below[up], node
	}
	for i := 0; i < len(order); i++ {
		for at := below[order[i]]; at != none; at = next[at] {
			order = append(order, at)
		}
	}
	// The parent of each is the next message above it, or else the dummy at the top.
	r.parents = make([]int32, len(above))
	r.kids = make([][]int32, len(above))
	for _, node := range order {
		up := above[node]
		if up != none && r.dummy(up) && above[up] != none {
			up = r.parents[up]
		}
		r.parents[node] = up
		if up != none && !r.dummy(node) {
			r.kids[up] = append(r.kids[up], node)
		}
	}
	for _, node := range order {
		switch {
		case r.parents[node] != none:
		case !r.dummy(node):
			r.roots = append(r.roots, node)
		case len(r.kids[node]) == 1: // its only thread goes up
			r.roots = append(r.roots, r.kids[node][0])
			r.kids[node] = nil
		case len(r.kids[node]) > 1:
			r.roots = append(r.roots, node)
		}
	}
}

// sortRoots is step 4; dummies stand where their first child does.
func (r *references) sortRoots() {
	for _, root := range r.roots {
		if r.dummy(root) {
			r.sort(r.kids[root])
		}
	}
	r.sort(r.roots)
}

func (r *references) sort(nodes []int32) {
	slices.SortFunc(nodes, func(a, b int32) int {
		return before(&r.messages[r.first(a)], &r.messages[r.first(b)])
	})
}

// first is the message of a node; a dummy's is that of its first child, once these are sorted.
func (r *references) first(node int32) int32 {
	if r.dummy(node) {
		return r.kids[node][0]
	}
	return node
}

// gather is step 5: threads of the same subject become one.
func (r *references) gather() {
	table := make(map[hash]int32, len(r.roots)) // (A)
	for _, root := range r.roots {              // (B)
		subject := r.messages[r.first(root)].subject
		if subject == (hash{}) {
			continue
		}
		have, known := table[subject]
		if !known || !r.dummy(have) && (r.dummy(root) || r.messages[have].replied && !r.messages[root].replied) {
			table[subject] = root
		}
	}
	gone := make(map[int32]bool)
	for _, root := range slices.Clone(r.roots) { // (C)
		subject := r.messages[r.first(root)].subject
		have := table[subject]
		switch {
		case subject == (hash{}) || have == root:
			continue
		case r.dummy(have) && r.dummy(root):
			r.kids[have] = append(r.kids[have], r.kids[root]...)
		case r.dummy(have), r.messages[root].replied && !r.messages[have].replied:
			r.kids[have] = append(r.kids[have], root)
		default:
			both := int32(len(r.kids)) // #nosec G115 -- as in link
			r.kids = append(r.kids, []int32{have, root})
			r.roots = append(r.roots, both)
			table[subject] = both
			gone[have] = true
		}
		gone[root] = true
	}
	r.roots = slices.DeleteFunc(r.roots, func(root int32) bool { return gone[root] })
}

// forest is step 6: all siblings by their date, the youngest first. Only roots can be dummies, so that the order
// in which the sets are sorted matters for these alone: they come last.
func (r *references) forest() *Forest {
	f := newForest(len(r.kids))
	for i := range r.messages {
		f.uids[i] = r.messages[i].uid
	}
	for node, kids := range r.kids {
		r.sort(kids)
		for i, kid := range kids {
			if i == 0 {
				f.child[node] = kid
			} else {
				f.sibling[kids[i-1]] = kid
			}
		}
	}
	r.sort(r.roots)
	f.Roots = r.roots
	return f
}
