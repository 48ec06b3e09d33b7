package search

// walkMax is how far links walks up a tree by single steps before it asks the other way.
const walkMax = 64

// links is a growing forest, whose trees are linked and cut, that finds the root of a node in logarithmic time, amortized, however
// deep the trees are (Sleator and Tarjan 1983: paths as splay trees). It answers whether a link would close a loop.
type links struct {
	parent          []int32 // of each node, as linked
	left, right, up []int32 // of the splay trees; up also leads from a path to the node above it
}

func newLinks(nodes int) *links {
	l := &links{}
	for range nodes {
		l.add()
	}
	return l
}

func (l *links) add() int32 {
	l.parent = append(l.parent, none)
	l.left = append(l.left, none)
	l.right = append(l.right, none)
	l.up = append(l.up, none)
	return int32(len(l.parent) - 1) // #nosec G115 -- nodes are far fewer than 2^31
}

// loops reports whether root, which has no parent, is above node or node itself.
func (l *links) loops(root, node int32) bool {
	for range walkMax {
		if node == root {
			return true
		}
		above := l.parent[node]
		if above == none {
			return false
		}
		node = above
	}
	return l.root(node) == root
}

// link makes a node without a parent the child of another, in another tree.
func (l *links) link(child, parent int32) {
	l.access(child)
	l.access(parent)
	l.up[child] = parent
	l.parent[child] = parent
}

// cut takes a node from its parent.
func (l *links) cut(node int32) {
	l.access(node)
	path := l.left[node]
	l.left[node] = none
	l.up[path] = none
	l.parent[node] = none
}

// root finds the root of a node's tree.
func (l *links) root(node int32) int32 {
	l.access(node)
	for l.left[node] != none {
		node = l.left[node]
	}
	l.splay(node) // pays for the way down
	return node
}

// access makes the path from the root to a node one splay tree, with the node on top and nothing below it.
func (l *links) access(node int32) {
	l.splay(node)
	l.right[node] = none
	for l.up[node] != none {
		above := l.up[node]
		l.splay(above)
		l.right[above] = node
		l.splay(node)
	}
}

// top reports whether a node is the top of its splay tree.
func (l *links) top(node int32) bool {
	up := l.up[node]
	return up == none || l.left[up] != node && l.right[up] != node
}

func (l *links) splay(node int32) {
	for !l.top(node) {
		up := l.up[node]
		if !l.top(up) {
			if (l.left[up] == node) == (l.left[l.up[up]] == up) {
				l.rotate(up)
			} else {
				l.rotate(node)
			}
		}
		l.rotate(node)
	}
}

// rotate lifts a node over the one above it.
func (l *links) rotate(node int32) {
	up := l.up[node]
	above := l.up[up]
	wasTop := l.top(up)
	var inner int32
	if l.left[up] == node {
		inner = l.right[node]
		l.left[up], l.right[node] = inner, up
	} else {
		inner = l.left[node]
		l.right[up], l.left[node] = inner, up
	}
	if inner != none {
		l.up[inner] = up
	}
	l.up[up], l.up[node] = node, above
	if !wasTop {
		if l.left[above] == up {
			l.left[above] = node
		} else {
			l.right[above] = node
		}
	}
}
