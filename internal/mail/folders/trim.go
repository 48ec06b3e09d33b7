package folders

import (
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication/join"
)

// Trees are trimmed only from this size on, and only where a good part of them would go.
const (
	trimAbove = 16 << 10
	trimShare = 4 // one of so many bytes
)

// keeps is for how long what is over (deleted folders, subscriptions taken away, names that folders had) is
// remembered; a shorter time is taken only while the tree is too large with the longer one. A side of a partition that was
// away for longer may bring back what was deleted, and its new folders are not taken over: their
// messages are found in INBOX.
func keeps() [4]time.Duration {
	const day = 24 * time.Hour
	return [...]time.Duration{90 * day, 7 * day, day, time.Hour}
}

// trim forgets what is over, if that is worth it.
func (t *Tree) trim(at cluster.Timestamp) *Tree {
	for i, keep := range keeps() {
		if t.size <= trimAbove || i > 0 && t.size <= ContentsMax {
			break
		}
		horizon := at.Time - int64(keep)
		if horizon <= counter(t.registers, counterHorizon) {
			continue
		}
		waste := t.waste(horizon)
		if waste*trimShare >= t.size || waste > 0 && t.size > ContentsMax {
			t = t.forgetBefore(horizon)
		}
	}
	return t
}

// waste is how many bytes would be forgotten.
func (t *Tree) waste(horizon int64) (n int) {
	for i := range t.registers {
		if r := &t.registers[i]; t.isOver(r, horizon) {
			n += sizeOfOne(r)
		}
	}
	return n
}

// forgetBefore moves the horizon. What is not over, and older, is written again as of the horizon: so it
// is not forgotten with the rest, and loses to every write that is newer.
func (t *Tree) forgetBefore(horizon int64) *Tree {
	kept := make(join.Registers, 0, len(t.registers))
	largest := int64(0)
	for _, r := range t.registers {
		switch {
		case t.isOver(&r, horizon):
			if r.Name[0] == kindHistory {
				v, _, _ := cutValidity(r.Name[1:])
				largest = max(largest, int64(v))
			}
			continue
		case r.Name[0] != kindCounter && r.Time.Time < horizon:
			r.Time = cluster.Timestamp{Time: horizon}
		}
		kept = append(kept, r)
	}
	d := &draft{registers: kept}
	d.raise(counterHorizon, horizon)
	d.raise(counterHistory, largest)
	return newTree(d.registers)
}

// isOver reports whether nobody misses a register who has seen all that was written before the horizon.
func (t *Tree) isOver(r *join.Register, horizon int64) bool {
	if r.Name[0] == kindCounter || r.Time.Time >= horizon {
		return false
	}
	v := t.view
	switch rest := r.Name[1:]; r.Name[0] {
	case kindFolder:
		id, _, ok := cutID(rest)
		isGone := len(r.Value) > 0 && r.Value[0] == stateGone // not one in the form of a later version
		return ok && isGone && !IsDefault(id)                 // a default folder would be there again
	case kindBump:
		id, more, ok := cutID(rest)
		if !ok || !v.isAlive(id) {
			return true
		}
		validity, _, _ := cutValidity(more)
		return !isSet(r) || validity < v.folders[id].validity
	case kindHistory:
		return true
	case kindSubscribed:
		return !isSet(r) && !isFirstName(rest)
	case kindAnnotation:
		id, _, ok := cutID(rest)
		return !ok || !isSet(r) || !v.isAlive(id)
	case kindGeneral:
		return !isSet(r)
	}
	return false // of a later version: who knows
}
