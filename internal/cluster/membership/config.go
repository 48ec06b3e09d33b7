package membership

import (
	"errors"
	"fmt"
	"time"

	"porcupine/internal/cluster"
)

// Limits of the core. They bound memory and the work of one step, whatever peers send.
const (
	// KnownMax is how many nodes are known at most, tombstones included. Further ones are not
	// remembered (they can still be members).
	KnownMax = 8192
	// PeersMax is how many addresses given by AddPeer are kept.
	PeersMax = 1024
	// ProbeBurstMax is how many probes one Tick sends at most; the rest follow after ResendPeriod.
	ProbeBurstMax = 128
	// EpochCounterMax bounds the epoch counters that are believed: a larger one comes from a
	// broken node and would use up the numbers.
	EpochCounterMax = 1 << 62
	// RemovedMax is how many struck nodes are remembered. Beyond it the one that was struck in the
	// smallest epoch is forgotten, on all nodes the same: whoever was struck that long ago, and that
	// many strikes ago, is not expected back.
	RemovedMax = KnownMax / 2
	// GraceDefault is the papers' week.
	GraceDefault = 7 * 24 * time.Hour
)

// Config is what a core needs to know. A zero duration or count stands for the default.
//
// The defaults put a dead process out of the view about 1.4 s after its last sign of life (three
// pings of 200 ms, twelve of 50 ms, a gather delay, two round trips), and keep quiet at 10 % loss
// with 100 ms of jitter: fifteen round trips in a row must fail (1.5e-11 at 10 % loss each way).
type Config struct {
	Self cluster.Endpoint // this node: the id is its identity, Addr is where others reach it
	// Assign derives the user map of a view from the map of the view it continues; it is
	// usermap.Assign, handed in so that this core stands on the words alone. Required.
	Assign func(base cluster.UserMap, members []cluster.Member, epoch cluster.Epoch) cluster.UserMap

	// Found is how far this node's disk had come when this process began: a number that grows with
	// what is durable there (store.Store.FoundSeq). 0: not known.
	Found uint64

	// PingPeriod is the time between two pings of the next neighbour. Default 200 ms.
	PingPeriod time.Duration
	// PingMissesDoubt is how many pings in a row may go unanswered before the core doubts and
	// pings faster. Default 3.
	PingMissesDoubt int
	// DoubtPeriod is the time between two pings of a node in doubt. Default 50 ms.
	DoubtPeriod time.Duration
	// DoubtMissesMax is how many pings in doubt may go unanswered before the node counts as
	// lost and a round starts. Default 12.
	DoubtMissesMax int

	// GatherDelay is how long a coordinator waits before round 1 for more changes; each new
	// stranger starts it anew. Up to as much again is added at random. Default 50 ms.
	GatherDelay time.Duration
	// GatherMax bounds the wait. A coordinator that agreed to be merged into a larger group also
	// keeps from merging others itself for as long. Default 400 ms.
	GatherMax time.Duration
	// ReplyTimeout bounds round 2: who has not answered by then is not a member. It ends at once
	// when all who are expected have answered. Default 500 ms. The two that follow are given by it.
	ReplyTimeout time.Duration
	// ResendPeriod is how often an unanswered message of a round is repeated. Default 60 ms.
	ResendPeriod time.Duration
	// ViewTimeout bounds round 3: who has not acknowledged the view by then is left out of the
	// next one. Default 1 s, or twice ReplyTimeout if that is longer.
	ViewTimeout time.Duration
	// PromiseTimeout is how long a node that answered round 1 waits for round 3 before it
	// notices changes on its own again. Default 2.5 s, or, if that is longer, the rounds at their longest: twice
	// ReplyTimeout (the answers, and the view to go on from), ViewTimeout and half a second. It must be longer than
	// the two timeouts together: members that lose patience with a round begin one of their own, and so for ever.
	PromiseTimeout time.Duration

	// ProbePeriod is the first time between two probes of one absent address; it doubles up to
	// ProbePeriodMax. A quarter is added or taken off at random. Defaults 1 s and 5 s.
	ProbePeriod, ProbePeriodMax time.Duration
	// A node that is lost within FlapMax of being taken in, or because it was silent in round 3, is
	// not taken back for PenaltyMin, and twice as long each further time within PenaltyMemory, up
	// to PenaltyMax. Defaults 5 s, 1 s, 60 s, 5 min.
	FlapMax, PenaltyMin, PenaltyMax, PenaltyMemory time.Duration
	// Grace is how long a node may be absent before it is struck. Default 7 days (thesis ch. 5).
	Grace time.Duration
	// PauseMax: a Tick that comes this much later than asked means that this process was stopped
	// or starved, so that silence of others proves nothing. Default 400 ms.
	PauseMax time.Duration
}

// withDefaults fills in the zero fields and checks the rest.
func (c Config) withDefaults() (Config, error) {
	cluster.Default(&c.ReplyTimeout, 500*time.Millisecond)
	cluster.Default(&c.ViewTimeout, max(time.Second, 2*c.ReplyTimeout))
	cluster.Default(&c.PromiseTimeout, max(2500*time.Millisecond, 2*c.ReplyTimeout+c.ViewTimeout+500*time.Millisecond))
	durations := []struct {
		name string
		p    *time.Duration
		d    time.Duration
	}{
		{"PingPeriod", &c.PingPeriod, 200 * time.Millisecond},
		{"DoubtPeriod", &c.DoubtPeriod, 50 * time.Millisecond},
		{"GatherDelay", &c.GatherDelay, 50 * time.Millisecond},
		{"GatherMax", &c.GatherMax, 400 * time.Millisecond},
		{"ReplyTimeout", &c.ReplyTimeout, c.ReplyTimeout},
		{"ResendPeriod", &c.ResendPeriod, 60 * time.Millisecond},
		{"ViewTimeout", &c.ViewTimeout, c.ViewTimeout},
		{"PromiseTimeout", &c.PromiseTimeout, c.PromiseTimeout},
		{"ProbePeriod", &c.ProbePeriod, time.Second},
		{"ProbePeriodMax", &c.ProbePeriodMax, 5 * time.Second},
		{"PenaltyMin", &c.PenaltyMin, time.Second},
		{"PenaltyMax", &c.PenaltyMax, time.Minute},
		{"PenaltyMemory", &c.PenaltyMemory, 5 * time.Minute},
		{"FlapMax", &c.FlapMax, 5 * time.Second},
		{"Grace", &c.Grace, GraceDefault},
		{"PauseMax", &c.PauseMax, 400 * time.Millisecond},
	}
	var errs []error
	for _, f := range durations {
		if *f.p == 0 {
			*f.p = f.d
		}
		if *f.p < 0 {
			errs = append(errs, fmt.Errorf("%s is %v: want a positive duration", f.name, *f.p))
		}
	}
	if c.PingMissesDoubt == 0 {
		c.PingMissesDoubt = 3
	}
	if c.DoubtMissesMax == 0 {
		c.DoubtMissesMax = 12
	}
	if c.PingMissesDoubt < 0 || c.DoubtMissesMax < 0 {
		errs = append(errs, fmt.Errorf("PingMissesDoubt %d, DoubtMissesMax %d: want positive counts", c.PingMissesDoubt, c.DoubtMissesMax))
	}
	if c.PromiseTimeout <= c.ReplyTimeout+c.ViewTimeout {
		errs = append(errs, fmt.Errorf("PromiseTimeout is %v: want more than ReplyTimeout %v and ViewTimeout %v together", c.PromiseTimeout, c.ReplyTimeout, c.ViewTimeout))
	}
	if c.Assign == nil {
		errs = append(errs, errors.New("Assign is nil: give usermap.Assign"))
	}
	if c.Self.ID == cluster.NoNode {
		errs = append(errs, errors.New("Self.ID is zero: give the node its id"))
	}
	if c.Self.Addr == "" {
		errs = append(errs, errors.New("Self.Addr is empty: give the address at which other nodes reach this one"))
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, cluster.Errorf(cluster.KindInvalid, "membership configuration", "%w", err)
	}
	return c, nil
}
