package node

import (
	"context"
	"fmt"

	"porcupine/internal/cluster"
)

// Struck gives the nodes that were removed for good, as far as this node has heard.
func (n *Node) Struck() cluster.ReplicaSet {
	if s := n.stats.struck.Load(); s != nil {
		return *s
	}
	return nil
}

// Announce tells the managers of owners what this node holds for them, after a change that was no
// update: when the store has collected what it kept for a time only. It waits for them at most
// RegisterWait; after that the reporter goes on by itself. The error is of a holding that could not
// be read.
func (n *Node) Announce(ctx context.Context, owners []string) error {
	if _, err := n.register(ctx, owners); err != nil {
		return fmt.Errorf("announce holdings: %w", err)
	}
	return nil
}
