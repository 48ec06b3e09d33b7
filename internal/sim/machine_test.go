package sim

import (
	"testing"
	"time"
)

// R6: where several nodes are on one machine, two copies are not, however the nodes came and went; and a machine that is
// lost in one moment with all its nodes and disks takes nothing with it.
func TestR6_AMachineIsLost(t *testing.T) {
	lost := int64(0)
	for seed := uint64(1); seed <= 6; seed++ {
		r := Run(Options{Seed: seed, Break: time.Minute, Machines: true})
		if r.Failure != nil {
			t.Error(r.Failure)
		}
		lost += r.Stats.Machines
	}
	if lost < 2 {
		t.Errorf("%d machines were lost in six runs: the test shows nothing", lost)
	}
}
