package main

import (
	"strings"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
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
	absent := []cluster.NodeID{0xab}
	for want, u := range map[string]admin.Upkeep{
		"5 update records, which other nodes are being told of":                                                      {Records: 5},
		"5 update records that wait for absent nodes: 00000000000000ab; start them":                                  {Records: 5, DrainWaits: absent},
		"5 objects left; 4 of them no other node can take":                                                           {DrainLeft: 5, DrainHeld: 4},
		"5 objects left; 4 of them would have too few copies without the absent nodes 00000000000000ab: start those": {DrainLeft: 5, DrainHeld: 4, DrainWaits: absent},
	} {
		if line := drainLine(&admin.Member{ID: 2, Name: "two", Upkeep: &u}); !strings.Contains(line, want) {
			t.Errorf("drain line %q, want %q", line, want)
		}
	}
}

// Missing copies are summed over the members, and it is said what becomes of them.
func TestMissingLine(t *testing.T) {
	now := time.Now()
	for want, u := range map[string][2]admin.Upkeep{
		"": {},
		"12 objects have fewer live copies than wanted: repair begins in 40s": {{Missing: 5, RepairAt: now.Add(40 * time.Second)}, {Missing: 7, RepairAt: now.Add(41 * time.Second)}},
		"5 objects have fewer live copies than wanted: they are being rep":    {{Missing: 5}, {RepairPending: 1}},
		"5 objects have fewer live copies than wanted: repair looks at them":  {{Missing: 5}, {}},
	} {
		s := admin.Status{Members: []admin.Member{{Upkeep: &u[0]}, {Upkeep: &u[1]}, {}}}
		if line := missingLine(&s, now); !strings.HasPrefix(line, want) || (want == "") != (line == "") {
			t.Errorf("missing line %q, want %q", line, want)
		}
	}
}

// A member that does not answer has no figures, and no page of error.
func TestMembersThatDoNotAnswer(t *testing.T) {
	var b strings.Builder
	err := writeMembers(&b, admin.Status{Members: []admin.Member{{ID: 1, Name: "one", Buckets: 9, Error: "rpc error: code = Unavailable"}}})
	if text := b.String(); err != nil || !strings.Contains(text, "does not answer") || strings.Contains(text, "GiB") || strings.Contains(text, "rpc") {
		t.Errorf("writeMembers = %v\n%s", err, text)
	}
}

func TestVerificationLines(t *testing.T) {
	var b strings.Builder
	writeVerification(&b, &admin.Verification{Members: 3, Objects: 5, Compared: 10, Divergences: 1, Details: []string{"x differs"}})
	for _, want := range []string{"x differs\n", "3 members, 5 objects, 10 pairs of copies compared: 1 differ, 0 objects have too few copies, 0 copies are damaged, 0 updates are under way\n", "run it again"} {
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
