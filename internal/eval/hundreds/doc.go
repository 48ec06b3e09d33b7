// Package hundreds holds the experiments of the evaluation that go beyond the papers' 30 nodes:
//
//   - hundreds: what one death, one return and a time of rest cost the membership protocol, the user map and the
//     reconstruction of soft state at 30 to 1,000 nodes. It plays the real cores in the simulator, with the periods of production; times are
//     simulated, messages are counted, octets are those of the payloads on the wire.
//   - staleness: what old news of the load cost in throughput, by a model that asks the real policy.
package hundreds

import "porcupine/internal/eval"

// All lists the experiments, in the order in which they are told.
func All() []eval.Experiment {
	return []eval.Experiment{
		{Name: "hundreds", Title: "Membership, user map and reconstruction at hundreds of nodes", Source: "beyond the papers", Run: changes},
		{Name: "staleness", Title: "Age of load information against throughput, on a model", Source: "TOCS §3.3", Run: staleness},
	}
}

// pick gives the value for the quick form of an experiment, or the one for the full form.
func pick[T any](env eval.Env, quick, full T) T {
	if env.Quick {
		return quick
	}
	return full
}
