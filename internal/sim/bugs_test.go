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
	softstateDir   = "internal/cluster/softstate/"
	membershipDir  = "internal/cluster/membership/"
	replicationDir = "internal/cluster/replication/"
	placementDir   = "internal/cluster/placement/"
)

var bugs = []bug{
	{"complete flag skipped", softstateDir + "manager.go",
		"if len(b.missing) > 0 {\n\t\treturn cluster.Partial", "if false {\n\t\treturn cluster.Partial", "S2 V1 V2"},
	{"550 while nodes are absent", softstateDir + "manager.go",
		"(m.absent == 0 || m.absent == 1 && !sole && len(m.view.Members) >= 2)", "(m.absent >= 0 || sole)", "V1"},
	{"sole copy of an absent node ignored", softstateDir + "manager.go", "m.absent == 1 && !sole &&", "m.absent == 1 &&", "V1"},
	{"what struck nodes shared with others taken to have copies", softstateDir + "strike.go",
		"known[i].Sole = known[i].Sole || !r.repaired.By.Contains(known[i].ID)", "known[i].Sole = known[i].Sole || len(r.repaired.By) > len(known)", "V1"},
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
	// Replication, the store's commits, repair. What the shell of the node or the store does is planted
	// in the simulator's own shell, which mirrors it.
	{"answered before the fsync", "internal/sim/commit.go",
		"n.disk.synced(mark, func(c change) { n.w.oracle.durable(n, c) })", "if mark == 0 {\n\t\tn.disk.synced(mark, func(c change) { n.w.oracle.durable(n, c) })\n\t}", "D1 D2 D4"},
	{"answered after a failed fsync", "internal/sim/commit.go",
		"n.w.record(\"fsync fails\", n)\n\t\tn.crash()\n\t\treturn", "n.syncing = false\n\t\tfor _, o := range group {\n\t\t\tn.pending--\n\t\t\to.done(nil)\n\t\t}\n\t\treturn", "D1 D2 D4"},
	{"record not written with the copy", "internal/sim/commit.go",
		"d.set(d.begin(), id, next, decision.Record)", "d.set(d.begin(), id, next, nil)", "R1 R2 R4 R5 R6 D1 D2 D4 D6 V1 S1"},
	{"promised when one node has it", replicationDir + "propagation.go", "case len(missing) > 0:", "case len(missing) > 0 && len(durable) == 0:", "D2 D4"},
	{"retired one acknowledgement early", replicationDir + "log.go",
		"func (e *entry) complete() bool { return e.acked == 1<<len(e.rec.Targets)-1 }",
		"func (e *entry) complete() bool {\n\tn := 0\n\tfor i := range e.rec.Targets {\n\t\tif e.acked&(1<<i) == 0 {\n\t\t\tn++\n\t\t}\n\t}\n\treturn n < 2\n}", "R1 R2 R4 R5 D1 D4 D6 V1 S1 R6"},
	{"initiator retires what was not answered", replicationDir + "propagation.go",
		"!e.answered || e.err != nil || !e.reply.Applied(p.time)", "e.answered && e.err == nil && !e.reply.Applied(p.time)", "R1 R2 R5 D1 D4 D6 V1 S1 R6"},
	{"retirement of an older update drops the record", "internal/cluster/record.go",
		"rec.Timestamp == r.Timestamp && r.Targets.ContainsAll(rec.Targets)", "r.Targets.ContainsAll(rec.Targets)", "R1 R2 R4 R5 R6 D1 D4 D6 V1 S1"},
	{"retirement drops targets added since", "internal/cluster/record.go",
		"rec.Timestamp == r.Timestamp && r.Targets.ContainsAll(rec.Targets)", "rec.Timestamp == r.Timestamp", "R1 R2 R4 R5 R6 D1 D4 D6 V1 S1"},
	{"tie-break of timestamps dropped", "internal/cluster/clock.go", "return cmp.Compare(t.Node, o.Node)", "return 0", "R1 R2 S1 R4 D4"},
	{"targets of the older record not taken over", replicationDir + "decide.go",
		"targets = bounded(targets, r.Replicas, r.Targets)", "targets = bounded(targets, r.Replicas)", "R1 R2 R5 D4 D6 S1"},
	{"add targets ignored", replicationDir + "decide.go", "if len(targets) == len(heard) {", "if len(targets) >= len(heard) {", "R1 R2 R4 R5 D4 D6 S1"},
	{"older update overwrites", replicationDir + "decide.go", "default:\n\t\treturn older(self, have, u)", "default:\n\t\treturn newer(self, have, u, now)", "R2"},
	{"guard of a deletion dropped at once", replicationDir + "decide.go",
		"kept := *rec\n\tkept.Retired = max(now, 1)\n\treturn &kept, true", "return nil, true", "R5 R1 R2 D6"},
	{"late request executed", "internal/sim/rpc.go", "age > int64(lateCallMax) && r.updates != nil", "age < 0 && r.updates != nil && r.epoch.IsZero()", "R5 R1 R2 D6"},
	{"deletion without a copy not logged", replicationDir + "decide.go",
		"d.Record, d.Changed = r, r != nil || have.Record != nil", "if have.Object == nil && !d.Put {\n\t\tr = nil\n\t}\n\td.Record, d.Changed = r, r != nil || have.Record != nil", "R5 R1 R2 R4 D4 D6"},
	{"replaced copy not removed", replicationDir + "decide.go", "d.Remove = !d.Put && have.Object != nil", "d.Remove = !d.Put && have.Object != nil && o.Deleted", "R1 R2 D6 S1 R7"},
	{"removed before the new replicas have it", replicationDir + "propagation.go",
		"if len(first) == 0 {\n\t\tfirst = p.targets\n\t}\n\tswitch p.stage", "first = p.targets\n\tswitch p.stage", "D1 D4 R1 V2"},
	{"records not taken up after a restart", replicationDir + "log.go",
		"func (l *Log) Load(r cluster.Record, now time.Time) { l.take(r, r.Targets, now) }", "func (l *Log) Load(r cluster.Record, now time.Time) {}", "R1 R2 R4 R5 R6 D1 D4 S1"},
	{"no takeover", replicationDir + "log.go",
		"due := TakeOverAfter * time.Duration(l.rank(fresh, cluster.NoNode)+1)", "due := TakeOverAfter * time.Duration(l.rank(fresh, cluster.NoNode)*10_000_000+1)", "R1 R2 R4 R5 R6 D1 D4 S1"},
	{"copy made without its contents", replicationDir + "decide.go", "!o.Deleted && !sameContents(have.Object, o)",
		"!o.Deleted && have.Object != nil && !sameContents(have.Object, o)", "R1 R2 D1 D5 D6 V1 S1 S2"},
	{"struck node waited for", replicationDir + "log.go", "l.turns.seat(p)\n\tfor _, e := range l.entries {", "l.turns.seat(p)\n\tfor _, e := range map[cluster.ObjectID]*entry{} {", "R4"},
	{"struck node's data accepted", membershipDir + "life.go", "case c.contacts.byID[m.From.ID].Removed:", "case c.contacts.byID[m.From.ID].Removed && m.Boot == 0:", "R1 R2 R4 R5 R6 M5 M6 D1 D4 S1 S2"},
	{"rolled back disk accepted", membershipDir + "life.go", "\treturn past\n", "\treturn fresh\n", "R1 R2 R3 R4 R5 R6 M1 M2 M3 M5 M6 D1 D4 S1 S2 V1 V2"},
	{"clock not moved by what it sees", "internal/cluster/clock.go", "c.last = max(c.last, t.Time)", "c.last = max(c.last, 0)", "D4 R2 R5 R3"},
	{"timestamps given that are not reserved", "internal/sim/replica.go", "if t.Time > n.reserved {", "if t.Time > n.reserved && n.reserved < 0 {", "R3"},
	{"damaged contents served", "internal/sim/rpc.go", "case m.damaged:", "case m.damaged && n.unreadable:", "D5 R1"},
	{"failed nodes of a delivery forgotten", "internal/sim/deliver.go", "d.touched = d.touched.Union(set)", "d.touched = set", "R1 R2 D6 S1 R7 R5"},
	{"copies beyond those wanted kept", placementDir + "planner.go", "extra := len(s.sound) - copies; extra > 0 &&", "extra := len(s.sound) - copies; extra > cluster.ReplicaSetMax &&", "R6 R7"},
	{"copy removed though no keeper says that his is whole", "internal/sim/keep.go", "if it.reply.Err == nil && removes(", "if it.reply.Err == nil && n.draining && removes(", "D1 R1"},
	{"disk that hangs not noticed", "internal/cluster/watchdog/watchdog.go", "HangMax = 3 * time.Second", "HangMax = 30 * time.Second", "M5"},
	{"node that is out goes on listening", "internal/sim/node.go", "case n.out:\n", "case n.out && p == nil:\n", "M5"},
	{"replicas of lost nodes not replaced", placementDir + "planner.go", "if need > 0 {\n\t\tadded = p.choose(", "if need > 0 && len(s.draining) > 0 {\n\t\tadded = p.choose(", "R6 D1 D4"},
}

// hunts are the runs in which bugs are looked for that need more than ten minutes of any faults.
var hunts = map[string][]string{
	"disk that hangs not noticed":                               {"-sim.only", "disk stall", "-sim.break", "10m"},
	"node that is out goes on listening":                        {"-sim.only", "disk stall", "-sim.break", "10m"},
	"damaged contents served":                                   {"-sim.only", "bit rot", "-sim.break", "10m"},
	"copy removed though no keeper says that his is whole":      {"-sim.only", "bit rot,minority,pause", "-sim.break", "40m"},
	"struck node's data accepted":                               {"-sim.only", "long absence,crash", "-sim.break", "40m"},
	"what struck nodes shared with others taken to have copies": {"-sim.only", "disk loss,crash,join,drain", "-sim.break", "2m"},
	"copies beyond those wanted kept":                           {"-sim.only", "crash,drain,long absence", "-sim.break", "20m"},
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
			hunt := hunts[b.name]
			if hunt == nil {
				hunt = []string{"-sim.break", "10m"}
			}
			out, err := exec.Command(test, append([]string{"-test.run", "TestMany$", "-sim.first", "1", "-sim.seeds", "1000"}, hunt...)...).CombinedOutput()
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
