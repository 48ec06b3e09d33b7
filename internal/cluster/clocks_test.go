package cluster_test

import (
	"errors"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

var noon = time.Unix(1_700_000_000, 0)

// clocks is node 1, which has just heard of nodes 2, 3 and so on, so far behind its wall at noon.
func clocks(behind ...time.Duration) *cluster.Clocks {
	c := cluster.NewClocks(cluster.ClockSkewMax)
	members := []cluster.NodeID{1}
	for i := range behind {
		members = append(members, cluster.NodeID(i+2))
	}
	c.Retain(members)
	for i, d := range behind {
		hears(c, cluster.NodeID(i+2), noon.Add(-d), noon)
	}
	return c
}

func hears(c *cluster.Clocks, from cluster.NodeID, shown, wall time.Time) {
	c.Heard(from, cluster.Timestamp{Time: shown.UnixNano(), Node: from}, wall)
}

func stampAt(t time.Time) cluster.Timestamp { return cluster.Timestamp{Time: t.UnixNano(), Node: 1} }

// Row 27: no timestamps from a clock that half of the nodes, itself counted, are too far behind.
func TestFault27_ClocksThatAreTooFarBehind(t *testing.T) {
	const little, much = time.Second, time.Hour
	for _, tt := range []struct {
		what   string
		behind []time.Duration
		lead   time.Duration // of the timestamps before the wall
		ahead  time.Duration // 0: they may be given
		wrong  time.Duration // what is taken off the wall
	}{
		{what: "alone"},
		{what: "alone, ahead of itself", lead: much},
		{what: "two agree", behind: []time.Duration{little}},
		{what: "at the bound", behind: []time.Duration{cluster.ClockSkewMax}},
		{what: "of two the one that is ahead", behind: []time.Duration{much}, ahead: much, wrong: much},
		{what: "of two the one that is behind", behind: []time.Duration{-much}},
		{what: "one of three is behind", behind: []time.Duration{much, little}},
		{what: "two of three are behind", behind: []time.Duration{much, much + little}, ahead: much, wrong: much},
		{what: "one of three is ahead", behind: []time.Duration{-much, little}},
		{what: "half of four are behind", behind: []time.Duration{little, much, much}, ahead: much, wrong: much},
		{what: "two of five are behind", behind: []time.Duration{much, little, much, 0}},
		{what: "the wall is right again, the timestamps are ahead", behind: []time.Duration{0, little}, lead: much, ahead: much},
		{what: "all timestamps are ahead", behind: []time.Duration{-much, -much}, lead: much},
		{what: "a little each", behind: []time.Duration{9 * time.Second}, lead: 2 * time.Second, ahead: 11 * time.Second},
	} {
		c := clocks(tt.behind...)
		err := c.Check(stampAt(noon.Add(tt.lead)), noon)
		var ahead *cluster.AheadError
		switch {
		case tt.ahead == 0 && err != nil:
			t.Errorf("%s: %v", tt.what, err)
		case tt.ahead > 0 && (!errors.As(err, &ahead) || ahead.Ahead != tt.ahead || ahead.Silent):
			t.Errorf("%s: %v, want %v ahead", tt.what, err, tt.ahead)
		}
		if got := noon.Sub(c.Believe(noon)); got != tt.wrong {
			t.Errorf("%s: the wall is taken to be %v ahead, want %v", tt.what, got, tt.wrong)
		}
	}
}

// Row 27: a wall that jumps is noticed before another node is heard, one that is set right with the first that is.
func TestFault27_WallThatJumps(t *testing.T) {
	c := clocks(0, 0)
	jumped := noon.Add(time.Hour)
	var ahead *cluster.AheadError
	if err := c.Check(stampAt(jumped), jumped); !errors.As(err, &ahead) || !ahead.Silent {
		t.Errorf("after the jump: %v, want silence", err)
	}
	if got, limit := c.Believe(jumped), noon.Add(cluster.ClockSkewMax); got.After(limit) {
		t.Errorf("after the jump %v is believed, nothing later than %v may be", got, limit)
	}
	hears(c, 2, noon.Add(time.Second), jumped.Add(time.Second))
	if err := c.Check(stampAt(jumped.Add(time.Second)), jumped.Add(time.Second)); !errors.As(err, &ahead) || ahead.Silent {
		t.Errorf("when another is heard: %v, want that the clock is ahead", err)
	}
	right := noon.Add(2 * time.Second)
	hears(c, 2, right, right)
	if err := c.Check(stampAt(right), right); err != nil {
		t.Errorf("set right: %v", err)
	}
	if got := c.Believe(right); !got.Equal(right) {
		t.Errorf("set right: %v is believed, want the wall", got)
	}
	c.Retain([]cluster.NodeID{1})
	if err := c.Check(stampAt(jumped), jumped); err != nil {
		t.Errorf("nobody is left to be heard: %v", err)
	}
}

// What comes late, out of order, or without a reading, says nothing of a clock now.
func TestClocksHearLate(t *testing.T) {
	c := clocks(0)
	hears(c, 2, noon.Add(-time.Hour), noon.Add(time.Second))
	c.Heard(2, cluster.Timestamp{}, noon.Add(time.Second))
	if err := c.Check(stampAt(noon.Add(time.Second)), noon.Add(time.Second)); err != nil {
		t.Errorf("after a late copy: %v", err)
	}
	later := noon.Add(cluster.ClockSkewMax + 2*time.Second) // the clock of node 2 was set back
	hears(c, 2, later.Add(-time.Hour), later)
	if err := c.Check(stampAt(later), later); err == nil {
		t.Error("a clock that stays behind counts as right for ever")
	}
}

// Reading a clock leaves it as it is.
func TestClockReads(t *testing.T) {
	c := cluster.NewClock(1, noon.UnixNano())
	if got := c.Read(noon.Add(time.Hour)); got != stampAt(noon.Add(time.Hour)) {
		t.Errorf("Read = %v, want the wall", got)
	}
	if got := c.Read(noon.Add(-time.Hour)); got != stampAt(noon) {
		t.Errorf("Read = %v, want what was last given", got)
	}
	if c.Last() != noon.UnixNano() {
		t.Errorf("Last = %v, want it unmoved", c.Last())
	}
}
