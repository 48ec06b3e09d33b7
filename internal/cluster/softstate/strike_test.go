package softstate_test

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
)

// V1: a node that is away and was not there for long after another was struck may have the only copy
// of a profile, whatever it has said.
func TestAbsentAfterStrikeCountsAsSoleV1(t *testing.T) {
	struck := time.Unix(1000, 0)
	known := []cluster.Known{{Endpoint: cluster.Endpoint{ID: 1}}, {Endpoint: cluster.Endpoint{ID: 2}}}
	for _, c := range []struct {
		name   string
		absent map[cluster.NodeID]time.Time
		struck time.Time
		want   bool
	}{
		{"none was struck", map[cluster.NodeID]time.Time{2: struck}, time.Time{}, false},
		{"nobody is away", nil, struck, false},
		{"away since before", map[cluster.NodeID]time.Time{2: struck.Add(-time.Hour)}, struck, true},
		{"went soon after", map[cluster.NodeID]time.Time{2: struck.Add(softstate.RepairTime - 1)}, struck, true},
		{"went when all was made up for", map[cluster.NodeID]time.Time{2: struck.Add(softstate.RepairTime)}, struck, false},
	} {
		got := softstate.AfterStrike(known, c.absent, c.struck)
		if got[1].Sole != c.want || got[0].Sole || known[1].Sole {
			t.Errorf("%s: %v, given %v", c.name, got, known)
		}
	}
}
