package softstate

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// RepairTime is how long after a node was struck its replicas are taken to be made up for by others.
const RepairTime = 10 * time.Minute

// AfterStrike gives the known nodes as SetKnown wants them, when the last node was struck at the given
// time (zero: none was). A cached object lay on two nodes; once one of them is struck, the other may
// have the only copy, though it was not made alone and so its node never said that it is the sole
// holder. So a node that went away before its replicas can have been made up for counts as one (V1).
// absent gives since when nodes have been away. known is not changed.
func AfterStrike(known []cluster.Known, absent map[cluster.NodeID]time.Time, struck time.Time) []cluster.Known {
	if struck.IsZero() || len(absent) == 0 {
		return known
	}
	known = slices.Clone(known)
	for i := range known {
		if since, away := absent[known[i].ID]; away && since.Before(struck.Add(RepairTime)) {
			known[i].Sole = true
		}
	}
	return known
}
