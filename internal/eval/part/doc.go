// Package part holds the experiments of the evaluation that need a part of a node and no cluster of processes:
//
//   - space: what replication takes on the disk beside the messages (thesis, "space overhead").
//   - reconstruction: what it costs to rebuild the soft state of a node that died, against users, buckets of
//     the user map and nodes (thesis, "recovery cost"). Stores, reporters and managers are the real ones; pushes are
//     written and read as on the wire; the network is a function call.
//   - memory: what a manager's soft state takes for a million users.
//   - scan: what a member pays to read a bucket, at five million users a node.
//
// What is measured is processor time and octets: both say the same on a machine that does other things, too. All
// times are of this process as a whole, with its collector of garbage and the store's background work.
package part

import (
	"fmt"
	"syscall"
	"time"

	"porcupine/internal/eval"
)

// All lists the experiments, in the order in which they are told.
func All() []eval.Experiment {
	return []eval.Experiment{
		{Name: "space", Title: "Space that replication takes beside the messages", Source: "thesis, space overhead", Run: space},
		{Name: "reconstruction", Title: "Cost of rebuilding soft state against buckets, users and nodes", Source: "thesis, recovery cost", Run: reconstruction},
		{Name: "memory", Title: "Memory of a manager's soft state for a million users", Source: "TOCS §3", Run: memory},
		{Name: "scan", Title: "Reading a bucket at five million users a node", Source: "thesis, recovery cost", Run: scan},
	}
}

// processorTime is what this process has used so far, in user and kernel mode.
func processorTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read the process's processor time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// pick gives the value for the quick form of an experiment, or the one for the full form.
func pick[T any](env eval.Env, quick, full T) T {
	if env.Quick {
		return quick
	}
	return full
}
