package sim

import (
	"fmt"
	"strings"

	"porcupine/internal/cluster"
)

// states tells who has what of an object, for a report.
func (w *World) states(id cluster.ObjectID) string {
	var b strings.Builder
	for _, n := range w.nodes {
		s, r := n.disk.objects[id], n.disk.records[id]
		if s == nil && r == nil || n.disk.destroyed {
			continue
		}
		fmt.Fprintf(&b, "%v:", n)
		if s != nil {
			fmt.Fprintf(&b, " copy of %v on %v", s.object.Timestamp, w.names(s.object.Replicas))
			if s.damaged {
				b.WriteString(" (damaged)")
			}
		}
		if r != nil {
			fmt.Fprintf(&b, " record of %v deleted=%v to %v retired=%d", r.Timestamp, r.Deleted, w.names(r.Targets), r.Retired)
		}
		b.WriteString("; ")
	}
	return b.String()
}

// names tells which nodes are in a set.
func (w *World) names(set cluster.ReplicaSet) []string {
	var out []string
	for _, id := range set {
		if n := w.byID[id]; n != nil {
			out = append(out, n.String())
		} else {
			out = append(out, id.String())
		}
	}
	return out
}
