package upkeep

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// saidEvery is how often people are told again of an object that is lost.
const saidEvery = 24 * time.Hour

// ill is an object whose contents are damaged here and could not be replaced so far: it is lost, or it waits.
type ill struct {
	text  string            // for people
	sum   [sha256.Size]byte // of the contents that were asked for
	tries int               // in a row in which somebody who is there did not answer
	tried time.Time         // the last time
	again time.Time         // from when it is tried again: if it waits, and at a report if it is lost
	said  time.Time         // when people were last told; zero: never
}

// ill gives what is known of an object as it is, or was when its header could be read; a new one if that is nothing. With u.mu.
func (u *Upkeep) ill(o *cluster.Object) ill {
	for _, list := range [...]map[cluster.ObjectID]ill{u.lost, u.waiting} {
		if i, ok := list[o.ID]; ok && i.sum == o.Sum {
			return i
		}
	}
	return ill{text: fmt.Sprintf("%s (%d bytes)", nameOf(o.ID), o.Size), sum: o.Sum}
}

// isKnown reports whether an object is known to be damaged.
func (u *Upkeep) isKnown(o *cluster.Object) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.ill(o).tried.IsZero()
}

// triedJustNow reports whether the contents that an object has now have been asked for, in vain, and it is not time to ask again.
func (u *Upkeep) triedJustNow(id cluster.ObjectID) bool {
	o, found, err := u.object(id)
	if err == nil && !found {
		return false
	}
	o.ID = id
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.cfg.Now().Before(u.ill(&o).again)
}

// IsLost reports whether an object's contents are damaged on this node, and all who may have had them have answered
// that they do not.
func (u *Upkeep) IsLost(id cluster.ObjectID) bool {
	o, found, err := u.object(id)
	u.mu.Lock()
	defer u.mu.Unlock()
	i, lost := u.lost[id]
	return lost && err == nil && found && i.sum == o.Sum // not what took the place of what was lost
}

// setHealed notes that nothing is wrong with an object any more.
func (u *Upkeep) setHealed(id cluster.ObjectID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.lost, id)
	delete(u.waiting, id)
}

// setLost notes an object that could not be healed, and tells people, once a day. Where too many are lost, that which was tried first
// is forgotten: remembered is false then. Whoever reads that one again has it tried again.
func (u *Upkeep) setLost(o *cluster.Object, why error) (remembered bool) {
	tell, remembered := u.noteLost(o)
	if tell {
		u.log.Error("upkeep: contents are damaged and no other node could give them: the disk should be replaced; 'porcupine store verify' shows what is damaged",
			"object", nameOf(o.ID), "size", o.Size, "err", why)
	}
	return remembered
}

func (u *Upkeep) noteLost(o *cluster.Object) (tell, remembered bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i, now := u.ill(o), u.cfg.Now()
	_, known := u.lost[o.ID]
	tell = !known || i.said.IsZero() || now.Sub(i.said) >= saidEvery
	if tell {
		i.said = now
	}
	i.tries, i.tried, i.again = 0, now, now.Add(healAgain)
	delete(u.waiting, o.ID)
	u.lost[o.ID] = i
	if len(u.lost) <= damagedMax {
		return tell, true
	}
	delete(u.lost, slices.MinFunc(slices.Collect(maps.Keys(u.lost)), func(a, b cluster.ObjectID) int {
		return cmp.Or(u.lost[a].tried.Compare(u.lost[b].tried), a.Compare(b))
	}))
	return tell, false
}

// setWaiting notes an object that somebody may have who did not answer, and tells people, once, when that is not over soon. soon: it is
// tried again soon, if it was not often. Where there are too many it is not remembered: the scrub finds it again.
func (u *Upkeep) setWaiting(o *cluster.Object, soon bool, why error) (remembered bool) {
	tell, remembered := u.noteWaiting(o, soon)
	if tell {
		u.log.Warn("upkeep: contents are damaged and cannot be replaced yet: those who may have them are asked again", "object", nameOf(o.ID), "err", why)
	}
	return remembered
}

func (u *Upkeep) noteWaiting(o *cluster.Object, soon bool) (tell, remembered bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i, now := u.ill(o), u.cfg.Now()
	_, known := u.waiting[o.ID]
	if !known && len(u.waiting) >= damagedMax {
		return false, false
	}
	if !known {
		i.said = time.Time{}
	}
	i.tried, i.again = now, now.Add(healAgain)
	i.tries++
	if soon && i.tries < healTriesMax {
		i.again = now.Add(healRetryTime)
	} else if tell = i.said.IsZero(); tell {
		i.said = now
	}
	delete(u.lost, o.ID)
	u.waiting[o.ID] = i
	return tell, true
}

// due lists the objects that wait and are to be tried now.
func (u *Upkeep) due() (ids []cluster.ObjectID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.cfg.Now()
	for id, i := range u.waiting {
		if !now.Before(i.again) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, cluster.ObjectID.Compare)
	return ids
}

// forgetCured forgets what was lost and is not any more: its user has deleted it, something else is in its place, or it lies elsewhere.
func (u *Upkeep) forgetCured() {
	u.mu.Lock()
	lost := maps.Clone(u.lost)
	u.mu.Unlock()
	for id, i := range lost { // a set: the order does not matter
		if o, found, err := u.object(id); err != nil || found && !o.Deleted && o.Sum == i.sum {
			continue
		}
		u.mu.Lock()
		if u.lost[id].sum == i.sum {
			delete(u.lost, id)
		}
		u.mu.Unlock()
	}
}
