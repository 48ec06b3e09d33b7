package sim

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
	bugsFlag  = flag.Bool("sim.bugs", false, "plant each seeded bug and count the seeds until it is found (TestSeededBugsAreFound)")
	bugFlag   = flag.String("sim.bug", "", "with -sim.bugs: only the bug of this name")
	seedsFlag = flag.Int("sim.seeds", 0, "TestMany ends after this many seeds")
)

// bug is a mistake that somebody could make: one text in one file of the module, and what it
// is replaced by. The file on disk is never touched: the compiler is given another (-overlay). So
// production code knows nothing of the bugs.
type bug struct {
	name     string
	file     string // below the module
	old, new string // old occurs exactly once
	finds    string // the invariants that may find it, separated by spaces
}

const (
	softstateDir  = "internal/cluster/softstate/"
	membershipDir = "internal/cluster/membership/"
)

var bugs = []bug{
	{"complete flag skipped", softstateDir + "manager.go",
		"if len(b.missing) > 0 {\n\t\treturn cluster.Partial", "if false {\n\t\treturn cluster.Partial", "S2 V1 V2"},
	{"550 while nodes are absent", softstateDir + "manager.go",
		"(absent == 0 || absent == 1 && !sole && len(m.view.Members) >= 2)", "(absent >= 0 || sole)", "V1"},
	{"sole copy of an absent node ignored", softstateDir + "manager.go", "absent == 1 && !sole &&", "absent == 1 &&", "V1"},
	{"550 without asking the members", "internal/sim/rpc.go", "|| e.Knowledge != cluster.Conclusive {", "|| e.Knowledge <= cluster.Conclusive {", "V1"},
	{"stale epoch accepted", softstateDir + "manager.go",
		"case c < 0:\n\t\treturn cluster.Errorf(cluster.KindStale, op, \"epoch %v is older than %v\", p.Epoch, m.view.Epoch)", "case c < 0:", "M4"},
	{"refused push forgotten", softstateDir + "reporter.go",
		"if err != nil {\n\t\t\tl.abandon()", "if err != nil && cluster.KindOf(err) == cluster.KindUnavailable {\n\t\t\tl.abandon()", "S1 S2 M5 V1 V2"},
	{"owed pushes forgotten at a new view", softstateDir + "reporter.go",
		"r.debts[b] = unread\n\t\t}\n", "r.debts[b] = unread\n\t\t} else {\n\t\t\tr.debts[b] = none\n\t\t}\n", "S1 S2 M5 V1 V2"},
	{"registrations forgotten at a new view", softstateDir + "reporter.go",
		"if r.debts[b] == unread {\n\t\t\tdelete(r.single, owner)", "if r.debts[b] <= read {\n\t\t\tdelete(r.single, owner)", "S1 S2 V1 V2"},
	{"registration dropped while its bucket is scanned", softstateDir + "reporter.go",
		"r.view == nil || r.debts[b] == unread", "r.view == nil || r.debts[b] != none", "S1 S2 V1 V2"},
	{"references of an earlier stay kept", softstateDir + "stay.go", "!ok || now.Since != old.since", "!ok || now.Since.IsZero()", "S1 S2 V1 V2"},
	{"bucket kept across a change of managers", softstateDir + "manager.go", "b != nil && b.epoch == a.Epoch", "b != nil", "S1 S2 V1 V2"},
	{"Seq ignored", softstateDir + "owner.go", "r.stay == stay && r.seq >= h.Seq", "r.stay == stay && r.seq > h.Seq && false", "S1 S2 V1 V2"},
	{"marker before data", softstateDir + "lane.go",
		"return pushes\n}", "if len(pushes) > 0 {\n\t\tearly := &Push{Complete: pushes[len(pushes)-1].Complete}\n\t\tlate := *pushes[len(pushes)-1]\n\t\tlate.Complete = nil\n\t\tpushes = append(pushes[:len(pushes)-1:len(pushes)-1], early, &late)\n\t}\n\treturn pushes\n}", "S2 V1 V2"},
	{"bucket of a member that lost memory not restamped", "internal/cluster/usermap/usermap.go",
		"if sorted[i].Since == epoch {", "if sorted[i].Since == epoch && false {", "M5 S1"},
	{"tie-break of epochs dropped", "internal/cluster/epoch.go",
		"return cmp.Compare(e.Coordinator, o.Coordinator)", "return 0", "M1 M2 M5 M6 panic"},
	{"epoch not persisted", membershipDir + "core.go",
		"out.Persist = &Persistent{Promised: c.promised,", "out.Persist = &Persistent{", "M1 M2"},
	{"since not reset for a zombie", membershipDir + "decide.go",
		"ok && installed == base.Epoch {", "ok {", "S1 S2 M5 V1 V2"},
	{"own view as base", membershipDir + "decide.go",
		"r.bases = append(r.bases, c.view.Epoch)", "r.bases = append(r.bases[:0], c.view.Epoch)", "M3"},
	{"view acknowledged, not installed", membershipDir + "participant.go",
		"c.install(now, v)\n\t\tc.send(m.From, Message{Kind: KindViewAck", "c.send(m.From, Message{Kind: KindViewAck", "M5"},
	{"refused view sent again at once", membershipDir + "coordinator.go",
		"if m.Epoch.Less(m.Promised) && m.Installed.Less(c.view.Epoch) {\n\t\t\t\tc.overtaken(now, m) //",
		"if c.compareViews(now, m); m.Epoch.Less(m.Promised) && m.Installed.Less(c.view.Epoch) {\n\t\t\t\tc.overtaken(now, m) //", "M5"},
	{"promise not honoured", membershipDir + "participant.go", "case v.Epoch.Less(c.promised):", "case v.Epoch.Less(c.view.Epoch):", "M2 S1 S2 M5 V1 V2"},
}

// module is the path of the module's root from this folder.
const module = "../.."

// plant gives the text of the bug's file with the bug in it.
func (b *bug) plant() (string, error) {
	text, err := os.ReadFile(filepath.Join(module, b.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), b.old); n != 1 {
		return "", fmt.Errorf("bug %q: its text occurs %d times in %s, want once: follow the code", b.name, n, b.file)
	}
	return strings.Replace(string(text), b.old, b.new, 1), nil
}

// The list of bugs follows the code: each can still be planted.
func TestSeededBugsCanBePlanted(t *testing.T) {
	for _, b := range bugs {
		if _, err := b.plant(); err != nil {
			t.Error(err)
		}
	}
}

// TestSeededBugsAreFound plants one bug after the other and looks for it from seed 1 on, ten
// minutes a seed.
func TestSeededBugsAreFound(t *testing.T) {
	if !*bugsFlag {
		t.Skip("takes minutes; run it with -sim.bugs")
	}
	found := regexp.MustCompile(`seed (\d+) breaks (\S+)`)
	for _, b := range bugs {
		if *bugFlag != "" && b.name != *bugFlag {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			test := b.build(t)
			out, err := exec.Command(test, "-test.run", "TestMany$", "-sim.seeds", "1000", "-sim.hours", "1000000", "-sim.break", "10m").CombinedOutput()
			m := found.FindSubmatch(out)
			if err == nil || m == nil {
				t.Fatalf("not found in 1000 seeds:\n%s", out)
			}
			if !slices.Contains(strings.Fields(b.finds), string(m[2])) {
				t.Errorf("found by %s, want one of %s:\n%s", m[2], b.finds, out)
			}
			t.Logf("| %s | %s | %s |", b.name, m[1], m[2])
		})
	}
}

// build compiles the simulator with the bug in it.
func (b *bug) build(t *testing.T) string {
	text, err := b.plant()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	planted := filepath.Join(dir, "planted.go")
	if err := os.WriteFile(planted, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.Abs(filepath.Join(module, b.file))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {real: planted}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	test := filepath.Join(dir, "sim.test")
	out, err := exec.Command("go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", test, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build with the bug: %v\n%s", err, out)
	}
	return test
}
