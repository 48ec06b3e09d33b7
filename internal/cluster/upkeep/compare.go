package upkeep

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

const (
	// recheckAfter is how long after a first look two nodes look again before they believe that a
	// replica differs.
	recheckAfter = 3 * time.Second
	// comparedAtOnce are the buckets of one question in the background.
	comparedAtOnce = 16
)

// compareAlways compares all buckets with all members, once in CompareEvery.
func (u *Upkeep) compareAlways(ctx context.Context) {
	pause := u.cfg.CompareEvery * comparedAtOnce / cluster.BucketCount
	for {
		whole, under := true, int64(0)
		for first := 0; first < cluster.BucketCount; first += comparedAtOnce {
			if !sleep(ctx, pause) {
				return
			}
			report, err := u.check(ctx, span{cluster.Bucket(first), comparedAtOnce})
			under += report.UnderReplicated
			if err != nil && ctx.Err() == nil {
				whole = false
				u.log.Debug("upkeep: buckets could not be compared", "first", first, "err", err)
			}
		}
		u.count.under.Store(under)
		if whole {
			u.count.rounds.Add(1)
			u.count.round.Store(u.cfg.Now().UnixNano())
		}
	}
}

// CheckReport is what one node found in some buckets.
type CheckReport struct {
	Objects         int64 `json:"objects"`          // each counted at one of its live holders
	Compared        int64 `json:"compared"`         // objects, each with each other live replica
	Divergences     int64 `json:"divergences"`      // not alike though at rest; mended if that was possible
	UnderReplicated int64 `json:"under_replicated"` // fewer live replicas than wanted and possible
	Damaged         int64 `json:"damaged"`          // contents that do not match their checksum; mended if possible
	// Young are objects left out because they changed less than QuietAfter before, each counted at one of its live
	// holders; Waiting are pairs of copies left out though the object is older: its update still waits for a node.
	Young   int64 `json:"young"`
	Waiting int64 `json:"waiting"`
	// Details says more of the faults, one line each, at most detailsMax.
	Details []string `json:"details,omitempty"`
}

// detailsMax bounds the details of a CheckReport.
const detailsMax = 50

func (r *CheckReport) add(o *CheckReport) {
	r.Objects += o.Objects
	r.Compared += o.Compared
	r.Divergences += o.Divergences
	r.UnderReplicated += o.UnderReplicated
	r.Damaged += o.Damaged
	r.Young += o.Young
	r.Waiting += o.Waiting
	for _, d := range o.Details {
		r.detail(d)
	}
}

func (r *CheckReport) detail(text string) {
	if len(r.Details) < detailsMax {
		r.Details = append(r.Details, text)
	}
}

// check compares some buckets with every member of a higher id (the others ask this node), mends what
// differs, and counts the objects of which this node is the first live holder.
func (u *Upkeep) check(ctx context.Context, s span) (CheckReport, error) {
	var report CheckReport
	v := u.node.View()
	peers := slices.DeleteFunc(v.IDs(), func(id cluster.NodeID) bool { return id <= u.node.ID() })
	mine := map[cluster.NodeID]map[cluster.Bucket][]digest{}
	for _, peer := range peers {
		mine[peer] = map[cluster.Bucket][]digest{}
	}
	for b := s.First; int(b) < int(s.First)+s.Count; b++ {
		states, err := u.states(b, &report, v)
		if err != nil {
			return report, err
		}
		for _, peer := range peers {
			between := u.between(peer, states)
			report.Waiting += u.unsettled(peer, between)
			mine[peer][b] = u.digests(b, between, peer)
		}
	}
	for _, peer := range peers {
		if err := u.compareWith(ctx, peer, s, mine[peer], &report); err != nil {
			return report, fmt.Errorf("compare with node %s: %w", peer, err)
		}
	}
	return report, nil
}

// states reads what this node has in a bucket, and counts it unless report is nil. Tombstones that are
// over, or nearly, are left out: nodes collect them one after the other, and none need have them.
func (u *Upkeep) states(b cluster.Bucket, report *CheckReport, v *cluster.View) (list []state, err error) {
	short := false
	over := u.cfg.Now().Add(collectEvery - u.cfg.Grace)
	err = u.disk.Review(b, func(o cluster.Object, propagating bool) error {
		if o.Deleted && o.Timestamp.Time < over.UnixNano() {
			return nil
		}
		list = append(list, state{
			ID: o.ID, Held: true, Deleted: o.Deleted, Propagating: propagating,
			Timestamp: o.Timestamp, Replicas: o.Replicas, Sum: o.Sum,
		})
		if report != nil && u.tally(&o, report, v) {
			short = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("review bucket %d: %w", b, err)
	}
	if short {
		u.isShort(b)
	}
	return list, nil
}

// tally counts an object at the first of its live holders, and reports whether it has too few copies.
func (u *Upkeep) tally(o *cluster.Object, r *CheckReport, v *cluster.View) (short bool) {
	live := 0
	for _, id := range o.Replicas {
		if v.Contains(id) {
			if live++; live == 1 && id != u.node.ID() {
				return false
			}
		}
	}
	r.Objects++
	wanted := min(cmp.Or(o.Copies, len(o.Replicas)), len(v.Members))
	young := u.young(o.Timestamp, false)
	if young && (live > 1 || live < wanted) {
		r.Young++
	}
	if live >= wanted || young {
		return false
	}
	r.UnderReplicated++
	r.detail(fmt.Sprintf("%s has %d live replicas of %d", nameOf(o.ID), live, wanted))
	return true
}

// digests sums up the objects at rest that this node and a peer should both have, by bucket and set.
func (u *Upkeep) digests(b cluster.Bucket, states []state, peer cluster.NodeID) []digest {
	sums := map[string]*digest{}
	for i := range states {
		s := &states[i]
		if !s.Replicas.Contains(peer) || u.young(s.Timestamp, s.Propagating) {
			continue
		}
		d := sums[s.Replicas.Key()]
		if d == nil {
			d = &digest{Bucket: b, Set: s.Replicas}
			sums[s.Replicas.Key()] = d
		}
		h := s.hash()
		d.Count++
		d.Hash[0] += h[0]
		d.Hash[1] += h[1]
	}
	list := make([]digest, 0, len(sums))
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		list = append(list, *sums[key])
	}
	return list
}

// hash stands for all that replicas must agree on.
func (s *state) hash() [2]uint64 {
	var w writer
	w.state(&state{ID: s.ID, Held: true, Deleted: s.Deleted, Timestamp: s.Timestamp, Replicas: s.Replicas, Sum: s.Sum})
	sum := sha256.Sum256(w.b)
	return [2]uint64{binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])}
}

// compareWith compares buckets with one peer.
func (u *Upkeep) compareWith(ctx context.Context, peer cluster.NodeID, s span, mine map[cluster.Bucket][]digest, report *CheckReport) error {
	answer, err := u.tell(ctx, peer, methodDigest, s.marshal())
	if err != nil {
		return err
	}
	theirs, err := readDigests(answer)
	if err != nil {
		return err
	}
	there := map[cluster.Bucket][]digest{}
	for _, d := range theirs {
		there[d.Bucket] = append(there[d.Bucket], d)
	}
	var found []suspects
	for b := s.First; int(b) < int(s.First)+s.Count; b++ {
		for _, d := range mine[b] {
			report.Compared += int64(d.Count)
			u.count.compared.Add(int64(d.Count))
		}
		if slices.EqualFunc(mine[b], there[b], func(x, y digest) bool { return x.Set.Equal(y.Set) && x.Count == y.Count && x.Hash == y.Hash }) {
			continue
		}
		ids, err := u.suspects(ctx, peer, b)
		if err != nil {
			return fmt.Errorf("bucket %d: %w", b, err)
		}
		if len(ids) > 0 {
			found = append(found, suspects{b, ids})
		}
	}
	if len(found) == 0 {
		return nil
	}
	// What was under way a moment ago has arrived by now, or shows that it still is.
	if !sleep(ctx, recheckAfter) {
		return cluster.Errorf(cluster.KindUnavailable, "compare", "%w", context.Cause(ctx))
	}
	for i := range found {
		if err := u.reconcile(ctx, peer, &found[i], report); err != nil {
			return fmt.Errorf("bucket %d: %w", found[i].bucket, err)
		}
	}
	return nil
}

// suspects are objects of a bucket that differ at first sight.
type suspects struct {
	bucket cluster.Bucket
	ids    []cluster.ObjectID
}

// tell calls a peer, within a bound.
func (u *Upkeep) tell(ctx context.Context, peer cluster.NodeID, method string, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	return u.node.Tell(ctx, peer, method, payload)
}

// reconcile looks again at objects that differed between this node and a peer, and mends those that
// still do.
func (u *Upkeep) reconcile(ctx context.Context, peer cluster.NodeID, s *suspects, report *CheckReport) error {
	mine, err := u.states(s.bucket, nil, nil)
	if err != nil {
		return err
	}
	mine = u.between(peer, mine)
	for chunk := range slices.Chunk(s.ids, listMax/4) {
		theirs, err := u.look(ctx, peer, s.bucket, chunk)
		if err != nil {
			return err
		}
		here := find(mine, chunk)
		for i := range chunk {
			if !u.differ(&here[i], &theirs[i], peer) {
				continue
			}
			u.count.divergences.Add(1)
			report.Divergences++
			report.detail(fmt.Sprintf("%s differs: node %s has %s, node %s has %s", nameOf(chunk[i]), u.node.ID(), &here[i], peer, &theirs[i]))
			u.log.Warn("upkeep: a replica differs; the newest version is sent to all holders", "object", nameOf(chunk[i]),
				"here", here[i].String(), "peer", peer, "there", theirs[i].String())
			if !u.repairs.wait(ctx, 0) {
				return cluster.Errorf(cluster.KindUnavailable, "compare", "%w", context.Cause(ctx))
			}
			u.mend(ctx, peer, s.bucket, &here[i], &theirs[i])
		}
	}
	return nil
}

// suspects lists the ids of a bucket that differ at first sight.
func (u *Upkeep) suspects(ctx context.Context, peer cluster.NodeID, b cluster.Bucket) ([]cluster.ObjectID, error) {
	mine, err := u.states(b, nil, nil)
	if err != nil {
		return nil, err
	}
	mine = u.between(peer, mine)
	here := map[cluster.ObjectID]*state{}
	for i := range mine {
		here[mine[i].ID] = &mine[i]
	}
	seen := map[cluster.ObjectID]bool{}
	var ids []cluster.ObjectID
	for q := (listRequest{Bucket: b}); ; {
		answer, err := u.tell(ctx, peer, methodList, q.marshal())
		if err != nil {
			return nil, err
		}
		page, err := readListAnswer(answer)
		if err != nil {
			return nil, err
		}
		for i := range page.States {
			theirs := &page.States[i]
			seen[theirs.ID] = true
			have := here[theirs.ID]
			if have == nil {
				have = &state{}
			}
			if u.differ(have, theirs, peer) {
				ids = append(ids, theirs.ID)
			}
		}
		if !page.More || len(page.States) == 0 {
			break
		}
		q.From = page.States[len(page.States)-1].ID
	}
	for i := range mine {
		if s := &mine[i]; !seen[s.ID] && s.Replicas.Contains(peer) {
			ids = append(ids, s.ID)
		}
	}
	return ids, nil
}

// differ reports whether two nodes' states of an object cannot both be right.
func (u *Upkeep) differ(here, there *state, peer cluster.NodeID) bool {
	if here.Held && u.young(here.Timestamp, here.Propagating) || there.Held && u.young(there.Timestamp, there.Propagating) {
		return false
	}
	switch {
	case here.Held && there.Held:
		return here.hash() != there.hash()
	case here.Held:
		return here.Replicas.Contains(peer)
	case there.Held:
		return there.Replicas.Contains(u.node.ID())
	}
	return false
}

// look asks a peer what it has under some ids.
func (u *Upkeep) look(ctx context.Context, peer cluster.NodeID, b cluster.Bucket, ids []cluster.ObjectID) ([]state, error) {
	answer, err := u.tell(ctx, peer, methodLook, (&idList{Bucket: b, IDs: ids}).marshal())
	if err != nil {
		return nil, err
	}
	a, err := readListAnswer(answer)
	if err == nil && len(a.States) != len(ids) {
		err = cluster.Errorf(cluster.KindInvalid, methodLook, "%d answers to %d questions", len(a.States), len(ids))
	}
	return a.States, err
}

// find gives the states of some ids, in their order.
func find(states []state, ids []cluster.ObjectID) []state {
	byID := make(map[cluster.ObjectID]int, len(states))
	for i := range states {
		byID[states[i].ID] = i
	}
	found := make([]state, len(ids))
	for k, id := range ids {
		if i, ok := byID[id]; ok {
			found[k] = states[i]
		}
		found[k].ID = id
	}
	return found
}

// String says what a node has, for people.
func (s *state) String() string {
	switch {
	case !s.Held:
		return "nothing"
	case s.Deleted:
		return fmt.Sprintf("a tombstone of %s on %s", s.Timestamp, s.Replicas)
	}
	return fmt.Sprintf("the version of %s on %s", s.Timestamp, s.Replicas)
}
