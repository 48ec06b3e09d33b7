package sim

import (
	"fmt"
	"time"
)

// lastMax is how many events of note are kept for a failure report.
const lastMax = 60

// trace is the fingerprint of a run, and its last events.
type trace struct {
	hash  uint64
	lines [lastMax]traceLine
	count int
}

type traceLine struct {
	at   int64
	what string
	node *node
	view string
}

// mix adds an event to the hash: when, where, what.
func (t *trace) mix(e event) {
	h := t.hash ^ uint64(e.at)
	h = (h ^ uint64(e.node.index)<<32 ^ e.order) * 0x9E3779B97F4A7C15
	if p := e.packet; p != nil {
		h ^= uint64(p.from.index)<<8 | uint64(p.member.Kind)
		h ^= p.member.Epoch.Counter<<16 ^ p.member.Nonce
	}
	t.hash = (h ^ h>>29) * 0xBF58476D1CE4E5B9
}

// note keeps a line.
func (t *trace) note(at int64, what string, n *node) {
	l := traceLine{at: at, what: what, node: n}
	if n != nil && n.core != nil {
		l.view = fmt.Sprintf("%v of %d", n.view().Epoch.Counter, len(n.view().Members))
	}
	t.lines[t.count%lastMax] = l
	t.count++
}

func (t *trace) last() string { return t.lines[(t.count-1)%lastMax].String() }

// tail lists the lines kept, oldest first.
func (t *trace) tail() []string {
	var out []string
	for i := max(0, t.count-lastMax); i < t.count; i++ {
		out = append(out, t.lines[i%lastMax].String())
	}
	return out
}

func (l traceLine) String() string {
	s := fmt.Sprintf("%12v", time.Duration(l.at).Round(time.Microsecond))
	if l.node != nil {
		s += fmt.Sprintf(" %v", l.node)
		if l.view != "" {
			s += " (epoch " + l.view + ")"
		}
	}
	return s + " " + l.what
}
