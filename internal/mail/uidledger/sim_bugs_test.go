package uidledger

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	uidBugs = flag.Bool("uid.bugs", false, "plant each seeded bug and count the seeds until it is found (TestSeededBugsAreFound)")
	uidBug  = flag.String("uid.bug", "", "with -uid.bugs: only the bug of this name")
)

// bug is a mistake that somebody could make: one text in one file, and what it is replaced by when the simulation is
// compiled (-overlay). Production code knows nothing of them.
type bug struct {
	name     string
	file     string
	old, new string // old occurs exactly once
	within   int    // seeds, from the first on
	finds    string // the invariants that may find it
}

func bugs() []bug {
	return []bug{
		{"no L6: replicas are not brought to the same before more is shown", "read.go",
			"\t\tc.level = 0\n\t\tm.unsettled", "\t\tc.level |= m.reach\n\t\tm.unsettled", 40, "L4 D4 C1 U2 U3 U5 U6"},
		{"no L5: late UIDs are kept", "shown.go", "x >= s.Next || !s.Skipped.Contains(x)", "x > 0", 20, "U3 U5 C1"},
		{"shown before the head is durable", "step.go", "\t\tif step, ok := m.writeHead(); ok {", "\t\tm.publish()\n\t\tm.show()\n\t\tif step, ok := m.writeHead(); ok {", 300, "L4 U3 U4 U5 U6 C1"},
		{"shown before the chunks are durable", "step.go", "\t\tif step, ok := m.writeChunks(); ok {", "\t\tif !m.unsettled && len(m.fixes) == 0 {\n\t\t\tm.publish()\n\t\t\tm.show()\n\t\t}\n\t\tif step, ok := m.writeChunks(); ok {", 40, "L4 D4 U1 U3 U4 U5 U6 C1"},
		{"a dense lease without all ceilings", "ask.go", "case kind == AskDense && yes == len(m.set.Members):", "case kind == AskDense && yes > 0:", 20, "U1"},
		{"retired is not sticky", "chunk.go", "state: max(s.state, t.state)", "state: min(s.state, t.state)", 40, "R1 D4 U1 U2 U5 C1 L2 L4 panic"},
		{"numbers not above what was published", "apply.go", "return max(m.head.Shown[c].Next, c.first())", "return c.first()", 40, "U3 U4 U5 U6 C1 D4"},
		{"UIDNEXT is rewound", "publish.go", "next := max(shown.Next, m.top[c]+1)", "next := m.top[c] + 1", 40, "U4 U5 U6 R1 C1 L4 L2"},
		{"a publication is pruned too early", "publish.go", "shown.Skipped = shown.Skipped.union(missing)", "shown.Skipped = missing", 40, "U3 U5 C1"},
		{"the set is changed by a minority", "set.go", "return len(s.Members)/2 + 1 }", "return 1 }", 600, "U1 L2 D4"},
		{"the floor leaves out what the removed may have granted", "set.go", "ceilings[c]+s.budget(Counter(c))", "ceilings[c]", 300, "U1"},
		{"a replica that lost sight of what it granted goes on from what the others know", "regain.go", "+r.Set.budget(Counter(c))", "", 150, "U1"},
		{"what may have been decided is not decided again", "vote.go", "v.value = value; value.Version == 0 {", "v.value = value; value.Version < 1<<32 {", 600, "U1 L2 D4"},
		{"the older write of a flag stands", "chunk.go", "cmp.Compare(r.tag, s.tag)) < 0 {", "cmp.Compare(r.tag, s.tag)) > 0 {", 40, "D4 U5 C1 L4"},
		{"a change that a publication lacked keeps its modification sequence", "settle.go", "\t\t\tcase unsafe:", "\t\t\tcase unsafe && low > 0:", 40, "U5 C1 U6"},
		{"a head is believed of any node", "read.go", "max(m.claim[ModSeqs], head.level(s.Node))", "max(m.claim[ModSeqs], max(head.Shown[ModSeqs].Next, 1)-1)", 1500, "U5 C1"},
		{"a grant is not durable", "sim_manager_test.go", "\t\t\tif next != nil {", "\t\t\tif next != nil && s.w.chance(95) {", 40, "U1"},
		{"flags stay with the UID that was retired", "settle.go", "have.stamp.Compare(r.stamp) < 0 {\n\t\t\t\tm.fixes", "have.stamp.Compare(r.stamp) < -1 {\n\t\t\t\tm.fixes", 2500, "D4"},
		{"a mark is of what was read, not of what was shown", "mark.go", "k.Sum[c] = v.skipped[c].sum(below)", "k.Sum[c] = v.m.head.Shown[c].Skipped.sum(below)", 400, "C1 U6 U4 U3"},
		{"a session goes on with whatever manager it comes to", "mark.go", "k.Life != 0 && k.Life == v.m.config.Life", "k.Life != 0", 40, "C1 U3 U4 U6"},
		{"what nobody could delete is not marked", "chunk.go", "Node: nobody}", "Node: 1}", 100, "D4"},
		{"a retired UID is forgotten with its flags", "forget.go", "	return s.state == expunged && !s.condemned() && s.tag", "	return s.state >= retired && !s.condemned() && s.tag", 100, "D4 U5 C1"},
	}
}

func (b *bug) plant() (string, error) {
	text, err := os.ReadFile(b.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), b.old); n != 1 {
		return "", fmt.Errorf("%s: its text is %d times in %s, want once", b.name, n, b.file)
	}
	return strings.Replace(string(text), b.old, b.new, 1), nil
}

func TestSeededBugsCanBePlanted(t *testing.T) {
	for _, b := range bugs() {
		if _, err := b.plant(); err != nil {
			t.Error(err)
		}
	}
}

// TestSeededBugsAreFound plants one bug after the other and looks for it from seed 1 on.
func TestSeededBugsAreFound(t *testing.T) {
	if !*uidBugs {
		t.Skip("compiles the simulation for each; run it with -uid.bugs")
	}
	found := regexp.MustCompile(`seed (\d+): (\w+): `)
	for _, b := range bugs() {
		if *uidBug != "" && b.name != *uidBug {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			test := b.build(t)
			out, err := exec.Command(test, "-test.run", "TestMany$", "-uid.reveals", "1000000000", "-uid.first", "1", "-uid.seeds", fmt.Sprint(b.within)).CombinedOutput()
			m := found.FindSubmatch(out)
			if err == nil || m == nil {
				t.Fatalf("not found in %d seeds:\n%s", b.within, out)
			}
			if !slices.Contains(strings.Fields(b.finds), string(m[2])) {
				t.Errorf("found by %s, want one of %s:\n%s", m[2], b.finds, out)
			}
			t.Logf("| %s | %s | %s |", b.name, m[1], m[2])
		})
	}
}

// build compiles the simulation with the bug in it.
func (b *bug) build(t *testing.T) string {
	text, err := b.plant()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	planted := filepath.Join(dir, "planted.go")
	if strings.HasSuffix(b.file, "_test.go") {
		planted = filepath.Join(dir, "planted_test.go")
	}
	real, err := filepath.Abs(b.file)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {real: planted}})
	if err != nil {
		t.Fatal(err)
	}
	for name, contents := range map[string][]byte{planted: []byte(text), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	test := filepath.Join(dir, "uid.test")
	if out, err := exec.Command("go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", test, ".").CombinedOutput(); err != nil {
		t.Fatalf("build with the bug: %v\n%s", err, out)
	}
	return test
}
