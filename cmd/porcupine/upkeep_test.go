package main

import (
	"strings"
	"testing"
	"time"

	"porcupine/internal/admin"
)

// Status has a line for each thing that somebody should know, and none when all is well.
func TestUpkeepLines(t *testing.T) {
	s := admin.Status{Members: []admin.Member{{ID: 1, Name: "one"}, {ID: 2, Name: "two", Upkeep: &admin.Upkeep{}}}}
	var b strings.Builder
	if writeUpkeep(&b, s); b.Len() > 0 {
		t.Errorf("all is well, and it says %q", b.String())
	}
	s.Members[1].Upkeep = &admin.Upkeep{
		RepairPending: 7, RepairDone: 3, RepairFailed: 1, RepairBytes: 3 << 20, RepairSince: time.Now().Add(-time.Minute),
		Draining: true, DrainLeft: 12, Divergences: 2, Mended: 1, Damaged: 4, Healed: 3, Lost: 1, LostExamples: []string{"message \"x\""},
	}
	writeUpkeep(&b, s)
	for _, want := range []string{
		"two repairs: 7 objects pending, 3 done (3.0 MiB), 1 failed and tried again, for 1m0s",
		"two drains: 12 objects left", "2 copies that differed from others, 1 put right", "4 damaged contents, 3 replaced",
		"1 damaged contents that no other node could give, for example message \"x\"",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in:\n%s", want, b.String())
		}
	}
	if line := drainLine(&admin.Member{ID: 2, Name: "two", Upkeep: &admin.Upkeep{Draining: true, Records: 5}}); !strings.Contains(line, "5 update records that wait for absent nodes") {
		t.Errorf("drain line %q", line)
	}
}

func TestVerificationLines(t *testing.T) {
	var b strings.Builder
	writeVerification(&b, &admin.Verification{Members: 3, Objects: 5, Compared: 10, Divergences: 1, Details: []string{"x differs"}})
	for _, want := range []string{"x differs\n", "3 members, 5 objects, 10 copies compared: 1 differ, 0 have too few copies, 0 are damaged, 0 updates are under way\n", "run it again"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in:\n%s", want, b.String())
		}
	}
}

// A node that disappears before it was empty has failed: nobody is told to strike it.
func TestDrainOfANodeThatFails(t *testing.T) {
	tests := []struct {
		name string
		last *admin.Member
		left bool
	}{
		{"empty", &admin.Member{Upkeep: &admin.Upkeep{Draining: true}}, true},
		{"objects left", &admin.Member{Upkeep: &admin.Upkeep{Draining: true, DrainLeft: 1}}, false},
		{"updates left", &admin.Member{Upkeep: &admin.Upkeep{Draining: true, Records: 1}}, false},
		{"it had not begun", &admin.Member{Upkeep: &admin.Upkeep{}}, false},
		{"it did not say", &admin.Member{}, false},
		{"never seen", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			err := (&nodeDrainCmd{ID: "7"}).gone(&b, tt.last)
			if said := strings.Contains(b.String(), "node remove"); said != tt.left || (err == nil) != tt.left {
				t.Errorf("gone() = %v, and %q; it has left: %v", err, b.String(), tt.left)
			}
		})
	}
}
