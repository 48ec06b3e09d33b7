package daemon

import (
	"testing"
	"time"

	"porcupine/internal/cluster/upkeep"
)

// What a node holds is left to drain only where it drains; moments are whole seconds of UTC.
func TestUpkeepOf(t *testing.T) {
	at := time.Date(2026, 1, 31, 13, 0, 0, 5, time.FixedZone("", 3600))
	s := upkeep.Status{Repair: upkeep.Progress{Since: at}, Drain: upkeep.Drain{Objects: 5}}
	if u := upkeepOf(&s); u.DrainLeft != 0 || !u.RepairAt.IsZero() || u.RepairSince.Format(time.RFC3339Nano) != "2026-01-31T12:00:00Z" {
		t.Errorf("%+v", u)
	}
	s.Drain.Draining, s.Drain.From, s.Drain.Unread = true, at, 3
	if u := upkeepOf(&s); u.DrainLeft != 5 || u.DrainUnread != 3 || u.DrainFrom.Format(time.RFC3339Nano) != "2026-01-31T12:00:00Z" {
		t.Errorf("%+v", u)
	}
}
