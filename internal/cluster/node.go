package cluster

import (
	"fmt"
	"strconv"
)

// NodeID names a node for life. It is random, drawn when a data directory is first used and
// kept there, so an emptied directory is a new node. Order and tie-breaks use it; addresses may
// change. Zero is no node.
type NodeID uint64

// NoNode is the zero NodeID: no node at all.
const NoNode NodeID = 0

// String gives the id as 16 hexadecimal digits, the form used in logs, certificates and commands.
func (n NodeID) String() string { return fmt.Sprintf("%016x", uint64(n)) }

// ParseNodeID reads the form that String writes.
func ParseNodeID(s string) (NodeID, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 || v == 0 {
		return NoNode, fmt.Errorf("node id %q: want 16 hexadecimal digits, not all zero", s)
	}
	return NodeID(v), nil
}

// MarshalText makes a NodeID appear as its String form in JSON and TOML.
func (n NodeID) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (n *NodeID) UnmarshalText(b []byte) (err error) {
	*n, err = ParseNodeID(string(b))
	return err
}
