package main

import (
	"errors"
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
	absent, now := []cluster.NodeID{0xab}, day
	for want, u := range map[string]admin.Upkeep{
		"5 update records, which other nodes are being told of":                                                             {Records: 5},
		"5 update records that wait for absent nodes: 00000000000000ab; start them":                                         {Records: 5, DrainWaits: absent},
		"5 objects left; 4 of them no other node can take":                                                                  {DrainLeft: 5, DrainHeld: 4},
		"empty; it looks once more for what was under way to it, and leaves":                                                {DrainFrom: now},
		"empty; it was started less than a minute ago, and waits until 12:00:07 for":                                        {DrainFrom: now.Add(7 * time.Second)},
		"empty, and leaves: it ends its clients' sessions":                                                                  {Drained: true, MissingOld: true},
		"it counts what is left on it":                                                                                      {MissingOld: true, Records: 5},
		"some buckets of its store cannot be read":                                                                          {DrainUnread: 2, Records: 5},
		"5 objects left; 4 of them would have too few copies without the absent nodes 00000000000000ab: start those":        {DrainLeft: 5, DrainHeld: 4, DrainWaits: absent},
		"5 objects left; 2 are damaged, cannot be moved, and no other node could give them (for example message \"x\")":     {DrainLeft: 5, Lost: 2, LostExamples: []string{"message \"x\""}},
		"5 objects left; 3 of them no other node can take: there are too few, or they are full or drain too; 2 are damaged": {DrainLeft: 5, DrainHeld: 3, Lost: 2},
	} {
		if line := drainLine(&admin.Member{ID: 2, Name: "two", Upkeep: &u}, now); !strings.Contains(line, want) {
			t.Errorf("drain line %q, want %q", line, want)
		}
	}
}

// Missing copies are summed over the members, and it is said what becomes of them.
func TestMissingLine(t *testing.T) {
	now := time.Now()
	soon := admin.Upkeep{Missing: 5, RepairAt: now.Add(40 * time.Second)}
	old := soon
	old.MissingOld = true
	const what = " objects " + missingKinds + " have fewer live copies than wanted: "
	for _, tt := range []struct {
		want   string
		u      [2]admin.Upkeep
		absent int
	}{
		{"", [2]admin.Upkeep{}, 0},
		{"12" + what + "repair begins in 40s if the absent node stays", [2]admin.Upkeep{soon, {Missing: 7, RepairAt: now.Add(41 * time.Second)}}, 1},
		{"5" + what + "repair begins in 40s if the absent nodes stay", [2]admin.Upkeep{soon}, 2},
		{"5" + what + "repair looks at them again within a minute", [2]admin.Upkeep{soon}, 0}, // it is back
		{"5 objects " + missingKinds + " had fewer live copies than wanted before a node came or went: they are being counted", [2]admin.Upkeep{old}, 0},
		{"5 objects " + missingKinds + " had fewer live copies than wanted before a node came or went: they are being repaired", [2]admin.Upkeep{old, {RepairPending: 1}}, 1},
		{"5" + what + "they are being rep", [2]admin.Upkeep{{Missing: 5}, {RepairPending: 1}}, 0},
		{"5" + what + "repair looks at them again within a minute", [2]admin.Upkeep{{Missing: 5}, {}}, 0},
	} {
		s := admin.Status{Members: []admin.Member{{Upkeep: &tt.u[0]}, {Upkeep: &tt.u[1]}, {}}, Absent: make([]admin.Absent, tt.absent)}
		if line := missingLine(&s, now); !strings.HasPrefix(line, tt.want) || (tt.want == "") != (line == "") {
			t.Errorf("missing line %q, want %q", line, tt.want)
		}
	}
}

// Two of three nodes cannot repair what is to lie on three: it is said whom that waits for.
func TestMissingLineNamesTheAbsent(t *testing.T) {
	s := admin.Status{Members: []admin.Member{{Upkeep: &admin.Upkeep{Missing: 5}}, {}}, Absent: []admin.Absent{{ID: 0xab, Name: "three"}}}
	if line := missingLine(&s, time.Now()); !strings.Contains(line, "they wait for 00000000000000ab three: start what is absent, or add a node") {
		t.Errorf("missing line %q", line)
	}
	s.Absent = make([]admin.Absent, absentShown+2)
	if line := missingLine(&s, time.Now()); !strings.Contains(line, ", 2 more: start") {
		t.Errorf("missing line %q", line)
	}
}

// The number of an epoch alone: with its coordinator it has the length of a point in time.
func TestMembersSince(t *testing.T) {
	var b strings.Builder
	err := writeMembers(&b, admin.Status{Members: []admin.Member{{ID: 1, Name: "one", Since: "12.439954dfe133f0e3"}}})
	if text := b.String(); err != nil || !strings.Contains(text, "SINCE EPOCH") || !strings.Contains(text, " 12 ") || strings.Contains(text, "439954dfe133f0e3") {
		t.Errorf("writeMembers = %v\n%s", err, text)
	}
}

// Machines are a column where nodes share them, and only there.
func TestStatusNamesMachines(t *testing.T) {
	for machine, want := range map[string]string{"": "NODE NAME ADDRESS ", "rack 1": "NODE NAME MACHINE ADDRESS "} {
		var b strings.Builder
		s := admin.Status{Members: []admin.Member{{ID: 1, Name: "one", Machine: machine}, {ID: 2, Name: "two"}}, Absent: []admin.Absent{{ID: 3, Name: "three", Address: "h:1"}}}
		err := writeMembers(&b, s)
		lines := strings.Split(b.String(), "\n")
		if err != nil || !strings.HasPrefix(strings.Join(strings.Fields(lines[0]), " "), want) || !strings.Contains(lines[1], machine) {
			t.Errorf("of machine %q: %v\n%s", machine, err, b.String())
		}
	}
}

// Nodes that are away keep their machine: whether one machine died is what one wants to see.
func TestStatusNamesMachinesOfAbsentNodes(t *testing.T) {
	var b strings.Builder
	err := writeMembers(&b, admin.Status{
		Members: []admin.Member{{ID: 1, Name: "one"}},
		Absent:  []admin.Absent{{ID: 2, Name: "two", Machine: "mail2", Address: "h:1"}, {ID: 3, Name: "three", Address: "h:2", Sole: true}},
	})
	lines := strings.Split(b.String(), "\n")
	if text := strings.Join(strings.Fields(lines[2]), " "); err != nil || text != "0000000000000002 two mail2 h:1 absent" {
		t.Errorf("%v, absent node: %q", err, text)
	}
	if !strings.Contains(lines[3], "absent, and may hold users or folder trees that lie nowhere else") {
		t.Errorf("absent node: %q", lines[3])
	}
}

// Copies that share a machine are counted once for all members.
func TestStatusCountsCopiesTogether(t *testing.T) {
	var b strings.Builder
	writeUpkeep(&b, admin.Status{Members: []admin.Member{{Upkeep: &admin.Upkeep{Together: 4}}, {Upkeep: &admin.Upkeep{Together: 3}}, {}}})
	if !strings.HasPrefix(b.String(), "7 objects have two copies on one machine; ") {
		t.Errorf("status says %q", b.String())
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

// What was not compared is told, with what to do; what came later is no fault (V1).
func TestV1_VerificationTellsWhatWasLeftOut(t *testing.T) {
	for want, v := range map[string]admin.Verification{
		"0 updates are under way\n": {Complete: true},
		"2 objects changed after the comparing had begun, less than 10s before their turn, and were not compared": {Complete: true, Young: 2},
		"NOT ALL WAS COMPARED: 3 objects changed less than 10s ago and were not compared: run it again":           {Young: 3},
		"NOT ALL WAS COMPARED: of 4 pairs of copies an update still waits for a node":                             {Waiting: 4},
		"NOT ALL IS KNOWN": {Owed: 1, Complete: true},
	} {
		v.Quiet, v.OK = 10*time.Second, v.Complete && v.Owed == 0
		if err := verifyStatus(&v); v.OK != (err == nil) || err != nil && !errors.Is(err, exitCode(exitUnknown)) {
			t.Errorf("of %+v the status is %v", v, err)
		}
		v.Damaged++
		if err := verifyStatus(&v); !errors.Is(err, exitCode(exitFailed)) {
			t.Errorf("of %+v the status is %v", v, err)
		}
		var b strings.Builder
		writeVerification(&b, &v)
		if text := b.String(); !strings.Contains(text, want) || strings.Contains(want, "NOT ALL") != strings.Contains(text, "NOT ALL") {
			t.Errorf("of %+v it says %q, want %q", v, text, want)
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
		{"it had said so", &admin.Member{Upkeep: &admin.Upkeep{Draining: true, Drained: true, MissingOld: true}}, true},
		{"it had not counted yet", &admin.Member{Upkeep: &admin.Upkeep{Draining: true, MissingOld: true}}, false},
		{"it could not read all", &admin.Member{Upkeep: &admin.Upkeep{Draining: true, DrainUnread: 1}}, false},
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
