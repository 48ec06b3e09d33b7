package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// What is not so is not said: no time in the year 1, and nothing left to drain on a node that does not drain.
func TestUpkeepJSON(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		u    Upkeep
		want string
		not  string
	}{
		{Upkeep{}, `"draining":false`, "0001-"},
		{Upkeep{}, `"draining":false`, "drain_left"},
		{Upkeep{Draining: true, DrainLeft: 7}, `"drain_left":7`, "0001-"},
		{Upkeep{Draining: true}, `"draining":true`, "drain_from"},
		{Upkeep{DrainFrom: at, DrainUnread: 2}, `"drain_from":"2026-01-31T12:00:00Z","drain_unread":2`, "drain_left"},
		{Upkeep{RepairSince: at}, `"repair_since":"2026-01-31T12:00:00Z"`, "repair_at"},
		{Upkeep{RepairAt: at}, `"repair_at":"2026-01-31T12:00:00Z"`, "repair_since"},
	} {
		text, err := json.Marshal(tt.u)
		if err != nil || !strings.Contains(string(text), tt.want) || strings.Contains(string(text), tt.not) {
			t.Errorf("%+v = %s, %v; want %s in it and not %s", tt.u, text, err, tt.want, tt.not)
		}
	}
}
