package upkeep

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"porcupine/internal/cluster"
)

// mend has the newest version of an object sent again to all that hold one: by this node or, if the
// peer has it, by the peer. The rules of updates do the rest: who lacks it takes it, who has an older
// one replaces it, who is not in its replica set drops his, and who knows something newer still, a
// deletion for instance, says so.
func (u *Upkeep) mend(ctx context.Context, peer cluster.NodeID, b cluster.Bucket, here, there *state) {
	var err error
	switch c := here.Timestamp.Compare(there.Timestamp); {
	case !there.Held, here.Held && c > 0, here.Held && c == 0 && u.node.ID() < peer:
		err = u.resend(ctx, here.ID, there.Replicas.Union(cluster.ReplicaSet{peer}), here.Held && c == 0)
	default:
		var answer []byte
		answer, err = u.tell(ctx, peer, methodResend, (&idList{Bucket: b, IDs: []cluster.ObjectID{there.ID}}).marshal())
		if err == nil && string(answer) != "1" {
			err = cluster.Errorf(cluster.KindUnavailable, methodResend, "node %s did not send it", peer)
		}
	}
	if err != nil {
		u.log.Warn("upkeep: a replica that differs could not be mended yet; it is found again", "object", nameOf(here.ID), "err", err)
		return
	}
	u.count.mended.Add(1)
}

// resend sends an object as this node has it, with its own timestamp, to all its holders and to those
// named. anew: it gets a newer timestamp, since two versions have the same one.
func (u *Upkeep) resend(ctx context.Context, id cluster.ObjectID, also cluster.ReplicaSet, anew bool) error {
	o, found, err := u.object(id)
	if err != nil || !found {
		return err
	}
	up := cluster.Update{Object: o, Previous: also}
	if anew {
		up.Object.Timestamp.Time++
		up.Object.Timestamp.Node = u.node.ID()
	}
	return u.send(ctx, &up, true, &o)
}

// object reads what this node has of one object, a tombstone too.
func (u *Upkeep) object(id cluster.ObjectID) (o cluster.Object, found bool, err error) {
	o, err = u.disk.Get(id)
	if cluster.IsKind(err, cluster.KindNotFound) {
		return o, false, nil
	}
	return o, err == nil, err
}

// Register makes the node answer other nodes' upkeep. Before the node starts.
func (u *Upkeep) Register() {
	u.node.Serve(methodDigest, u.serveDigest)
	u.node.Serve(methodList, u.serveList)
	u.node.Serve(methodLook, u.serveLook)
	u.node.Serve(methodResend, u.serveResend)
	u.node.Serve(methodCheck, u.serveCheck)
	u.node.Serve(methodYoung, u.serveYoung)
	u.node.Serve(methodStatus, func(context.Context, cluster.NodeID, []byte) ([]byte, error) { return json.Marshal(u.Status()) })
	u.node.Serve(methodDrain, func(ctx context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
		return nil, u.Drain(ctx, string(payload) == "1")
	})
}

func (u *Upkeep) serveDigest(_ context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
	s, err := readSpan(payload)
	if err != nil {
		return nil, err
	}
	var all []digest
	for b := s.First; int(b) < int(s.First)+s.Count; b++ {
		states, err := u.states(b, nil, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, u.digests(b, u.between(from, states), from)...)
	}
	if len(all) > digestsMax {
		return nil, cluster.Errorf(cluster.KindLimit, methodDigest, "%d replica sets, at most %d", len(all), digestsMax)
	}
	return marshalDigests(all), nil
}

// serveList gives a page of what the caller should have too.
func (u *Upkeep) serveList(_ context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
	q, err := readListRequest(payload)
	if err != nil {
		return nil, err
	}
	states, err := u.states(q.Bucket, nil, nil)
	if err != nil {
		return nil, err
	}
	states = u.between(from, states)
	var a listAnswer
	size := 0
	for i := range states {
		s := &states[i]
		if !s.Replicas.Contains(from) || q.From != (cluster.ObjectID{}) && u.compare(&s.ID, &q.From) <= 0 {
			continue
		}
		size += len(s.ID.Owner) + len(s.ID.ID) + stateOverhead
		if len(a.States) == listMax || size > listBytes {
			a.More = true
			break
		}
		a.States = append(a.States, *s)
	}
	return a.marshal(), nil
}

// stateOverhead is what a state takes beside its names, about.
const stateOverhead = 160

func (u *Upkeep) serveLook(_ context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
	l, err := readIDList(payload)
	if err != nil {
		return nil, err
	}
	states, err := u.states(l.Bucket, nil, nil)
	if err != nil {
		return nil, err
	}
	return (&listAnswer{States: find(u.between(from, states), l.IDs)}).marshal(), nil
}

// serveResend sends objects again to their holders and to the caller.
func (u *Upkeep) serveResend(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
	l, err := readIDList(payload)
	if err != nil {
		return nil, err
	}
	sent := 0
	for _, id := range l.IDs {
		if err := u.resend(ctx, id, cluster.ReplicaSet{from}, false); err != nil {
			return nil, fmt.Errorf("send %s again: %w", nameOf(id), err)
		}
		sent++
	}
	return fmt.Append(nil, sent), nil
}

func (u *Upkeep) serveCheck(ctx context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	contents, payload, err := cutFlag(payload)
	if err != nil {
		return nil, err
	}
	s, err := readSpan(payload)
	if err != nil {
		return nil, err
	}
	report, err := u.check(ctx, s)
	if err != nil {
		return nil, err
	}
	for b := s.First; contents && int(b) < int(s.First)+s.Count; b++ {
		if err := u.scrubBucket(ctx, b, &report); err != nil {
			return nil, err
		}
	}
	report.Details = slices.Clip(report.Details)
	return json.Marshal(report)
}

// cutFlag takes the first byte, 0 or 1, off a payload.
func cutFlag(payload []byte) (flag bool, rest []byte, err error) {
	if len(payload) == 0 || payload[0] > 1 {
		return false, nil, cluster.Errorf(cluster.KindInvalid, methodCheck, "the request is malformed")
	}
	return payload[0] == 1, payload[1:], nil
}
