// Package experiment holds the experiments of the papers that run on clusters of real nodes: scalability,
// one node with slow and fast disks, skew, heterogeneity, failure and recovery.
//
// All run on room testbed. A unit of disk work takes the papers' 36 ms (27.5 messages a second and disk, TOCS
// §5.2), times a scale, so that the processors of a small machine are not what limits thirty nodes. What
// is measured is told in the papers' time: rates are multiplied by the scale, times divided by it.
//
// The load is closed. The papers raise the number of outstanding requests until a tenth take longer than two
// seconds; here it is fixed at what that rule comes to, a few for each disk that the policy can reach, so that the
// queue of a hot disk does not outgrow every timeout.
package experiment

import "porcupine/internal/eval"

// All lists the experiments, in the order in which they are told.
func All() []eval.Experiment {
	return []eval.Experiment{scalability(), single(), skew(), heterogeneity(), failure()}
}
