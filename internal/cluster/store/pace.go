package store

import "time"

const (
	// commitSpacing is the shortest time from one commit to the next while many calls come at once. A disk that
	// syncs in 0.1 ms would otherwise have a commit for every two or three messages, and each costs the processor
	// as much as a message. With 32 clients on two processors (test/compare.sh) it is 0.35 fsyncs a message without
	// spacing, 0.19 with 1.5 ms, 0.14 with 2 ms; and 0.18 with 2.5 ms where so much else is going on that messages come
	// at less than half of the rate. It delays nobody on a disk that takes longer than this.
	commitSpacing = 2500 * time.Microsecond
	// crowd is the number of calls in a group from which on they count as many, on average.
	crowd = 2.5
	// paceWeight is the weight of the groups before in that average.
	paceWeight = 16
)

// pace decides how long the committer lets calls gather before it commits.
type pace struct {
	mean float64 // calls of a group, moving average
}

// wait gives how long to wait yet when the last commit began so long ago. A lone caller never waits.
func (p *pace) wait(since time.Duration) time.Duration {
	if p.mean < crowd {
		return 0
	}
	return max(0, commitSpacing-since)
}

// committed notes a group of so many calls.
func (p *pace) committed(calls int) { p.mean += (float64(calls) - p.mean) / paceWeight }
