package sim

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	evidenceFlag = flag.Bool("sim.evidence", false, "TestEvidence plays seeds until docs/evidence.md counts -sim.hours and -sim.faults, or for -sim.minutes")
	minutesFlag  = flag.Float64("sim.minutes", 0, "TestEvidence ends after so many minutes")
	faultsFlag   = flag.Int64("sim.faults", 0, "TestEvidence plays until the account has so many faults")
	anewFlag     = flag.Bool("sim.anew", false, "TestEvidence begins a new account, after the last seed of the old one")
	daysFlag     = flag.Bool("sim.days", false, "play days of operation only")
	sparseFlag   = flag.Bool("sim.sparse", false, "with -sim.days: those with the sparsest timing only")
	denseFlag    = flag.Bool("sim.dense", false, "play minutes with many faults only, no days")
)

// evidence is the account of all that was simulated: a run a line, in the order they were made.
type evidence struct {
	Commit string
	Date   string
	First  uint64 // seeds
	Last   uint64
	Dense  bool `json:",omitempty"`
	Days   bool `json:",omitempty"`
	Sparse bool `json:",omitempty"`
	Took   time.Duration
	Stats  Stats
	Failed []string `json:",omitempty"` // seeds, and the invariants that they broke
}

const (
	evidenceData = "testdata/evidence.json"
	evidencePage = "../../docs/evidence.md"
)

func readEvidence(t *testing.T) []evidence {
	var runs []evidence
	data, err := os.ReadFile(evidenceData)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var run evidence
		if err := json.Unmarshal(line, &run); err != nil {
			t.Fatalf("%s: %v", evidenceData, err)
		}
		runs = append(runs, run)
	}
	return runs
}

// TestEvidence plays seeds that were never played before and writes the account of all runs, batch by
// batch: it may be stopped at any time, and goes on when it is started again. Days bring the hours, then
// dense runs the faults. Without its flag it checks that docs/evidence.md says what the account says.
func TestEvidence(t *testing.T) {
	runs := readEvidence(t)
	if !*evidenceFlag {
		page, err := os.ReadFile(evidencePage)
		if err != nil {
			t.Fatal(err)
		}
		if string(page) != evidenceText(runs) {
			t.Errorf("%s does not say what %s says: run make evidence N=0", evidencePage, evidenceData)
		}
		return
	}
	next := max(1, *firstFlag)
	for _, r := range runs {
		next = max(next, r.Last+1)
	}
	if *anewFlag {
		runs = nil
	}
	writeEvidence(t, runs)
	for begun := time.Now(); *minutesFlag == 0 || time.Since(begun).Minutes() < *minutesFlag; {
		var total Stats
		for _, r := range runs {
			total.add(&r.Stats)
		}
		opt := Options{Days: total.Simulated.Hours() < *hoursFlag}
		opt.Sparse = opt.Days && total.Simulated.Hours() >= mixedHours
		if opt.Dense = !opt.Days; opt.Dense && total.Faults >= *faultsFlag {
			break
		}
		run := playBatch(t, opt, next, func(s *Stats) bool {
			return opt.Days && (total.Simulated+s.Simulated).Hours() >= *hoursFlag || opt.Dense && total.Faults+s.Faults >= *faultsFlag
		})
		next = run.Last + 1
		if k := len(runs) - 1; k >= 0 && runs[k].continues(&run) {
			runs[k].join(&run)
		} else {
			runs = append(runs, run)
		}
		writeEvidence(t, runs)
	}
}

// mixedHours is how many hours of days are simulated with all timings. The frequent ones cost up to a hundred times
// as much an hour; they are what the minutes with many faults have.
const mixedHours = 1000

// continues reports whether a run and the batch after it are one line of the account.
func (e *evidence) continues(next *evidence) bool {
	return e.Commit == next.Commit && e.Date == next.Date && e.Days == next.Days && e.Sparse == next.Sparse && e.Dense == next.Dense && e.Last+1 == next.First
}

func (e *evidence) join(next *evidence) {
	e.Last = next.Last
	e.Took += next.Took
	e.Stats.add(&next.Stats)
	e.Failed = append(e.Failed, next.Failed...)
}

func writeEvidence(t *testing.T, runs []evidence) {
	var data []byte
	for _, run := range runs {
		line, err := json.Marshal(run)
		if err != nil {
			t.Fatal(err)
		}
		data = append(append(data, line...), '\n')
	}
	if err := os.MkdirAll(filepath.Dir(evidenceData), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, evidenceData, data)
	write(t, evidencePage, []byte(evidenceText(runs)))
}

func write(t *testing.T, path string, data []byte) {
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// evidenceMemory is how much of it the runs of a batch may leave uncollected.
const evidenceMemory = 4 << 30

// batchTime is how long seeds of one batch begin.
const batchTime = 4 * time.Minute

// playBatch plays some seeds, all to their ends, for a while or until there is enough.
func playBatch(t *testing.T, opt Options, first uint64, enough func(*Stats) bool) evidence {
	defer debug.SetGCPercent(debug.SetGCPercent(1600)) // most of what a run allocates lives for an event
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(evidenceMemory))
	begun, version := time.Now(), commit(t)
	p := player{opt: opt, goOn: true}
	p.until = func(_ int, s *Stats) bool { return time.Since(begun) > batchTime || enough(s) }
	after := p.play(first)
	run := evidence{Commit: version, Date: begun.UTC().Format(time.DateOnly), First: first, Last: after - 1,
		Dense: opt.Dense, Days: opt.Days, Sparse: opt.Sparse, Took: time.Since(begun).Round(time.Second), Stats: p.total}
	for _, f := range p.failures {
		t.Error(f)
		run.Failed = append(run.Failed, fmt.Sprintf("seed %d breaks %s", f.Seed, f.Invariant))
	}
	slices.Sort(run.Failed)
	t.Logf("seeds %d to %d in %v: %v", run.First, run.Last, run.Took, run.Stats.String())
	return run
}

// evidenceText is docs/evidence.md.
func evidenceText(runs []evidence) string {
	var b strings.Builder
	b.WriteString(`# What was simulated

Made by ` + "`make evidence`" + ` from the account in ` + "`internal/sim/testdata/evidence.json`" + `. What a run is, what is checked in it, and what it
found in our own code stands in [simulation.md](simulation.md), also what became of the seeds that failed. Days are long runs with a fault every
minute or so, of which the sparse ones ping every fifteen seconds instead of every 0.2 to 15; dense runs are minutes with a fault every few seconds. A run stays in the account as it was, with
the commit that it was of and the seeds that failed in it; after what they found was mended, later lines tell of later seeds.

## Runs

| date | commit | seeds | kind | cluster-hours | faults | messages accepted | wall time | result |
|---|---|---|---|---:|---:|---:|---:|---|
`)
	var total Stats
	for _, r := range runs {
		total.add(&r.Stats)
		kind, result := "minutes and days", "no invariant broken"
		switch {
		case r.Dense:
			kind = "dense"
		case r.Sparse:
			kind = "days, sparse"
		case r.Days:
			kind = "days"
		}
		if len(r.Failed) > 0 {
			result = strings.Join(r.Failed, "; ")
		}
		fmt.Fprintf(&b, "| %s | %s | %d to %d | %s | %.0f | %d | %d | %v | %s |\n", r.Date, r.Commit, r.First, r.Last, kind,
			r.Stats.Simulated.Hours(), r.Stats.Faults, r.Stats.Acked, r.Took, result)
	}
	fmt.Fprintf(&b, "\n## Sums\n\n| what | how much |\n|---|---:|\n")
	for _, row := range []struct {
		what string
		much any
	}{
		{"cluster-hours", int64(total.Simulated.Hours())},
		{"of them with the periods of production", int64(total.Default.Hours())},
		{"events", total.Events},
		{"messages between nodes", total.Messages},
		{"faults", total.Faults},
		{"crashes between two effects", total.Boundaries},
		{"writes lost that were not synced", total.Unsynced},
		{"views", total.Epochs},
		{"messages accepted", total.Acked},
		{"messages read", total.Reads},
		{"deletions acknowledged", total.Removed},
		{"profile changes acknowledged", total.Changes},
		{"flags set and acknowledged", total.Flags},
		{"updates joined of which neither knew the other", total.Joined},
		{"divergences of cached objects that no record remembered", total.Reconciled},
		{"users refused for good", total.Refused},
		{"offers of update records", total.Offers},
		{"update records offered", total.Offered},
		{"moves for repair and balance", total.Moves},
		{"damaged copies brought in order", total.Healed},
		{"processes refused for good (struck, rolled back)", total.Refusals},
		{"requests refused because they came too late", total.Late},
		{"messages lost with all disks that had them", total.Lost},
	} {
		fmt.Fprintf(&b, "| %s | %v |\n", row.what, row.much)
	}
	fmt.Fprintf(&b, "\n## Faults by kind\n\nThe rows are those of the fault matrix in the design; classes without one are ordinary operation.\n\n| class | row | how often |\n|---|---|---:|\n")
	for i, c := range classes() {
		fmt.Fprintf(&b, "| %s | %s | %d |\n", c.name, c.row, total.Kinds[i])
	}
	return b.String()
}
