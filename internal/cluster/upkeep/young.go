package upkeep

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
)

const (
	// QuietAfter is how old an object must be to count as at rest, and to be compared: an update that is
	// younger may be on its way, or its record's end.
	QuietAfter = 10 * time.Second
	// quietSlack is waited beyond it for clocks that differ.
	quietSlack = 2 * time.Second
)

// young reports whether an update may still be on its way.
func (u *Upkeep) young(t cluster.Timestamp, propagating bool) bool {
	return propagating || u.cfg.Now().Sub(time.Unix(0, t.Time)) < QuietAfter
}

// between tells what of some states is under way between this node and a peer: a record that waits for
// others only, for an absent node perhaps for days, does not keep these two from being alike. What it
// is given stays as it is.
func (u *Upkeep) between(peer cluster.NodeID, states []state) []state {
	if u.node.Owed()[peer] > 0 {
		return states
	}
	list := make([]state, len(states))
	copy(list, states)
	for i := range list {
		list[i].Propagating = false
	}
	return list
}

// unsettled counts the objects that a peer should have and that are left out of the comparing with it though they are
// no longer young: their updates still wait for a node, and it may be that one.
func (u *Upkeep) unsettled(peer cluster.NodeID, states []state) (n int64) {
	for i := range states {
		if s := &states[i]; s.Propagating && s.Replicas.Contains(peer) && !u.young(s.Timestamp, false) {
			n++
		}
	}
	return n
}

// serveYoung says whether some of the buckets asked for have an object that is too young to be compared.
func (u *Upkeep) serveYoung(_ context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	s, err := readSpan(payload)
	if err != nil {
		return nil, err
	}
	found := false
	for b := s.First; !found && int(b) < int(s.First)+s.Count; b++ {
		states, err := u.states(b, nil, nil)
		if err != nil {
			return nil, err
		}
		for i := range states {
			found = found || u.young(states[i].Timestamp, false)
		}
	}
	return json.Marshal(found)
}

// awaitQuiet waits until everything that was there when a Verify began is old enough to be compared. It reports
// whether that is so now: not when the waiting would last beyond until. Where nothing is young it does not wait.
func (u *Upkeep) awaitQuiet(ctx context.Context, v *cluster.View, began, until time.Time) (bool, error) {
	quiet := began.Add(QuietAfter + quietSlack)
	switch {
	case !time.Now().Before(quiet) || !u.anyYoung(ctx, v):
		return true, nil
	case quiet.After(until):
		return false, nil
	case !sleep(ctx, time.Until(quiet)):
		return false, cluster.Errorf(cluster.KindUnavailable, "verify", "%w", context.Cause(ctx))
	}
	return true, nil
}

// anyYoung reports whether some member has, or may have, an object that is too young. Who cannot say, because it is
// of an older version, may have one.
func (u *Upkeep) anyYoung(ctx context.Context, v *cluster.View) bool {
	var found atomic.Bool
	var work sync.WaitGroup
	for _, m := range v.Members {
		work.Go(func() {
			for first := 0; first < cluster.BucketCount && !found.Load(); first += verifyAtOnce {
				answer, err := u.tell(ctx, m.ID, methodYoung, span{cluster.Bucket(first), verifyAtOnce}.marshal())
				var young bool
				if err != nil || json.Unmarshal(answer, &young) != nil || young {
					found.Store(true)
				}
			}
		})
	}
	work.Wait()
	return found.Load()
}
